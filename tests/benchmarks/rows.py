"""The table: each row's name, what is measured, against what, how, and how good it must be."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.benchmarks.harness import Bench, Measured, Measures, Pair
from tests.benchmarks.instructions import Instructions
from tests.benchmarks.jobs import JOBS, Job
from tests.benchmarks.side import Side


class Row(NamedTuple):
    """One line of the table. Without `hold` it informs and cannot be missed."""

    key: str
    what: str
    baseline: str
    source: Callable[[Bench], Awaitable[Measures]]
    """Measures this row, and others with the same source."""
    figure: str
    """The name of its figure among those of the source."""
    hold: float | None = None

    def verdict(self, result: Measured | None) -> str:
        if result is None or self.hold is None:
            return "not measured" if result is None else ""
        # The higher throughput is the better.
        sign = -1 if self.figure.startswith("throughput") else 1
        return "misses" if sign * result.value > sign * self.hold else "holds"


def _side(client: str, call: str, calls: int = 1, **options: object) -> Side:
    return Side(client, call, calls, options=tuple(options.items()))


def _same(call: str, calls: int, in_flight: int = 1) -> Pair:
    """Return ours and bare aiohttp, which make the same calls."""
    ours = Side("ours", call, calls, in_flight)
    return Pair(ours, ours._replace(client="aiohttp"))


def _counted(key: str, what: str, ours: Side, hold: float | None = None) -> Row:
    both = Instructions(ours, ours._replace(client="aiohttp"))
    return Row(key, what, "bare, with Structs", both, "instructions", hold)


def _of_job(job: Job) -> tuple[Row, ...]:
    processes = "" if job.processes == 1 else f"{job.processes} processes of "
    what = f"{processes}{job.calls:,} creates, {job.limit}"
    return (
        Row(f"{job.key}-failed", what, "", job, "failed", 0),
        Row(f"{job.key}-429s", what, "successes", job, "late 429s", job.late),
        Row(f"{job.key}-time", what, "the ideal", job, "time", job.time),
    )


_BARE = "bare aiohttp + msgspec"
_ARIZE = "Arize's client"
_FAKE = (
    "from arize_roles_async import ListRolesResponse, Permission, Role\n"
    "from arize_roles_fake import FakeAccount, FakeRolesClient"
)

_GET, _GET_64, _GET_256 = _same("get", 125), _same("get", 500, 64), _same("get", 1000, 256)
_PAGES = _same("page", 125, 16)
_ARIZE_64 = _side("arize", "get", 500, threads=64)._replace(in_flight=64, how="in_threads")
_THREADS = Pair(Side("ours", "get", 1000, 64), _ARIZE_64, 4, is_free=True)
_WALK = Pair(Side("ours", "walk"), Side("arize", "walk", how="in_threads"), 2, roles=10_000)
_DECODE = Pair(Side("ours", "decode", 400), Side("arize", "decode", 100), 1)
_REFUSE = Pair(Side("ours", "refuse", 2), Side("ours", "decode", 100), 2)
_CLIENT = _side("fresh", "import", code="from arize_roles_async import AiohttpRolesClient")
_IMPORT = Pair(_CLIENT, _side("fresh", "import", code="import aiohttp"), 4)
_IMPORT_BOTH = Pair(_CLIENT, Side("arize", "import"), 1)
_IMPORT_FAKE = Pair(_side("fresh", "import", code=_FAKE), _CLIENT, 4)
_FAKE_CALL = Pair(Side("fake", "get", 500), Side("ours", "get", 500), 1)
# Both read more roles than the client remembers the names of, which makes room for others from time
# to time.
_PEAK = Pair(_side("ours", "peak", roles=100_000), _side("ours", "peak", roles=30_000), 0, 100_000)

OF_JOBS = tuple(row for job in JOBS for row in _of_job(job))
SPEED = (
    Row("get-cpu", "`get`, 1 in flight", _BARE, _GET, "CPU, µs", 1.05),
    Row("get-64", "`get`, 64 in flight", _BARE, _GET_64, "throughput, calls/s", 1.00),
    Row("get-256", "`get`, 256 in flight", _BARE, _GET_256, "throughput, calls/s", 1.05),
    Row("pages-16", "pages of 100, 16 in flight", _BARE, _PAGES, "time, ms", 1.25),
    Row("get-threads", "`get`, 64 in threads", _ARIZE, _THREADS, "throughput, calls/s", 2.5),
    Row("decode", "page of 100 roles, bytes to models", _ARIZE, _DECODE, "time, ms", 0.35),
    Row("walk", "reading 10,000 roles", _ARIZE, _WALK, "time, ms", 0.40),
    Row("import-client", "the client", "aiohttp", _IMPORT, "import, ms", 1.15),
    Row("import-arize", "the client", _ARIZE, _IMPORT_BOTH, "import, ms", 0.25),
    Row("import-fake", "the fake", "the client", _IMPORT_FAKE, "import, ms", 0.60),
    Row("fake-get", "`FakeRolesClient.get`", "over loopback", _FAKE_CALL, "time, ms", 0.5),
)
COUNTED = (
    _counted("get-count", "`get`, 1 in flight", Side("ours", "get", 500), 1.13),
    _counted("get-64-count", "`get`, 64 in flight", Side("ours", "get", 1000, 64), 1.18),
    _counted("create-count", "`create`", Side("ours", "new", 500), 1.19),
    _counted("page-count", "a page of 100", Side("ours", "page", 150), 1.34),
)
GROWTH = (Row("walk-memory", "reading 100,000 roles", "30,000", _PEAK, "peak, kB", 1.1),)
SAFETY = (Row("refuse", "errors about 4 MiB of hostile texts", "a page", _REFUSE, "time, ms", 2e3),)
ROWS = (*OF_JOBS, *SPEED, *COUNTED, *GROWTH, *SAFETY)
