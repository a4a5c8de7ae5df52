"""The account as a test author sets it up and inspects it."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from textwrap import fill
from typing import Any

import pytest

from arize_roles_async import (
    ConfigurationError,
    Permission,
    Request,
    Response,
    Role,
    ServerError,
    UnknownPermission,
)
from arize_roles_fake import FakeAccount, FakeRolesClient, SuspiciousPermissionWarning, make_role
from tests.fake.test_fault_rules import NO_LIST, OPERATION
from tests.support.clients import START, Act, ask
from tests.support.processes import LONGEST_WAIT

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001
AWARE = "timestamps must be timezone-aware"
RATE = "per_second must be above 0, and burst an integer of 1 or more"
SURROGATES = "a role must not contain surrogates, which UTF-8 cannot carry"
ONE_STRING = "permissions must be a set or another iterable, not the string 'ROLE_READ'"
A_PLACE = "resource must be a space or a project, such as 'Space:1' or 'Project:1', not "
BOUND = "'ada' already has the role 'Admin' on 'Space:1'"
NO_UTF8 = "'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed"
ADA = {"user": "ada", "resource": "Space:1"}

IMPOSSIBLE: list[tuple[Callable[[Any], object], str]] = [
    (lambda a: a.add_role("Admin"), "a role is already named 'Admin'"),
    (lambda a: a.add_role("B", created_at=NAIVE), AWARE),
    (lambda a: a.add_role("B", description="\ud800"), SURROGATES),
    (lambda a: a.add_role("A", "ROLE_READ"), ONE_STRING),
    (lambda a: a.add_key("other", grants="ROLE_READ"), ONE_STRING),
    (lambda a: a.assert_roles({"A": "ROLE_READ"}), ONE_STRING),
    (
        lambda a: a.add_key("key", grants=[], on={"Space:1": ["ROLE_BINDING_RAED"]}),
        "'ROLE_BINDING_RAED' is not a known permission; did you mean ROLE_BINDING_READ?",
    ),
    (
        lambda a: a.add_key("key", on={"Space:1": []}),
        "on adds permissions to grants, so grants must be given, such as ()",
    ),
    (lambda a: a.add_key(""), "a key must not be empty"),
    (lambda a: a.add_key(5), "a key must be a string, not int"),
    (lambda a: a.advance(-1), "seconds must be 0 or more, not -1: time does not go back"),
    (lambda a: a.advance(1e12), "1e+12 s would lead past the year 9999"),
    (lambda a: a.slow_down(float("inf")), "seconds must be 0 or more, not inf"),
    (lambda a: a.limit_rate(0.0), RATE),
    (lambda a: a.limit_rate(1.0, burst=0), RATE),
    (
        lambda a: a.shorten_pages(1, operation="get"),
        (
            "operation must be one of list, role_bindings.list, users.list, spaces.list, "
            "projects.list and any"
        ),
    ),
    (lambda a: a.calls_of("remove"), f"{OPERATION}, not 'remove'"),
    (lambda a: a.shorten_pages(1.5), "sizes must be an integer of 0 or more, not 1.5"),
    (
        lambda _: FakeAccount(max_custom_roles=-1),
        "max_custom_roles must be an integer of 0 or more, not -1",
    ),
    (lambda a: a.bind("Admin", **ADA), BOUND),
    (lambda a: a.bind("Nobody", **ADA), "no role has the ID or name 'Nobody'"),
    (lambda a: a.unbind("Member", **ADA), "'ada' does not have the role on 'Space:1'"),
    (lambda a: a.bind("Admin", user="", resource="Space:1"), "user must not be empty"),
    (lambda a: a.add_user(None), "user must not be empty"),
    (lambda a: a.bind("Admin", user="ada", resource="a space"), f"{A_PLACE}'a space'"),
    (lambda a: a.add_space("ML", id="ML"), f"{A_PLACE}'ML'"),
    (lambda a: a.add_space("x" * 750), f"{A_PLACE}'Space:{'x' * 53}…'"),
    (lambda _: FakeAccount(users="ada"), "users must be a list, not the string 'ada'"),
    (lambda a: a.block_user("aad"), "there is no user 'aad'"),
    (lambda a: a.add_space("ML", description="\ud800"), NO_UTF8),
    (lambda a: a.slow_down(1, operation="list", about="A"), NO_LIST),
    (lambda a: a.block("list", about="A").__enter__(), NO_LIST),
    (
        lambda a: a.bind("Admin", user="eve", resource="Space:1"),
        "'eve' is blocked; add_user adds the user again",
    ),
]


@pytest.mark.parametrize(("act", "message"), IMPOSSIBLE)
def test_refused(act: Act, message: str) -> None:
    """What is impossible, or cannot be meant, is refused, and changes nothing."""
    account = FakeAccount(api_key="key", clock=lambda: START)
    account.bind("Admin", **ADA)
    account.add_user("eve")
    account.block_user("eve")
    before = account.dump()
    with pytest.raises((ValueError, TypeError, LookupError)) as caught:
        act(account)
    assert str(caught.value) == message
    assert account.dump() == before


class TestAddRole:
    """Roles as a test seeds them."""

    def test_defaults(self, account: FakeAccount) -> None:
        """It is created now and custom, without permissions and description, unless given."""
        role = account.add_role("A")
        assert (role.created_at, role.updated_at, role.permissions) == (START, START, ())
        assert (role.description, role.is_predefined) == (None, False)
        old = account.add_role("B", description="", created_at=START - timedelta(days=1))
        assert (old.updated_at, old.description) == (old.created_at, None)

    @pytest.mark.parametrize(
        "misspelled", ["ROLE_RAED", "ROLE_REA", "ROLE_READS", "ROLE_REED", "ROLEREAD"]
    )
    def test_misspelled(self, misspelled: str) -> None:
        """An unknown permission that is a letter off a known one is pointed out, if not dumped."""
        account = FakeAccount()
        hint = "did you mean ROLE_READ?"
        with pytest.warns(SuspiciousPermissionWarning, match=hint) as caught:
            account.add_role("A", [misspelled])
        assert caught[0].filename == __file__
        assert FakeAccount.load(account.dump()).role("A") == account.role("A")
        by_hand = json.dumps({"roles": [{"name": "A", "permissions": [misspelled]}]})
        with pytest.warns(SuspiciousPermissionWarning) as caught:
            FakeAccount.load(by_hand)
        assert caught[0].filename == __file__

    @pytest.mark.parametrize("other", ["ROLE_RXXD", "ROLE_REXXD", "ROLE_READXX", "ROLE_RD", "X_Y"])
    def test_other(self, other: str) -> None:
        """One that is further from each known one is taken for a newer one."""
        role = FakeAccount().add_role("A", [other])
        assert role.permissions == (UnknownPermission(other),)

    def test_make_role(self) -> None:
        """`make_role` makes equal roles of equal arguments, with an age and an ID of their own."""
        assert make_role() == make_role()
        assert make_role(name="A").id != make_role(name="B").id
        assert make_role(permissions=None).permissions is None
        new_year = datetime(2026, 1, 1, tzinfo=UTC)
        assert make_role(id="Um9sZTo5OTph") == Role(
            id="Um9sZTo5OTph",
            name="Role",
            description=None,
            permissions=(Permission.PROJECT_READ,),
            is_predefined=False,
            created_at=new_year,
            updated_at=new_year,
        )
        newer = make_role(permissions=["COMET_LAUNCH"] * 2)
        assert newer.permissions == (UnknownPermission("COMET_LAUNCH"),)
        with pytest.raises(ValueError, match="a role"):
            make_role(permissions=["\ud800"])

    def test_predefined(self) -> None:
        """Each predefined role is as it is written down, oldest first."""
        written = Path(__file__).parents[1] / "data" / "predefined.txt"
        told = [
            f"{role.name} ({role.id}): {role.description}\n"
            + fill(" ".join(role.permissions or ()), 100)
            for role in reversed(FakeAccount(api_key="fake-api-key").roles)
        ]
        assert "\n\n".join(told) + "\n" == written.read_text("utf-8")


@pytest.mark.parametrize("key", ["fake-api-key", "wrong"])
def test_date(key: str) -> None:
    """Every answer carries the time in UTC, a failure too; the clock may have any zone."""
    there = START.astimezone(timezone(timedelta(hours=5)))
    account = FakeAccount(api_key="fake-api-key", clock=lambda: there)
    assert (account.now(), account.now().tzinfo) == (START, UTC)
    for seconds, shown in ((0, 0), (0.9, 0), (0.1, 1)):
        account.advance(seconds)
        reply = ask(account, "GET /v2/roles", key=key)
        assert reply.headers["Date"] == f"Thu, 01 Jan 2026 12:00:0{shown} GMT"


async def test_plain_response() -> None:
    """An account of a test's own may answer with what a transport answers with."""

    class Down(FakeAccount):
        def handle(self, request: Request) -> Response:
            return Response(status=500 if request.target else 0, headers={}, body=b"")

    with pytest.raises(ServerError):
        await FakeRolesClient(Down()).list()


def test_no_key(account: FakeAccount) -> None:
    """An account without keys has no first one."""
    account.remove_key(account.api_key)
    with pytest.raises(LookupError, match="the account has no API key"):
        _ = account.api_key
    with pytest.raises(KeyError, match="there is no such API key"):
        account.remove_key("fake-api-key")
    with pytest.raises(ConfigurationError, match=r"^no API key: the account has none left, so "):
        FakeRolesClient(account)


def test_roles_differ(account: FakeAccount) -> None:
    """Roles that differ are shown by role, permission and description; an empty one is none."""
    account.add_role("AI Engineer", ["PROJECT_READ", "ROLE_READ"], description="of A")
    account.add_role("B")
    both = {"AI Engineer": {"ROLE_READ", Permission.PROJECT_READ}, "B": ()}
    account.assert_roles(both, descriptions={"AI Engineer": "of A", "B": ""})
    account.add_role("Stray")
    expected = {"AI Engineer": {"PROJECT_READ", "DATASET_READ"}, "B": (), "Analyst": ()}
    with pytest.raises(AssertionError) as caught:
        account.assert_roles(expected, descriptions={"AI Engineer": None, "B": "of B", "C": "of C"})
    assert str(caught.value) == (
        "the custom roles are not as expected (- is missing, + is not expected):\n"
        "  - 'AI Engineer': DATASET_READ\n"
        "  + 'AI Engineer': ROLE_READ\n"
        "  + 'AI Engineer': description 'of A'\n"
        "  - 'AI Engineer': description None\n"
        "  - 'Analyst'\n"
        "  - 'B': description 'of B'\n"
        "  + 'B': description None\n"
        "  - 'C': description 'of C'\n"
        "  + 'Stray'"
    )
    # The report of a failed test ends at its own line, not in the account's code.
    assert [entry.ishidden(caught) for entry in caught.traceback] == [False, True, True, True]


def test_threads() -> None:
    """Threads that share an account change it one after the other, as by the names of roles."""
    statuses: list[int] = []

    def clock() -> datetime:
        time.sleep(0)  # The account asks for the time between a check and the change.
        return START

    account = FakeAccount(clock=clock, predefined=False)
    at_once = threading.Barrier(4)

    def hammer() -> None:
        for number in range(50):
            at_once.wait(LONGEST_WAIT)
            body = b'{"name": "%d", "permissions": ["ROLE_READ"]}' % number
            statuses.append(ask(account, "POST /v2/roles", body).status)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(hammer)
    assert sorted(statuses) == 50 * [201] + 150 * [409]
    account.assert_roles({f"{number}": {"ROLE_READ"} for number in range(50)})
    assert len(account.calls) == 200


def test_reset_at_once() -> None:
    """No other thread sees an account that is half reset."""
    seen: list[int] = []
    is_resetting = False

    def clock() -> datetime:
        if is_resetting and thread.ident is None:
            thread.start()
            thread.join(0.1)  # it has to wait
        return START

    account = FakeAccount(clock=clock)
    predefined = len(account.roles)
    thread = threading.Thread(target=lambda: seen.append(len(account.roles)))
    is_resetting = True
    account.reset()
    thread.join()

    assert seen == [predefined]
