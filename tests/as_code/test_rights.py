"""The permissions that each command needs, as the guide lists them."""

import re
from pathlib import Path

import pytest

import arize_roles_async
from arize_roles_async import Permission, RolesError, as_code
from arize_roles_async.__main__ import main
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer

PAGE = Path(arize_roles_async.__file__).parent / "guide" / "roles-as-code.md"
ADA, SPACE = "ada@example.com", "Space:ML"
FILE = 'absent = ["Old"]\n' + "".join(
    f'[roles."{name}"]\npermissions = ["DATASET_READ"]\n' for name in ("New", "Changed")
)


def listed(command: str) -> set[str]:
    """Return the permissions in the row of a command."""
    (row,) = re.findall(
        rf"^\|[^|]*`{command}`[^|]*\|(.+)\|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    return set(re.findall(r"`([A-Z_]+)`", row))


def account_with(grants: set[str], bound: str) -> FakeAccount:
    """Return an account to change, whose key `key` has some permissions."""
    account = FakeAccount()
    for name in ("Old", "Changed"):
        account.add_role(name, ["PROJECT_READ"])
    account.add_space("ML")
    account.bind(bound, user=ADA, resource=SPACE)
    account.add_key("key", grants=grants & {*Permission.__members__})
    return account


async def end_of(command: str, grants: set[str]) -> object:
    """Return what a command finds or changes with some permissions, or the class of its error."""
    account = account_with(grants, "Changed" if command == "apply" else "Old")
    async with FakeRolesClient(account, api_key="key") as roles:
        try:
            if command == "plan":
                planned = await as_code.plan(roles, as_code.loads(FILE))
                return [change.note for change in planned.changes]
            if command == "export":
                return (await as_code.export(roles)).roles
            return len((await as_code.apply(roles, as_code.loads(FILE))).made)
        except (RolesError, as_code.PlanError) as error:
            return type(error)


@pytest.mark.parametrize("command", ["plan", "export", "apply"])
async def test_command(command: str) -> None:
    """With these permissions it does all; without one of them it does less, or fails."""
    everything = {*Permission.__members__}
    whole, needed = await end_of(command, everything), listed(command)
    assert await end_of(command, needed) == whole
    alike = {each for each in needed if await end_of(command, needed - {each}) == whole}
    # Of a deletion alone; an export has none.
    assert alike == ({"ROLE_BINDING_READ"} if command == "export" else set())


def test_who(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command `who` shows an ID for each name that the key may not read."""
    needed, shown = listed("who"), dict[str, str]()
    for lacking in ("", *needed):
        with RolesServer(account_with(needed - {lacking}, "Changed")) as server:
            monkeypatch.setenv("ARIZE_API_KEY", "key")
            monkeypatch.setenv("ARIZE_BASE_URL", server.url)
            main(["who"])
        shown[lacking] = capsys.readouterr().out
    assert f"{ADA}  Changed" in shown[""]
    alike = {each for each, text in shown.items() if each and text == shown[""]}
    assert alike == {"PROJECT_READ"}  # there is no binding on a project
