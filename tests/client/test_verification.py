"""A change without an answer: the client reads the account to find out whether it was made."""

from datetime import timedelta
from typing import Final, Literal

import pytest

from arize_roles_async import (
    AuthenticationError,
    ConflictError,
    ForbiddenError,
    InvalidResponseError,
    NotFoundError,
    OutcomeUnknownError,
    Request,
    Response,
    RetryPolicy,
    Role,
    RoleRenamedError,
    RolesConnectionError,
)
from arize_roles_fake import FakeAccount, FakeRolesClient, Reply
from tests.support.clients import START

pytestmark = pytest.mark.asyncio

MAINTENANCE: Final = Response(
    status=200,
    headers={"Content-Type": "text/html"},
    body=b"<html><title>Down for maintenance</title></html>",
)


class GatewayAccount(FakeAccount):
    """An account with something in between that may answer in the account's stead."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: START)
        self.script: list[tuple[Response, Literal["before", "after"]]] = []
        self.rename_before_update: tuple[Role, str] | None = None
        self.rename_after_update: tuple[Role, str] | None = None

    def handle(self, request: Request) -> Reply:
        if request.method == "PATCH" and self.rename_before_update is not None:
            role, name = self.rename_before_update
            self.rename_before_update = None
            rename_role(self, role, name)
        if not self.script or request.method == "GET":
            return super().handle(request)
        page, when = self.script.pop(0)
        if when == "after":
            super().handle(request)
            if self.rename_after_update is not None:
                rename_role(self, *self.rename_after_update)
        return Reply(status=page.status, headers=page.headers, body=page.body)


@pytest.fixture
def account() -> GatewayAccount:
    return GatewayAccount()


@pytest.fixture
def roles(account: GatewayAccount) -> FakeRolesClient:
    return FakeRolesClient(account)


async def create(roles: FakeRolesClient) -> Role:
    return await roles.create(name="Made", permissions=["PROJECT_READ"])


class TestCreate:
    """A create whose answer was lost, or was not the service's."""

    async def test_found(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """The role that the call made is there."""
        account.script = [(MAINTENANCE, "after")]
        assert await create(roles) == account.role("Made")

    async def test_not_there(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """After a 200 that is no answer to the change, the outcome is unknown."""
        account.script = [(MAINTENANCE, "before")]
        with pytest.raises(OutcomeUnknownError, match="text/html") as caught:
            await create(roles)
        assert isinstance(caught.value.__cause__, InvalidResponseError)

    async def test_just_before(self, account: GatewayAccount) -> None:
        """A role may be ours if it was made half a second before the service's `Date`."""
        made = account.add_role("Made", ["PROJECT_READ"], created_at=START - timedelta(seconds=0.5))
        account.fail("create", "lost")
        at_once = FakeRolesClient(account, retry=RetryPolicy(backoff=1e-9))
        assert await create(at_once) == made

    @pytest.mark.parametrize("age", [2.0, 60.0, 200_000_000.0])
    async def test_older(self, account: GatewayAccount, roles: FakeRolesClient, age: float) -> None:
        """Somebody else's equal role of before is not ours."""
        account.add_role("Made", ["PROJECT_READ"], created_at=START - timedelta(seconds=age))
        account.fail("create", "lost")
        with pytest.raises(ConflictError):
            await create(roles)

    async def test_predefined(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """A predefined role is nobody's."""
        account.add_role("Made", ["PROJECT_READ"], is_predefined=True)
        account.fail("create", "lost")
        with pytest.raises(ConflictError):
            await create(roles)

    async def test_other(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """A new role that is not as asked for, and that nobody changed, is somebody else's."""
        account.add_role("Made", ["DATASET_READ"])
        account.fail("create", "lost")
        with pytest.raises(ConflictError):
            await create(roles)

    async def test_touched(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """A role that somebody changed since is still ours."""
        account.add_role("Made", ["DATASET_READ"], updated_at=START + timedelta(seconds=1))
        account.fail("create", "lost")
        assert await create(roles) == account.role("Made")

    async def test_normalized(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """A service that compares names loosely may write them otherwise."""
        account.add_role("MADE", ["PROJECT_READ"])
        account.fail("create", "lost")
        account.fail("create", 409)
        assert (await create(roles)).name == "MADE"

    async def test_read_fails(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """If reading the account fails, too, both failures are named, the second as the cause."""
        account.script = [(MAINTENANCE, "after")]
        account.fail("list", "lost", times=3)
        with pytest.raises(OutcomeUnknownError, match=r"text/html.*; checking .* failed") as e:
            await create(roles)
        assert type(e.value.__cause__) is RolesConnectionError


class TestUpdate:
    """An update whose answer was lost, or was not the service's."""

    @pytest.mark.parametrize("description", ["New.", None])
    async def test_found(
        self, account: GatewayAccount, roles: FakeRolesClient, description: str | None
    ) -> None:
        """A role that is as it was to be was updated."""
        role = account.add_role("Role", ["PROJECT_READ"], description="Old.")
        account.script = [(MAINTENANCE, "after")]
        updated = await roles.update(
            role_id=role.id, description=description, permissions=["DATASET_READ"]
        )
        assert updated == account.role("Role")
        assert (updated.description, updated.permissions) == (description, ("DATASET_READ",))

    async def test_unlike(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """If the role is not as requested, the outcome is unknown."""
        role = account.add_role("Role", description="Old.")
        account.script = [(MAINTENANCE, "before")]
        with pytest.raises(OutcomeUnknownError):
            await roles.update(role_id=role.id, description="New.")

    async def test_gone(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """A role that is gone may have been changed before."""
        account.script = [(MAINTENANCE, "before")]
        with pytest.raises(OutcomeUnknownError) as caught:
            await roles.update(role_id="Um9sZTo5Om5vbmU=", description="New.")
        assert isinstance(caught.value.__cause__, NotFoundError)

    async def test_read_fails(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """If reading the account fails, the outcome is unknown."""
        role = account.add_role("Role")
        account.script = [(MAINTENANCE, "before")]
        account.fail("get", 403)
        with pytest.raises(OutcomeUnknownError, match="; checking whether it was made failed: GET"):
            await roles.update(role_id=role.id, description="New.")

    async def test_own_name(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """The name that a lost attempt gave the role is no conflict."""
        role = account.add_role("Role")
        account.fail("update", "lost", when="after")
        account.fail("update", 409)
        assert (await roles.update(role_id=role.id, name="New")).name == "New"

    async def test_conflict(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """Another role's name is a conflict."""
        role = account.add_role("Role")
        account.fail("update", "lost")
        account.fail("update", 409)
        with pytest.raises(ConflictError):
            await roles.update(role_id=role.id, name="New")

    async def test_half(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """If the role has the new name but differs otherwise, the outcome is unknown."""
        role = account.add_role("Role", description="Old.")
        account.fail("update", "lost")
        account.fail("update", 409)
        with pytest.raises(OutcomeUnknownError):
            await roles.update(role_id=role.id, name="Role", description="New.")


class TestDelete:
    """A delete whose answer was not the service's."""

    async def test_gone(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """A role that is gone was deleted."""
        role = account.add_role("Role")
        account.script = [(MAINTENANCE, "after")]
        await roles.delete(role_id=role.id)
        assert account.role("Role") is None

    async def test_there(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """A role that is there may yet be deleted, and the error says what came."""
        role = account.add_role("Role")
        account.script = [(MAINTENANCE, "before")]
        with pytest.raises(OutcomeUnknownError, match="not a documented answer"):
            await roles.delete(role_id=role.id)

    async def test_read_fails(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """If reading the account fails, the outcome is unknown."""
        role = account.add_role("Role")
        account.script = [(MAINTENANCE, "after")]
        account.fail("get", 403)
        with pytest.raises(OutcomeUnknownError, match="; checking whether it was made failed: GET"):
            await roles.delete(role_id=role.id)


class TestAfterA503:
    """A 503 of the service, then a refusal: the account shows whether the 503 was right."""

    async def test_right(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """Where nothing was done, the refusal ends the call."""
        role = account.add_role("Role", description="Old.")
        for operation, refusal in (("create", 404), ("update", 403), ("delete", 401)):
            account.fail(operation, 503)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
            account.fail(operation, refusal)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        with pytest.raises(NotFoundError):
            await create(roles)
        with pytest.raises(ForbiddenError):
            await roles.update(role_id=role.id, description="New.")
        with pytest.raises(AuthenticationError):
            await roles.delete(role_id=role.id)

    async def test_wrong(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """Where it was done, the call succeeds; nobody knows of an ID whether it was one."""
        role = account.add_role("Role", description="Old.")
        for operation in ("create", "update", "delete"):
            account.fail(operation, 503, when="after")
            account.fail(operation, 403)
        assert await create(roles) == account.role("Made")
        assert (await roles.update(role_id=role.id, description="New.")).description == "New."
        with pytest.raises(OutcomeUnknownError):
            await roles.delete(role_id=role.id)


class TestRenamed:
    """An update by name, while somebody renames the role."""

    async def test_between(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """An update that another role got says which."""
        role = account.add_role("Role")
        account.rename_before_update = (role, "Other")
        with pytest.raises(RoleRenamedError) as caught:
            await roles.update(role="Role", description="New.")
        assert str(caught.value) == (
            "the role 'Role' was renamed to 'Other' before the update, which was made to the "
            f"renamed role (ID {role.id!r})"
        )
        assert (caught.value.name, caught.value.renamed_to) == ("Role", "Other")
        assert caught.value.role_id == role.id

    async def test_verified(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """The account does not show whether a role was renamed before the update or after it."""
        role = account.add_role("Role")
        account.script = [(MAINTENANCE, "after")]
        account.rename_after_update = (role, "Other")
        with pytest.raises(OutcomeUnknownError):
            await roles.update(role="Role", description="New.")

    async def test_after_a_lost_attempt(
        self, account: GatewayAccount, roles: FakeRolesClient
    ) -> None:
        """A lost attempt may have reached the role before it was renamed."""
        role = account.add_role("Role")
        lost = Response(status=502, headers={}, body=b"")
        account.script = [(lost, "after")]
        account.rename_after_update = (role, "Other")
        with pytest.raises(OutcomeUnknownError) as caught:
            await roles.update(role="Role", description="New.")
        assert type(caught.value.__cause__) is RoleRenamedError

    async def test_own_rename(self, account: GatewayAccount, roles: FakeRolesClient) -> None:
        """A name that the update itself gives is no other role's."""
        account.add_role("Role")
        assert (await roles.update(role="Role", name="Other")).name == "Other"


def rename_role(account: FakeAccount, role: Role, name: str) -> None:
    """Rename a role as another caller would, at once."""
    request = Request(
        method="PATCH",
        target=f"/v2/roles/{role.id.replace('=', '%3D')}",
        body=f'{{"name": "{name}"}}'.encode(),
        headers={"Authorization": f"Bearer {account.api_key}", "Content-Type": "application/json"},
    )
    assert FakeAccount.handle(account, request).status == 200
