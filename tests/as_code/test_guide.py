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
import arize_roles_fake
from arize_roles_async import as_code
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer
from tests.as_code.accounts import account_of

PAGE: Final = (Path(arize_roles_async.__file__).parent / "guide" / "roles-as-code.md").read_text(
    "utf-8"
)


BEFORE, _, _REST = PAGE.partition("## A month\n")
MONTH, _, AFTER = _REST.partition("## Beside others\n")
FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def fenced(language: str, text: str = BEFORE + AFTER) -> list[str]:
    return [content for found, content in FENCE.findall(text) if found == language]


def run_python(example: str, account: FakeAccount) -> None:
    names: dict[str, Any] = {"account": account, "roles": FakeRolesClient(account)}
    for package in (arize_roles_async, arize_roles_fake):
        names |= {name: getattr(package, name) for name in package.__all__}
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


def test_month(tmp_path: Path) -> None:
    """The month takes place as written, to the last line of each command."""
    (data,) = fenced("json", MONTH)
    account = FakeAccount.load(data)
    with RolesServer(account) as server:
        variables = environment(tmp_path, account, server.url)
        for language, content in FENCE.findall(MONTH):
            if language == "toml":
                (tmp_path / "roles.toml").write_text(content, "utf-8")
            elif language == "py":
                run_python(content, account)
            elif language == "console":
                assert on_console(content, tmp_path, variables) == content
    account.assert_roles(
        {
            "Auditor": {"PROJECT_READ", "ROLE_READ"},
            "Data Analyst": {"DATASET_READ", "PROJECT_READ", "TAG_READ"},
            "Reviewer": {"DATASET_READ", "PROJECT_READ"},
        }
    )


def test_version() -> None:
    """The hook installs the wheel of this version."""
    wheel = f"vendor/arize_roles_async-{arize_roles_async.__version__}-py3-none-any.whl"
    assert re.findall(r"vendor/arize\S+", PAGE) == [wheel]


@pytest.mark.parametrize("example", fenced("python"))
def test_example(example: str) -> None:
    """Each example runs unchanged, given `roles` and the packages' names."""
    run_python(example, FakeAccount())


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


def test_hook() -> None:
    """The hook checks the files that it is given."""
    (hook,) = yaml.safe_load(fenced("yaml")[1])["repos"][0]["hooks"]
    assert hook["entry"].endswith(" arize-roles check --strict")
    assert re.search(hook["files"], "roles.toml")
    assert not re.search(hook["files"], "pyproject.toml")
