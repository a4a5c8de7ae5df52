"""Options of a call: time limits and retries."""

import sys
from types import UnionType
from typing import Final, cast

import attr
import msgspec

from arize_roles_async._values.errors import ConfigurationError
from arize_roles_async._values.text import quoted

_LARGEST: Final = sys.float_info.max
DEFAULT_TIMEOUT: Final = 30.0
"""Seconds for a whole call, unless a client is given others."""
LONGEST_WAIT: Final = 3600.0
"""Seconds for which one answer stops a call or a client at most, whatever its `Retry-After`."""


def check_type(argument: str, value: object, expected: type | UnionType, noun: str) -> None:
    """Raise a `ConfigurationError`, which does not show the value, if its type is not expected."""
    if not isinstance(value, expected):
        raise ConfigurationError(f"{argument} must be {noun}, not {type(value).__name__}")


def check_seconds(name: str, value: object, *, zero: bool = False) -> None:
    """Raise a `ConfigurationError` unless a value is a number of seconds above 0, or from 0 on."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0.0 <= cast("float", value) <= _LARGEST or not (value or zero):
        least = ", 0 or more" if zero else " above 0"
        raise ConfigurationError(f"{name} must be a number of seconds{least}, not {quoted(value)}")


def is_count(value: object, *, least: int = 0) -> bool:
    """Return whether a value is an integer, and `least` or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_count(name: str, value: object) -> None:
    """Raise a `ConfigurationError` unless a value is a positive integer."""
    if not is_count(value, least=1):
        raise ConfigurationError(f"{name} must be an integer of at least 1, not {quoted(value)}")


@attr.frozen(kw_only=True)
class Timeouts:
    """Limits on the time of a call, in seconds; None is no limit.

    Args:
        total: The whole call: the wait in the queue (for `max_concurrency` or a rate limit), every
            attempt, every wait between them, and the walk that looks up a name. In a walk over
            pages it holds for each page.
        connect: Making one connection, name resolution and TLS included.
        read: Silence on a connection while a response is awaited.

    Raises:
        ConfigurationError: A limit is not a finite number above 0.
    """

    total: float | None = DEFAULT_TIMEOUT
    connect: float | None = 5.0
    read: float | None = 10.0

    def __attrs_post_init__(self) -> None:
        for name in ("total", "connect", "read"):
            if getattr(self, name) is not None:
                check_seconds(f"Timeouts.{name}", getattr(self, name))


@attr.frozen(kw_only=True)
class RetryPolicy:
    """Number of attempts of a call, and the waits between them.

    Failed connections, attempts that timed out, the statuses 429, 502, 503 and 504, and for reads
    500 are retried; a certificate that is not trusted and a proxy's 407 are not. The wait is the
    service's `Retry-After` if it sent one; else it is random between 0 and `backoff` doubled with
    each attempt (exponential backoff, full jitter). The guide's page `bulk-work` says how calls
    wait after a 429.

    Args:
        attempts: Attempts in all; 1 is no retry.
        backoff: Longest first wait, in seconds.
        max_backoff: Longest wait, in seconds.
        max_retry_after: Longest `Retry-After` that a call waits out, in seconds; None if only its
            time limit ends it. If the service asks for more, the error is raised at once and
            carries the value.

    Raises:
        ConfigurationError: A value is of the wrong type, or out of its range.
    """

    attempts: int = 3
    backoff: float = 0.5
    max_backoff: float = 8.0
    max_retry_after: float | None = None

    def __attrs_post_init__(self) -> None:
        check_count("RetryPolicy.attempts", self.attempts)
        for name in ("backoff", "max_backoff", "max_retry_after"):
            if (seconds := getattr(self, name)) is not None or name != "max_retry_after":
                check_seconds(f"RetryPolicy.{name}", seconds)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a client is given for its calls."""

    timeouts: Timeouts
    retry: RetryPolicy
    background: bool = False
    name: str | None = None
    """The name of the client, for the log."""

    def __post_init__(self) -> None:
        check_type("retry", self.retry, RetryPolicy, "a RetryPolicy")
        check_type("background", self.background, bool, "True or False")
        check_type("name", self.name, str | None, "a string")
