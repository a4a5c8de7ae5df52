"""The guide's pages on roles as code: their examples run, and the workflow does what it says."""

import ast
import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import yaml

import arize_roles_async
from arize_roles_async import Permission, RolesError, as_code
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer
from tests.as_code.accounts import account_of
from tests.support.documentation import examples
from tests.support.processes import clean_environment, ran

GUIDE: Final = Path(arize_roles_async.__file__).parent / "guide"
MAIN, MONTH, CI = (
    (GUIDE / f"roles-as-code{name}.md").read_text("utf-8") for name in ("", "-month", "-in-ci")
)
(WORKFLOW,) = (yaml.safe_load(text) for text in examples(CI, "yaml"))
PLAN, APPLY = WORKFLOW["jobs"]["plan"], WORKFLOW["jobs"]["apply"]
STEPS = {step["id"]: step for step in PLAN["steps"] if "id" in step}
SCRIPTS = {name: step["run"] for name, step in STEPS.items()}
FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


# Plans show the host and checksums cover it, so it has no port that changes.
COMMAND: Final = """\
import sys
from arize_roles_async import AiohttpRolesClient
from arize_roles_async.__main__ import main
AiohttpRolesClient.base_url = "https://api.arize.com"
sys.exit(main())
"""


@contextmanager
def environment(folder: Path, account: FakeAccount) -> Generator[dict[str, str]]:
    """Serve an account, and yield what has a shell find the command, and this the account."""
    command = folder / "arize-roles"
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{COMMAND}' \"$@\"\n")
    command.chmod(0o755)
    path = {**clean_environment(), "PATH": f"{folder}:{os.environ['PATH']}"}
    with RolesServer(account) as server:
        yield {**path, "ARIZE_API_KEY": account.api_key, "ARIZE_BASE_URL": server.url}


def on_console(text: str, folder: Path, variables: dict[str, str]) -> str:
    """Return what a shell shows for the commands of a text, which begin with `$ `."""
    script = ""
    for line in text.splitlines():
        if line.startswith("$ "):
            script += f"printf '%s\\n' {shlex.quote(line)}\n{line[2:]}\n"
    both = {"capture_output": False, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = ran("/bin/bash", "-c", script, cwd=folder, env=variables, **both)
    return done.stdout


def take_place(page: str, folder: Path) -> FakeAccount:
    """Do what a page says, and return its account; what its commands show is as written."""
    (data,) = examples(page, "json")
    account = FakeAccount.load(data)
    with environment(folder, account) as variables:
        for language, content in FENCE.findall(page):
            if language == "toml":
                (folder / "roles.toml").write_text(content, "utf-8")
            elif language == "py":
                code = compile(content, "the guide", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                names = {"roles": FakeRolesClient(account)}
                if (made := eval(code, names)) is not None:  # noqa: S307 - our own text
                    asyncio.run(made)
            elif language == "console":
                assert on_console(content, folder, variables) == content
    return account


@pytest.mark.slow
def test_month(tmp_path: Path) -> None:
    """The month takes place as written."""
    permissions = {"Temp Analyst": {"PROJECT_READ"}, "Analyst": {"DATASET_READ", "PROJECT_READ"}}
    take_place(MONTH, tmp_path).assert_roles(permissions)


SAID_NOW: Final = {
    "no file has account or anchor": "no file has an anchor",
    "the key sees 1 role bindings": "the key sees 1 role binding",
    "; role_bindings.find(role_id='Um9sZTpU') shows": "; `arize-roles who --role Um9sZTpU` shows",
}
"""The words that 0.6 printed, and what is printed now."""


@pytest.mark.slow
def test_older(tmp_path: Path) -> None:
    """Plans, checksums, JSON and runs of files without places are, but for words, as in 0.6."""
    page = (Path(__file__).parents[1] / "data/roles-as-code-0.6.md").read_text("utf-8")
    for said, now in SAID_NOW.items():
        assert said in page
        page = page.replace(said, now)
    take_place(page, tmp_path)


@pytest.mark.slow
def test_bindings(tmp_path: Path) -> None:
    """The page on role bindings shows the plan of its file, and where its checksum ends."""
    page = (GUIDE / "roles-as-code-bindings.md").read_text("utf-8")
    account = account_of("Viewer")
    account.add_role("Admin", ["ROLE_BINDING_CREATE", "ROLE_BINDING_DELETE"], id="Um9sZTpB")
    account.bind("Admin", user="ada@example.com", resource="Space:ML")
    account.bind("Viewer", user="bob@example.com", resource="Space:ML")
    account.bind("Viewer", user="eve@example.com", resource="Project:ML/churn")
    (text,), (console,) = (examples(page, language) for language in ("toml", "console"))
    assert [role.name for role in as_code.loads(*examples(MAIN, "toml")).roles] == ["AI Engineer"]
    (tmp_path / "roles.toml").write_text(text, "utf-8")
    with environment(tmp_path, account) as variables:
        assert on_console(console, tmp_path, variables) == console
        asking = "$ arize-roles plan roles.toml | grep checksum\n"
        before = on_console(asking, tmp_path, variables)
        (viewer,) = (each for each in account.roles if each.name == "Viewer")
        account.add_role("Viewer", ["ROLE_DELETE"], id=viewer.id)
        assert on_console(asking, tmp_path, variables) == before


GH: Final = """\
#!/bin/sh
echo "$@" >> gh.log
for last in "$@"; do case "$last" in body=@*) cat "${last#body=@}" > posted.md;; esac; done
case "$*" in *--jq*) cat found;; esac
"""


@pytest.mark.slow
def test_workflow(tmp_path: Path) -> None:
    """Its steps plan, comment, hand a checksum on and apply it, and look for drift and bindings."""
    account = account_of("a")
    for name, text in {
        "gh": GH,
        "accounts/staging.toml": 'account = "staging"\n',
        "roles/a.toml": '[roles.A]\npermissions = ["ROLE_READ"]\n',
        "users/staging.csv": "",
        "who.diff": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "gh").chmod(0o755)
    given = {"ACCOUNT": "staging", "GITHUB_REPOSITORY": "o/r", "NUMBER": "7"}
    given |= {"GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary"}

    def run(script: str, **variables: str) -> tuple[int, str]:
        every = {**served, **given, **variables}
        done = ran("/bin/bash", "-e", "-c", script, cwd=tmp_path, env=every)
        return done.returncode, done.stdout

    def asked(step: str, found: str, outcomes: str = "failure success") -> tuple[str, str]:
        """Return what a step asks of `gh`, which finds something, and what it posts."""
        (tmp_path / "found").write_text(found)
        assert run(SCRIPTS[step], OUTCOMES=outcomes)[0] == 0
        lines = (tmp_path / "gh.log").read_text().splitlines()
        return lines[-1].removeprefix("api "), (tmp_path / "posted.md").read_text()

    with environment(tmp_path, account) as served:
        assert run(SCRIPTS["plan"], OPTION="--format=text")[0] == run(SCRIPTS["show"])[0] == 0
        name, _, checksum = (tmp_path / "output").read_text().strip().partition("=")
        assert PLAN["outputs"][name] == f"${{{{ steps.show.outputs.{name} }}}}"
        assert '\n+ create "A" (roles/a.toml)\n' in (tmp_path / "summary").read_text()
        posts, body = asked("comment", "")
        assert posts == "repos/o/r/issues/7/comments -F body=@body.md"
        assert body.startswith("<!-- arize-roles: staging -->\nRoles of staging:\n```diff\n")
        patch, _ = asked("comment", "42\n")
        assert patch == "--method PATCH repos/o/r/issues/comments/42 -F body=@body.md"
        assert run(APPLY["steps"][-1]["run"], CHECKSUM=checksum)[0] == 0
        assert account.role("A")
        # On a schedule.
        assert run(SCRIPTS["plan"], OPTION="--exit-code")[0] == 1
        # An empty plan has nothing to approve.
        assert run(SCRIPTS["show"])[0] == 0
        assert (tmp_path / "output").read_text().count("staging=") == 1
        title = "-f title=staging differs from the files of roles -f labels[]=roles-drift-staging"
        opens, body = asked("issue", "")
        assert opens == f"repos/o/r/issues -F body=@body.md {title}"
        assert '? "a" is not declared' in body
        account.fail("list", 403)
        assert run(SCRIPTS["plan"], OPTION="--exit-code")[0] == 2
        changes, body = asked("issue", "7\n")
        patch = "--method PATCH repos/o/r/issues/7"
        assert changes == f"{patch} -F body=@body.md -f title=no plan for staging"
        assert "\n! error: GET /v2/roles answered 403 " in body
        assert asked("issue", "7\n", "success success")[0] == f"{patch} -f state=closed"
        account.bind("A", user="eve@example.com", resource="Space:1")
        assert run("git init -q . && git add users")[0] == 0
        status, shown = run(SCRIPTS["who"])
        assert (status, "+" in shown, "eve@example.com" in shown) == (1, True, True)
        assert run(SCRIPTS["plan"], OPTION="--format=text")[0] == 0
        changes, body = asked("issue", "7\n", "success failure")
        assert changes == f"{patch} -F body=@body.md {title.rpartition(' -f')[0]}"
        assert re.search("(?m)^    [+].*,eve@example.com,A,", body)
        assert run(f"git add users; {SCRIPTS['who']}")[0] == 0


def test_accounts() -> None:
    """Each account has environments and keys of its own; changes are made one after another."""
    assert [*PLAN["outputs"]] == PLAN["strategy"]["matrix"]["account"]
    accounts = re.findall(r"'(\[.*?\])'", APPLY["strategy"]["matrix"]["account"])
    assert accounts == ['["staging", "production"]', '["staging"]', '["production"]']
    environments = [job["environment"] for job in (PLAN, APPLY)]
    assert environments == ["${{ matrix.account }}-plan", "${{ matrix.account }}"]
    assert APPLY["strategy"]["max-parallel"] == 1
    steps = [*PLAN["steps"], *APPLY["steps"]]
    keys = [(s["run"].split()[1], s["env"]["ARIZE_API_KEY"]) for s in steps if "_KEY" in str(s)]
    read, write = "${{ secrets.ARIZE_READ_KEY }}", "${{ secrets.ARIZE_WRITE_KEY }}"
    assert keys == [("plan", read), ("who", read), ("apply", write)]
    assert CI.count("secrets.") == len(keys)
    # While a change waits for its approval, differences are no drift.
    schedule = "${{ steps.waiting.outputs.runs == '0' && '--exit-code' || '--format=text' }}"
    assert STEPS["plan"]["env"]["OPTION"] == schedule
    assert STEPS["issue"]["if"].endswith(" && steps.waiting.outputs.runs == '0' }}")


RIGHTS = 'absent = ["Old"]\n' + "".join(
    f'[roles."{name}"]\npermissions = ["DATASET_READ"]\n' for name in ("New", "Changed")
)
PLACES: Final = """
[spaces."ML"]
users."ada@example.com" = "Changed"
[projects."ML"."churn"]
absent = ["ada@example.com"]
"""


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
                planned = await as_code.plan(roles, as_code.loads(RIGHTS))
                return [change.note for change in planned.changes]
            if command == "export":
                return (await as_code.export(roles)).roles
            if command == "who":
                return [str(each) for each in await roles.by_name.find()]
            declared = PLACES if command == "places" else RIGHTS
            return len((await as_code.apply(roles, as_code.loads(declared))).made)
        except (RolesError, as_code.PlanError) as error:
            return type(error)


@pytest.mark.parametrize("command", ["plan", "export", "apply", "who", "places"])
async def test_rights(command: str) -> None:
    """With these permissions it does all; without one of them it does less, or fails."""
    (row,) = re.findall(rf"^\|[^|]*`{command}`[^|]*\|(.+)\|$", MAIN, re.MULTILINE)
    whole, needed = await end_of(command, {*Permission}), {*re.findall(r"`([A-Z_]+)`", row)}
    assert await end_of(command, needed) == whole
    alike = {each for each in needed if await end_of(command, needed - {each}) == whole}
    # Of a deletion alone; an export has none.
    assert alike == ({"ROLE_BINDING_READ"} if command == "export" else set())
