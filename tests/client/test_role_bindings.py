"""Calls of role bindings: their rules, what a lost answer leads to, `ensure` and `remove`."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    AuthenticationError,
    BadRequestError,
    BetaWarning,
    ConflictError,
    NotFoundError,
    OutcomeUnknownError,
    Request,
    RetryPolicy,
    RoleBindingPages,
    RoleBindingsClient,
    RolesClient,
    ServerError,
    ValidationError,
)
from arize_roles_async._base import stage
from arize_roles_fake import FakeAccount, FakeRolesClient, Reply

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.filterwarnings("ignore::arize_roles_async.BetaWarning"),
]

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
USER = "VXNlcjphZGE="  # User:ada
SPACE = "U3BhY2U6MQ=="  # Space:1
PROJECT = "TW9kZWw6MQ=="  # Model:1
TARGET: dict[str, Any] = {"user_id": USER, "resource_type": "SPACE", "resource_id": SPACE}


@pytest.fixture
def account() -> FakeAccount:
    account = FakeAccount(clock=lambda: START)
    for name in ("Analyst", "Editor"):
        account.add_role(name)
    return account


@pytest.fixture
def bindings(account: FakeAccount) -> RoleBindingsClient:
    return FakeRolesClient(account).role_bindings


def meddled(method: str, act: Callable[[FakeAccount], object]) -> FakeAccount:
    """Return an account that somebody else changes right before requests with a method."""

    class Meddled(FakeAccount):
        def handle(self, request: Request) -> Reply:
            if request.method == method:
                act(self)
            return super().handle(request)

    account = Meddled(clock=lambda: START)
    for name in ("Analyst", "Editor"):
        account.add_role(name)
    return account


def rebind(account: FakeAccount) -> None:
    account.unbind("Analyst", user="ada", resource="Space:1")
    account.bind("Analyst", user="ada", resource="Space:1")


def id_of(account: FakeAccount, name: str) -> str:
    role = account.role(name)
    assert role is not None
    return role.id


def asked(account: FakeAccount) -> list[str]:
    """Return the operations of the requests so far."""
    return [call.operation.removeprefix("role_bindings.") for call in account.calls]


BROKEN: list[tuple[Callable[[Any], Any], str]] = [
    (
        lambda b: b.create(user_id="", role_id=5, resource_type="space", resource_id="x"),
        (
            "role_id: must be a string, not int; user_id: must not be empty; "
            "resource_type: must be SPACE or PROJECT, not 'space'; did you mean SPACE?"
        ),
    ),
    (
        lambda b: b.ensure(**{**TARGET, "role_id": "r", "resource_type": "PROJECT"}),
        "resource_id: 'U3BhY2U6MQ==' is the ID of a Space, and resource_type is PROJECT",
    ),
    (
        lambda b: b.remove(**{**TARGET, "resource_id": PROJECT}),
        "resource_id: 'TW9kZWw6MQ==' is the ID of a Model, and resource_type is SPACE",
    ),
    (
        lambda b: b.remove(**{**TARGET, "resource_id": USER}),
        "resource_id: 'VXNlcjphZGE=' is the ID of a User, and resource_type is SPACE",
    ),
    (
        lambda b: b.update(binding_id="i" * 1001, role_id=""),
        ("binding_id: must have at most 1000 characters, not 1001; role_id: must not be empty"),
    ),
    (lambda b: b.get(binding_id=""), "binding_id: must not be empty"),
    (lambda b: b.delete(binding_id=None), "binding_id: must be a string, not None"),
    (
        lambda b: b.list(resource_type=1, user_id="", limit=0, cursor=""),
        (
            "resource_type: must be a string, not int; user_id: must not be empty; "
            "limit: must be 1 to 100, not 0; cursor: must not be empty"
        ),
    ),
    (
        lambda b: b.find(role_id="", user_id=1, resource_id="x"),
        "role_id: must not be empty; user_id: must be a string, not int",
    ),
]


class TestRules:
    """Arguments are checked before anything is sent."""

    @pytest.mark.parametrize(("call", "message"), BROKEN)
    async def test_refused(
        self,
        account: FakeAccount,
        bindings: RoleBindingsClient,
        call: Callable[[Any], Awaitable[object]],
        message: str,
    ) -> None:
        """One error names every argument that breaks a rule."""
        with pytest.raises(ValidationError) as caught:
            await call(bindings)
        assert str(caught.value) == message
        assert account.calls == ()

    @pytest.mark.parametrize("resource", ["UHJvamVjdDox", "TW9kZWw6MQ=="])
    async def test_project(
        self, account: FakeAccount, bindings: RoleBindingsClient, resource: str
    ) -> None:
        """The ID of a project says Model or Project."""
        made = await bindings.create(
            user_id=USER,
            role_id=id_of(account, "Analyst"),
            resource_type="PROJECT",
            resource_id=resource,
        )
        assert account.bindings() == (made,)

    async def test_no_id(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """A text that is plainly of no kind is the service's to refuse."""
        with pytest.raises(BadRequestError):
            await bindings.ensure(**{**TARGET, "role_id": "r", "resource_id": "no base64"})
        assert asked(account) == ["list", "create"]


class TestLost:
    """A change whose answer was lost is looked up, and is never called made without a sign."""

    async def test_create(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """A binding that the lost attempt made is returned."""
        account.fail("role_bindings.create", "lost", when="after")
        made = await bindings.create(**TARGET, role_id=id_of(account, "Analyst"))
        assert account.bindings() == (made,)
        assert asked(account) == ["create", "create", "list"]

    async def test_create_older(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """A binding that is older than the call is somebody else's."""
        account.bind("Analyst", user="ada", resource="Space:1")
        account.advance(60)
        account.fail("role_bindings.create", "lost")
        with pytest.raises(ConflictError):
            await bindings.create(**TARGET, role_id=id_of(account, "Analyst"))

    async def test_create_invisible(self, account: FakeAccount) -> None:
        """A binding that the key does not see leaves the outcome unknown."""
        account.add_key("blind", grants=["ROLE_BINDING_CREATE"])
        account.fail("role_bindings.create", "lost", when="after")
        blind = FakeRolesClient(account, api_key="blind").role_bindings
        with pytest.raises(OutcomeUnknownError):
            await blind.create(**TARGET, role_id=id_of(account, "Analyst"))

    @pytest.mark.parametrize("moment", ["before", "after"])
    async def test_update(
        self,
        account: FakeAccount,
        bindings: RoleBindingsClient,
        moment: Any,  # noqa: ANN401
    ) -> None:
        """An update is tried again, and its second attempt shows the result."""
        binding = account.bind("Analyst", user="ada", resource="Space:1")
        account.fail("role_bindings.update", "lost", when=moment)
        editor = id_of(account, "Editor")
        changed = await bindings.update(binding_id=binding.id, role_id=editor)
        assert account.bindings() == (changed,)
        assert changed.role_id == editor

    async def test_update_read(self, account: FakeAccount) -> None:
        """The binding is read after a last attempt that was lost, and shows the change."""
        binding = account.bind("Analyst", user="ada", resource="Space:1")
        account.fail("role_bindings.update", "lost", when="after")
        once = FakeRolesClient(account, retry=RetryPolicy(attempts=1)).role_bindings
        changed = await once.update(binding_id=binding.id, role_id=id_of(account, "Editor"))
        assert account.bindings() == (changed,)
        assert asked(account) == ["update", "get"]

    @pytest.mark.parametrize("operation", ["create", "update", "delete"])
    async def test_may_still_come(self, account: FakeAccount, operation: Any) -> None:  # noqa: ANN401
        """A request that was lost may still arrive, so an unchanged account proves nothing."""
        binding = account.bind("Analyst", user="ada", resource="Space:1")
        account.advance(60)
        account.fail(f"role_bindings.{operation}", "lost")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        roles = FakeRolesClient(account, retry=RetryPolicy(attempts=1)).role_bindings
        editor = id_of(account, "Editor")
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "create": lambda: roles.create(**TARGET, role_id=editor),
            "update": lambda: roles.update(binding_id=binding.id, role_id=editor),
            "delete": lambda: roles.delete(binding_id=binding.id),
        }
        with pytest.raises(OutcomeUnknownError):
            await calls[operation]()

    async def test_after_a_503(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """After a 503 of the service, the account shows that a refused change was not made."""
        binding = account.bind("Analyst", user="ada", resource="Space:1")
        account.advance(60)
        account.fail("role_bindings.update", 503)
        account.fail("role_bindings.update", 401)
        with pytest.raises(AuthenticationError):
            await bindings.update(binding_id=binding.id, role_id=id_of(account, "Editor"))
        account.fail("role_bindings.delete", 503)
        account.fail("role_bindings.delete", 401)
        with pytest.raises(AuthenticationError):
            await bindings.delete(binding_id=binding.id)

    async def test_changed_since(self) -> None:
        """A binding that somebody changed since a 503 may have been changed by this call first."""

        def change_again(account: FakeAccount) -> None:
            body = f'{{"role_id": "{first.role_id}"}}'.encode()
            headers = {
                "Authorization": f"Bearer {account.api_key}",
                "Content-Type": "application/json",
            }
            target = f"/v2/role-bindings/{first.id.replace('=', '%3D')}"
            account.handle(Request(method="PATCH", target=target, headers=headers, body=body))

        account = meddled("GET", change_again)
        first = account.bind("Analyst", user="ada", resource="Space:1")
        account.advance(60)
        account.fail("role_bindings.update", 503, when="after")
        account.fail("role_bindings.update", 401)
        bindings = FakeRolesClient(account).role_bindings
        with pytest.raises(OutcomeUnknownError):
            await bindings.update(binding_id=first.id, role_id=id_of(account, "Editor"))
        account.assert_bindings({("ada", "Space:1"): "Analyst"})

    async def test_update_right_gone(self, account: FakeAccount) -> None:
        """A right that went meanwhile hides nothing: the binding is read."""
        binding = account.bind("Analyst", user="ada", resource="Space:1")
        account.add_key("key", grants=["ROLE_BINDING_READ"])
        editor = id_of(account, "Editor")
        account.fail("role_bindings.update", "lost")
        reader = FakeRolesClient(account, api_key="key").role_bindings
        with pytest.raises(OutcomeUnknownError):
            await reader.update(binding_id=binding.id, role_id=editor)
        assert account.bindings() == (binding,)

    async def test_delete(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """A delete by an ID cannot tell a removed binding from one that it never saw."""
        binding = account.bind("Analyst", user="ada", resource="Space:1")
        account.fail("role_bindings.delete", "lost", when="after")
        with pytest.raises(OutcomeUnknownError):
            await bindings.delete(binding_id=binding.id)
        assert account.bindings() == ()

    async def test_delete_refused(self, account: FakeAccount) -> None:
        """A binding that is there after a lost delete and a 404 was not deleted."""
        binding = account.bind("Analyst", user="ada", resource="Space:1")
        account.add_key("reader", grants=["ROLE_BINDING_READ"])
        account.fail("role_bindings.delete", "lost")
        reader = FakeRolesClient(account, api_key="reader").role_bindings
        with pytest.raises(NotFoundError):
            await reader.delete(binding_id=binding.id)

    async def test_remove(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """`remove` has seen the binding, so one that is gone counts as removed."""
        account.bind("Analyst", user="ada", resource="Space:1")
        account.fail("role_bindings.delete", "lost", when="after")
        assert await bindings.remove(**TARGET)
        assert asked(account) == ["list", "delete", "delete", "get"]

    async def test_nothing_done(self, account: FakeAccount) -> None:
        """Without a sign that anything was done, the error is the last attempt's."""
        account.fail("role_bindings.create", 503, times=None)
        roles = FakeRolesClient(account, retry=RetryPolicy(attempts=1))
        with pytest.raises(ServerError):
            await roles.role_bindings.create(**TARGET, role_id=id_of(account, "Analyst"))


class TestEnsure:
    """`ensure` gives a user a role, whatever is there."""

    async def test_created(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """A user without a role gets it, in two requests."""
        made = await bindings.ensure(**TARGET, role_id=id_of(account, "Analyst"))
        assert account.bindings() == (made,)
        assert asked(account) == ["list", "create"]

    async def test_updated(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """Another role is replaced in its binding, in two requests."""
        before = account.bind("Analyst", user="ada", resource="Space:1")
        account.bind("Analyst", user="ada", resource="Space:2")
        made = await bindings.ensure(**TARGET, role_id=id_of(account, "Editor"))
        assert (made.id, made.role_id) == (before.id, id_of(account, "Editor"))
        account.assert_bindings({("ada", "Space:1"): "Editor", ("ada", "Space:2"): "Analyst"})
        assert asked(account) == ["list", "update"]

    async def test_there(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """A user who has the role keeps it, in one request."""
        there = account.bind("Analyst", user="ada", resource="Space:1")
        assert await bindings.ensure(**TARGET, role_id=there.role_id) == there
        assert asked(account) == ["list"]

    async def test_hidden(self, account: FakeAccount) -> None:
        """A binding that the key may not see is a conflict, which says so."""
        account.bind("Analyst", user="ada", resource="Space:1")
        account.add_key("blind", grants=["ROLE_BINDING_CREATE"])
        blind = FakeRolesClient(account, api_key="blind").role_bindings
        with pytest.raises(ConflictError, match=r"it may lack ROLE_BINDING_READ on the resource$"):
            await blind.ensure(**TARGET, role_id=id_of(account, "Editor"))

    async def test_no_right(self, account: FakeAccount) -> None:
        """A binding that the key sees and may not change is a 404, which says so."""
        account.bind("Analyst", user="ada", resource="Space:1")
        account.add_key("reader", grants=(), on={"Space:1": ["ROLE_BINDING_READ"]})
        reader = FakeRolesClient(account, api_key="reader").role_bindings
        with pytest.raises(NotFoundError, match="the key sees the binding, so it may lack"):
            await reader.ensure(**TARGET, role_id=id_of(account, "Editor"))

    async def test_no_role(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """A role that is not there is a 404 at once."""
        with pytest.raises(NotFoundError):
            await bindings.ensure(**TARGET, role_id="Um9sZTowOm5vbmU=")
        assert asked(account) == ["list", "create"]

    async def test_three_rounds(self) -> None:
        """Where others change the binding each time, three rounds are tried."""
        account = meddled("PATCH", rebind)
        account.bind("Analyst", user="ada", resource="Space:1")
        bindings = FakeRolesClient(account).role_bindings
        with pytest.raises(NotFoundError):
            await bindings.ensure(**TARGET, role_id=id_of(account, "Editor"))
        assert asked(account) == ["list", "update"] * 3

    async def test_gone(self) -> None:
        """A binding that somebody removes meanwhile is made anew."""
        account = meddled(
            "PATCH", lambda account: account.unbind("Analyst", user="ada", resource="Space:1")
        )
        account.bind("Analyst", user="ada", resource="Space:1")
        bindings = FakeRolesClient(account).role_bindings
        await bindings.ensure(**TARGET, role_id=id_of(account, "Editor"))
        account.assert_bindings({("ada", "Space:1"): "Editor"})


class TestRemove:
    """`remove` takes whatever role is there."""

    async def test_removed(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """True if it removed a binding, False if there is none."""
        account.bind("Analyst", user="ada", resource="Space:1")
        assert await bindings.remove(**TARGET)
        assert account.bindings() == ()
        assert not await bindings.remove(**TARGET)

    async def test_by_another(self) -> None:
        """False if somebody else removed it at the same moment."""
        account = meddled(
            "DELETE", lambda account: account.unbind("Analyst", user="ada", resource="Space:1")
        )
        account.bind("Analyst", user="ada", resource="Space:1")
        assert not await FakeRolesClient(account).role_bindings.remove(**TARGET)

    async def test_no_right(self, account: FakeAccount) -> None:
        """A binding that the key may not remove is a 404, which says so."""
        account.bind("Analyst", user="ada", resource="Space:1")
        account.add_key("reader", grants=["ROLE_BINDING_READ"])
        reader = FakeRolesClient(account, api_key="reader").role_bindings
        with pytest.raises(NotFoundError, match=r"ROLE_BINDING_DELETE on the resource$"):
            await reader.remove(**TARGET)


class TestFind:
    """`find` walks both types of resources."""

    async def test_filters(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """By role, user and resource, spaces first."""
        one = account.bind("Analyst", user="ada", resource="Project:1")
        two = account.bind("Analyst", user="bob", resource="Space:1")
        account.bind("Editor", user="ada", resource="Space:1")
        role_id = one.role_id
        assert [each async for each in bindings.find(role_id=role_id)] == [two, one]
        found = bindings.find(role_id=role_id, user_id=USER, resource_id=PROJECT)
        assert [each async for each in found] == [one]
        assert [each async for each in bindings.find(resource_id="none")] == []


class TestRoleInUse:
    """The deletion of a role that users have."""

    async def test_hint(self, account: FakeAccount) -> None:
        """The error names the call that finds the bindings."""
        account.bind("Analyst", user="ada", resource="Space:1")
        role_id = id_of(account, "Analyst")
        roles = FakeRolesClient(account)
        with pytest.raises(ConflictError) as caught:
            await roles.delete(role="Analyst")
        hint = f"; role_bindings.find(role_id={role_id!r}) shows who has it"
        assert str(caught.value).endswith(hint)
        found = [binding async for binding in roles.role_bindings.find(role_id=role_id)]
        assert tuple(found) == account.bindings("Analyst")


class TestProtocols:
    """A client of roles is none of bindings."""

    async def test_instances(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """`isinstance` takes neither for the other, also of a real client."""
        real = AiohttpRolesClient("key")
        for roles, its in ((FakeRolesClient(account), bindings), (real, real.role_bindings)):
            assert isinstance(roles, RolesClient)
            assert not isinstance(roles, RoleBindingsClient)
            assert isinstance(its, RoleBindingsClient)
            assert not isinstance(its, RolesClient)
            assert repr(its) == "<RoleBindingsClient>"

    @pytest.mark.filterwarnings("always::arize_roles_async.BetaWarning")
    async def test_beta(self, bindings: RoleBindingsClient) -> None:
        """The first use of a method says that it is BETA."""
        stage.warned.clear()
        with pytest.warns(
            BetaWarning, match=r"^role_bindings\.list is BETA and may change without notice$"
        ):
            bindings.list(resource_type="SPACE")
        bindings.list(resource_type="SPACE")

    async def test_from_fetch(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """A client of another's own makes its listings from a function that gets a page."""
        for number in range(3):
            account.bind("Analyst", user="ada", resource=f"Space:{number}")
        listing = RoleBindingPages.from_fetch(
            bindings.list, resource_type="SPACE", user_id=USER, limit=2
        )
        assert len(await listing) == 2
        assert (await listing.all()).role_bindings == account.bindings()[::-1]
