"""The guide's page on roles as code: its examples run, and its workflow does what it says."""

import ast
import asyncio
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import arize_roles_async
from arize_roles_async import as_code
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer
from tests.as_code.accounts import account_of

PAGE: Final = (Path(arize_roles_async.__file__).parent / "guide" / "roles-as-code.md").read_text(
    "utf-8"
)


BEFORE, _, _REST = PAGE.partition("## A month\n")
MONTHS, _, AFTER = _REST.partition("## Beside others\n")
FIRST, _, SECOND = MONTHS.partition("## A second month\n")
FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def fenced(language: str, text: str = BEFORE + AFTER) -> list[str]:
    return [content for found, content in FENCE.findall(text) if found == language]


def run_python(example: str, account: FakeAccount) -> None:
    names = {"account": account, "roles": FakeRolesClient(account), "FakeAccount": FakeAccount}
    code = compile(example, "the guide", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    made: Any = eval(code, names)  # noqa: S307 - our own text
    if made is not None:
        with asyncio.Runner() as runner:
            runner.run(made)


# Plans show the host and checksums cover it, so it has no port that changes.
COMMAND: Final = """\
import sys
from arize_roles_async import AiohttpRolesClient
from arize_roles_async.__main__ import main
AiohttpRolesClient.base_url = "https://api.arize.com"
sys.exit(main())
"""


def environment(folder: Path, account: FakeAccount, url: str) -> dict[str, str]:
    """Return what has a shell find the command, and the command the account."""
    tool = folder / "arize-roles"
    tool.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{COMMAND}' \"$@\"\n")
    tool.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "ARIZE_API_KEY": account.api_key,
        "ARIZE_BASE_URL": url,
    }


def on_console(text: str, folder: Path, variables: dict[str, str]) -> str:
    """Return what a shell shows for the commands of a text, which begin with `$ `."""
    script = ""
    for line in text.splitlines():
        if line.startswith("$ "):
            script += f"printf '%s\\n' {shlex.quote(line)}\n{line[2:]}\n"
    done = subprocess.run(  # noqa: S603 - the guide's own words
        ["/bin/bash", "-c", script],
        cwd=folder,
        env=variables,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout


def live(month: str, folder: Path) -> FakeAccount:
    """Let a month take place, to the last line of each command, and return its account."""
    (data,) = fenced("json", month)
    account = FakeAccount.load(data)
    with RolesServer(account) as server:
        variables = environment(folder, account, server.url)
        for language, content in FENCE.findall(month):
            if language == "toml":
                named = re.match(r"# (\S+\.toml)\n", content)
                path = folder / (named[1] if named else "roles.toml")
                path.parent.mkdir(exist_ok=True)
                path.write_text(content, "utf-8")
            elif language == "py":
                run_python(content, account)
            elif language == "console":
                assert on_console(content, folder, variables) == content
    return account


def test_month(tmp_path: Path) -> None:
    """The month takes place as written."""
    live(FIRST, tmp_path).assert_roles(
        {
            "Auditor": {"PROJECT_READ", "ROLE_READ"},
            "Data Analyst": {"DATASET_READ", "PROJECT_READ", "TAG_READ"},
            "Reviewer": {"DATASET_READ", "PROJECT_READ"},
        }
    )


@pytest.mark.full
def test_second_month(tmp_path: Path) -> None:
    """So does the second one, whose last account is another one, and stays as it is."""
    live(SECOND, tmp_path).assert_roles({})


def test_version() -> None:
    """The hook installs the wheel of this version."""
    wheel = f"vendor/arize_roles_async-{arize_roles_async.__version__}-py3-none-any.whl"
    assert re.findall(r"vendor/arize\S+", PAGE) == [wheel]


def test_file() -> None:
    """The file that it shows can be loaded."""
    (text,) = fenced("toml")
    assert [role.name for role in as_code.loads(text).roles] == ["AI Engineer"]


def test_account() -> None:
    """The account that it shows can be loaded."""
    (text,) = fenced("json")
    assert FakeAccount.load(text).role("ML Engineer")


GH: Final = """\
#!/bin/sh
echo "$@" >> gh.log
case "$*" in *--paginate*) cat comments;; *) cat body.md > posted.md;; esac
"""


def test_workflow(tmp_path: Path) -> None:
    """The workflow's steps plan, keep one comment, hand the checksum on, and apply by it."""
    jobs = yaml.safe_load(fenced("yaml")[0])["jobs"]
    steps = {step.get("id"): step["run"] for step in jobs["plan"]["steps"] if "run" in step}
    apply = jobs["apply"]["steps"][-1]["run"]
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "roles.toml").write_text('[roles.A]\npermissions = ["ROLE_READ"]\n')
    account = account_of("B")
    with RolesServer(account) as server:
        variables = {
            **environment(tmp_path, account, server.url),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            "GITHUB_REPOSITORY": "o/r",
            "NUMBER": "7",
        }

        def run(script: str) -> None:
            subprocess.run(  # noqa: S603 - the guide's own words
                ["/bin/bash", "-e", "-c", script], cwd=tmp_path, env=variables, check=True
            )

        run(steps["plan"])
        name, _, variables["CHECKSUM"] = (tmp_path / "output").read_text().strip().partition("=")
        assert name == jobs["plan"]["outputs"]["checksum"].split(".")[-1].removesuffix(" }}")
        summary = (tmp_path / "summary").read_text()
        assert summary.startswith("```diff\n  account ")
        assert '\n+ create "A"\n' in summary
        for comments, asked in (
            ("", "api repos/o/r/issues/7/comments -F body=@body.md"),
            ("42\n", "api --method PATCH repos/o/r/issues/comments/42 -F body=@body.md"),
        ):
            (tmp_path / "comments").write_text(comments)
            run(steps["comment"])
            assert (tmp_path / "gh.log").read_text().splitlines()[-1] == asked
        posted = (tmp_path / "posted.md").read_text()
        assert posted == f"<!-- arize-roles: roles.toml -->\n{summary}"
        run(apply)
    assert account.role("A")
    assert account.role("B")


class TestWorkflow:
    """Nobody but the last step gets the write key, and nobody else's text is taken."""

    WORKFLOW: Final[dict[str, Any]] = yaml.safe_load(fenced("yaml")[0])
    JOBS: Final[dict[str, Any]] = WORKFLOW["jobs"]

    def test_keys(self) -> None:
        """Each key is in the environment of the one step that needs it."""
        steps = [step for job in self.JOBS.values() for step in job["steps"]]
        keys = {step["env"]["ARIZE_API_KEY"]: step["run"] for step in steps if "KEY" in str(step)}
        assert {key: run.split()[1] for key, run in keys.items()} == {
            "${{ secrets.ARIZE_READ_KEY }}": "plan",
            "${{ secrets.ARIZE_WRITE_KEY }}": "apply",
        }
        assert not any("env" in each for each in (self.WORKFLOW, *self.JOBS.values()))
        assert self.JOBS["apply"]["environment"] == "production"

    def test_permissions(self) -> None:
        """Only the job that comments may write, and only comments; no checkout keeps the token."""
        assert self.WORKFLOW["permissions"] == {}
        assert {name: job["permissions"] for name, job in self.JOBS.items()} == {
            "plan": {"contents": "read", "pull-requests": "write"},
            "apply": {"contents": "read"},
        }
        for job in self.JOBS.values():
            assert job["steps"][0]["with"] == {"persist-credentials": False}

    def test_pinned(self) -> None:
        """Actions have a commit's hash, and each file that pip installs has its own."""
        for job in self.JOBS.values():
            used, (install, *_) = job["steps"][:2], job["steps"][2:]
            for step in used:
                assert re.fullmatch("actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
            assert install == {"run": "pip install --require-hashes -r vendor/requirements.txt"}

    def test_own_comment(self) -> None:
        """Only a comment that the workflow wrote is changed."""
        (comment,) = [step for step in self.JOBS["plan"]["steps"] if step.get("id") == "comment"]
        assert 'select(.user.login == \\"github-actions[bot]\\")' in comment["run"]


ISSUE: Final = "api --method PATCH repos/o/r/issues/7 -F body=@body.md"


class TestDrift:
    """The workflow on a schedule."""

    JOB: Final[dict[str, Any]] = yaml.safe_load(fenced("yaml")[1])["jobs"]["drift"]

    def test_steps(self, tmp_path: Path) -> None:
        """Its plan ends with 1, and its text becomes one issue, which is opened or changed."""
        steps = {step["id"]: step["run"] for step in self.JOB["steps"] if "id" in step}
        (tmp_path / "gh").write_text(GH.replace("*--paginate*", "*--jq*"))
        (tmp_path / "gh").chmod(0o755)
        (tmp_path / "roles.toml").touch()
        account = account_of("By hand")
        with RolesServer(account) as server:
            repository = {"GITHUB_REPOSITORY": "o/r"}
            variables = {**environment(tmp_path, account, server.url), **repository}

            def run(script: str) -> int:
                command = ["/bin/bash", "-e", "-c", script]
                return subprocess.run(  # noqa: S603 - the guide's own words
                    command, cwd=tmp_path, env=variables, check=False
                ).returncode

            assert run(steps["plan"]) == 1
            for numbers, asked in (("", "api repos/o/r/issues -F body=@body.md"), ("7\n", ISSUE)):
                (tmp_path / "comments").write_text(numbers)
                assert run(steps["issue"]) == 0
                assert (tmp_path / "gh.log").read_text().splitlines()[-1].startswith(asked)
        assert '? "By hand" is not declared' in (tmp_path / "posted.md").read_text()

    def test_rights(self) -> None:
        """It may read the files and write issues, and one step has the key that reads roles."""
        assert self.JOB["permissions"] == {"contents": "read", "issues": "write"}
        assert self.JOB["steps"][0]["with"] == {"persist-credentials": False}
        keys = [step for step in self.JOB["steps"] if "ARIZE_API_KEY" in str(step)]
        assert [step["env"]["ARIZE_API_KEY"] for step in keys] == ["${{ secrets.ARIZE_READ_KEY }}"]
        assert [step["uses"][-41] for step in self.JOB["steps"] if "uses" in step] == ["@", "@"]


def test_hook() -> None:
    """The hook checks all files together, as soon as one has changed."""
    (hook,) = yaml.safe_load(fenced("yaml")[2])["repos"][0]["hooks"]
    assert hook["entry"].endswith(" arize-roles check roles")
    assert hook["pass_filenames"] is False
    assert re.search(hook["files"], "roles/search.toml")
    assert not re.search(hook["files"], "pyproject.toml")
