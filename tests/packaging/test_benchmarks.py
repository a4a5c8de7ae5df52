"""The benchmark: its service counts right, and its rows can say no."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import MEASURES
from tests.benchmarks.harness import counted, running
from tests.benchmarks.limited import Limited, Service, target_of
from tests.benchmarks.processes import start_together
from tests.benchmarks.rows import ROWS, Row


def create(service: Service, now: float) -> tuple[int, str | None]:
    """Return the status of a create, and its `Retry-After`."""
    body = b'{"name": "Team", "permissions": ["PROJECT_READ"]}'
    head, _, _ = service.answer("POST", "/v2/roles", body, now).partition(b"\r\n\r\n")
    _, found, rest = head.decode().partition("Retry-After: ")
    return int(head.split(b" ")[1]), rest.partition("\r\n")[0] if found else None


class TestService:
    def test_bucket(self) -> None:
        """It grants a burst, then its rate, and says when there is a token."""
        service = Service(0.0, {"rate": 0.5, "burst": 2})

        assert [create(service, 0.0) for _ in range(3)] == [(201, None), (201, None), (429, "2")]
        assert [create(service, 2.0) for _ in range(2)] == [(201, None), (429, "2")]

    def test_counts(self) -> None:
        """Refusals of the first 40 requests are counted apart."""
        service = Service(0.0, {"rate": 1, "burst": 5})
        for _ in range(43):
            create(service, 0.0)

        counts = service.counts()
        assert (counts["requests"], counts["refused"], counts["refused_late"]) == (43, 38, 3)

    def test_roles(self) -> None:
        """Its roles are listed in pages, changed, and gone once they are deleted."""
        service = Service(0.0, {"roles": 3})

        def ask(method: str, target: str, body: bytes = b"") -> tuple[bytes, bytes]:
            head, _, answer = service.answer(method, target, body, 0.0).partition(b"\r\n\r\n")
            return head.split(b" ")[1], answer

        page = json.loads(ask("GET", "/v2/roles?limit=2")[1])
        assert page["pagination"] == {"has_more": True, "next_cursor": "2"}
        page = json.loads(ask("GET", "/v2/roles?limit=2&cursor=2")[1])
        assert [role["name"] for role in page["roles"]] == ["Benchmark role 2"]
        assert page["pagination"] == {"has_more": False}
        status, changed = ask("PATCH", target_of(1), b'{"description": "New."}')
        assert (status, json.loads(changed)["description"]) == (b"200", "New.")
        assert ask("DELETE", target_of(1)) == (b"204", b"")
        assert ask("GET", target_of(1))[0] == b"404"


class TestRows:
    def test_measured(self) -> None:
        """Every row has one measure."""
        measured = [key for measure in MEASURES for key in measure.rows]

        assert sorted(measured) == sorted(row.key for row in ROWS)

    @pytest.mark.parametrize(
        ("value", "verdict"), [(1.0, "aim"), (1.01, "holds"), (1.5, "holds"), (1.51, "misses")]
    )
    def test_lower(self, value: float, verdict: str) -> None:
        """A row says whether it holds."""
        assert Row("key", "what", "", 1.5, 1).verdict(counted(value, "")) == verdict

    @pytest.mark.parametrize(
        ("value", "verdict"), [(0.98, "misses"), (0.99, "holds"), (1.0, "aim")]
    )
    def test_higher(self, value: float, verdict: str) -> None:
        """So does one of which more is better."""
        row = Row("key", "what", "", 0.99, 1, higher_is_better=True)

        assert row.verdict(counted(value, "")) == verdict


@pytest.mark.full
class TestCommand:
    def test_rows(self, tmp_path: Path) -> None:
        """The command measures the rows that a pattern names, and writes them down."""
        results = tmp_path / "results.json"
        command = (sys.executable, "-m", "tests.benchmarks", "--json", results, "known-*")
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603

        report = json.loads(results.read_text("utf-8"))
        assert [(row["row"], row["value"]) for row in report["rows"]] == [
            ("known-get", 1),
            ("known-change", 2),
        ]
        assert "| `get` by a known name, 5,000 roles: requests" in done.stdout


@pytest.mark.full
class TestProcesses:
    def test_together(self) -> None:
        """Each process makes its creates, and says how long it took and how many failed."""
        with running("tests.benchmarks.limited", None) as url:
            seconds, failed = start_together(url, processes=2, calls=3)
            counts = Limited(url).counts()

        assert (len(seconds), min(seconds) > 0, failed) == (2, True, 0)
        assert counts["requests"] == 6
