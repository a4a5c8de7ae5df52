"""An event loop in the hands of a test: to wait until something holds, and to move its clock."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Final

import anyio
import pytest

LONGEST_WAIT: Final = 60.0
"""Seconds after which what a test waits for never comes."""


async def until(condition: Callable[[], object]) -> None:
    """Let the loop go around until something holds."""
    async with asyncio.timeout(LONGEST_WAIT):
        while not condition():  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0)


async def settle() -> None:
    """Let the loop go around fifty times: what is due happens, and what was sent arrives."""
    for _ in range(50):
        await asyncio.sleep(0)


class LoopClock:
    """The clock of the running event loop, which this moves as it likes.

    Limits are to be so long that no busy machine reaches them by itself.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._real = loop.time
        self._ahead = 0.0
        monkeypatch.setattr(loop, "time", lambda: self._real() + self._ahead)

    def skip(self, seconds: float) -> None:
        """Let time pass; what is due by then happens in the next steps of the loop."""
        self._ahead += seconds

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, and whatever is due by then happen."""
        self.skip(seconds)
        await settle()


def on_each_backend(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """Run a test under asyncio and under trio."""

    @functools.wraps(test)
    def run(*given: object, backend: str, **named: object) -> None:
        anyio.run(functools.partial(test, *given, **named), backend=backend)

    own = inspect.signature(test).parameters.values()
    parameter = inspect.Parameter("backend", inspect.Parameter.KEYWORD_ONLY)
    vars(run)["__signature__"] = inspect.Signature([*own, parameter])
    parametrized: Callable[..., None]
    parametrized = pytest.mark.parametrize("backend", ["asyncio", "trio"])(run)
    return parametrized
