"""Arize's published clients, unmodified, against the fake server.

ARIZE_CLIENT_PYTHON names an interpreter with what tests/tools/official_client.txt lists, and
ARIZE_CLIENT_NODE a folder with the TypeScript client in node_modules.
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

from arize_roles_fake import RolesServer
from tests.support.documentation import ROOT, examples
from tests.support.processes import clean_environment, ran

INTERPRETER = os.environ.get("ARIZE_CLIENT_PYTHON") or (
    sys.executable if importlib.util.find_spec("arize") else None
)
HAS_AX = INTERPRETER is not None and Path(INTERPRETER).with_name("ax").exists()
NODE_FOLDER = Path(os.environ.get("ARIZE_CLIENT_NODE", ""))
SERVING = ROOT / "arize_roles_fake" / "guide" / "serving.md"
TOOLS = Path(__file__).parents[1] / "tools"
pytestmark = pytest.mark.slow


def passes(*command: str, script: str | None = None, folder: Path | None = None) -> bool:
    """Run a round of calls to its last line, and return whether it got there."""
    done = ran(*command, input=script, cwd=folder, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    # The clients write their own notices there too.
    return "passed" in done.stdout.splitlines()


@pytest.fixture(autouse=True)
def named(arize_env: RolesServer) -> None:
    """Add two users, a space and a project to the served account."""
    arize_env.account.add_user("ada@example.com")
    arize_env.account.add_user("eve@example.com", status="INVITED")
    arize_env.account.add_project("churn", space="ML")


@pytest.mark.skipif(
    INTERPRETER is None,
    reason="ARIZE_CLIENT_PYTHON names no interpreter that has Arize's client, nor has this one",
)
def test_round(arize_env: RolesServer) -> None:
    """Arize's own client makes the whole round."""
    assert passes(str(INTERPRETER), str(TOOLS / "official_client_round.py"))
    arize_env.account.assert_roles({name: {"ROLE_READ"} for name in ("Taken", "First", "Second")})
    arize_env.account.assert_bindings({("VXNlcjphZGE=", "U3BhY2U6MQ=="): "Second"})


@pytest.mark.skipif(
    not HAS_AX, reason="beside the interpreter of ARIZE_CLIENT_PYTHON is no command line ax"
)
def test_ax(arize_env: RolesServer, tmp_path: Path) -> None:
    """With the profile of the guide, `ax`, which is made of Arize's own client, lists roles."""
    arize_env.account.add_role("Analyst")
    (profile,) = [text for text in examples(SERVING.read_text("utf-8"), "toml") if "auth" in text]
    file = tmp_path / ".arize" / "profiles" / "fake.toml"
    file.parent.mkdir(parents=True)
    profile = profile.replace("127.0.0.1:8000", arize_env.url.removeprefix("http://"))
    file.write_text(profile.replace("fake-api-key", arize_env.api_key), "utf-8")
    env = clean_environment() | {"HOME": str(tmp_path)}
    for command in ("profiles use fake", "roles list"):
        done = ran(Path(str(INTERPRETER)).with_name("ax"), *command.split(), env=env, timeout=300)
        assert done.returncode == 0, done.stderr
    assert "Analyst" in done.stdout


@pytest.mark.skipif(
    not NODE_FOLDER.joinpath("node_modules", "@arizeai").exists() or shutil.which("node") is None,
    reason="ARIZE_CLIENT_NODE names no folder with @arizeai/ax-client, or there is no node",
)
def test_typescript(arize_env: RolesServer) -> None:
    """Arize's TypeScript client gives, lists, reads, changes and takes a role binding."""
    role_ids = [arize_env.account.add_role(name, ["ROLE_READ"]).id for name in ("First", "Second")]
    script = (TOOLS / "official_typescript_round.mjs").read_text("utf-8")
    node = ("node", "--input-type=module", "-", *role_ids)
    assert passes(*node, script=script, folder=NODE_FOLDER)
