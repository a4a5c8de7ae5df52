"""The queue of a client, against a model in virtual time; its faults are in data/faults.toml."""

from random import Random

from arize_roles_async._calls.pace import Pace
from arize_roles_async._calls.queue import Queue, Slots
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
    slots.restart()
    following = Queue(slots, Pace())
    assert following.enter()

    left.exit()

    assert not following.enter()
