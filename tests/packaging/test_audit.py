"""The verdicts of `tests.tools.audit`."""

import json
from typing import Any

import pytest

from tests.tools.audit import judge

FLAW: dict[str, Any] = {"name": "a", "version": "1.0", "vulns": [{"id": "PYSEC-1"}]}
SAFE: dict[str, Any] = {"name": "b", "version": "2.0", "vulns": []}
SKIPPED: dict[str, Any] = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "text", "status"),
    [
        ([FLAW, SAFE, SKIPPED], "2 of 3 packages were audited\na 1.0: PYSEC-1", 1),
        ([SAFE], "1 of 1 packages were audited", 0),
        ([SKIPPED], "no audit: pip-audit found data on no package", 0),
    ],
)
def test_found(packages: list[dict[str, Any]], text: str, status: int) -> None:
    """A vulnerability is a failure; packages without data are not."""
    assert judge(json.dumps({"dependencies": packages}), "") == (text, status)


def test_unreachable() -> None:
    """Data that cannot be reached is said, and is no failure."""
    text = "no audit: the data of pip-audit cannot be reached: ConnectionError: no route"
    assert judge("", "Traceback\nConnectionError: no route\n") == (text, 0)
