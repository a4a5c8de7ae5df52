"""The running event loop, of asyncio or of trio.

Both are imported where they run, so that importing the fake does not wait for them.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from arize_roles_async._values.errors import ClientStateError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from trio.lowlevel import TrioToken

    Loop: TypeAlias = AbstractEventLoop | TrioToken


def running_loop() -> "Loop":
    """Return the running event loop, or raise `ClientStateError` if none runs."""
    import asyncio

    with suppress(RuntimeError):
        return asyncio.get_running_loop()
    try:
        from trio.lowlevel import current_trio_token

        return current_trio_token()
    except (ImportError, RuntimeError):
        raise ClientStateError("FakeRolesClient runs under asyncio or trio only") from None


def is_open(loop: "Loop") -> bool:
    return call_soon(loop, lambda: None)


def call_soon(loop: "Loop", function: Callable[[], object]) -> bool:
    """Have an event loop call a function, from any thread; return False if the loop is closed."""
    # By its method: at the end of the interpreter nothing can be imported.
    either: Any = loop
    try:
        (getattr(either, "call_soon_threadsafe", None) or either.run_sync_soon)(function)
    except RuntimeError:
        return False
    return True
