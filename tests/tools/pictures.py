"""Makes the pictures of the guides again: a plan, a failed test's report, and the fake's page.

python -m tests.tools.pictures
"""

import asyncio
import os
import re
import sys
import tempfile
from base64 import b64decode
from contextlib import suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from arize_roles_async import ConflictError
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer
from tests.support.browser import browser
from tests.support.processes import ROOT, ran

PLAN: Final = ROOT / "arize_roles_async" / "guide" / "plan.svg"
REPORT: Final = ROOT / "arize_roles_fake" / "guide" / "report.svg"
PAGE: Final = ROOT / "arize_roles_fake" / "guide" / "page.png"

ROLES: Final = """\
account = "staging"
absent = ["Temp Analyst"]

[roles."Analyst"]
permissions = ["DATASET_READ", "PROJECT_READ", "TAG_READ"]

[roles."Auditor"]
permissions = ["PROJECT_READ", "ROLE_READ"]
"""
TEST: Final = """\
from arize_roles_async import Permission, RolesClient


async def onboard(roles: RolesClient) -> None:
    await roles.create(name="AI Engineer", permissions=[Permission.PROJECT_READ])


async def test_onboard(fake_account, fake_roles):
    fake_account.fail("create", 503)
    await onboard(fake_roles)
    fake_account.assert_roles({"AI Engineer": {Permission.DATASET_READ}})
"""
# Of a terminal: behind the text, the text, and its eight colors, from black to white.
_THEME: Final = TerminalTheme(
    (22, 27, 34),
    (230, 237, 243),
    [
        *((0, 0, 0), (255, 143, 133), (111, 221, 139), (227, 179, 65)),
        *((121, 192, 255), (210, 168, 255), (121, 192, 255), (230, 237, 243)),
    ],
)


def account() -> FakeAccount:
    """Return the account of all pictures."""
    made = FakeAccount(
        api_key="picture", clock=lambda: datetime(2026, 1, 1, 12, tzinfo=UTC), predefined=False
    )
    made.add_role("Analyst", ["DATASET_READ", "PROJECT_READ"])
    made.add_role("Temp Analyst", ["PROJECT_READ"])
    made.add_role("Reviewer", ["QUEUE_READ"])
    made.add_user("eve@example.com")
    made.add_project("churn", space="ML")
    made.bind("Analyst", user="ada@example.com", resource="Space:ML")
    made.bind("Reviewer", user="eve@example.com", resource="Project:ML/churn")
    return made


def printed(*arguments: str, cwd: str, **variables: str) -> str:
    """Return what Python prints with these arguments."""
    environment = {"PATH": os.environ["PATH"], "COLUMNS": "96", "PYTHONPATH": str(ROOT)}
    return ran(sys.executable, *arguments, cwd=cwd, env={**environment, **variables}).stdout


def plan() -> str:
    """Return the plan for the account."""
    with tempfile.TemporaryDirectory() as folder, RolesServer(account()) as server:
        anchor = server.account.roles[-1].id
        (Path(folder) / "roles.toml").write_text(f'anchor = "{anchor}"\n{ROLES}')
        code = "import sys; sys.stdout.isatty = lambda: True; from arize_roles_async.__main__"
        code += " import main; main(['plan', 'roles.toml'])"
        variables = {"ARIZE_API_KEY": "picture", "ARIZE_BASE_URL": server.url}
        shown = printed("-c", code, cwd=folder, **variables)
    # The checksum is also that of the address.
    shown = re.sub(r"(?<=checksum 3-)\w+", "1494edeb…", shown)
    return svg("arize-roles plan roles.toml", re.sub(r"127[.\d]+:\d+", "api.arize.com", shown))


def report() -> str:
    """Return the report of a test that fails."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_onboard.py").write_text(TEST)
        options = "-q --no-header --tb=short --color=yes --code-highlight=no -p no:cacheprovider"
        options += " -o asyncio_mode=auto -o asyncio_default_fixture_loop_scope=function"
        options += " -W ignore::arize_roles_async.AlphaWarning"
        shown = printed("-m", "pytest", *options.split(), cwd=folder)
    shown = re.sub(r"\d\d:\d\d:\d\d\.\d+", "12:00:00.000000", shown)
    return svg("pytest", re.sub(r" in \d.*?s", "", shown))


def svg(command: str, shown: str) -> str:
    """Return what a command printed as a picture of a terminal, whose text is text."""
    text = Text.from_ansi(shown.rstrip())
    console = Console(record=True, width=max(map(len, text.plain.split("\n"))), file=StringIO())
    console.print(text)
    drawn = console.export_svg(title=command, theme=_THEME, unique_id="picture")
    # No other host is asked for a font.
    return re.sub(r"(?s)@font-face \{.*?\}\n", "", drawn)


async def page() -> bytes:
    """Return the fake's page after a few calls."""
    shown = account()
    roles = FakeRolesClient(shown)
    shown.fail("create", 503)
    await roles.create(name="AI Engineer", permissions=["DATASET_READ", "PROJECT_READ"])
    await roles.by_name.ensure(user="ada@example.com", role="AI Engineer", space="ML")
    with suppress(ConflictError):
        await roles.delete(role="Reviewer")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        RolesServer(shown) as server,
    ):
        async with browser(Path(folder)) as seen:
            await seen.show(server.url, 1280, 860)
            return b64decode((await seen.ask("Page.captureScreenshot"))["data"])


if __name__ == "__main__":
    PLAN.write_text(plan(), "utf-8")
    REPORT.write_text(report(), "utf-8")
    PAGE.write_bytes(asyncio.run(page()))
