# The package


"""The account as a test author sets it up and inspects it."""

import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path

import pytest

import arize_roles_fake
from arize_roles_async import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    Permission,
    Request,
    RetryPolicy,
    Role,
    UnknownPermission,
)
from arize_roles_fake import (
    Assumptions,
    FakeAccount,
    FakeRolesClient,
    RolesServer,
    SuspiciousPermissionWarning,
    make_role,
)
from tests.support.clients import PREDEFINED, START, Connect, account_at_noon, both_clients

Act = Callable[[FakeAccount], object]
ACCOUNT_0_3 = Path(__file__).parents[1] / "data" / "account-0.3.json"
"""An account as version 0.3 wrote it."""


def test_public_names() -> None:
    """Every public name is there, and no other."""
    assert {name for name in arize_roles_fake.__all__ if hasattr(arize_roles_fake, name)} == {
        "DEFAULT_API_KEY",
        "Assumptions",
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


YEARS = "this is not an account file: now must be in the years 1 to 9998 in UTC"
FAR_EAST = timezone(timedelta(hours=14))

IMPOSSIBLE: list[tuple[Act, str]] = [
    (lambda a: a.add_role("Admin"), "a role is already named 'Admin'"),
    (
        lambda a: a.add_role("B", id=a.roles[0].id),
        f"a role already has the ID '{FakeAccount().roles[0].id}'",
    ),
    (
        lambda a: a.add_role("B", created_at=datetime(2026, 1, 1)),  # noqa: DTZ001
        "timestamps must be timezone-aware",
    ),
    (
        lambda a: a.add_role("B", created_at=START, updated_at=datetime(2026, 1, 1)),  # noqa: DTZ001
        "timestamps must be timezone-aware",
    ),
    (
        lambda a: a.add_role("B", created_at=datetime.min.replace(tzinfo=FAR_EAST)),
        "timestamps must be in the years 1 to 9999 in UTC",
    ),
    (
        lambda a: a.add_key("key", grants=["ROLE_RAED"]),
        "'ROLE_RAED' is not a known permission; did you mean ROLE_READ?",
    ),
    (lambda a: a.add_key("two words"), "a key must be printable ASCII without spaces"),
    (lambda a: a.add_key("k" * 4097), "a key must have at most 4096 characters"),
    (lambda a: a.add_key(""), "a key must be printable ASCII without spaces"),
    (lambda a: a.add_key("schlüssel"), "a key must be printable ASCII without spaces"),
    (lambda a: a.add_key("tab\tkey"), "a key must be printable ASCII without spaces"),
    (lambda a: a.advance(-1), "seconds must be 0 or more, not -1: time does not go back"),
    (
        lambda a: a.advance(float("inf")),
        "seconds must be 0 or more, not inf: time does not go back",
    ),
    (lambda a: a.advance(1e12), "1e+12 s would lead past the year 9999"),
    (
        lambda a: a.shorten_pages(1.5),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        "sizes must be an integer of 0 or more, not 1.5",
    ),
    (
        lambda a: setattr(a, "max_custom_roles", "few"),
        "max_custom_roles must be an integer of 0 or more, not 'few'",
    ),
    (
        lambda _: FakeAccount(max_custom_roles=-1),
        "max_custom_roles must be an integer of 0 or more, not -1",
    ),
    (
        lambda _: FakeAccount(keep_calls=True),
        "keep_calls must be an integer of 0 or more, not True",
    ),
    (
        lambda _: FakeAccount(keep_bytes=-1),
        "keep_bytes must be an integer of 0 or more, not -1",
    ),
    (
        lambda _: FakeAccount(api_key=5),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        "a key must be printable ASCII without spaces",
    ),
    (
        lambda _: make_role(created_at=datetime(2026, 1, 1)),  # noqa: DTZ001
        "timestamps must be timezone-aware",
    ),
    (
        lambda _: make_role(updated_at=datetime(2026, 1, 1)),  # noqa: DTZ001
        "timestamps must be timezone-aware",
    ),
    (
        lambda _: make_role(id="\ud800"),
        "a role must not contain surrogates, which UTF-8 cannot carry",
    ),
    (
        lambda _: make_role(name="\ud800"),
        "a role must not contain surrogates, which UTF-8 cannot carry",
    ),
]
CHECKS: list[Act] = [
    lambda a: a.assert_roles({"A": ()}),
]
SLIPS: list[Act] = [
    lambda a: a.add_role("A", "ROLE_READ"),
    lambda a: a.add_role("A", b"ROLE_READ"),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    lambda a: a.add_key("key", grants="ROLE_READ"),
    lambda a: a.assert_roles({"A": "ROLE_READ"}),
]


class TestRoles:
    """Roles as a test sets them up."""

    def test_predefined(self) -> None:
        """A fresh account has the predefined roles and no other."""
        account = FakeAccount()
        assert [role.name for role in account.roles] == PREDEFINED
        assert all(role.is_predefined for role in account.roles)

    def test_no_predefined(self) -> None:
        """An account may have no predefined roles."""
        assert FakeAccount(predefined=False).roles == ()

    def test_as_given(self) -> None:
        """A seeded role is what was given."""
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

    def test_empty_description(self) -> None:
        """A seeded role with an empty description has none."""
        assert account_at_noon().add_role("AI Engineer", description="").description is None

    def test_defaults(self) -> None:
        """A seeded role is created now and is custom, unless the arguments say otherwise."""
        role = account_at_noon().add_role("AI Engineer")
        assert (role.created_at, role.updated_at) == (START, START)
        assert role.permissions == ()
        assert role.description is None
        assert not role.is_predefined

    def test_updated_at(self) -> None:
        """`updated_at` of a seeded role is its `created_at` unless given."""
        made = datetime(2020, 1, 1, tzinfo=UTC)
        assert account_at_noon().add_role("A", created_at=made).updated_at == made

    @both_clients
    @pytest.mark.asyncio
    async def test_newer_permission(self, connect: Connect) -> None:
        """A permission unknown to this version can be seeded and sent back."""
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
    async def test_ages(self, connect: Connect) -> None:
        """Roles seeded with ages of their own are listed newest first."""
        account = account_at_noon()
        for name, days in (("middle", 2), ("oldest", 3), ("newest", 1)):
            account.add_role(name, created_at=START - timedelta(days=days))
        async with connect(account) as roles:
            assert [role.name async for role in roles.list(limit=1)] == [
                "newest",
                "middle",
                "oldest",
            ]

    @pytest.mark.parametrize(("seed", "message"), IMPOSSIBLE)
    def test_refused(self, seed: Act, message: str) -> None:
        """Impossible settings of an account are refused."""
        with pytest.raises(ValueError, match=r".") as caught:
            seed(FakeAccount())
        assert str(caught.value) == message

    @pytest.mark.parametrize("slip", SLIPS)
    def test_one_string(self, slip: Act) -> None:
        """One string where several permissions belong is an error."""
        message = "permissions must be a set or another iterable, not the string b?'ROLE_READ'"
        with pytest.raises(TypeError, match=f"^{message}$"):
            slip(FakeAccount())

    def test_chosen_id(self) -> None:
        """A seeded ID that the account would have given is not given again."""
        account, other = FakeAccount(), FakeAccount()
        other.add_role("first")
        taken = other.add_role("second").id
        account.add_role("seeded", id=taken)
        assert account.add_role("next").id != taken


class TestTime:
    """Time and IDs."""

    def test_ids(self) -> None:
        """IDs are the same in every run."""
        account = FakeAccount()
        assert account.add_role("A").id == "Um9sZTo4OnFhanQ="
        assert account.add_role("B").id == FakeAccount.load(account.dump()).roles[0].id

    @both_clients
    @pytest.mark.asyncio
    async def test_own_clock(self, connect: Connect) -> None:
        """A role carries the time of the account's own clock."""
        account = account_at_noon()
        async with connect(account) as roles:
            role = await roles.create(name="A", permissions=["ROLE_READ"])
            account.advance(90.5)
            role = await roles.update(role_id=role.id, name="B")
        assert role.created_at == datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
        assert role.updated_at == datetime(2026, 1, 1, 12, 1, 30, 500_000, tzinfo=UTC)

    def test_timezone(self) -> None:
        """A clock in any timezone gives UTC."""
        zone = timezone(timedelta(hours=5))
        account = FakeAccount(clock=lambda: datetime(2026, 1, 1, 17, 0, tzinfo=zone))
        assert account.now() == START
        assert account.now().tzinfo is UTC

    def test_system_clock(self) -> None:
        """The clock is the system's unless given."""
        before = datetime.now(UTC)
        assert before <= FakeAccount().now() <= datetime.now(UTC)


class TestSnapshots:
    """Going back to a moment of the roles."""

    def test_restore(self) -> None:
        """Restoring a snapshot undoes what came after it, as often as wanted."""
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
    async def test_listed_again(self) -> None:
        """A restored role is in listings again."""
        account = account_at_noon()
        account.add_role("A")
        before = account.snapshot()
        async with FakeRolesClient(account) as roles:
            await roles.delete(role="A")
            account.restore(before)
            assert [role.name async for role in roles.list()] == ["A"]

    @pytest.mark.asyncio
    async def test_deleted(self) -> None:
        """A snapshot knows which roles were deleted: none gets the ID or the name of one."""
        account = FakeAccount(assumptions=Assumptions(deleted_name="kept"))
        async with FakeRolesClient(account) as roles:
            made = await roles.create(name="A", permissions=["ROLE_READ"])
            await roles.delete(role_id=made.id)
            account.restore(account.snapshot())
            assert account.add_role("B").id != made.id
            with pytest.raises(ConflictError, match="was the name of a deleted role"):
                await roles.create(name="A", permissions=["ROLE_READ"])

    @pytest.mark.asyncio
    async def test_plan(self) -> None:
        """A plan counts the roles that were restored."""
        account = account_at_noon(max_custom_roles=1)
        account.add_role("A")
        account.restore(account.snapshot())
        async with FakeRolesClient(account) as roles:
            with pytest.raises(ForbiddenError, match="allows no more custom roles"):
                await roles.create(name="B", permissions=["ROLE_READ"])

    def test_repr_snapshot(self) -> None:
        """A snapshot shows no roles when printed."""
        assert repr(FakeAccount().snapshot()) == "Snapshot()"

    def test_repr_account(self) -> None:
        """An account says how much it holds when printed."""
        assert repr(FakeAccount()) == "<FakeAccount of 7 roles, asked 0 times>"

    def test_repr_client(self) -> None:
        """A client over an account shows the account when printed."""
        account = FakeAccount(predefined=False)
        assert repr(FakeRolesClient(account)) == (
            "FakeRolesClient(<FakeAccount of 0 roles, asked 0 times>)"
        )


def full_account() -> FakeAccount:
    account = account_at_noon(predefined=True, max_custom_roles=7)
    account.add_role("AI Engineer", ["PROJECT_READ", "COMET_LAUNCH"], description="Looks.")
    account.add_role("Same age", ["ROLE_READ"])
    account.add_role("Older", created_at=START - timedelta(days=1))
    account.add_key("reader", grants=["ROLE_READ"])
    return account


class TestDump:
    """Whole accounts as JSON."""

    def test_loads(self) -> None:
        """A dumped account loads as it was."""
        account = full_account()
        loaded = FakeAccount.load(account.dump(), clock=lambda: datetime(2030, 5, 5, tzinfo=UTC))
        assert loaded.roles == account.roles
        assert loaded.now() == account.now()
        assert loaded.max_custom_roles == 7
        assert loaded.api_keys == ("fake-api-key", "reader")
        assert loaded.dump() == account.dump()

    @pytest.mark.asyncio
    async def test_grants(self) -> None:
        """A loaded key grants what it did."""
        account = FakeAccount.load(full_account().dump())
        async with FakeRolesClient(
            account, api_key="reader", retry=RetryPolicy(attempts=1)
        ) as roles:
            with pytest.raises(ForbiddenError):
                await roles.create(name="B", permissions=["ROLE_READ"])

    def test_file(self, tmp_path: Path) -> None:
        """An account is dumped to a file and loaded from it."""
        path = tmp_path / "account.json"
        account = full_account()
        text = account.dump(path)
        assert path.read_text("utf-8") == text + "\n"
        assert FakeAccount.load(path).roles == account.roles
        assert FakeAccount.load(str(path)).roles == account.roles

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
    def test_private(self, tmp_path: Path) -> None:
        """Only its owner may read the file, which holds keys, also where it was there before."""
        path = tmp_path / "account.json"
        for _ in range(2):
            full_account().dump(path)
            assert path.stat().st_mode & 0o777 == 0o600
            path.chmod(0o644)

    def test_device(self) -> None:
        """What is no file keeps its mode."""
        before = Path(os.devnull).stat().st_mode
        FakeAccount().dump(os.devnull)
        assert Path(os.devnull).stat().st_mode == before

    def test_byte_order_mark(self, tmp_path: Path) -> None:
        """A file that an editor began with a byte order mark is read, too."""
        path = tmp_path / "account.json"
        path.write_text('{"roles": [{"name": "A"}]}', "utf-8-sig")
        for source in (path, path.read_text("utf-8")):
            assert [role.name for role in FakeAccount.load(source).roles] == ["A"]

    def test_format(self) -> None:
        """The file's format is the service's own, and holds what the documentation says."""
        account = account_at_noon()
        account.add_role("AI Engineer", ["PROJECT_READ"])
        account.bind("AI Engineer", user="ada", resource="Space:1")
        assert json.loads(account.dump()) == {
            "format": 1,
            "now": "2026-01-01T12:00:00Z",
            "keys": {"fake-api-key": None},
            "roles": [
                {
                    "id": "Um9sZToxOmJtZmI=",
                    "name": "AI Engineer",
                    "permissions": ["PROJECT_READ"],
                    "is_predefined": False,
                    "created_at": "2026-01-01T12:00:00Z",
                    "updated_at": "2026-01-01T12:00:00Z",
                }
            ],
            "role_bindings": [
                {
                    "id": "Um9sZUJpbmRpbmc6MTpibWZi",
                    "role": "AI Engineer",
                    "user": "ada",
                    "resource": "Space:1",
                    "created_at": "2026-01-01T12:00:00Z",
                    "updated_at": "2026-01-01T12:00:00Z",
                }
            ],
        }

    def test_rare(self) -> None:
        """The text has no members for what a role or an account lacks."""
        account = account_at_noon()
        account.add_role("A")
        text = json.loads(account.dump())
        assert text.keys() == {"format", "roles", "now", "keys"}
        assert text["roles"][0].keys() == {
            *("name", "id", "permissions", "is_predefined", "created_at", "updated_at")
        }

    def test_version_0_3(self) -> None:
        """A file that version 0.3 wrote has no format, and is read as before."""
        account = FakeAccount.load(ACCOUNT_0_3, clock=lambda: START)
        assert account.now() == datetime(2026, 11, 1, tzinfo=UTC)
        account.assert_roles({"New": set(), "Old": {"PROJECT_READ", "NEW_PERMISSION_X"}})
        (binding,) = account.bindings("Old")
        assert account.label(binding.user_id) == "ada"
        assert account.label(binding.resource_id) == "Space:1"
        assert account.api_keys == ("fake-api-key", "reader")
        assert json.loads(account.dump())["kept_names"] == ["Gone"]

    def test_later_format(self) -> None:
        """A file of a later version is refused for that alone."""
        with pytest.raises(ValueError, match="account file has format 2") as caught:
            FakeAccount.load('{"format": 2, "teams": []}')
        assert str(caught.value) == (
            "this account file has format 2, and this version of arize-roles-async reads formats "
            "up to 1: a later version wrote it"
        )

    def test_named(self, tmp_path: Path) -> None:
        """An error names the file."""
        path = tmp_path / "account.json"
        path.write_text('{"roles": [{"name": "A"}, {"name": "A"}]}')
        with pytest.raises(ValueError, match="a role is already named 'A'") as caught:
            FakeAccount.load(path)
        assert str(caught.value) == f"{path}: a role is already named 'A'"

    def test_ids(self) -> None:
        """An ID of the file is no other role's, in the file or later."""
        first = FakeAccount(predefined=False).add_role("A").id
        roles = [{"name": "B", "id": first}, {"name": "A"}]
        account = FakeAccount.load(json.dumps({"roles": roles}))
        account.add_role("C")
        assert len({role.id for role in account.roles}) == 3
        assert account.roles[1].id == first

    def test_by_hand(self) -> None:
        """A file written by hand needs no more than names."""
        account = FakeAccount.load('{"roles": [{"name": "Newer"}, {"name": "Older"}]}')
        assert [role.name for role in account.roles] == ["Newer", "Older"]
        assert account.api_keys == (account.api_key,)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "this is not an account file: Input data was truncated"),
            ('{"roles": "\ud800"}', "this is not an account file: 'utf-8' codec can't encode"),
            ('{"roles": ' + "[" * 100_000, "this is not an account file: Expected `object`"),
            ('{"x": ' + "[" * 100_000, "this is not an account file: Object contains unknown"),
            ("{}", "this is not an account file: Object missing required field `roles`"),
            (
                '{"roles": [{"name": "A", "permisions": []}]}',
                "this is not an account file: Object contains unknown field `permisions` - at `$",
            ),
            (
                '{"roles": [{"name": "A", "bindings": [{"user": "a", "resource": "b", "c": 1}]}]}',
                "this is not an account file: Object contains unknown field `c` - at `$.roles[0]",
            ),
            (
                '{"roles": [], "key": {}}',
                "this is not an account file: Object contains unknown field `key`",
            ),
            (
                '{"roles": [], "now": "2026-01-01T00:00:00"}',
                "this is not an account file: Expected `datetime`",
            ),
            (
                '{"roles": [], "keys": {"k": ["ROLE_RAED"]}}',
                "'ROLE_RAED' is not a known permission; did you mean ROLE_READ?",
            ),
            ('{"roles": [{"name": "A"}, {"name": "A"}]}', "a role is already named 'A'"),
            ('{"roles": [], "now": "0001-01-01T00:00:00+14:00"}', YEARS),
            ('{"roles": [], "now": "9999-12-31T23:59:59Z"}', YEARS),
            (
                '{"roles": [{"name": "A", "updated_at": "9999-12-31T23:00:00-14:00"}]}',
                "timestamps must be in the years 1 to 9999 in UTC",
            ),
        ],
    )
    def test_invalid(self, text: str, message: str) -> None:
        """A file that is not an account is refused, with the place."""
        with pytest.raises(ValueError, match=r".") as caught:
            FakeAccount.load(text)
        assert str(caught.value).startswith(message)

    def test_no_file(self, tmp_path: Path) -> None:
        """A file that is not there is an OSError."""
        with pytest.raises(FileNotFoundError):
            FakeAccount.load(tmp_path / "none.json")


class TestKeys:
    """The grants of callers."""

    @both_clients
    @pytest.mark.asyncio
    async def test_no_role_read(self, connect: Connect) -> None:
        """A key without `ROLE_READ` reads nothing and sees no permissions."""
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
    async def test_no_grant(self, connect: Connect, missing: str) -> None:
        """A key is refused what it does not grant, and only that."""
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
    async def test_two_keys(self) -> None:
        """Two clients of one account have the rights of their own keys."""
        account = account_at_noon()
        account.add_key("reader", grants={Permission.ROLE_READ})
        async with (
            FakeRolesClient(account) as admin,
            FakeRolesClient(account, api_key="reader") as r,
        ):
            role = await admin.create(name="A", permissions=["ROLE_READ"])
            assert await r.get(role_id=role.id) == role
            with pytest.raises(ForbiddenError):
                await r.delete(role_id=role.id)

    @both_clients
    @pytest.mark.asyncio
    async def test_removed(self, connect: Connect) -> None:
        """A removed key is unknown."""
        account = account_at_noon()
        async with connect(account) as roles:
            account.remove_key("fake-api-key")
            with pytest.raises(AuthenticationError, match="the API key is unknown"):
                await roles.list()

    def test_no_keys(self) -> None:
        """An account without keys has no first one."""
        account = FakeAccount()
        account.remove_key(account.api_key)
        with pytest.raises(LookupError, match="the account has no API key"):
            _ = account.api_key
        with pytest.raises(KeyError, match="there is no such API key"):
            account.remove_key("fake-api-key")
        with pytest.raises(
            ConfigurationError, match=r"^no API key: the account has none left, so pass api_key$"
        ):
            FakeRolesClient(account)

    @pytest.mark.parametrize("header", ["", "fake-api-key", "Basic fake-api-key", "Bearer"])
    def test_bearer(self, header: str) -> None:
        """Only a bearer key is a key."""
        request = Request(method="GET", target="/v2/roles", headers={"Authorization": header})
        reply = FakeAccount().handle(request)
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, "Bearer")

    @both_clients
    @pytest.mark.asyncio
    async def test_plan(self, connect: Connect) -> None:
        """A plan that allows no more roles says so with its members."""
        account = account_at_noon(predefined=True, max_custom_roles=1)
        async with connect(account) as roles:
            first = await roles.create(name="A", permissions=["ROLE_READ"])
            with pytest.raises(ForbiddenError) as caught:
                await roles.create(name="B", permissions=["ROLE_READ"])
            await roles.delete(role_id=first.id)
            await roles.create(name="B", permissions=["ROLE_READ"])
            with pytest.raises(ForbiddenError):
                await roles.create(name="C", permissions=["ROLE_READ"])
        problem = caught.value.problem
        assert problem is not None
        assert problem.entitlement == "CUSTOM_ROLES"
        assert (problem.limit, problem.current_count) == (1, 1)
        assert problem.required_plan == "ENTERPRISE"

    @pytest.mark.asyncio
    async def test_plan_changes(self) -> None:
        """A plan can change in the middle of a test."""
        account = account_at_noon()
        async with FakeRolesClient(account) as roles:
            account.max_custom_roles = 0
            with pytest.raises(ForbiddenError):
                await roles.create(name="A", permissions=["ROLE_READ"])
            account.max_custom_roles = None
            await roles.create(name="A", permissions=["ROLE_READ"])


class TestAssertRoles:
    """Assertions about the roles of an account."""

    def test_equal(self) -> None:
        """The roles that are there are as expected."""
        account = FakeAccount()
        account.add_role("AI Engineer", [Permission.PROJECT_READ, Permission.DATASET_READ])
        account.assert_roles({"AI Engineer": {"DATASET_READ", Permission.PROJECT_READ}})

    def test_differ(self) -> None:
        """Roles that differ are shown by role and permission."""
        account = FakeAccount()
        account.add_role("AI Engineer", ["PROJECT_READ", "ROLE_READ"])
        account.add_role("Stray")
        with pytest.raises(AssertionError) as caught:
            account.assert_roles({"AI Engineer": {"PROJECT_READ", "DATASET_READ"}, "Analyst": ()})
        assert str(caught.value) == (
            "the custom roles are not as expected:\n"
            "  'AI Engineer'\n"
            "    - DATASET_READ    expected, but missing\n"
            "    + ROLE_READ       not expected\n"
            "  - 'Analyst'         expected, but missing\n"
            "  + 'Stray'           not expected"
        )

    def test_descriptions(self) -> None:
        """The descriptions of some roles can be asserted as well; an empty one counts as none."""
        account = FakeAccount()
        account.add_role("A", description="of A")
        account.add_role("B")
        both: dict[str, set[str]] = {"A": set(), "B": set()}
        account.assert_roles(both, descriptions={"A": "of A", "B": ""})
        with pytest.raises(AssertionError) as caught:
            account.assert_roles(both, descriptions={"A": None, "B": "of B", "C": "of C"})
        assert str(caught.value) == (
            "the custom roles are not as expected:\n"
            "  'A'      description 'of A', not None\n"
            "  'B'      description None, not 'of B'\n"
            "  - 'C'    expected, but missing"
        )

    @pytest.mark.arize_roles(unused_faults="allow")
    @pytest.mark.parametrize("check", CHECKS)
    def test_traceback(self, check: Act) -> None:
        """The report of a failed test ends at its own line, not in the account's code."""
        account = FakeAccount()
        account.fail("list", 500)
        with pytest.raises(AssertionError) as caught:
            check(account)
        assert [entry.ishidden(caught) for entry in caught.traceback] == [False, False, True]


class TestSharing:
    """One account for several threads and clients."""

    def test_threads(self) -> None:
        """Threads that share an account lose nothing, and see no half-made state."""
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
    async def test_both_clients(self, connect: Connect) -> None:
        """One account stands behind both clients at once."""
        account = account_at_noon()
        async with connect(account) as roles, FakeRolesClient(account) as other:
            role = await roles.create(name="A", permissions=["ROLE_READ"])
            assert await other.get(role="A") == role
            await other.delete(role_id=role.id)
            with pytest.raises(NotFoundError):
                await roles.get(role_id=role.id)


class TestBindings:
    """Role bindings, which keep a role from being deleted."""

    @both_clients
    @pytest.mark.asyncio
    async def test_delete(self, connect: Connect) -> None:
        """A role with bindings is not deleted, until each of them is removed."""
        account = account_at_noon()
        role = account.add_role("A")
        account.bind(role, user="ada", resource="Space:1")
        account.bind("A", user="bob", resource="Space:1")
        async with connect(account) as roles:
            with pytest.raises(ConflictError, match="it still has 2 role bindings"):
                await roles.delete(role_id=role.id)
            account.unbind(role.id, user="bob", resource="Space:1")
            with pytest.raises(ConflictError, match=r"it still has 1 role binding\b"):
                await roles.delete(role_id=role.id)
            account.unbind(role.id, user="ada", resource="Space:1")
            await roles.delete(role_id=role.id)
        account.assert_roles({})

    def test_bindings(self) -> None:
        """They are there in the order in which they were made."""
        account = FakeAccount()
        one = account.bind("Admin", user="ada", resource="Space:1")
        two = account.bind("Admin", user="bob", resource="Project:1")
        assert account.bindings("Admin") == (one, two)
        assert one.role_id == account.role("Admin").id  # type: ignore[union-attr] # pyright: ignore[reportOptionalMemberAccess]
        assert (account.label(one.user_id), account.label(one.resource_id)) == ("ada", "Space:1")
        assert account.bindings() == (one, two)
        assert account.bindings("Member") == ()

    def test_refused(self) -> None:
        """Impossible values are refused."""
        account = FakeAccount()
        account.bind("Admin", user="ada", resource="Space:1")
        for role in ("Admin", "Member"):
            with pytest.raises(ValueError, match="'ada' already has the role 'Admin' on 'Space:1'"):
                account.bind(role, user="ada", resource="Space:1")
        assert account.bindings("Member") == ()
        with pytest.raises(LookupError, match="no role has the ID or name 'Nobody'"):
            account.bind("Nobody", user="ada", resource="Space:1")
        with pytest.raises(LookupError, match="'bob' does not have the role on 'Space:1'"):
            account.unbind("Admin", user="bob", resource="Space:1")

    @pytest.mark.parametrize("resource", ["", "a space", "Space:", "space:1", "Role:1", " Space:1"])
    def test_resource(self, resource: str) -> None:
        """A resource is a space or a project."""
        with pytest.raises(ValueError, match="resource must be a space or a project, such as "):
            FakeAccount().bind("Admin", user="ada", resource=resource)

    def test_in_file(self) -> None:
        """A file that gives a user two roles on a resource is refused."""
        held = {"bindings": [{"user": "ada", "resource": "Space:1"}]}
        text = json.dumps({"roles": [{"name": "A"} | held, {"name": "B"} | held]})
        with pytest.raises(ValueError, match="'ada' already has the role 'B' on 'Space:1'"):
            FakeAccount.load(text)

    @pytest.mark.parametrize(
        ("role", "user", "resource", "message"),
        [
            ("A", "", "Space:1", "user must not be empty"),
            ("A", "u" * 750, "Space:1", "user must have at most 1000 characters, not 1008"),
        ],
    )
    def test_user(self, role: str, user: str, resource: str, message: str) -> None:
        """A user is a text whose ID fits into a URL."""
        account = FakeAccount()
        account.add_role("A")
        with pytest.raises(ValueError, match=f"^{message}$"):
            account.bind(role, user=user, resource=resource)

    def test_same_id(self) -> None:
        """A file with two bindings of one ID is refused."""
        bindings = [
            {"id": "Um9sZUJpbmRpbmc6MTph", "role": "A", "user": user, "resource": "Space:1"}
            for user in ("ada", "bob")
        ]
        text = json.dumps({"roles": [{"name": "A"}], "role_bindings": bindings})
        with pytest.raises(ValueError, match="a role binding already has the ID 'Um9sZUJpbm"):
            FakeAccount.load(text)

    def test_grants(self) -> None:
        """The grants of a key on single resources are kept in a file."""
        account = FakeAccount(api_key="first")
        account.add_key("key", grants=["ROLE_READ"], on={"Space:1": ["ROLE_BINDING_READ"]})
        assert json.loads(account.dump())["keys"] == {
            "first": None,
            "key": {"grants": ["ROLE_READ"], "on": {"Space:1": ["ROLE_BINDING_READ"]}},
        }
        loaded = FakeAccount.load(account.dump(), clock=account.now)
        assert json.loads(loaded.dump())["keys"] == json.loads(account.dump())["keys"]
        with pytest.raises(ValueError, match=r"^on adds permissions to grants, so grants must be "):
            account.add_key("key", on={"Space:1": []})

    def test_no_type(self) -> None:
        """A list without the type of the resource is refused."""
        account = FakeAccount(api_key="key")
        request = Request(
            method="GET", target="/v2/role-bindings", headers={"Authorization": "Bearer key"}
        )
        reply = account.handle(request)
        assert (reply.status, json.loads(reply.body)["detail"]) == (
            400,
            "resource_type: is required",
        )

    def test_assert_bindings(self) -> None:
        """A difference is shown by labels."""
        account = FakeAccount()
        account.bind("Admin", user="ada", resource="Space:1")
        account.bind("Admin", user="bob", resource="Project:1")
        account.assert_bindings({("ada", "Space:1"): "Admin", ("bob", "Project:1"): "Admin"})
        with pytest.raises(AssertionError) as caught:
            account.assert_bindings({("ada", "Space:1"): "Member", ("eve", "Space:1"): "Admin"})
        assert str(caught.value) == (
            "the role bindings are not as expected:\n"
            "  - 'ada' on 'Space:1': 'Member'     expected, but missing\n"
            "  + 'ada' on 'Space:1': 'Admin'      not expected\n"
            "  + 'bob' on 'Project:1': 'Admin'    not expected\n"
            "  - 'eve' on 'Space:1': 'Admin'      expected, but missing"
        )

    def test_free_again(self) -> None:
        """Once a binding is gone, by itself or with its role, the user may have another there."""
        account = FakeAccount(predefined=False)
        account.add_role("A")
        account.add_role("B")
        before = account.snapshot()
        account.bind("A", user="ada", resource="Space:1")
        account.bind("A", user="ada", resource="Project:1")
        account.unbind("A", user="ada", resource="Space:1")
        account.bind("B", user="ada", resource="Space:1")
        account.restore(before)
        account.bind("B", user="ada", resource="Project:1")
        assert len(account.bindings("B")) == 1

    def test_kept(self) -> None:
        """Snapshots and files have them."""
        account = FakeAccount()
        account.bind("Admin", user="ada", resource="Space:1")
        before = account.snapshot()
        loaded = FakeAccount.load(account.dump())
        account.unbind("Admin", user="ada", resource="Space:1")
        account.restore(before)
        assert account.bindings("Admin") == loaded.bindings("Admin")
        assert len(loaded.bindings("Admin")) == 1


@pytest.mark.filterwarnings("ignore::arize_roles_async.BetaWarning")
class TestDeclared:
    """The users and resources of an account, and keys with rights on single resources."""

    @pytest.mark.parametrize("loaded", [False, True])
    @pytest.mark.asyncio
    async def test_unknown(self, loaded: bool) -> None:  # noqa: FBT001
        """Those that are not declared are unknown, also in an account that was loaded."""
        account = FakeAccount(users=["ada", "VXNlcjpldmU="], resources=["Space:1"])
        if loaded:
            account = FakeAccount.load(account.dump())
        admin = account.roles[0].id
        bindings = FakeRolesClient(account).role_bindings
        for user_id in ("VXNlcjphZGE=", "VXNlcjpldmU="):  # ada and eve
            await bindings.ensure(
                user_id=user_id, role_id=admin, resource_type="SPACE", resource_id="U3BhY2U6MQ=="
            )
        with pytest.raises(NotFoundError):
            await bindings.create(
                user_id="VXNlcjpib2I=",
                role_id=admin,
                resource_type="SPACE",
                resource_id="U3BhY2U6MQ==",
            )
        with pytest.raises(ForbiddenError):
            await bindings.create(
                user_id="VXNlcjphZGE=",
                role_id=admin,
                resource_type="SPACE",
                resource_id="U3BhY2U6Mg==",
            )

    @pytest.mark.asyncio
    async def test_nobody(self) -> None:
        """An account that declares no users has none, also in a file."""
        account = FakeAccount.load(FakeAccount(users=(), resources=()).dump())
        with pytest.raises(NotFoundError):
            await FakeRolesClient(account).role_bindings.list(
                resource_type="SPACE", user_id="VXNlcjphZGE="
            )

    @pytest.mark.parametrize("loaded", [False, True])
    @pytest.mark.asyncio
    async def test_key(self, loaded: bool) -> None:  # noqa: FBT001
        """A key has its grants on the resources that `on` names, and no others."""
        account = FakeAccount()
        there = account.bind("Admin", user="ada", resource="Space:1")
        account.bind("Admin", user="ada", resource="Space:2")
        on = {"Space:1": ["ROLE_BINDING_READ"], there.resource_id: ["ROLE_BINDING_READ"]}
        account.add_key("reader", grants=["ROLE_READ"], on=on)
        if loaded:
            account = FakeAccount.load(account.dump())
        reader = FakeRolesClient(account, api_key="reader")
        assert (await reader.role_bindings.list(resource_type="SPACE")).role_bindings == (there,)
        assert len(await reader.list()) == 7

    @pytest.mark.parametrize(
        ("grants", "on", "message"),
        [
            (None, {"Space:1": []}, "grants must be given"),
            ([], {"Role:1": []}, "resource must be a space or a project"),
            ([], {"Space:1": ["ROLE_BINDING_RAED"]}, "ROLE_BINDING_RAED"),
        ],
    )
    def test_refused(
        self, grants: list[str] | None, on: dict[str, list[str]], message: str
    ) -> None:
        """Grants on what is no resource are refused, and so are those beside all."""
        account = FakeAccount(api_key="first")
        with pytest.raises(ValueError, match=message):
            account.add_key("key", grants=grants, on=on)
        assert account.api_keys == ("first",)

    @pytest.mark.parametrize("user", ["", "a" * 1000])
    def test_user(self, user: str) -> None:
        """A user whose ID would be longer than any is refused."""
        with pytest.raises(ValueError, match=r"^user must"):
            FakeAccount(users=[user])

    def test_ids_in_file(self) -> None:
        """IDs whose labels stand for others are in a file as they are."""
        account = FakeAccount()
        # User: without a name, and Project:1, for which the service itself says Model:1.
        account.bind("Admin", user="VXNlcjo=", resource="UHJvamVjdDox")
        assert FakeAccount.load(account.dump()).bindings() == account.bindings()

    def test_id_taken(self) -> None:
        """Two bindings of a file cannot have one ID."""
        held = [
            {"role": "A", "user": user, "resource": "Space:1", "id": "Um9sZUJpbmRpbmc6MTph"}
            for user in ("ada", "eve")
        ]
        text = json.dumps({"roles": [{"name": "A"}], "role_bindings": held})
        with pytest.raises(ValueError, match="a role binding already has the ID 'Um9sZUJ"):
            FakeAccount.load(text)


class EndOfSummer(tzinfo):
    """A time zone whose hours come twice, first the one of summer."""

    def utcoffset(self, dt: datetime | None) -> timedelta:
        return timedelta(hours=-6 if dt is None or not dt.fold else -7)

    def dst(self, dt: datetime | None) -> None: ...

    def tzname(self, dt: datetime | None) -> None: ...


class TestFiles:
    """An account that is dumped loads as it was, whatever it held."""

    def test_first_key(self) -> None:
        """The first key stays the first."""
        account = FakeAccount(api_key="z")
        account.add_key("a", grants=["TAG_READ", "ROLE_READ"])
        loaded = FakeAccount.load(account.dump())
        assert (loaded.api_key, loaded.api_keys) == ("z", ("z", "a"))

    @pytest.mark.asyncio
    async def test_newer_grant(self) -> None:
        """A key may grant a permission that no role holds any more."""
        account = FakeAccount()
        role = account.add_role("A", ["COMET_LAUNCH"])
        account.add_key("key", grants=["COMET_LAUNCH", "ROLE_CREATE"])
        async with FakeRolesClient(account) as roles:
            await roles.delete(role_id=role.id)
        loaded = FakeAccount.load(account.dump())
        async with FakeRolesClient(loaded, api_key="key") as roles:
            made = await roles.create(name="B", permissions=[UnknownPermission("COMET_LAUNCH")])
        assert made.name == "B"

    def test_restored_grant(self) -> None:
        """A key may be given a permission that a role holds, and no longer when none does."""
        account = FakeAccount()
        before = account.snapshot()
        account.add_role("A", ["COMET_LAUNCH"])
        roles = account.snapshot()
        account.restore(before)
        with pytest.raises(ValueError, match="COMET_LAUNCH"):
            account.add_key("other", grants=["COMET_LAUNCH"])
        account.restore(roles)
        account.add_key("other", grants=["COMET_LAUNCH"])

    def test_grant_of_restored(self) -> None:
        """A key may grant a permission that was not there when the roles were as restored."""
        account = FakeAccount()
        before = account.snapshot()
        account.add_role("A", ["COMET_LAUNCH"])
        account.add_key("key", grants=["COMET_LAUNCH", "ROLE_READ"])
        account.restore(before)
        assert FakeAccount.load(account.dump()).api_keys == (account.api_key, "key")

    @pytest.mark.asyncio
    async def test_ids(self) -> None:
        """The ID of a deleted role is not given again after loading."""
        account = account_at_noon()
        async with FakeRolesClient(account) as roles:
            deleted = await roles.create(name="A", permissions=["ROLE_READ"])
            await roles.delete(role_id=deleted.id)
        assert FakeAccount.load(account.dump()).add_role("B").id != deleted.id

    def test_newlines(self, tmp_path: Path) -> None:
        """A file has the same newlines on every system."""
        FakeAccount().dump(tmp_path / "account.json")
        assert b"\r" not in (tmp_path / "account.json").read_bytes()

    def test_old_offset(self) -> None:
        """A timestamp whose offset has seconds, as clocks had once, is the same moment."""
        account = FakeAccount()
        noon = datetime(1900, 1, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=21, seconds=10)))
        role = account.add_role("A", created_at=noon, updated_at=noon)
        assert FakeAccount.load(account.dump()).role("A") == role
        assert role.created_at == role.updated_at == noon

    def test_hour_that_comes_twice(self) -> None:
        """A timestamp in the hour that a time zone has twice is the same moment, too."""
        account = FakeAccount()
        twice = datetime(2016, 11, 6, 1, tzinfo=EndOfSummer())
        role = account.add_role("A", created_at=twice)
        assert FakeAccount.load(account.dump()).role("A") == role
        assert role.created_at.isoformat() == "2016-11-06T01:00:00-06:00"

    def test_offset(self) -> None:
        """A timestamp keeps an offset of whole minutes."""
        account = FakeAccount()
        kathmandu = timezone(timedelta(hours=5, minutes=45))
        account.add_role("A", created_at=datetime(2026, 1, 1, 12, tzinfo=kathmandu))
        loaded = FakeAccount.load(account.dump()).role("A")
        assert loaded is not None
        assert loaded.created_at.isoformat() == "2026-01-01T12:00:00+05:45"

    def test_surrogates(self) -> None:
        """Values that no file or answer could hold are refused."""
        with pytest.raises(ValueError, match="surrogates"):
            FakeAccount().add_role("A", description="\ud800")


class TestReset:
    """`reset` makes everything what it was at first."""

    @pytest.mark.parametrize("loaded", [False, True])
    def test_reset(self, loaded: bool) -> None:  # noqa: FBT001
        """Roles, keys, faults, latency, limits, pages, the log and the time."""
        account = account_at_noon(predefined=True, max_custom_roles=7)
        account.bind("Admin", user="ada", resource="Space:1")
        if loaded:
            account = FakeAccount.load(account.dump(), clock=lambda: START)
        before = (
            account.dump()
            if loaded
            else account_at_noon(predefined=True, max_custom_roles=7).dump()
        )
        account.add_role("A", ["COMET_LAUNCH"])
        account.add_key("key")
        account.remove_key("fake-api-key")
        account.fail("list", 500)
        account.slow_down(1)
        account.limit_rate(0.001)
        account.shorten_pages(0)
        account.max_custom_roles = 0
        account.advance(60)
        account.handle(Request(method="GET", target="/v2/roles"))
        account.reset()
        assert account.dump() == before
        assert (account.calls, account.pending_faults) == ((), ())
        request = Request(
            method="GET", target="/v2/roles", headers={"Authorization": "Bearer fake-api-key"}
        )
        replies = [account.handle(request) for _ in range(2)]
        assert [(reply.status, reply.delay) for reply in replies] == [(200, 0.0)] * 2
        assert all(b"Admin" in reply.body for reply in replies)


class TestDate:
    """Every answer carries the account's time."""

    @pytest.mark.parametrize("key", ["fake-api-key", "wrong"])
    def test_in_process(self, key: str) -> None:
        """In process, failures too."""
        account = account_at_noon()
        request = Request(
            method="GET", target="/v2/roles", headers={"Authorization": f"Bearer {key}"}
        )
        assert account.handle(request).headers["Date"] == "Thu, 01 Jan 2026 12:00:00 GMT"
        account.advance(0.9)
        assert account.handle(request).headers["Date"] == "Thu, 01 Jan 2026 12:00:00 GMT"
        account.advance(0.1)
        assert account.handle(request).headers["Date"] == "Thu, 01 Jan 2026 12:00:01 GMT"

    def test_over_http(self) -> None:
        """Over HTTP the same, and once."""
        with RolesServer(account_at_noon()) as server:
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"{server.url}/v2/roles")  # noqa: S310 - our own server
            with caught.value as answer:
                assert answer.headers.get_all("Date") == ["Thu, 01 Jan 2026 12:00:00 GMT"]


class TestSeeding:
    """Warnings and errors while seeding."""

    @pytest.mark.parametrize(
        "misspelled", ["ROLE_RAED", "ROLE_REA", "ROLE_READS", "ROLE_REED", "ROLEREAD"]
    )
    def test_misspelled(self, misspelled: str) -> None:
        """An unknown permission that is a letter off a known one is pointed out."""
        account = FakeAccount()
        with pytest.warns(SuspiciousPermissionWarning, match="did you mean ROLE_READ?") as caught:
            account.add_role("A", [misspelled])
        assert caught[0].filename == __file__
        loadable = json.dumps({"roles": [{"name": "A", "permissions": [misspelled]}]})
        with pytest.warns(SuspiciousPermissionWarning) as caught:
            FakeAccount.load(loadable)
        assert caught[0].filename == __file__

    @pytest.mark.parametrize(
        "other", ["ROLE_RXXD", "ROLE_REXXD", "ROLE_READXX", "ROLE_RD", "ROLE_DAER", "LOREM_IPSUM"]
    )
    def test_other(self, other: str) -> None:
        """An unknown permission that is further from each known one is taken for a newer one."""
        role = FakeAccount().add_role("A", [other])
        assert role.permissions == (UnknownPermission(other),)

    def test_warning_name(self) -> None:
        """Reports show the name of the warning that users import."""
        assert SuspiciousPermissionWarning.__module__ == "arize_roles_fake"

    def test_dumped(self) -> None:
        """One that was seeded on purpose is not pointed out again by a file."""
        account = FakeAccount()
        with pytest.warns(SuspiciousPermissionWarning):
            account.add_role("A", ["ROLE_RAED"])
        assert FakeAccount.load(account.dump()).role("A") == account.role("A")

    def test_own_keys(self) -> None:
        """Accounts have different keys, so that a mixed-up environment shows."""
        assert FakeAccount().api_key != FakeAccount().api_key
        assert FakeAccount(api_key="mine").api_keys == ("mine",)

    def test_make_role(self) -> None:
        """`make_role` makes equal roles of equal arguments, and each field can be chosen."""
        assert make_role() == make_role()
        assert make_role(name="A").id != make_role(name="B").id
        assert make_role(permissions=None).permissions is None
        assert make_role(name="A", permissions=["COMET_LAUNCH"], is_predefined=True) == Role(
            id=make_role(name="A").id,
            name="A",
            description=None,
            permissions=(UnknownPermission("COMET_LAUNCH"),),
            is_predefined=True,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            updated_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        with pytest.raises(TypeError, match="not the string"):
            make_role(permissions="ROLE_READ")

    def test_make_role_fields(self) -> None:
        """The role has the arguments of `make_role`."""
        role = make_role(
            id="Um9sZTo5OTph",
            description="Looks.",
            created_at=START,
            updated_at=START + timedelta(days=1),
        )
        assert role == Role(
            id="Um9sZTo5OTph",
            name="Role",
            description="Looks.",
            permissions=(Permission.PROJECT_READ,),
            is_predefined=False,
            created_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
            updated_at=datetime(2026, 1, 2, 12, tzinfo=UTC),
        )

    def test_predefined(self) -> None:
        """Each predefined role is as it is written down, oldest first."""
        written = Path(__file__).parents[1] / "data" / "predefined.txt"
        told = [
            "\n".join([f"{role.name} ({role.id}): {role.description}", *(role.permissions or ())])
            for role in reversed(FakeAccount().roles)
        ]
        assert "\n\n".join(told) + "\n" == written.read_text("utf-8")

    def test_first_number(self) -> None:
        """A file that does not say how many roles there were begins with the first."""
        loaded = FakeAccount.load('{"roles": []}')
        assert loaded.add_role("A").id == "Um9sZToxOmJtZmI="

    def test_chosen_ids_in_a_row(self) -> None:
        """IDs that a test chose and that would come next are passed over."""
        account, other = FakeAccount(), FakeAccount()
        for name in "ABCD":
            other.add_role(name)
        chosen = [other.role(name).id for name in "CD"]  # type: ignore[union-attr] # pyright: ignore[reportOptionalMemberAccess]
        first = account.add_role("first", id=chosen[0])
        second = account.add_role("second", id=chosen[1])
        made = [account.add_role(str(number)) for number in range(4)]
        assert len({role.id for role in (first, second, *made)}) == 6


@pytest.mark.asyncio
async def test_permissions_alone() -> None:
    """`updated_at` moves with any change, one of permissions alone too."""
    account = account_at_noon()
    role = account.add_role("A", ["ROLE_READ"])
    account.advance(1)
    async with FakeRolesClient(account) as roles:
        changed = await roles.update(role_id=role.id, permissions=["TAG_READ"])
    assert changed.updated_at == START + timedelta(seconds=1)
    assert changed.created_at == START


@pytest.mark.asyncio
async def test_description() -> None:
    """A role that is given an empty description has none in the account, either."""
    account = account_at_noon()
    seen: list[str | None] = []
    async with FakeRolesClient(account) as roles:
        role = await roles.create(name="A", permissions=["ROLE_READ"], description="")
        for text in ("Reads.", ""):
            seen.append(account.roles[0].description)
            await roles.update(role_id=role.id, description=text)
    assert [*seen, account.roles[0].description] == [None, "Reads.", None]


def test_restore_permissions() -> None:
    """Restoring roles restores the newer permissions that the account knew."""
    account = FakeAccount()
    before = account.snapshot()
    account.add_role("A", ["COMET_LAUNCH"])
    account.restore(before)
    body = b'{"name": "B", "permissions": ["COMET_LAUNCH"]}'
    headers = {"Authorization": f"Bearer {account.api_key}"}
    request = Request(method="POST", target="/v2/roles", body=body, headers=headers)
    assert account.handle(request).status == 400


def test_deleted() -> None:
    """The answer to a deletion is a 204 without a body."""
    account = account_at_noon()
    target = f"/v2/roles/{account.add_role('A').id}"
    headers = {"Authorization": "Bearer fake-api-key"}
    reply = account.handle(Request(method="DELETE", target=target, headers=headers))
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers.keys() == {"Date"}


@pytest.mark.asyncio
async def test_short_pages() -> None:
    """Pages that are short or empty and have more are walked through by both clients."""
    for client in both_clients.args[1]:
        account = account_at_noon()
        for name in "ABCDEF":
            account.add_role(name, ["ROLE_READ"])
        account.shorten_pages(0, 0, 2, 0, 1)
        async with client(account) as roles:
            sizes = [len(page.roles) async for page in roles.list(limit=4).pages()]
            account.shorten_pages(0)
            found = await roles.get(role="A")
        assert sizes == [0, 0, 2, 0, 1, 3]
        assert found == account.role("A")
        account.clear_faults()
    with pytest.raises(ValueError, match="sizes must be an integer of 0 or more, not -1"):
        account_at_noon().shorten_pages(1, -1)


@pytest.mark.asyncio
async def test_empty_page() -> None:
    """An account's first empty page has another cursor than the page before it."""
    account = account_at_noon()
    for name in "ABC":
        account.add_role(name)
    account.shorten_pages(1, 0)
    async with FakeRolesClient(account) as roles:
        sizes = [len(page.roles) async for page in roles.list(limit=2).pages()]
    assert sizes == [1, 0, 2]


class RecordingLock:
    """A lock that counts how often it is taken by somebody who does not hold it yet."""

    def __init__(self) -> None:
        self.taken = 0
        self._held = 0

    def __enter__(self) -> None:
        self.taken += not self._held
        self._held += 1

    def __exit__(self, *_: object) -> None:
        self._held -= 1


def recording_lock() -> tuple[RecordingLock, FakeAccount]:
    """Return an account with a lock that counts, and the lock."""
    lock = RecordingLock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "RLock", lambda: lock)
        return lock, FakeAccount(api_key="first")


LOCKED: dict[str, Act] = {
    "add_key": lambda a: a.add_key("key"),
    "add_role": lambda a: a.add_role("A"),
    "advance": lambda a: a.advance(1),
    "api_key": lambda a: a.api_key,
    "api_keys": lambda a: a.api_keys,
    "assert_bindings": lambda a: a.assert_bindings({("eve", "Space:1"): "Admin"}),
    "assert_roles": lambda a: a.assert_roles({}),
    "bind": lambda a: a.bind("Admin", user="ada", resource="Space:1"),
    "bindings": lambda a: a.bindings("Admin"),
    "calls": lambda a: a.calls,
    "calls_in_all": lambda a: a.calls_in_all,
    "calls_of": lambda a: a.calls_of("list"),
    "clear_calls": lambda a: a.clear_calls(),
    "clear_faults": lambda a: a.clear_faults(),
    "dump": lambda a: a.dump(),
    "fail": lambda a: a.fail("list", 500),
    "handle": lambda a: a.handle(Request(method="GET", target="/v2/roles")),
    "limit_rate": lambda a: a.limit_rate(1),
    "max_custom_roles": lambda a: a.max_custom_roles,
    "pending_faults": lambda a: a.pending_faults,
    "unused_faults": lambda a: a.unused_faults,
    "remove_key": lambda a: a.remove_key("first"),
    "reset": lambda a: a.reset(),
    "restore": lambda a: a.restore(FakeAccount().snapshot()),
    "role": lambda a: a.role("Admin"),
    "roles": lambda a: a.roles,
    "shorten_pages": lambda a: a.shorten_pages(1),
    "slow_down": lambda a: a.slow_down(1),
    "snapshot": lambda a: a.snapshot(),
    "unbind": lambda a: a.unbind("Admin", user="eve", resource="Space:1"),
}
# What needs none: `now` reads one value, `assumptions` never change, `load` makes an account. And
# `block` takes it as it begins.
UNLOCKED = {"assumptions", "block", "label", "load", "now"}


@pytest.mark.arize_roles(unused_faults="allow")
class TestLock:
    """Every public method of the account works under its lock."""

    def test_all_are_here(self) -> None:
        """A method that is added is asked too."""
        there = {name for name in vars(FakeAccount) if not name.startswith("_")}
        assert there == LOCKED.keys() | UNLOCKED

    @pytest.mark.parametrize("name", LOCKED)
    def test_locked(self, name: str) -> None:
        """It takes the lock, and holds it until all is done."""
        lock, account = recording_lock()
        account.bind("Admin", user="eve", resource="Space:1")
        before = lock.taken
        LOCKED[name](account)
        assert lock.taken == before + 1

    def test_block(self) -> None:
        """A block takes it as it begins, and lets it go before its calls come."""
        lock, account = recording_lock()
        before = lock.taken
        with account.block():
            assert lock.taken == before + 1

    def test_setter(self) -> None:
        """Setting a property takes it too."""
        lock, account = recording_lock()
        before = lock.taken
        account.max_custom_roles = 1
        assert lock.taken == before + 1


class TestUnknownAttribute:
    """An attribute that the account does not have."""

    @pytest.mark.parametrize(
        ("name", "instead"),
        [
            ("outage", r"fail\('any', 503, times=None\), and clear_faults\(\) to end it"),
            ("max_custom_role", "max_custom_roles"),
        ],
    )
    def test_refused(self, name: str, instead: str) -> None:
        """Setting it is an error that names the replacement, or the nearest."""
        message = f"^FakeAccount has no attribute '{name}': use {instead}$"
        with pytest.raises(AttributeError, match=message):
            setattr(FakeAccount(), name, 503)

    def test_subclass(self) -> None:
        """A subclass may have attributes of its own, but none that the account once had."""

        class Account(FakeAccount):
            outage: int
            answers: int

        account = Account()
        account.answers = 1
        assert account.answers == 1
        with pytest.raises(AttributeError, match="has no attribute 'outage'"):
            account.outage = 503
