"""The queue of a client: a model in virtual time, and the faults that it finds."""

import inspect
from contextlib import suppress
from random import Random
from types import ModuleType
from typing import Final, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from arize_roles_async import RateLimitError, RolesTimeoutError
from arize_roles_async._calls import driver, queue
from arize_roles_async._calls.pace import Pace
from arize_roles_async._calls.queue import Queue, Slots
from arize_roles_fake import FakeRolesClient
from tests.support.clients import account_at_noon, passed
from tests.support.queue_model import Model, Queues, random_job

FAULTS: Final = {
    "a request that ends calls nobody": (
        "            if self.queues:\n                self._slots.call_next()\n",
        "",
    ),
    "a call that leaves calls nobody": (
        "        self._slots.call_next()\n\n    def refuse",
        "\n    def refuse",
    ),
    "the last goes first": (
        "or self._waiting[0] is not waiter:",
        "or self._waiting[-1] is not waiter:",
    ),
    "the order is that of joining": (
        (
            "index = bisect_left(self._waiting, waiter.turn, key=_BY_TURN)\n        if not index:\n"
            "            self._leave_list()\n        self._waiting.insert"
        ),
        (
            "index = len(self._waiting)\n        if not index:\n"
            "            self._leave_list()\n        self._waiting.insert"
        ),
    ),
    "a new call goes during a hold": (
        "self._slots.queues or self.pace.limited",
        "self._slots.queues",
    ),
    "the pace is not asked": ("if ready > now:", "if False:"),
    "everybody may go": ("or self._waiting[0] is not waiter:", "or False:"),
    "a refusal shows nobody that it is too late": (
        "            self._wake_late(now)\n",
        "            pass\n",
    ),
    "no hold is too long": (
        "return is_due or now + waiter.max_hold < pace.held_until",
        "return is_due",
    ),
    "no deadline is too early": (
        "is_due = waiter.deadline <= max(now, pace.ready_at())",
        "is_due = False",
    ),
    "nobody is woken under a limit": (
        "number = self._waiting[0].retry_at > self.pace.ready_at()",
        "return 0",
    ),
    "one slot too many": ("self.free: int = self.number", "self.free: int = self.number + 1"),
    "the keys have no order": ("if queue.call_first(1):", "if False:"),
    "a key that is held keeps the slots of the others": (
        "may go meanwhile.\n            self._slots.call_next()\n",
        "may go meanwhile.\n",
    ),
    "a call that waits for its time keeps the slots": (
        "number = self._waiting[0].retry_at > self.pace.ready_at()",
        "number = 1",
    ),
}


def with_fault(before: str, after: str) -> Queues:
    """Return the module of the queue with a part of it replaced."""
    source = inspect.getsource(queue)
    assert source.count(before) == 1, before
    module = ModuleType("queue_with_a_fault")
    exec(source.replace(before, after), vars(module))  # noqa: S102
    return cast("Queues", module)


@given(st.randoms(use_true_random=False))
def test_any_schedule(random: Random) -> None:
    """Order, slots and limits are kept, nothing is idle, and nothing is left over."""
    assert Model(cast("Queues", queue), *random_job(random)).run() == []


def test_many_schedules() -> None:
    """So it is for a thousand schedules more."""
    for seed in range(1000):
        job = random_job(Random(seed))  # noqa: S311 - no secret
        assert Model(cast("Queues", queue), *job).run() == [], seed


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(fault: str) -> None:
    """The model finds each of these faults."""
    module = with_fault(*FAULTS[fault])
    jobs = (random_job(Random(seed)) for seed in range(1000))  # noqa: S311 - no secret
    assert any(Model(module, *job).run() for job in jobs)


def test_another_loop() -> None:
    """A request that an event loop left behind frees no slot in the next one."""
    slots = Slots(1)
    left = Queue(slots, Pace())
    assert left.enter()
    slots.restart()
    following = Queue(slots, Pace())
    assert following.enter()

    left.exit()

    assert not following.enter()


async def _stress(seed: int) -> None:
    """Let calls come, be refused, be cancelled and run out of time; then use every slot."""
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


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
class TestStress:
    """Calls of a client on a real event loop, in the account's time."""

    def test_holds(self, backend: str) -> None:
        """No call waits longer than it has to, and no slot is lost."""
        for seed in range(8):
            anyio.run(_stress, seed, backend=backend)

    @pytest.mark.parametrize(
        "fault",
        [
            "a request that ends calls nobody",
            "nobody is woken under a limit",
        ],
    )
    def test_faults(self, backend: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The stress finds each of these faults."""
        module = with_fault(*FAULTS[fault])
        monkeypatch.setattr(driver, "Queue", module.Queue)
        monkeypatch.setattr(driver, "Waiter", module.Waiter)

        def fails(seed: int) -> bool:
            try:
                anyio.run(_stress, seed, backend=backend)
            except (AssertionError, ExceptionGroup):
                return True
            return False

        assert any(fails(seed) for seed in range(200))
