"""Options at the edges of their ranges, and the waits between attempts, figure by figure."""

import math
import random
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from arize_roles_async import (
    ConfigurationError,
    RetryPolicy,
    RolesConnectionError,
    RolesError,
    ServerError,
    Timeouts,
)
from arize_roles_async._values.options import check_concurrency, retry_delay
from arize_roles_async._wire.retry_after import retry_after

if TYPE_CHECKING:
    from collections.abc import Callable

BROKEN = RolesConnectionError("broken")


def bounds(policy: RetryPolicy, *attempts: int) -> list[float | None]:
    """Return the longest that a policy waits after each of these attempts."""
    return [retry_delay(policy, BROKEN, attempt=attempt, change=False) for attempt in attempts]


class TestBackoff:
    """The wait after a failure that does not say how long it lasts."""

    @pytest.fixture(autouse=True)
    def longest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def highest(low: float, high: float) -> float:
            assert low == 0.0
            return high

        monkeypatch.setattr(random, "uniform", highest)

    def test_default(self) -> None:
        """Three attempts, after the first at most half a second, then twice that, 8 s at most."""
        assert bounds(RetryPolicy(), 1, 2, 3) == [0.5, 1.0, None]
        assert bounds(RetryPolicy(attempts=9), 4, 5, 6, 8, 9) == [4.0, 8.0, 8.0, 8.0, None]

    def test_most_doublings(self) -> None:
        """It doubles sixty times at most, so that no number of attempts is too large."""
        policy = RetryPolicy(attempts=10_000, backoff=1.0, max_backoff=1e30)
        assert bounds(policy, 60, 61, 62, 5000) == [2.0**59, 2.0**60, 2.0**60, 2.0**60]


@pytest.mark.parametrize("number", [0, -1, True, 1.5, "1"])
def test_counts(number: Any) -> None:  # noqa: ANN401
    """Anything but an integer from 1 is refused, and a limit may be the longest float."""
    assert Timeouts(total=sys.float_info.max).total == sys.float_info.max
    check_concurrency(1)
    checks: dict[str, Callable[[Any], object]] = {
        "max_concurrency": check_concurrency,
        "RetryPolicy.attempts": lambda attempts: RetryPolicy(attempts=attempts),
    }
    for name, check in checks.items():
        with pytest.raises(ConfigurationError) as caught:
            check(number)
        assert str(caught.value) == f"{name} must be an integer of at least 1, not {number!r}"


@pytest.mark.parametrize(
    ("failure", "most", "seconds"),
    [
        (ServerError("busy", status=503, retry_after=20.0), 20.0, 20.0),
        (ServerError("busy", status=503, retry_after=20.5), 20.0, None),
        (ServerError("busy", status=503, retry_after=20.5), None, 20.5),
        (ServerError("busy", status=503, retry_after=math.inf), None, 3600.0),
        (RolesConnectionError("untrusted", certificate=True), None, None),
        (RolesConnectionError("a proxy without its password", credentials=True), None, None),
    ],
)
def test_no_backoff(failure: RolesError, most: float | None, seconds: float | None) -> None:
    """The service's own wait is kept, an hour at most; a failure that lasts is not retried."""
    policy = RetryPolicy(max_retry_after=most)
    assert retry_delay(policy, failure, attempt=1, change=False) == seconds


@pytest.fixture
def _tokyo() -> Iterator[None]:
    """Let this machine be nine hours ahead of the service's dates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 5 ", 5.0),
        ("1" * 15, 111_111_111_111_111.0),
        ("1" * 16, math.inf),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("", None),
        (None, None),
        ("Thu, 01 Jan 1970 00:00:07 GMT", 2.0),
        ("Thu, 01 Jan 1970 00:00:04 GMT", 0.0),
        (f"Thu, 01 Jan {'9' * 20} 00:00:00 GMT", None),
        # The two forms of a date that RFC 9110 still has recipients take.
        ("Thursday, 01-Jan-70 00:00:07 GMT", 2.0),
        ("Thu Jan  1 00:00:07 1970", 2.0),
    ],
)
@pytest.mark.usefixtures("_tokyo")
def test_retry_after(
    value: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header asks to wait for whole seconds, or until a date; anything else asks nothing."""
    monkeypatch.setattr(time, "time", lambda: 5.0)
    headers = {} if value is None else {"Retry-After": value}
    assert retry_after(headers) == seconds


def test_by_the_services_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A date is compared with the answer's own date."""
    monkeypatch.setattr(time, "time", lambda: 5.0)
    headers = {"Retry-After": "Thu, 01 Jan 1970 00:00:07 GMT"}
    dated = {**headers, "Date": "Thu, 01 Jan 1970 00:00:06 GMT"}
    assert retry_after(dated) == 1.0
    assert retry_after({**headers, "Date": "yesterday"}) == 2.0
