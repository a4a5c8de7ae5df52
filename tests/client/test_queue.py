"""The queue of a client, against a model in virtual time; its faults are in data/faults.toml."""

from contextlib import suppress
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from arize_roles_async import RateLimitError, RolesTimeoutError
from arize_roles_async._calls.pace import Pace
from arize_roles_async._calls.queue import Queue, Slots
from arize_roles_fake import FakeRolesClient
from tests.support.clients import account_at_noon, passed
from tests.support.event_loop import on_each_backend
from tests.support.queue_model import Model, random_job
from tests.support.sizes import sized


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
