"""The guide's page on roles as code: its examples run, and its workflow does what it says."""

import ast
import asyncio
import os
import re
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


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("example", fenced("python"))
def test_example(example: str) -> None:
    """Each example runs unchanged, given `roles` and the packages' names."""
    account = FakeAccount()
    names: dict[str, Any] = {"account": account, "roles": FakeRolesClient(account)}
    for package in (arize_roles_async, arize_roles_fake):
        names |= {name: getattr(package, name) for name in package.__all__}
    code = compile(example, "the guide", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    made: Any = eval(code, names)  # noqa: S307 - our own text
    if made is not None:
        with asyncio.Runner() as runner:
            runner.run(made)


def test_file() -> None:
    """The file that it shows can be loaded."""
    (text,) = fenced("toml")
    assert [role.name for role in as_code.loads(text).roles] == ["AI Engineer"]


def test_account() -> None:
    """The account that it shows can be loaded."""
    (text,) = fenced("json")
    assert FakeAccount.load(text).role("ML Engineer")


def test_plan() -> None:
    """The plan that it shows is what the file takes on that account, with two more roles."""
    account = FakeAccount.load(fenced("json")[0])
    account.add_role("Temp Analyst", ["PROJECT_READ"])
    account.add_role("Legacy", ["ROLE_READ"])
    plan = as_code.compare(account.roles, as_code.loads(fenced("toml")[0]))
    (shown,) = fenced("diff")
    told, _, checksum = shown.rpartition("  checksum ")
    assert str(plan).removesuffix(plan.checksum) == f"{told}  checksum "
    assert len(checksum.strip()) == len(plan.checksum)


def test_workflow(tmp_path: Path) -> None:
    """The workflow's steps plan, hand the checksum on, and apply by it."""
    jobs = yaml.safe_load(fenced("yaml")[0])["jobs"]
    (plan,) = (step["run"] for step in jobs["plan"]["steps"] if step.get("id") == "plan")
    apply = jobs["apply"]["steps"][-1]["run"]
    tool = tmp_path / "arize-roles"
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -m arize_roles_async "$@"\n')
    tool.chmod(0o755)
    (tmp_path / "roles.toml").write_text('[roles.A]\npermissions = ["ROLE_READ"]\n')
    account = account_of("B")
    with RolesServer(account) as server:
        environment = {
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "ARIZE_API_KEY": account.api_key,
            "ARIZE_BASE_URL": server.url,
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        }

        def run(script: str) -> None:
            subprocess.run(  # noqa: S603 - the guide's own words
                ["/bin/bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=True
            )

        run(plan)
        name, _, environment["CHECKSUM"] = (tmp_path / "output").read_text().strip().partition("=")
        assert name == jobs["plan"]["outputs"]["checksum"].split(".")[-1].removesuffix(" }}")
        assert '\n+ create "A"\n' in (tmp_path / "summary").read_text()
        run(apply)
    assert account.role("A")
    assert account.role("B")
