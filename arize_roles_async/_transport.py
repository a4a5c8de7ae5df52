"""Where requests go: what a client asks of a transport, and all that the author of one reads."""

import math
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from arize_roles_async._options import Timeouts
from arize_roles_async._wire import Request, Response


class Call:
    """One call of a method: what its attempts share, and what is known of their outcome."""

    __slots__ = (
        "attempts",
        "change",
        "deadline",
        "in_flight",
        "limit",
        "operation",
        "timeouts",
        "unknown",
    )

    def __init__(
        self,
        operation: str,
        timeouts: Timeouts,
        now: float,
        limit: AbstractContextManager[object, bool],
    ) -> None:
        self.operation: str = operation
        self.timeouts: Timeouts = timeouts
        self.deadline: float = math.inf if timeouts.total is None else now + timeouts.total
        self.limit: AbstractContextManager[object, bool] = limit
        """The block that the call runs in; after it, the time is up."""
        self.attempts: int = 0
        self.change: bool = False
        """Whether the request under way changes the account."""
        self.in_flight: bool = False
        """Whether a request may have reached the service, and no answer has come yet."""
        self.unknown: bool = False
        """Whether an attempt to change something may have worked, unbeknown to us."""


class Transport(ABC):
    """Where requests go, and whose time passes meanwhile."""

    @abstractmethod
    async def send(self, request: Request, call: Call) -> Response:
        """Send a request once and return the whole answer.

        Sets `call.in_flight` as soon as any of the request may have left.

        Raises:
            RolesConnectionError: No whole response came.
            RolesTimeoutError: The limit for connecting or for silence ran out.
            InvalidResponseError: The response is longer than any should be.
            ClientStateError: The transport is closed, or belongs to another event loop.
        """

    @abstractmethod
    def check_open(self) -> None:
        """Raise `ClientStateError` where a call can't be made."""

    @abstractmethod
    def now(self) -> float:
        """Return seconds on a clock that never goes back."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Let time pass."""

    @abstractmethod
    def time_limit(self, seconds: float | None) -> AbstractContextManager[object, bool]:
        """Return a block that is cancelled, and swallows that, after so many seconds."""

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of every connection; a second time does nothing."""
