"""Arize's published Python client, unmodified, against the fake server.

It is heavy and pins much, so it lives in an environment of its own, made of
tests/tools/official_client.txt; the variable ARIZE_CLIENT_PYTHON names its interpreter.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from arize_roles_fake import RolesServer

INTERPRETER = os.environ.get("ARIZE_CLIENT_PYTHON") or (
    sys.executable if importlib.util.find_spec("arize") else None
)
ROUND = Path(__file__).parents[1] / "tools" / "official_client_round.py"


@pytest.mark.skipif(
    INTERPRETER is None,
    reason="ARIZE_CLIENT_PYTHON names no interpreter that has Arize's client, nor has this one",
)
def test_round(arize_env: RolesServer) -> None:
    """Arize's own client makes the whole round."""
    done = subprocess.run(  # noqa: S603 - the interpreter that was named
        [str(INTERPRETER), str(ROUND)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    # The client writes its own notices there too.
    passed = [line for line in done.stdout.splitlines() if line.startswith("passed: ")]
    assert [line.removeprefix("passed: ") for line in passed] == [
        "create",
        "list",
        "page",
        "get by id",
        "get by name",
        "update",
        "clear description",
        "delete",
        "errors",
        "role bindings",
    ]
    arize_env.account.assert_roles({name: {"ROLE_READ"} for name in ("Taken", "First", "Second")})
    arize_env.account.assert_bindings({("ada", "Space:1"): "Second"})
