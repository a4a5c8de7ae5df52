"""The header `Retry-After` (RFC 9110, section 10.2.3)."""

import math
import time
from datetime import UTC
from email.utils import parsedate_to_datetime

from arize_roles_async._wire.response import Response


def response_retry_after(response: Response) -> float | None:
    """Return the seconds that an answer asks to wait; None without `Retry-After`."""
    headers = response.headers
    return retry_after(headers.get("Retry-After"), headers.get("Date"), time.time())


def retry_after(value: str | None, date: str | None, now: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait (RFC 9110, section 10.2.3).

    Args:
        value: The header: a number of seconds, or a date.
        date: The answer's own `Date` header, the time on the service's clock.
        now: Seconds since the epoch, for an answer without one.

    Returns:
        Seconds, not below 0; None where the header is absent or is neither.
    """
    if value is None:
        return None
    if value.isascii() and value.strip().isdigit():
        return float(value) if len(value) < 16 else math.inf  # noqa: PLR2004 - past any wait
    moment = http_date(value)
    if moment is None:
        return None
    sent = http_date(date) if date is not None else None
    return max(0.0, moment - (now if sent is None else sent))


def http_date(date: str) -> float | None:
    """Return the seconds since the epoch that an HTTP date stands for, or None if it is not one."""
    try:
        moment = parsedate_to_datetime(date)
        # Every HTTP date is in GMT, and the oldest form does not say so.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError):
        return None
