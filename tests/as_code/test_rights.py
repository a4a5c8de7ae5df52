"""The permissions that each command needs, as the guide lists them."""

import re
from pathlib import Path

import pytest

import arize_roles_async
from arize_roles_async import Permission, RolesError, as_code
from arize_roles_fake import FakeAccount, FakeRolesClient

PAGE = Path(arize_roles_async.__file__).parent / "guide" / "roles-as-code.md"
FILE = 'absent = ["Old"]\n' + "".join(
    f'[roles."{name}"]\npermissions = ["DATASET_READ"]\n' for name in ("New", "Changed")
)


async def end_of(command: str, grants: set[str]) -> object:
    """Return what a command finds or changes with some permissions, or the class of its error."""
    account = FakeAccount()
    for name in ("Old", "Changed"):
        account.add_role(name, ["PROJECT_READ"])
    for resource in ("Space:ML", "Project:ML/churn"):
        role = "Changed" if command == "apply" else "Old"
        account.bind(role, user="ada@example.com", resource=resource)
    account.add_key("key", grants=grants)
    async with FakeRolesClient(account, api_key="key") as roles:
        try:
            if command == "plan":
                planned = await as_code.plan(roles, as_code.loads(FILE))
                return [change.note for change in planned.changes]
            if command == "export":
                return (await as_code.export(roles)).roles
            if command == "who":
                return [str(each) for each in await roles.by_name.find()]
            return len((await as_code.apply(roles, as_code.loads(FILE))).made)
        except (RolesError, as_code.PlanError) as error:
            return type(error)


@pytest.mark.parametrize("command", ["plan", "export", "apply", "who"])
async def test_command(command: str) -> None:
    """With these permissions it does all; without one of them it does less, or fails."""
    page = PAGE.read_text("utf-8")
    (row,) = re.findall(rf"^\|[^|]*`{command}`[^|]*\|(.+)\|$", page, re.MULTILINE)
    whole, needed = await end_of(command, {*Permission}), {*re.findall(r"`([A-Z_]+)`", row)}
    assert await end_of(command, needed) == whole
    alike = {each for each in needed if await end_of(command, needed - {each}) == whole}
    # Of a deletion alone; an export has none.
    assert alike == ({"ROLE_BINDING_READ"} if command == "export" else set())
