"""Role bindings by names: checks, look-ups and changes, and the names in errors."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast
from unittest.mock import AsyncMock, MagicMock

import anyio
import attrs
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    ArizeClient,
    ByName,
    Directory,
    ForbiddenError,
    NotFoundError,
    RoleBindingsClient,
    RolesClient,
    RolesTimeoutError,
    ServerError,
    Timeouts,
    ValidationError,
)
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import account_at_noon, in_process, over_http, passed


@pytest.fixture
def account() -> FakeAccount:
    """Return an account with a user, two roles, and projects of which two have one name."""
    projects = ["Project:ML/churn", "Project:ML/fraud", "Project:Ops/fraud"]
    account = account_at_noon(users=["ada@example.com"], resources=projects)
    for role in ("Analyst", "Editor"):
        account.add_role(role, ["PROJECT_READ"])
    return account


@pytest.fixture
def by_name(account: FakeAccount) -> ByName:
    return in_process(account).by_name


def asked(account: FakeAccount) -> list[str]:
    return [call.operation for call in account.calls]


async def test_ids(account: FakeAccount, by_name: ByName) -> None:
    """IDs need no look-up; one of a kind that is not known is sent, for the service to judge."""
    role, space = account.roles[0].id, account.id("Space:ML")
    await by_name.ensure(user=account.id("ada@example.com"), role=role, space=space)
    with pytest.raises(NotFoundError):
        await by_name.remove(user="VGVhbToxOmFCY0Q=", space=space)  # Team:1:aBcD
    lists = "role_bindings.list"
    assert asked(account) == [lists, "role_bindings.create", lists]


async def test_remove(by_name: ByName) -> None:
    """It takes the role there and nowhere else, once, of two projects with the name."""
    project = {"project": "fraud", "in_space": "ML"}
    for place in (project, {"space": "ML"}):
        await by_name.ensure(user="ada@example.com", role="Analyst", **place)
    removed = [await by_name.remove(user="ADA@example.com", **project) for _ in range(2)]
    assert removed == [True, False]
    assert [each.resource async for each in by_name.find()] == ["ML"]


ONE_PLACE = "space, project: exactly one must be given"
NO_TEXT = "must be a string, not "
NOT_NONE = f"{NO_TEXT}None, and is left out if it does not matter"
REFUSED: list[tuple[Callable[[Any], Any], str]] = [
    (lambda b: b.find(space="ML", project="churn"), ONE_PLACE),
    (lambda b: b.find(user="@x"), "user: must be an address or an ID, not '@x'"),
    (lambda b: b.find(user="x@"), "user: must be an address or an ID, not 'x@'"),
    (
        lambda b: b.ensure(user="ada@example.com", role="Analyst", in_space="ML"),
        f"in_space: goes with project, which is not given; {ONE_PLACE}",
    ),
    (
        lambda b: b.ensure(user=1, role="Analyst", project=None, in_space=None),
        f"user: {NO_TEXT}int; project: {NOT_NONE}; in_space: {NOT_NONE}",
    ),
    (
        lambda b: b.find(project="UHJvamVjdDoxMjM0NQ==", in_space="ML"),  # Project:12345
        "in_space: must be left out where the project is an ID",
    ),
]


@pytest.mark.parametrize(("act", "message"), REFUSED)
async def test_refused(
    account: FakeAccount, by_name: ByName, act: Callable[[ByName], Any], message: str
) -> None:
    """One error names every flaw of the arguments, and nothing is sent."""
    with pytest.raises(ValidationError) as caught:
        # `find` checks before it is awaited.
        act(by_name) if "find" in act.__code__.co_names else await act(by_name)
    assert str(caught.value) == message
    assert asked(account) == []


async def test_order_of_errors(account: FakeAccount, by_name: ByName) -> None:
    """Of several look-ups that fail, the role's error is raised, then the user's, the place's."""
    given = {"user": "eve@example.com", "role": "Anlyst", "space": "ml"}
    for name, known, message in (
        ("role", "Analyst", "no role is named 'Anlyst'; similar names: 'Analyst'"),
        ("user", "ada@example.com", "no user has the address 'eve@example.com', as far as the key"),
        ("space", "ML", "no space is named 'ml', as far as the key sees; similar: 'ML'"),
    ):
        with pytest.raises(NotFoundError, match=f"^{message}") as caught:
            await by_name.ensure(**given)
        names = ", ".join(f"{each} {text!r}" for each, text in given.items())
        assert str(caught.value).endswith(f" ({names})")
        given[name] = known
    account.assert_bindings({})


async def test_refused_id(account: FakeAccount) -> None:
    """A refusal of a user's ID does not advise to give the ID."""
    account.fail("users.get", 403)
    with pytest.raises(ForbiddenError) as caught:
        await in_process(account).directory.get_user(user="VXNlcjoxOmFCY0Q=")
    assert "by its ID" not in str(caught.value)


PLACE = {"user": "ada@example.com", "space": "ML"}


class TestTime:
    """The look-ups and the change share one limit, that of the client."""

    @pytest.mark.parametrize(
        ("silent", "what", "attempts"),
        [
            ("users.list", "the look-up of the names", "3 attempts"),
            ("spaces.list", "the look-up of the names", "3 attempts"),
            ("list", "the look-up of the names", "3 attempts"),
            ("role_bindings.list", "role_bindings.list", "4 attempts"),
        ],
    )
    async def test_parts(self, account: FakeAccount, silent: str, what: str, attempts: str) -> None:
        """The error says once which part took too long, which call it was, and which limit."""
        account.fail(cast("Any", silent), "silent")
        with pytest.raises(RolesTimeoutError) as caught:
            await in_process(account, timeout=5.0).by_name.ensure(**PLACE, role="Analyst")
        call = "(user 'ada@example.com', role 'Analyst', space 'ML')"
        limit = f"(total limit of 5 s, {attempts})"
        assert str(caught.value) == f"{what} took too long {call} {limit}"

    async def test_any_directory(self, account: FakeAccount) -> None:
        """A directory with no limit, or somebody else's, has no more time either."""

        async def never(**_: str) -> None:
            await anyio.sleep_forever()

        account.fail("users.list", "silent")
        async with over_http(account, timeout=0.2) as roles:
            own = cast("ArizeClient", roles)
            unlimited = own.directory.with_options(timeout=Timeouts(total=None, read=None))
            others = AsyncMock(get_user=never)
            for directory in (unlimited, others):
                with pytest.raises(RolesTimeoutError, match="the look-up of the names"):
                    await ByName(own, own.role_bindings, directory).remove(**PLACE)

    @pytest.mark.parametrize("is_ahead", [True, False])
    async def test_other_clock(self, account: FakeAccount, *, is_ahead: bool) -> None:
        """A directory on another clock has what is left of the call's time on its own clock."""
        other = FakeAccount.load(account.dump())
        (other if is_ahead else account).advance(1e6)
        other.slow_down(3.0)
        for seconds in (4.0, 2.0):
            roles = in_process(account, timeout=seconds)
            remove = ByName(roles, roles.role_bindings, FakeRolesClient(other).directory).remove
            with pytest.raises(RolesTimeoutError) if seconds < 3.0 else nullcontext():
                assert not await remove(**PLACE)

    @pytest.mark.parametrize(("refused", "sent"), [(0, [5, 0]), (3, [3, 5])])
    async def test_key(self, account: FakeAccount, refused: int, sent: list[int]) -> None:
        """A function that returns the key is asked once, and again after a 401, for all parts."""
        account.add_key("other-api-key")
        keys = iter(["fake-api-key", "other-api-key"])
        for _ in range(refused):
            account.fail("any", 401)
        roles = in_process(account, api_key=lambda: next(keys))
        await roles.by_name.ensure(**PLACE, role="Analyst")
        given = [call.api_key for call in account.calls]
        assert given == ["fake-api-key"] * sent[0] + ["other-api-key"] * sent[1]

    async def test_other_key(self, account: FakeAccount) -> None:
        """A directory whose key comes from another function sends that key."""
        account.add_key("other-api-key")
        roles = in_process(account, api_key=lambda: "fake-api-key")
        other = roles.directory.with_options(api_key=lambda: "other-api-key")
        await ByName(roles, roles.role_bindings, other).remove(**PLACE)
        assert [call.api_key for call in account.calls] == [*["other-api-key"] * 2, "fake-api-key"]

    async def test_slow_key(self, account: FakeAccount) -> None:
        """An error names the function that returns the key, where that took too long."""

        async def never() -> str:
            await anyio.sleep_forever()
            return ""

        async with over_http(account, api_key=never, timeout=0.05) as roles:
            for call in (roles.list(), cast("Any", roles).by_name.remove(**PLACE)):
                with pytest.raises(RolesTimeoutError, match="the function given as api_key took"):
                    await call

    async def test_silence(self, account: FakeAccount) -> None:
        """A look-up that ends for silence says so: the call had more time."""
        account.fail("users.list", "silent")
        roles = in_process(account, timeout=Timeouts(total=60.0, read=1.0))
        with pytest.raises(RolesTimeoutError) as caught:
            await roles.by_name.remove(**PLACE)
        assert (caught.value.limit, caught.value.attempts, passed(account)) == ("read", 2, 1.0)


async def test_own_bindings(account: FakeAccount) -> None:
    """A client of bindings of one's own gets the IDs that were found."""
    roles, bindings = in_process(account), AsyncMock()
    await ByName(roles, bindings, roles.directory).remove(**PLACE)
    ids = {"user_id": account.id("ada@example.com"), "resource_id": account.id("Space:ML")}
    bindings.remove.assert_awaited_once_with(resource_type="SPACE", **ids)


async def test_look_ups_at_once(account: FakeAccount, by_name: ByName) -> None:
    """The look-ups of a call run at the same time."""
    account.slow_down(1.0)
    await by_name.remove(user="ada@example.com", space="ML")
    # One second for the two look-ups, and one for the list of bindings.
    assert passed(account) == 2.0


async def test_cause_of_another_client(account: FakeAccount) -> None:
    """An error that another's directory raises comes out as it is, and not in a group."""
    roles, fail = in_process(account), AsyncMock(side_effect=LookupError("the first"))
    directory = AsyncMock(get_user=fail, get_space=AsyncMock(side_effect=KeyError))
    with pytest.raises(LookupError, match="the first"):
        await ByName(roles, roles.role_bindings, directory).remove(**PLACE)


async def test_found_as_one(account: FakeAccount, by_name: ByName) -> None:
    """Awaited, the bindings are one response, which becomes JSON and back."""
    binding = account.bind("Analyst", user="ada@example.com", resource="Project:ML/churn")
    found = await by_name.find()
    names = {"user": "ada@example.com", "role": "Analyst", "resource": "churn", "in_space": "ML"}
    assert found.to_dict()["role_bindings"] == [binding.to_dict() | names]
    assert type(found).from_json(found.to_json()) == found
    assert await by_name.find().all() == found


@pytest.mark.parametrize("users", [1, 21])
async def test_hidden_names(account: FakeAccount, users: int) -> None:
    """A name that the key may not see, singly or in the list of many, is None: its ID is shown."""
    for number in range(users):
        account.bind("Analyst", user=f"u{number}@example.com", resource="Project:ML/churn")
    account.add_key("reader", grants=["ROLE_BINDING_READ"])
    found = await in_process(account, api_key="reader").by_name.find()
    assert {(x.user, x.role, x.resource, x.in_space) for x in found} == {(None,) * 4}
    first = found[0]
    ids = (first.user_id, first.role_id, first.resource_id)
    assert str(first) == f"{ids[0]} has {ids[1]} on project '{ids[2]}'"


@pytest.mark.parametrize(
    ("others", "users", "lists", "gets"),
    [
        (0, 20, 0, 20),
        (0, 120, 2, 0),
        # Of a long list, a page is read for each twenty that are looked for; then these singly.
        (500, 21, 2, 21),
        # The key may not list users.
        (None, 21, 1, 21),
    ],
)
async def test_requests(
    account: FakeAccount, others: int | None, users: int, lists: int, gets: int
) -> None:
    """Up to twenty names are looked up singly, more as far as the list pays and is allowed."""
    if others is None:
        account.fail("users.list", 403, times=None)
    for number in range(others or 0):
        account.add_user(f"other{number}@example.com")
    for number in range(users):
        role = account.add_role(f"R{number}")
        account.bind(role, user=f"u{number}@example.com", resource="Space:ML")
    names = {(each.user, each.role) for each in await in_process(account).by_name.find()}
    assert names == {(f"u{number}@example.com", f"R{number}") for number in range(users)}
    requests = [each for each in asked(account) if each.startswith("users.")]
    assert requests == ["users.list"] * lists + ["users.get"] * gets


async def test_bots(account: FakeAccount, by_name: ByName) -> None:
    """Who is in no list after all, such as bot users, is not asked for singly."""
    for number in range(21):
        bot = account.add_user(None, id=f"bot{number}")
        account.bind("Analyst", user=bot.id, resource="Space:ML")
    assert {each.user for each in await by_name.find(space="ML")} == {None}
    assert [each for each in asked(account) if each.startswith("users.")] == ["users.list"]


async def test_opaque_id(account: FakeAccount) -> None:
    """An ID of somebody else's client that is in no form of Arize's is not taken for a name."""
    binding = account.bind("Analyst", user="ada@example.com", resource="Space:ML")
    roles, bindings = in_process(account), MagicMock()
    others = [attrs.evolve(binding, user_id="u1", resource_id="ML")]
    bindings.find.return_value.__aiter__.return_value = others
    (found,) = await ByName(roles, bindings, roles.directory).find()
    assert (found.user, found.role, found.resource) == (None, "Analyst", None)


async def test_failed_names(account: FakeAccount, by_name: ByName) -> None:
    """A failure that says nothing of rights ends the walk."""
    account.bind("Analyst", user="ada@example.com", resource="Space:ML")
    account.fail("users.get", 500)
    with pytest.raises(ServerError):
        await by_name.find()


async def test_log(account: FakeAccount, caplog: pytest.LogCaptureFixture) -> None:
    """Log lines name the operation, and hold no address."""
    caplog.set_level("DEBUG", logger="arize_roles_async")
    roles = in_process(account)
    await roles.by_name.remove(user="ada@example.com", space="ML")
    directory = roles.directory
    for listed in (directory.users(email="ada"), directory.spaces(), directory.projects()):
        await listed
    operations = {vars(record)["arize_operation"] for record in caplog.records}
    lists = {f"{each}.list" for each in ("role_bindings", "users", "spaces", "projects")}
    assert operations == lists | {"users.get", "spaces.get"}
    assert "/v2/users" in caplog.text
    assert all("ada" not in str(vars(record)) for record in caplog.records)


@pytest.mark.parametrize("make", [FakeRolesClient, lambda: AiohttpRolesClient("key")])
async def test_clients(make: Callable[[], ArizeClient]) -> None:
    """A client leads to the others, each of its own protocol, which share its options and end."""
    roles = make()
    others = [roles.role_bindings, roles.directory, roles.by_name]
    assert list(map(repr, others)) == ["<RoleBindingsClient>", "<Directory>", "<ByName>"]
    protocols: tuple[Any, ...] = (RolesClient, ArizeClient, RoleBindingsClient, Directory)
    kinds = [[each for each in protocols if isinstance(x, each)] for x in (roles, *others)]
    # A client of role bindings has the methods of one of roles, and `isinstance` sees their names.
    both = [RolesClient, RoleBindingsClient]
    assert kinds == [[RolesClient, ArizeClient], both, [Directory], []]
    assert [roles.role_bindings, roles.directory] == others[:2]
    assert roles.with_options(timeout=3.0).directory is not roles.directory
    await roles.directory.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await roles.by_name.find()
