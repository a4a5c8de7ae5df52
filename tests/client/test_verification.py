"""A change without an answer: the client reads the account to find out whether it was made."""

import json
import tomllib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, cast

import pytest

from arize_roles_async import (
    OutcomeUnknownError,
    RetryPolicy,
    Role,
    RoleBinding,
    RolesConnectionError,
    RolesError,
)
from arize_roles_async._role_bindings.requests import CreateRoleBinding, UpdateRoleBinding
from arize_roles_async._roles.requests import CreateRole, UpdateRole
from arize_roles_fake import Assumptions, FakeAccount, FakeRolesClient
from tests.support.clients import SOON, START, answer, meddled

BINDING: Final = {
    "user_id": "VXNlcjphZGE=",
    "role_id": "Um9sZToxOmE=",
    "resource_type": "SPACE",
    "resource_id": "U3BhY2U6TUw=",
}


@pytest.fixture
def account() -> FakeAccount:
    return FakeAccount(clock=lambda: START)


@pytest.fixture
def roles(account: FakeAccount) -> FakeRolesClient:
    return FakeRolesClient(account, retry=SOON)


def script(account: FakeAccount, operation: str, faults: str) -> None:
    """Let requests fail: "503, lost after" is a 503, and then an answer that is lost."""
    for fault in faults.split(", ") * bool(faults):
        word, _, when = fault.partition(" ")
        options: Any = {"body": "maintenance"} if word == "page" else {}
        failure: Any = int(word) if word.isdigit() else 200 if options else word
        account.fail(cast("Any", operation), failure, **options, when=cast("Any", when or "before"))


async def end_of(call: Awaitable[object]) -> str:
    """Return what a call comes to, in a word or two."""
    try:
        await call
    except OutcomeUnknownError as error:
        return f"unknown: {type(error.__cause__).__name__}"
    except RolesError as error:
        return type(error).__name__
    return "done"


ROWS: Final[dict[str, dict[str, dict[str, Any]]]] = tomllib.loads(
    (Path(__file__).parents[1] / "data/doubtful.toml").read_text("utf-8")
)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        *((call, name) for call, rows in ROWS.items() for name in rows),
        *(("delete by name", name) for name in ROWS["delete"]),
    ],
)
async def test_end(account: FakeAccount, call: str, name: str) -> None:
    """A change without a clear answer ends in what the account shows."""
    row = ROWS[call.removesuffix(" by name")][name]
    role = account.add_role("Role", ["PROJECT_READ"], description="Old.")
    account.add_role("Analyst", id=BINDING["role_id"])
    bound = account.bind("Analyst", user=BINDING["user_id"], resource=BINDING["resource_id"])
    account.advance(60)
    if there := {**row.get("there", {})}:
        created_at = account.now() - timedelta(seconds=there.pop("ago", 0))
        updated_at = created_at + timedelta(seconds=there.pop("since", 0))
        made: dict[str, Any] = {"name": "Made", "permissions": ["PROJECT_READ"], **there}
        account.add_role(**made, created_at=created_at, updated_at=updated_at)
    editor = account.add_role("Newer, and listed first")
    account.add_key("other", grants=[f"ROLE_BINDING_{row.get('right', 'READ')}"])
    roles = FakeRolesClient(
        account,
        api_key="other" if "right" in row else None,
        retry=RetryPolicy(attempts=row.get("attempts", 3), backoff=1e-9),
    )
    bindings, elsewhere = roles.role_bindings, {**BINDING, "resource_id": "U3BhY2U6Mg=="}
    target = {name: BINDING[name] for name in ("user_id", "resource_type", "resource_id")}
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "create": lambda: roles.create(name="Made", permissions=["PROJECT_READ"]),
        "update": lambda: roles.update(role_id=role.id, **row.get("with", {"description": None})),
        "delete": lambda: roles.delete(role_id=role.id),
        "delete by name": lambda: roles.delete(role="Role"),
        "role_bindings.create": lambda: bindings.create(**elsewhere),
        "role_bindings.create again": lambda: bindings.create(**BINDING),
        "role_bindings.update": lambda: bindings.update(binding_id=bound.id, role_id=editor.id),
        "role_bindings.delete": lambda: bindings.delete(binding_id=bound.id),
        "role_bindings.remove": lambda: bindings.remove(**target),
    }
    script(account, call.split(maxsplit=1)[0].replace("remove", "delete"), row["faults"])
    assert await end_of(calls[call]()) == row["end"]
    asked = [each.operation.removeprefix("role_bindings.") for each in account.calls]
    assert asked == row.get("requests", " ".join(asked)).split()


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
        script(account, operation, "page after")
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
    editor = account.add_role("Editor")
    changes: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
        "create": ({}, ROLE),
        "update": ({"role_id": role.id}, ROLE),
        "role_bindings.create": ({}, BINDING),
        "role_bindings.update": ({"binding_id": bound.id}, {"role_id": editor.id}),
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


@pytest.mark.parametrize(
    ("when", "faults"),
    [("before", ""), ("after", ""), ("after", "page after"), ("after", "lost after")],
)
async def test_renamed(when: Literal["before", "after"], faults: str) -> None:
    """A change by name goes to what had it at the look-up, though somebody renames it since."""
    account = meddled(when, "PATCH", rename)
    role = account.add_role("Role")
    script(account, "update", faults)
    updated = await FakeRolesClient(account).update(role="Role", description="New.")
    assert (updated.id, updated.description) == (role.id, "New.")
