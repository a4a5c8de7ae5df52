"""The account as a test author sets it up and looks at it."""

import json
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

import arize_roles_fake
from arize_roles_async import (
    AuthenticationError,
    ForbiddenError,
    NotFoundError,
    Permission,
    RetryPolicy,
    Role,
)
from arize_roles_async._wire import Request
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import PREDEFINED, START, Connect, account_at_noon, both_clients

Act = Callable[[FakeAccount], object]


# The package


def test_every_public_name_is_there_and_no_other() -> None:
    assert {name for name in arize_roles_fake.__all__ if hasattr(arize_roles_fake, name)} == {
        "DEFAULT_API_KEY",
        "Assumptions",
        "Binding",
        "FakeAccount",
        "FakeRolesClient",
        "Fault",
        "LoggedCall",
        "Reply",
        "RolesServer",
        "SuspiciousPermissionWarning",
        "make_role",
        "mock_arize",
        "serve",
    }
    assert not hasattr(arize_roles_fake, "FakeAcount")


# Seeding


def test_a_fresh_account_has_the_predefined_roles_and_no_other() -> None:
    account = FakeAccount()
    assert [role.name for role in account.roles] == PREDEFINED
    assert all(role.is_predefined for role in account.roles)


def test_an_account_may_have_no_predefined_roles() -> None:
    assert FakeAccount(predefined=False).roles == ()


def test_a_seeded_role_is_what_was_given() -> None:
    account = account_at_noon()
    made = datetime(2020, 2, 29, 1, 2, 3, 4, tzinfo=UTC)
    changed = datetime(2021, 1, 1, tzinfo=UTC)
    role = account.add_role(
        "AI Engineer",
        [Permission.PROJECT_READ, "DATASET_READ"],
        description="Looks at projects.",
        is_predefined=True,
        id="Um9sZTo5OTph",
        created_at=made,
        updated_at=changed,
    )
    assert role == Role(
        id="Um9sZTo5OTph",
        name="AI Engineer",
        description="Looks at projects.",
        permissions=(Permission.PROJECT_READ, Permission.DATASET_READ),
        is_predefined=True,
        created_at=made,
        updated_at=changed,
    )
    assert account.role("AI Engineer") == role
    assert account.roles == (role,)


def test_a_seeded_role_with_an_empty_description_has_none() -> None:
    assert account_at_noon().add_role("AI Engineer", description="").description is None


def test_a_seeded_role_is_made_now_and_custom_unless_said_otherwise() -> None:
    role = account_at_noon().add_role("AI Engineer")
    assert (role.created_at, role.updated_at) == (START, START)
    assert role.permissions == ()
    assert role.description is None
    assert not role.is_predefined


def test_updated_at_of_a_seeded_role_is_its_created_at_unless_given() -> None:
    made = datetime(2020, 1, 1, tzinfo=UTC)
    assert account_at_noon().add_role("A", created_at=made).updated_at == made


@both_clients
@pytest.mark.asyncio
async def test_a_permission_unknown_to_this_version_can_be_seeded_and_sent_back(
    connect: Connect,
) -> None:
    account = account_at_noon()
    role = account.add_role("AI Engineer", ["COMET_LAUNCH"])
    async with connect(account) as roles:
        permissions = (await roles.get(role_id=role.id)).permissions
        assert permissions == ("COMET_LAUNCH",)
        assert [permission.is_known for permission in permissions or ()] == [False]
        updated = await roles.update(role_id=role.id, permissions=permissions)
    assert updated.permissions == ("COMET_LAUNCH",)


@both_clients
@pytest.mark.asyncio
async def test_roles_seeded_with_ages_of_their_own_are_listed_newest_first(
    connect: Connect,
) -> None:
    account = account_at_noon()
    for name, days in (("middle", 2), ("oldest", 3), ("newest", 1)):
        account.add_role(name, created_at=START - timedelta(days=days))
    async with connect(account) as roles:
        assert [role.name async for role in roles.list(limit=1)] == ["newest", "middle", "oldest"]


IMPOSSIBLE: list[tuple[Act, str]] = [
    (lambda a: a.add_role("Admin"), "there is a role named 'Admin' already"),
    (
        lambda a: a.add_role("B", id=a.roles[0].id),
        f"there is a role with the ID '{FakeAccount().roles[0].id}' already",
    ),
    (
        lambda a: a.add_role("B", created_at=datetime(2026, 1, 1)),  # noqa: DTZ001
        "timestamps must be timezone-aware",
    ),
    (
        lambda a: a.add_key("key", grants=["ROLE_RAED"]),
        "'ROLE_RAED' is not a known permission; did you mean ROLE_READ?",
    ),
    (lambda a: a.add_key("two words"), "a key must be printable ASCII without spaces"),
    (lambda a: a.add_key(""), "a key must be printable ASCII without spaces"),
    (lambda a: a.advance(-1), "seconds must be 0 or more, since time does not go back, not -1"),
]


@pytest.mark.parametrize(("seed", "message"), IMPOSSIBLE)
def test_what_no_account_could_be_is_refused(seed: Act, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        seed(FakeAccount())
    assert str(caught.value) == message


SLIPS: list[Act] = [
    lambda a: a.add_role("A", "ROLE_READ"),
    lambda a: a.add_key("key", grants="ROLE_READ"),
    lambda a: a.assert_roles({"A": "ROLE_READ"}),
]


@pytest.mark.parametrize("slip", SLIPS)
def test_one_string_where_several_permissions_belong_is_an_error(
    slip: Act,
) -> None:
    with pytest.raises(TypeError, match="not one string 'ROLE_READ'"):
        slip(FakeAccount())


def test_a_seeded_id_that_the_account_would_have_given_is_not_given_again() -> None:
    account, other = FakeAccount(), FakeAccount()
    other.add_role("first")
    taken = other.add_role("second").id
    account.add_role("seeded", id=taken)
    assert account.add_role("next").id != taken


# Time and ids


def test_ids_are_the_same_in_every_run() -> None:
    account = FakeAccount()
    assert account.add_role("A").id == "Um9sZTo4OnFhanQ="
    assert account.add_role("B").id == FakeAccount.load(account.dump()).roles[0].id


@both_clients
@pytest.mark.asyncio
async def test_a_role_carries_the_time_of_the_accounts_own_clock(connect: Connect) -> None:
    account = account_at_noon()
    async with connect(account) as roles:
        role = await roles.create(name="A", permissions=["ROLE_READ"])
        account.advance(90.5)
        role = await roles.update(role_id=role.id, name="B")
    assert role.created_at == datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    assert role.updated_at == datetime(2026, 1, 1, 12, 1, 30, 500_000, tzinfo=UTC)


def test_time_passes_up_to_a_moment_and_never_back() -> None:
    account = account_at_noon()
    account.advance_to(START + timedelta(seconds=5))
    account.advance_to(START)
    assert account.now() == START + timedelta(seconds=5)


def test_a_clock_in_any_timezone_tells_utc() -> None:
    zone = timezone(timedelta(hours=5))
    account = FakeAccount(clock=lambda: datetime(2026, 1, 1, 17, 0, tzinfo=zone))
    assert account.now() == START
    assert account.now().tzinfo is UTC


def test_the_clock_is_the_systems_unless_given() -> None:
    assert abs(FakeAccount().now() - datetime.now(UTC)) < timedelta(minutes=1)


# Snapshots


def test_restoring_a_snapshot_undoes_what_came_after_it_as_often_as_wanted() -> None:
    account = FakeAccount()
    account.add_role("kept", ["ROLE_READ"])
    before = account.snapshot()
    ids: set[str] = set()
    for _ in range(2):
        ids.add(account.add_role("made").id)
        account.restore(before)
        assert account.role("made") is None
        assert [r.name for r in account.roles] == ["kept", *PREDEFINED]
    assert len(ids) == 1


@pytest.mark.asyncio
async def test_a_restored_role_is_in_listings_again() -> None:
    account = account_at_noon()
    account.add_role("A")
    before = account.snapshot()
    async with FakeRolesClient(account) as roles:
        await roles.delete(role="A")
        account.restore(before)
        assert [role.name async for role in roles.list()] == ["A"]


def test_a_snapshot_shows_no_roles_when_printed() -> None:
    assert repr(FakeAccount().snapshot()) == "Snapshot()"


def test_an_account_says_how_much_it_holds_when_printed() -> None:
    assert repr(FakeAccount()) == "<FakeAccount of 7 roles, asked 0 times>"


# Whole accounts as JSON


def full_account() -> FakeAccount:
    account = account_at_noon(predefined=True, max_custom_roles=7)
    account.add_role("AI Engineer", ["PROJECT_READ", "COMET_LAUNCH"], description="Looks.")
    account.add_role("Same age", ["ROLE_READ"])
    account.add_role("Older", created_at=START - timedelta(days=1))
    account.add_key("reader", grants=["ROLE_READ"])
    return account


def test_a_dumped_account_loads_as_it_was() -> None:
    account = full_account()
    loaded = FakeAccount.load(account.dump(), clock=lambda: datetime(2030, 5, 5, tzinfo=UTC))
    assert loaded.roles == account.roles
    assert loaded.now() == account.now()
    assert loaded.max_custom_roles == 7
    assert loaded.api_keys == ("fake-api-key", "reader")
    assert loaded.dump() == account.dump()


@pytest.mark.asyncio
async def test_a_loaded_key_grants_what_it_did() -> None:
    account = FakeAccount.load(full_account().dump())
    async with FakeRolesClient(account, api_key="reader", retry=RetryPolicy(attempts=1)) as roles:
        with pytest.raises(ForbiddenError):
            await roles.create(name="B", permissions=["ROLE_READ"])


def test_an_account_is_dumped_to_a_file_and_loaded_from_it(tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    account = full_account()
    text = account.dump(path)
    assert path.read_text("utf-8") == text + "\n"
    assert FakeAccount.load(path).roles == account.roles
    assert FakeAccount.load(str(path)).roles == account.roles


def test_the_file_format_is_the_services_own_and_holds_what_the_documentation_says() -> None:
    account = account_at_noon()
    account.add_role("AI Engineer", ["PROJECT_READ"])
    account.bind("AI Engineer", user="ada", resource="space")
    assert json.loads(account.dump()) == {
        "now": "2026-01-01T12:00:00Z",
        "max_custom_roles": None,
        "assumptions": {},
        "keys": {"fake-api-key": None},
        "roles": [
            {
                "id": "Um9sZToxOmJtZmI=",
                "name": "AI Engineer",
                "permissions": ["PROJECT_READ"],
                "is_predefined": False,
                "created_at": "2026-01-01T12:00:00Z",
                "updated_at": "2026-01-01T12:00:00Z",
                "bindings": [{"user": "ada", "resource": "space"}],
            }
        ],
    }


def test_a_file_written_by_hand_needs_no_more_than_names() -> None:
    account = FakeAccount.load('{"roles": [{"name": "Newer"}, {"name": "Older"}]}')
    assert [role.name for role in account.roles] == ["Newer", "Older"]
    assert account.api_keys == (account.api_key,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "this is not an account file: Input data was truncated"),
        ("{}", "this is not an account file: Object missing required field `roles`"),
        (
            '{"roles": [{"name": "A", "permisions": []}]}',
            "this is not an account file: Object contains unknown field `permisions` - at `$.role",
        ),
        (
            '{"roles": [], "now": "2026-01-01T00:00:00"}',
            "this is not an account file: Expected `datetime`",
        ),
        (
            '{"roles": [], "keys": {"k": ["ROLE_RAED"]}}',
            "'ROLE_RAED' is not a known permission; did you mean ROLE_READ?",
        ),
        ('{"roles": [{"name": "A"}, {"name": "A"}]}', "there is a role named 'A' already"),
    ],
)
def test_a_file_that_is_no_account_says_where(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        FakeAccount.load(text)
    assert str(caught.value).startswith(message)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FakeAccount.load(tmp_path / "none.json")


# What callers may do


@both_clients
@pytest.mark.asyncio
async def test_a_key_without_role_read_reads_nothing_and_sees_no_permissions(
    connect: Connect,
) -> None:
    account = account_at_noon()
    account.add_key("writer", grants=["ROLE_CREATE", "ROLE_UPDATE"])
    async with connect(account, api_key="writer") as roles:
        made = await roles.create(name="A", permissions=["ROLE_READ"])
        changed = await roles.update(role_id=made.id, name="B")
        for read in (roles.get(role_id=made.id), roles.list().all()):
            with pytest.raises(ForbiddenError, match="the API key lacks ROLE_READ"):
                await read
    assert [r.permissions for r in (made, changed)] == [None, None]
    account.assert_roles({"B": ["ROLE_READ"]})


@both_clients
@pytest.mark.parametrize("missing", ["ROLE_CREATE", "ROLE_UPDATE", "ROLE_DELETE"])
@pytest.mark.asyncio
async def test_a_key_is_refused_what_it_does_not_grant_and_only_that(
    connect: Connect, missing: str
) -> None:
    account = account_at_noon()
    granted = {"ROLE_CREATE", "ROLE_READ", "ROLE_UPDATE", "ROLE_DELETE"} - {missing}
    account.add_key("limited", grants=granted)
    role = account.add_role("there", ["ROLE_READ"])
    async with connect(account, api_key="limited") as roles:
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "ROLE_CREATE": lambda: roles.create(name="A", permissions=["ROLE_READ"]),
            "ROLE_UPDATE": lambda: roles.update(role_id=role.id, name="B"),
            "ROLE_DELETE": lambda: roles.delete(role_id=role.id),
        }
        refused = calls.pop(missing)
        with pytest.raises(ForbiddenError, match=f"the API key lacks {missing}"):
            await refused()
        for call in calls.values():
            await call()


@pytest.mark.asyncio
async def test_two_clients_of_one_account_have_the_rights_of_their_own_keys() -> None:
    account = account_at_noon()
    account.add_key("reader", grants={Permission.ROLE_READ})
    async with FakeRolesClient(account) as admin, FakeRolesClient(account, api_key="reader") as r:
        role = await admin.create(name="A", permissions=["ROLE_READ"])
        assert await r.get(role_id=role.id) == role
        with pytest.raises(ForbiddenError):
            await r.delete(role_id=role.id)


@both_clients
@pytest.mark.asyncio
async def test_a_removed_key_is_not_known(connect: Connect) -> None:
    account = account_at_noon()
    async with connect(account) as roles:
        account.remove_key("fake-api-key")
        with pytest.raises(AuthenticationError, match="the API key is not known"):
            await roles.list()


def test_an_account_without_keys_has_no_first_one() -> None:
    account = FakeAccount()
    account.remove_key(account.api_key)
    with pytest.raises(LookupError, match="the account has no API key"):
        _ = account.api_key


@pytest.mark.parametrize("header", ["", "fake-api-key", "Basic fake-api-key", "Bearer"])
def test_only_a_bearer_key_is_a_key(header: str) -> None:
    request = Request(method="GET", target="/v2/roles", headers={"Authorization": header})
    assert FakeAccount().handle(request).status == 401


@both_clients
@pytest.mark.asyncio
async def test_a_plan_that_allows_no_more_roles_says_so_with_its_members(
    connect: Connect,
) -> None:
    account = account_at_noon(predefined=True, max_custom_roles=1)
    async with connect(account) as roles:
        first = await roles.create(name="A", permissions=["ROLE_READ"])
        with pytest.raises(ForbiddenError) as caught:
            await roles.create(name="B", permissions=["ROLE_READ"])
        await roles.delete(role_id=first.id)
        await roles.create(name="B", permissions=["ROLE_READ"])
    problem = caught.value.problem
    assert problem is not None
    assert problem.entitlement == "CUSTOM_ROLES"
    assert (problem.limit, problem.current_count) == (1, 1)
    assert problem.required_plan == "ENTERPRISE"


@pytest.mark.asyncio
async def test_a_plan_can_change_in_the_middle_of_a_test() -> None:
    account = account_at_noon()
    async with FakeRolesClient(account) as roles:
        account.max_custom_roles = 0
        with pytest.raises(ForbiddenError):
            await roles.create(name="A", permissions=["ROLE_READ"])
        account.max_custom_roles = None
        await roles.create(name="A", permissions=["ROLE_READ"])


# Assertions


def test_the_roles_that_are_there_are_as_expected() -> None:
    account = FakeAccount()
    account.add_role("AI Engineer", [Permission.PROJECT_READ, Permission.DATASET_READ])
    account.assert_roles({"AI Engineer": {"DATASET_READ", Permission.PROJECT_READ}})


def test_roles_that_differ_are_shown_by_role_and_permission() -> None:
    account = FakeAccount()
    account.add_role("AI Engineer", ["PROJECT_READ", "ROLE_READ"])
    account.add_role("Stray")
    with pytest.raises(AssertionError) as caught:
        account.assert_roles({"AI Engineer": {"PROJECT_READ", "DATASET_READ"}, "Analyst": ()})
    assert str(caught.value) == (
        "the custom roles are not as expected:\n"
        "  'AI Engineer'\n"
        "    - DATASET_READ    expected, and not there\n"
        "    + ROLE_READ       there, and not expected\n"
        "  - 'Analyst'         expected, and not there\n"
        "  + 'Stray'           there, and not expected"
    )


# Threads


def test_threads_that_share_an_account_lose_nothing_and_see_no_half_made_state() -> None:
    account = FakeAccount(predefined=False)
    headers = {"Authorization": f"Bearer {account.api_key}"}
    wrong: list[object] = []

    def hammer(worker: int) -> None:
        for number in range(50):
            body = b'{"name": "%d-%d", "permissions": ["ROLE_READ"]}' % (worker, number)
            made = account.handle(
                Request(method="POST", target="/v2/roles", body=body, headers=headers)
            )
            role_id = json.loads(made.body)["id"].replace("=", "%3D")
            listed = account.handle(
                Request(method="GET", target="/v2/roles?limit=100", headers=headers)
            )
            gone = number % 2 and account.handle(
                Request(method="DELETE", target=f"/v2/roles/{role_id}", headers=headers)
            )
            wrong.extend(
                reply
                for reply in (made, listed, gone)
                if reply and reply.status not in {200, 201, 204}
            )

    threads = [threading.Thread(target=hammer, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    account.assert_roles({f"{w}-{n}": {"ROLE_READ"} for w in range(4) for n in range(0, 50, 2)})
    assert len({role.id for role in account.roles}) == 100
    assert len(account.calls) == 500


@both_clients
@pytest.mark.asyncio
async def test_one_account_stands_behind_both_clients_at_once(connect: Connect) -> None:
    account = account_at_noon()
    async with connect(account) as roles, FakeRolesClient(account) as other:
        role = await roles.create(name="A", permissions=["ROLE_READ"])
        assert await other.get(role="A") == role
        await other.delete(role_id=role.id)
        with pytest.raises(NotFoundError):
            await roles.get(role_id=role.id)
