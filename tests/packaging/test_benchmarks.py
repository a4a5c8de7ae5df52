"""The benchmark: its service counts right, and its rows can say no."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import MEASURES
from tests.benchmarks.bulk import spearman
from tests.benchmarks.harness import counted, running
from tests.benchmarks.jobs import Job, SharedJob, draw
from tests.benchmarks.limited import Limited, Service, target_of
from tests.benchmarks.processes import start_together
from tests.benchmarks.rows import ROWS, Row, table


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

    def test_own_words(self) -> None:
        """It answers with the `Retry-After` that it is given."""
        service = Service(0.0, {"rate": 10, "burst": 1, "retry_after": 3})

        assert [create(service, 0.0) for _ in range(2)] == [(201, None), (429, "3")]

    def test_halving(self) -> None:
        """After a number of grants, it grants half as many a second."""
        service = Service(0.0, {"rate": 2, "burst": 1, "halve_after": 2})

        assert [create(service, now)[0] for now in (0.0, 0.5, 1.0, 1.5)] == [201, 201, 429, 201]

    def test_counts(self) -> None:
        """Refusals of the first 40 requests are counted apart."""
        service = Service(0.0, {"rate": 1, "burst": 5})
        for _ in range(43):
            create(service, 0.0)

        counts = service.counts()
        assert (counts["requests"], counts["refused"], counts["refused_late"]) == (43, 38, 3)

    def test_first(self) -> None:
        """Where several clients begin at once, the first requests of each are counted apart."""
        service = Service(0.0, {"rate": 1, "burst": 5, "first": 80})
        for _ in range(83):
            create(service, 0.0)

        assert service.counts()["refused_late"] == 3

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

    def test_failing(self) -> None:
        """A target that should fail is answered with 503 once."""
        service = Service(0.0, {"roles": 1, "failing": [target_of(0)]})

        answers = [service.answer("GET", target_of(0), b"", 0.0) for _ in range(2)]
        assert [answer.split(b" ")[1] for answer in answers] == [b"503", b"200"]


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

    def test_table(self) -> None:
        """A line has what was counted, and other clients beside it."""
        line = table({"known-get": counted(2, "at most", {"httpx": 25})}).splitlines()[2]

        assert [cell.strip() for cell in line.split("|")[1:-1]] == [
            *("`get` by a known name, 5,000 roles: requests", "", "≤ 1", "≤ 1", "2", ""),
            *("misses", "2 at most; httpx 25"),
        ]


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


class TestJobs:
    def test_ideal(self) -> None:
        """The ideal time is that of a service that grants all that it may."""
        assert Job("key", 1000, 20, 5).ideal == pytest.approx(49.79)
        assert Job("key", 1000, 50, 50, halve_after=500).ideal == pytest.approx(29.04)
        shared = SharedJob(4, 100, 20, 5, time=(1, 1), last=(1, 1))
        assert shared.ideal == pytest.approx(19.79)

    def test_draw(self) -> None:
        """The same seed draws the same limits, which take no less than 14 s."""
        assert draw(7) == draw(7) != draw(8)
        assert all(14 < job.ideal < 125 for seed in range(200) for job in draw(seed))

    @pytest.mark.parametrize(
        ("completed", "agreement"), [([0, 1, 2, 4], 1.0), ([3, 2, 1, 0], -1.0), ([1, 0, 2], 0.5)]
    )
    def test_order(self, completed: list[int], agreement: float) -> None:
        """Spearman's coefficient shows how well an order agrees with that of the start."""
        assert spearman(completed) == pytest.approx(agreement)
