"""The rights that each call needs, as the guide lists them."""

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

import arize_roles_async
from arize_roles_async import Permission, RolesError
from arize_roles_fake import FakeAccount, FakeRolesClient

PAGE: Final = Path(arize_roles_async.__file__).parent / "guide" / "role-bindings.md"
ADA, BOB, SPACE = "ada@example.com", "bob@example.com", "Space:ML"


Call = Callable[[FakeRolesClient, Mapping[str, Any]], Awaitable[object]]

USER, ROLE = "a user's address", "a role's name"
PLACE, PROJECT = "a space's name", "a project's name"
FIND, NEW, CHANGED, SEEN, GONE, REMOVE = (
    "`list` and `find` of bindings",
    "`create` of a binding, also by `ensure`",
    "`update` of a binding, also by `ensure`",
    "`ensure` where the user has another role",
    "`delete` of a binding, also by `remove`",
    "`remove`",
)
CALLS: Final[list[tuple[Call, set[str]]]] = [
    (lambda c, _: c.list(), {"`list` and `get` of roles"}),
    (lambda c, i: c.get(role_id=i["A"]), {"`list` and `get` of roles"}),
    (lambda c, _: c.get(role="A"), {ROLE}),
    (lambda c, _: c.create(name="N", permissions=["ROLE_READ"]), {"`create` of a role"}),
    (lambda c, i: c.update(role_id=i["A"], name="N"), {"`update` of a role"}),
    (lambda c, _: c.update(role="A", name="N"), {"`update` of a role", ROLE}),
    (lambda c, i: c.delete(role_id=i["B"]), {"`delete` of a role"}),
    (lambda c, _: c.role_bindings.list(resource_type="SPACE"), {FIND}),
    (lambda c, i: c.role_bindings.get(binding_id=i["first"]), {"`get` of a binding"}),
    (lambda c, i: c.role_bindings.create(**i["bob on space"], role_id=i["A"]), {NEW}),
    (lambda c, i: c.role_bindings.ensure(**i["bob on space"], role_id=i["A"]), {NEW}),
    (lambda c, i: c.role_bindings.update(binding_id=i["first"], role_id=i["B"]), {CHANGED}),
    (lambda c, i: c.role_bindings.ensure(**i["ada on space"], role_id=i["B"]), {CHANGED, SEEN}),
    (lambda c, i: c.role_bindings.delete(binding_id=i["first"]), {GONE}),
    (lambda c, i: c.role_bindings.remove(**i["ada on space"]), {GONE, REMOVE}),
    (lambda c, _: c.by_name.find(user=ADA, role="A", space="ML"), {FIND, USER, ROLE, PLACE}),
    (
        lambda c, _: c.by_name.ensure(user=BOB, role="A", project="churn", in_space="ML"),
        {NEW, USER, ROLE, PLACE, PROJECT},
    ),
    (
        lambda c, _: c.by_name.ensure(user=ADA, role="B", space="ML"),
        {CHANGED, SEEN, USER, ROLE, PLACE},
    ),
    (lambda c, _: c.by_name.remove(user=ADA, project="churn"), {GONE, REMOVE, USER, PROJECT}),
    (lambda c, _: c.directory.get_user(user=ADA), {USER}),
    (lambda c, i: c.directory.get_user(user=i[ADA]), {"`directory.get_user` by an ID"}),
    (lambda c, _: c.directory.get_space(space="ML"), {PLACE}),
    (lambda c, i: c.directory.get_space(space=i[SPACE]), {"`directory.get_space`"}),
    (lambda c, _: c.directory.get_project(project="churn"), {PROJECT}),
    (lambda c, i: c.directory.get_project(project=i["churn"]), {"`directory.get_project`"}),
    (lambda c, _: c.directory.users(), {"`directory.users`"}),
    (lambda c, _: c.directory.spaces(), {"`directory.spaces`"}),
    (lambda c, _: c.directory.projects(), {"`directory.projects`"}),
]


def rights_of(needs: set[str]) -> dict[str, str]:
    """Return the rights that the page gives for some needs, each with what happens without it."""
    rows = re.findall(r"^\| `(\w+_\w+)` \| (.+) \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert needs <= {need for _, wanted, _ in rows for need in wanted.split("; ")}
    return {
        right: without.strip("`")
        for right, wanted, without in rows
        if needs & {*wanted.split("; ")}
    }


async def end_of(call: Call, grants: set[Permission]) -> str:
    """Return the class of a call's error or result, "left out" for an empty list, or a bool."""
    account = FakeAccount()
    account.add_space("ML")
    project = account.add_project("churn", space="ML")
    ids: dict[str, Any] = {"churn": project.id, SPACE: account.id(SPACE)}
    for name in ("A", "B"):
        ids[name] = account.add_role(name, ["PROJECT_READ"]).id
    for user in (ADA, BOB):
        ids[user] = account.add_user(user).id
        on_space = {"user_id": ids[user], "resource_type": "SPACE", "resource_id": ids[SPACE]}
        ids[f"{user[:3]} on space"] = on_space
    ids["first"] = account.bind("A", user=ADA, resource=SPACE).id
    account.bind("A", user=ADA, resource=project.id)
    account.add_key("key", grants=grants)
    async with FakeRolesClient(account, api_key="key") as client:
        try:
            result: Any = await call(client, ids)
        except RolesError as error:
            return type(error).__name__
    if hasattr(result, "__len__") and not len(result):
        return "left out"
    return str(result) if isinstance(result, bool) else type(result).__name__


@pytest.mark.parametrize(("call", "needs"), CALLS)
async def test_rights(call: Call, needs: set[str]) -> None:
    """A call needs the rights that the page lists, and no other; without one it ends as it says."""
    rights = rights_of(needs)
    everything = {*map(Permission, Permission.__members__)}
    only = {Permission(right) for right in rights}
    assert await end_of(call, only) == await end_of(call, everything)
    ends = {right: await end_of(call, only - {Permission(right)}) for right in rights}
    assert ends == rights
