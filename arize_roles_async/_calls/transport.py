"""The abstract transport, and everything that its author needs."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Protocol

from arize_roles_async._calls.api_key import KeySource
from arize_roles_async._calls.call import Call, CallT, TimeLimit
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_async._wire.secrets import Secret

__all__ = ["Call", "CallT", "Event", "Request", "Response", "TimeLimit", "Transport"]


class Event(Protocol):
    """An event that the task of a call waits for."""

    def set(self) -> object:
        """Set it, which wakes the task."""

    def wait(self, seconds: float) -> Awaitable[bool]:
        """Wait until it is set, but not for longer than `seconds`, nor than the call may take.

        Returns:
            True if it was set, False if the time was over.
        """
        ...


class Transport(ABC):
    """Sends requests, and is the clock of the calls that send them."""

    now: Callable[[], float]
    """Returns the seconds on a clock that never goes back; set once `check_state` has returned."""
    host: str | None = None
    """The host of the service as in a `Host` header, with its port unless it is the scheme's own;
    None if it is not known."""

    @abstractmethod
    async def send(self, request: Request, call: Call) -> Response:
        """Send a request of a call once, with `call.keys[-1]`, and return the whole answer.

        Call `call.mark_sent(self.now())` as soon as any of the request may have left.

        Raises:
            RolesConnectionError: No whole answer came.
            RolesTimeoutError: The limit for connecting or for silence ran out.
            InvalidResponseError: The answer is longer than any should be.
            ClientStateError: The transport is closed, or belongs to another event loop.
        """

    async def ask_key(self, source: KeySource, call: Call) -> Secret[str]:
        """Return the API key that a call is to send, within the call's time."""
        return await source.ask(*call.keys)

    @abstractmethod
    def check_state(self) -> bool:
        """Raise `ClientStateError` if no call can be made.

        Returns:
            True for the first call in a new event loop, the one before it being closed.
        """

    @abstractmethod
    def event(self, call: Call) -> Event:
        """Return a new event of the running event loop, which a call waits for."""

    @abstractmethod
    def time_limit(self, call: CallT) -> TimeLimit[CallT]:
        """Return the block that a call runs in, which ends at `call.deadline`."""

    @abstractmethod
    async def aclose(self, grace: float) -> None:
        """Refuse new calls, end those under way in `grace` seconds, and close every connection.

        It may be called again, also while it waits; the shortest grace counts.
        """
