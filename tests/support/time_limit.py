"""A limit on the time of each test: a test that hangs fails, and the next one runs.

pytest-timeout's signal comes once, and hypothesis then runs the example that hung again.
"""

import signal
from collections.abc import Generator
from types import FrameType

import pytest

seconds = 30.0
"""What a test may take with its set-up and its end; the mark `slow` is for ten times that."""

_AGAIN = 5.0
"""Seconds after which what hangs once more is ended, too."""


class TooLongError(BaseException):
    """Ends a test; no `Exception`, which hypothesis takes for the failure of an example."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if not hasattr(signal, "setitimer"):
        return (yield)  # Windows
    most = seconds * 10 if item.get_closest_marker("slow") else seconds

    def end(_: int, frame: FrameType | None) -> None:
        del frame
        raise TooLongError(f"it took longer than {most:g} s")

    handler = signal.signal(signal.SIGALRM, end)
    timer = signal.setitimer(signal.ITIMER_REAL, most, _AGAIN)
    try:
        return (yield)
    finally:
        # Those of the test that runs this one, by pytester.
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
