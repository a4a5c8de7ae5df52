"""A change without an answer: the client reads the account to find out whether it was made."""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final, Literal, cast

import pytest

from arize_roles_async import (
    OutcomeUnknownError,
    Role,
    RoleBinding,
    RolesConnectionError,
    RolesError,
)
from arize_roles_async._role_bindings.requests import CreateRoleBinding, UpdateRoleBinding
from arize_roles_async._roles.requests import CreateRole, UpdateRole
from arize_roles_fake import Assumptions, FakeAccount, FakeRolesClient
from tests.support.clients import SOON, START, answer, meddled

Fault = tuple[Any, dict[str, Any]]
LOST: Final[Fault] = ("lost", {})
LOST_AFTER: Final[Fault] = ("lost", {"when": "after"})
PAGE: Final[Fault] = (200, {"body": "maintenance"})
PAGE_AFTER: Final[Fault] = (200, {"body": "maintenance", "when": "after"})
DOWN: Final[Fault] = (503, {})
DOWN_AFTER: Final[Fault] = (503, {"when": "after"})
SINCE: Final = {"updated_at": START + timedelta(seconds=1)}
BINDING: Final = {
    "user_id": "VXNlcjphZGE=",
    "role_id": "Um9sZToxOmE=",
    "resource_type": "SPACE",
    "resource_id": "U3BhY2U6TUw=",
}


def refusal(status: int) -> Fault:
    return status, {}


@pytest.fixture
def account() -> FakeAccount:
    return FakeAccount(clock=lambda: START)


@pytest.fixture
def roles(account: FakeAccount) -> FakeRolesClient:
    return FakeRolesClient(account, retry=SOON)


def script(account: FakeAccount, operation: str, faults: Sequence[Fault]) -> None:
    for failure, options in faults:
        account.fail(cast("Any", operation), failure, **options)


async def end_of(call: Awaitable[object]) -> str:
    """Return what a call comes to, in a word or two."""
    try:
        await call
    except OutcomeUnknownError as error:
        return f"unknown: {type(error.__cause__).__name__}"
    except RolesError as error:
        return type(error).__name__
    return "done"


def ago(seconds: float) -> dict[str, object]:
    return {"created_at": START - timedelta(seconds=seconds)}


@pytest.mark.parametrize(
    ("there", "faults", "end"),
    [
        (None, [PAGE_AFTER], "done"),
        (None, [PAGE], "unknown: InvalidResponseError"),
        # Made half a second before the service's `Date`, and before that.
        (ago(0.5), [LOST], "done"),
        (ago(2.0), [LOST], "ConflictError"),
        (ago(200_000_000.0), [LOST], "ConflictError"),
        # As nobody would have made it, unless somebody else has changed it since.
        ({"is_predefined": True}, [LOST], "ConflictError"),
        ({"permissions": ["DATASET_READ"]}, [LOST], "unknown: ConflictError"),
        ({"description": "Someone else's."}, [LOST], "unknown: ConflictError"),
        ({"permissions": ["DATASET_READ"], **ago(2.0)}, [LOST], "ConflictError"),
        ({"permissions": ["DATASET_READ"], **SINCE}, [LOST], "done"),
        # As a service writes it that compares names loosely: somebody else's, or the one.
        ({"name": "MADE"}, [LOST, refusal(409)], "unknown: ConflictError"),
        ({"name": "MADE"}, [LOST, LOST, LOST], "unknown: RolesConnectionError"),
        ({"name": "MADE", **SINCE}, [LOST, refusal(409)], "unknown: ConflictError"),
        ({"name": " MADE ", **ago(2.0)}, [LOST, refusal(409)], "ConflictError"),
        (None, [LOST, refusal(409)], "unknown: ConflictError"),
        (None, [LOST, refusal(403)], "ForbiddenError"),
        # A 503 of the service that was right, and one that was wrong.
        (None, [DOWN, refusal(404)], "NotFoundError"),
        (None, [DOWN_AFTER, refusal(403)], "done"),
    ],
)
async def test_create(
    account: FakeAccount,
    roles: FakeRolesClient,
    there: dict[str, Any] | None,
    faults: Sequence[Fault],
    end: str,
) -> None:
    """A role of the list may be the one that a create made."""
    if there is not None:
        made: dict[str, Any] = {"name": "Made", "permissions": ["PROJECT_READ"]}
        account.add_role(**{**made, **there})
    account.add_role("Newer, and listed first")
    script(account, "create", faults)
    assert await end_of(roles.create(name="Made", permissions=["PROJECT_READ"])) == end


@pytest.mark.parametrize(
    ("faults", "changes", "end"),
    [
        ([PAGE_AFTER], {"description": "New.", "permissions": ["DATASET_READ"]}, "done"),
        ([PAGE_AFTER], {"description": None}, "done"),
        ([PAGE], {"description": "New."}, "unknown: InvalidResponseError"),
        # The name that a lost attempt gave, and one that another role has.
        ([LOST_AFTER, refusal(409)], {"name": "New"}, "done"),
        ([LOST, refusal(409)], {"name": "New"}, "ConflictError"),
        ([LOST, refusal(409)], {"name": "Role", "description": "New."}, "unknown: ConflictError"),
        ([LOST, refusal(404)], {"description": "New."}, "unknown: NotFoundError"),
        ([DOWN, refusal(403)], {"description": "New."}, "ForbiddenError"),
        ([DOWN_AFTER, refusal(403)], {"description": "New."}, "done"),
    ],
)
async def test_update(
    account: FakeAccount,
    roles: FakeRolesClient,
    faults: Sequence[Fault],
    changes: dict[str, Any],
    end: str,
) -> None:
    """A role that is as it was to be was updated."""
    role = account.add_role("Role", ["PROJECT_READ"], description="Old.")
    account.advance(60)
    script(account, "update", faults)
    assert await end_of(roles.update(role_id=role.id, **changes)) == end


@pytest.mark.parametrize(
    ("faults", "end"),
    [
        ([PAGE_AFTER], "done"),
        # It may yet be deleted.
        ([PAGE], "unknown: InvalidResponseError"),
        ([DOWN, refusal(401)], "AuthenticationError"),
        # The service says that it did nothing, so it may be somebody else who has deleted it.
        ([DOWN_AFTER, refusal(403)], "unknown: ForbiddenError"),
        ([DOWN_AFTER], "unknown: NotFoundError"),
        ([LOST_AFTER], "done"),
    ],
)
@pytest.mark.parametrize("argument", ["role_id", "role"])
async def test_delete(
    account: FakeAccount, roles: FakeRolesClient, faults: Sequence[Fault], end: str, argument: str
) -> None:
    """A role that is gone was deleted, whether it was given by its ID or its name."""
    target = {"role_id": account.add_role("Role").id, "role": "Role"}[argument]
    script(account, "delete", faults)
    assert await end_of(roles.delete(**{argument: target})) == end


CREATES: Final[dict[str, Callable[[FakeRolesClient], Awaitable[Role | RoleBinding]]]] = {
    "create": lambda roles: roles.create(name="Made", permissions=["PROJECT_READ"]),
    "role_bindings.create": lambda roles: roles.role_bindings.create(**BINDING),
}


@pytest.mark.parametrize("timestamps", Assumptions.choices()["timestamps"])
@pytest.mark.parametrize("moment", [0.0, 0.2, 0.7, 0.9])
@pytest.mark.parametrize("operation", CREATES)
async def test_times(operation: Any, moment: float, timestamps: Any) -> None:  # noqa: ANN401
    """What a call made is its result, though the answer was lost; what is 2.5 s older is not.

    Whatever the service writes of a time, and at whatever moment of a second the call begins.
    """
    begun = START + timedelta(seconds=moment)
    account = FakeAccount(clock=lambda: begun, assumptions=Assumptions(timestamps=timestamps))
    account.add_role("Analyst", id=BINDING["role_id"])
    account.slow_down(0.1)
    roles = FakeRolesClient(account, retry=SOON)
    account.fail(operation, "lost", when="after")
    made = await CREATES[operation](roles)
    assert made in (*account.roles, *account.bindings())
    account.advance(2.5 - (account.now() - begun).total_seconds())
    account.fail(operation, "lost")
    assert await end_of(CREATES[operation](roles)) == "ConflictError"


async def test_read_fails(account: FakeAccount, roles: FakeRolesClient) -> None:
    """If reading the account fails, too, both failures are named, the second as the cause."""
    role = account.add_role("Role")
    account.fail("get", "lost", times=6)
    account.fail("list", "lost", times=3)
    for operation, call in (
        ("create", roles.create(name="Made", permissions=["PROJECT_READ"])),
        ("update", roles.update(role_id=role.id, description="New.")),
        ("delete", roles.delete(role_id=role.id)),
    ):
        script(account, operation, [PAGE_AFTER])
        with pytest.raises(
            OutcomeUnknownError, match=r"not .*; checking whether it was made failed: GET"
        ) as caught:
            await call
        assert type(caught.value.__cause__) is RolesConnectionError


OTHERS: Final = {
    "id": "Um9sZUJpbmRpbmc6OTphQmNE",
    "user_id": "VXNlcjpvdGhlcg==",
    "role_id": "Um9sZTpvdGhlcg==",
    "resource_type": "PROJECT",
    "resource_id": "U3BhY2U6b3RoZXI=",
    "name": "Other",
    # The reference says of neither how an answer writes it: these are not compared.
    "description": "Other.",
    "permissions": ["DATASET_READ"],
}
ROLE: Final = {"name": "New", "description": "New.", "permissions": ["ROLE_READ"]}
ASKED: Final = [
    *(("create", field) for field in CreateRole.__struct_fields__),
    *(("update", field) for field in ("id", *UpdateRole.__struct_fields__)),
    *(("role_bindings.create", field) for field in CreateRoleBinding.__struct_fields__),
    *(("role_bindings.update", field) for field in ("id", *UpdateRoleBinding.__struct_fields__)),
]


@pytest.mark.parametrize(("operation", "field"), ASKED)
async def test_other_answer(
    account: FakeAccount,
    roles: FakeRolesClient,
    operation: Any,  # noqa: ANN401
    field: str,
) -> None:
    """An answer that shows something else than was asked for has the account read once."""
    role = account.add_role("Analyst", id=BINDING["role_id"])
    bound = account.bind(role, user="bob@example.com", resource="Space:Other")
    changes: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
        "create": ({}, ROLE),
        "update": ({"role_id": role.id}, ROLE),
        "role_bindings.create": ({}, BINDING),
        "role_bindings.update": (
            {"binding_id": bound.id},
            {"role_id": account.add_role("Editor").id},
        ),
    }
    target, fields = changes[operation]
    item = {"id": next(iter(target.values()), "Um9sZToxOmM="), "is_predefined": False, **fields}
    account.fail(
        operation,
        201 if operation.endswith("create") else 200,
        body=json.dumps({**bound.to_dict(), **item, field: OTHERS[field]}),
        headers={"Content-Type": "application/json"},
        when="after",
    )
    before = len(account.calls)
    client = roles.role_bindings if "." in operation else roles
    changed = await getattr(client, operation.rpartition(".")[2])(**target, **fields)
    if field in {"description", "permissions"}:
        assert (changed.to_dict()[field], len(account.calls)) == (OTHERS[field], before + 1)
    else:
        assert changed in (*account.roles, *account.bindings())
        assert len(account.calls) == before + 2


def rename(account: FakeAccount) -> None:
    """Have somebody else rename the only role."""
    (role,) = account.roles
    status, _ = answer(account, f"PATCH /v2/roles/{role.id}", {"name": "Other"})
    assert status == 200


class TestRenamed:
    """An update by name, while somebody renames the role."""

    @pytest.mark.parametrize(
        ("when", "faults"),
        [("before", ()), ("after", ()), ("after", (PAGE_AFTER,)), ("after", (LOST_AFTER,))],
    )
    async def test_change(self, when: Literal["before", "after"], faults: Sequence[Fault]) -> None:
        """The change goes to what had the name at the look-up, whatever its name is by then."""
        account = meddled(when, "PATCH", rename)
        role = account.add_role("Role")
        script(account, "update", faults)
        updated = await FakeRolesClient(account).update(role="Role", description="New.")
        assert (updated.id, updated.description) == (role.id, "New.")

    async def test_own_rename(self, account: FakeAccount, roles: FakeRolesClient) -> None:
        """A name that the update itself gives is no other role's."""
        account.add_role("Role")
        assert (await roles.update(role="Role", name="Other")).name == "Other"
