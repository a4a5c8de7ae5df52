"""Pace and queue of a client, in simulated time; faults of the queue are in data/faults.toml."""

import math
from contextlib import suppress
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from arize_roles_async import RateLimitError, RolesTimeoutError
from arize_roles_async._calls.pace import Pace
from arize_roles_async._calls.queue import Queue, Slots
from arize_roles_fake import FakeRolesClient
from tests.support.clients import account_at_noon, passed
from tests.support.event_loop import on_each_backend
from tests.support.queue_model import Model, random_job
from tests.support.rate_limit import Limit, Simulation
from tests.support.sizes import sized


def close(seconds: float) -> object:
    return pytest.approx(seconds)  # pyright: ignore[reportUnknownMemberType]


def refused_pace(*, seconds: float = 1.0) -> Pace:
    """Return a pace that met a limit at 10 s, when one request was under way."""
    pace = Pace(lambda: 0.0)
    pace.note_refused(9.96, 10.0, seconds)
    return pace


def send_until(pace: Pace, rate: float) -> float:
    """Send requests as soon as they may go until the rate is reached; return when the last went."""
    while True:
        now = pace.ready_at()
        pace.note_sent(now)
        if pace.rate >= rate:
            return now


def test_forgotten() -> None:
    """A limit that was not met for more than ten minutes is gone."""
    pace = refused_pace(seconds=2.0)
    pace.note_sent(12.0)
    pace.note_granted(12.0)
    pace.note_sent(612.0)
    assert pace.limited
    pace.note_sent(612.5)
    assert not pace.limited
    assert (pace.ready_at(), pace.rate) == (-math.inf, math.inf)


class TestHold:
    @pytest.mark.parametrize(("seconds", "until"), [(3.0, 13.0), (0.0, 11.0), (math.inf, 3610.0)])
    def test_until(self, seconds: float, until: float) -> None:
        """No request goes before the time that the service asked to wait, of 1 s to an hour."""
        pace = refused_pace(seconds=seconds)
        assert pace.ready_at() == close(until)
        assert pace.wait(until - 1.0) == close(1.0)
        assert pace.wait(until + 1.0) == 0.0

    def test_extended(self) -> None:
        """A later refusal that asks for more extends the hold, one that asks for less does not."""
        pace = refused_pace(seconds=3.0)
        pace.note_refused(9.97, 10.01, 1.0)
        assert pace.ready_at() == close(13.0)
        pace.note_refused(9.98, 10.02, 5.0)
        assert pace.ready_at() == close(15.02)
        assert pace.refused_since == 10.0
        pace.note_granted(16.0)
        assert pace.refused_since == math.inf

    @pytest.mark.parametrize(
        ("seconds", "holds"),
        [(1.0, [1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 16.0]), (30.0, [30.0, 30.0, 30.0, 45.0])],
    )
    def test_grows(self, seconds: float, holds: list[float]) -> None:
        """From the fourth hold without a grant on each lasts twice as long, but at most 15 s more.

        After a grant they are counted anew.
        """
        pace, now = Pace(lambda: 0.0), 0.0
        for _ in range(2):
            for hold in holds:
                pace.note_sent(now)
                pace.note_refused(now, now, seconds)
                assert pace.ready_at() - now == close(hold)
                now = pace.ready_at()
            pace.note_granted(now)


class TestGoal:
    """The rate that a refusal leaves, and how it grows."""

    def start(self, pace: Pace) -> float:
        """Return the rate after the hold over the one that was refused."""
        refused = pace.rate
        pace.note_sent(pace.ready_at())
        return round(pace.rate / refused, 4)

    @pytest.mark.parametrize(
        ("granted", "refused", "part"),
        [(0, 0, 0.4), (0, 1, 0.8 / 3), (1, 0, 1.8 / 3), (5, 5, 5.8 / 12), (50, 10, 50.8 / 62)],
    )
    def test_share(self, granted: int, refused: int, part: float) -> None:
        """Of the first refused rate 0.4 is kept, in the mean with what was granted meanwhile.

        The rate had doubled; it begins 15 % below. An answer to an earlier request does not count.
        """
        pace = refused_pace()
        now = send_until(pace, 100.0)
        pace.note_refused(now, now + 0.04, 1.0)
        for _ in range(granted):
            pace.note_granted(now + 0.001)
        for _ in range(refused):
            pace.note_refused(now + 0.001, now + 0.041, 1.0)
        pace.note_granted(now - 0.001)
        assert self.start(pace) == round(0.85 * part, 4)

    def test_late_refusal(self) -> None:
        """A refusal of what was sent before the last hold does not lower the rate."""
        pace = refused_pace()
        pace.note_refused(9.97, send_until(pace, 100.0), 1.0)
        assert self.start(pace) >= 1.0


@pytest.mark.parametrize(
    ("clients", "calls", "limit", "seconds", "refused", "last"),
    [
        # Alone, a client takes little more than the ideal time.
        (1, 1000, Limit(20.0, 5), 1.25, 0.03, 1.0),
        (1, 300, Limit(100.0, 20), 2.2, 0.08, 1.0),
        (1, 1000, Limit(300.0, 300), 1.7, 0.04, 1.0),
        (1, 60, Limit(0.5, 1), 1.3, 1.0, 1.0),
        (1, 600, Limit(20.0, 5, 30), 4.3, 0.01, 1.0),
        # After a long hold, the rate takes long to its goal: a refusal costs another one.
        (1, 900, Limit(50.0, 5, 30), 4.7, 0.01, 1.0),
        # The rate halves, doubles, or falls to a tenth.
        (1, 1000, Limit(50.0, 50, 2, halfway=0.5, half=500), 1.25, 0.06, 1.0),
        (1, 1000, Limit(20.0, 5, halfway=2.0, half=500), 1.4, 0.03, 1.0),
        (1, 600, Limit(50.0, 10, halfway=0.1, half=300), 1.2, 0.05, 1.0),
        # Of several, the last is not done long after the first.
        (2, 500, Limit(20.0, 5), 1.4, 0.03, 2.0),
        (8, 200, Limit(50.0, 20), 1.4, 0.05, 2.8),
        (16, 100, Limit(100.0, 20), 1.8, 0.05, 4.5),
        (4, 200, Limit(7.0, 1), 2.9, 0.45, 1.5),
        # Refused requests count, requests collide by chance, or hardly any is granted.
        (2, 32, Limit(1.0, 1, 0, counts_refusals=True), 3.0, 0.9, 2.0),
        (8, 8, Limit(1.0, 1, counts_refusals=True), 4.0, 0.0, 8.0),
        (2, 150, Limit(14.0, 1), 6.0, 0.2, 2.0),
        (8, 3, Limit(0.2, 1), 1.5, 0.0, 12.0),
    ],
)
def test_jobs(
    clients: int, calls: int, limit: Limit, *, seconds: float, refused: float, last: float
) -> None:
    """A job takes no longer; none starves, or is granted nothing for 5 minutes and then fails."""
    for seed in range(3):
        outcome = Simulation(limit, seed=seed, jitter=0.05 * seed).run(clients, calls)
        assert outcome.seconds <= seconds
        assert outcome.refused <= refused
        assert outcome.last_to_first <= last
        assert outcome.refused_for < 300.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "grant", "refuse"]), st.floats(0.0, 9.0), st.floats(0.0, 30.0)
        ),
        max_size=60,
    )
)
def test_any_history(steps: list[tuple[str, float, float]]) -> None:
    """Whatever happens, there is a rate, and nobody waits long after a hold (of 30 s)."""
    pace, now = Pace(), 0.0
    for what, seconds, age in steps:
        now += seconds
        if what == "send":
            now = max(now, pace.ready_at())
            pace.note_sent(now)
        elif what == "grant":
            pace.note_granted(now - age)
        else:
            pace.note_refused(now - age, now, age)
        if pace.limited:
            assert pace.rate > 0.0
            assert pace.ready_at() - max(now, pace.held_until) < 51.0


# The queue, against a model.


def test_many_schedules() -> None:
    """Order, slots and limits are kept, nothing is idle, and nothing is left over."""
    for seed in range(sized(500, 1000)):
        Model(*random_job(Random(seed))).run()  # noqa: S311 - no secret


def test_another_loop() -> None:
    """A request that an event loop left behind frees no slot in the next one."""
    slots = Slots(1)
    left = Queue(slots, Pace())
    assert left.enter()
    slots.reset()
    following = Queue(slots, Pace())
    assert following.enter()
    left.exit()
    assert not following.enter()


@pytest.mark.parametrize("seed", range(sized(4, 40)))
@on_each_backend
async def test_stress(seed: int) -> None:
    """On a real event loop no call waits longer than it has to, and no slot is lost.

    Calls come, are refused, are cancelled and run out of time; then every slot is used.
    """
    random = Random(seed)  # noqa: S311 - no secret
    account = account_at_noon()
    role = account.add_role("Role")
    roles = FakeRolesClient(account, max_concurrency=3, timeout=500.0)
    account.slow_down(1.0, operation="get")
    account.limit_rate(10.0, burst=5)

    async def get(limit: float) -> None:
        with suppress(*([] if limit == 500.0 else [RateLimitError, RolesTimeoutError])):
            await roles.with_options(timeout=limit).get(role_id=role.id)

    async def start(steps: int, limit: float, steps_to_end: int) -> None:
        for _ in range(steps):
            await checkpoint()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(get, limit)
            for _ in range(steps_to_end):
                await checkpoint()
            if steps_to_end:
                tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for _ in range(40):
            limit = random.choice([500.0, 500.0, 0.5, 2.5])
            steps_to_end = random.choice([0, 0, random.randrange(200)])
            tasks.start_soon(start, random.randrange(50), limit, steps_to_end)
    assert passed(account) < 100.0
    account.limit_rate(1000.0, burst=1000)
    account.advance(1000.0)
    begun = passed(account)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(get, 500.0)
    assert passed(account) == begun + 1.0
