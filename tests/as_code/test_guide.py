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
from arize_roles_async import as_code
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


@pytest.mark.slow
def test_month(tmp_path: Path) -> None:
    """The month takes place as written."""
    (data,) = examples(MONTH, "json")
    account = FakeAccount.load(data)
    with environment(tmp_path, account) as variables:
        for language, content in FENCE.findall(MONTH):
            if language == "toml":
                (tmp_path / "roles.toml").write_text(content, "utf-8")
            elif language == "py":
                code = compile(content, "the guide", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                names = {"roles": FakeRolesClient(account)}
                if (made := eval(code, names)) is not None:  # noqa: S307 - our own text
                    asyncio.run(made)
            elif language == "console":
                assert on_console(content, tmp_path, variables) == content
    account.assert_roles(
        {
            "Auditor": {"PROJECT_READ", "ROLE_READ"},
            "Temp Analyst": {"PROJECT_READ"},
            "Data Analyst": {"DATASET_READ", "PROJECT_READ", "TAG_READ"},
        }
    )


def test_file() -> None:
    """The file that the page shows can be loaded."""
    text, _ = examples(MAIN, "toml")
    assert [role.name for role in as_code.loads(text).roles] == ["AI Engineer"]


GH: Final = """\
#!/bin/sh
echo "$@" >> gh.log
for last in "$@"; do case "$last" in body=@*) cat "${last#body=@}" > posted.md;; esac; done
case "$*" in LISTS) cat comments;; esac
"""


class Runner:
    """Runs the steps of a job for the account staging, with the command `gh` of a test."""

    def __init__(self, folder: Path, variables: dict[str, str], lists: str) -> None:
        self.folder = folder
        (folder / "gh").write_text(GH.replace("LISTS", lists))
        (folder / "gh").chmod(0o755)
        (folder / "comments").touch()
        (folder / "accounts").mkdir()
        (folder / "accounts/staging.toml").write_text('account = "staging"\n')
        (folder / "roles").mkdir()
        (folder / "roles/a.toml").write_text('[roles.A]\npermissions = ["ROLE_READ"]\n')
        self.variables = {
            **variables,
            "ACCOUNT": "staging",
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            "GITHUB_REPOSITORY": "o/r",
            "NUMBER": "7",
            "OPTION": "--format=text",
        }

    def __call__(self, script: str) -> int:
        done = ran("/bin/bash", "-e", "-c", script, cwd=self.folder, env=self.variables)
        self.shown = done.stdout
        return done.returncode

    def asked(self, script: str, found: str) -> str:
        """Run a step for which `gh` finds a comment or an issue, and return what it asks of it."""
        (self.folder / "comments").write_text(found)
        assert self(script) == 0
        return (self.folder / "gh.log").read_text().splitlines()[-1]

    @property
    def posted(self) -> str:
        return (self.folder / "posted.md").read_text()


class TestWorkflow:
    @pytest.mark.slow
    def test_steps(self, tmp_path: Path) -> None:
        """They plan, note, keep one comment an account, hand the checksum on, and apply by it."""
        account = account_of("B", "a")
        with environment(tmp_path, account) as variables:
            run = Runner(tmp_path, variables, "*--paginate*")
            assert run(SCRIPTS["plan"]) == 0
            assert run(SCRIPTS["show"]) == 0
            name, _, run.variables["CHECKSUM"] = (tmp_path / "output").read_text().partition("=")
            assert PLAN["outputs"][name] == f"${{{{ steps.show.outputs.{name} }}}}"
            assert '\n+ create "A" (roles/a.toml)\n' in (tmp_path / "summary").read_text()
            posts = "api repos/o/r/issues/7/comments -F body=@body.md"
            assert run.asked(SCRIPTS["comment"], "") == posts
            changes = "api --method PATCH repos/o/r/issues/comments/42 -F body=@body.md"
            assert run.asked(SCRIPTS["comment"], "42\n") == changes
            assert run.posted.startswith(
                "<!-- arize-roles: staging -->\nRoles of staging:\n```diff\n"
            )
            apply, checksum = APPLY["steps"][-1]["run"], run.variables["CHECKSUM"].strip()
            for given, status in (("", 2), (checksum, 0)):
                run.variables["CHECKSUM"] = given
                assert run(apply) == status
            assert run(SCRIPTS["plan"]) == run(SCRIPTS["show"]) == 0
        # An empty plan has nothing to approve.
        assert (tmp_path / "output").read_text().count("staging=") == 1
        assert account.role("A")
        assert account.role("B")

    def test_accounts(self) -> None:
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


@pytest.mark.slow
def test_drift(tmp_path: Path) -> None:
    """On a schedule a plan becomes one issue an account, which closes when it is empty again."""
    schedule = "${{ steps.waiting.outputs.runs == '0' && '--exit-code' || '--format=text' }}"
    assert STEPS["plan"]["env"]["OPTION"] == schedule
    assert STEPS["issue"]["if"].endswith(" && steps.waiting.outputs.runs == '0' }}")
    account = account_of("A", "By hand")
    with environment(tmp_path, account) as variables:
        run = Runner(tmp_path, variables, "*--jq*")
        run.variables |= {"OPTION": "--exit-code", "OUTCOME": "failure"}
        assert run(SCRIPTS["plan"]) == 1
        title = "-f title=staging differs from the files of roles -f labels[]=roles-drift-staging"
        opens = f"api repos/o/r/issues -F body=@comment.md {title}"
        assert run.asked(SCRIPTS["issue"], "") == opens
        assert '? "By hand" is not declared' in run.posted
        patch = "api --method PATCH repos/o/r/issues/7"
        account.fail("list", 403)
        assert run(SCRIPTS["plan"]) == 2
        assert run(SCRIPTS["show"]) == 0
        assert (tmp_path / "output").read_text() == ""  # no checksum is handed on
        assert "\n! error: GET /v2/roles answered 403 " in (tmp_path / "comment.md").read_text()
        changes = f"{patch} -F body=@comment.md -f title=no plan for staging"
        assert run.asked(SCRIPTS["issue"], "7\n") == changes
        run.variables["OUTCOME"] = "success"
        assert run.asked(SCRIPTS["issue"], "7\n") == f"{patch} -f state=closed"
        assert run(SCRIPTS["issue"]) == 0


@pytest.mark.slow
def test_who(tmp_path: Path) -> None:
    """Who has which role is compared with a file, which shows a role that was given by hand."""
    account = account_of("A")
    account.bind("A", user="ada@example.com", resource="Space:1")
    with environment(tmp_path, account) as variables:
        run = Runner(tmp_path, variables, "*")
        (tmp_path / "users").mkdir()
        commit = "git -c user.name=A -c user.email=a@example.com commit -qm A"
        for command in ("git init -q .", SCRIPTS["who"], commit):
            assert run(command) == (command == SCRIPTS["who"])
            run("git add users")
        assert run(SCRIPTS["who"]) == 0
        account.bind("A", user="eve@example.com", resource="Space:1")
        assert run(SCRIPTS["who"]) == 1
        assert "eve@example.com" in run.shown
