"""The header `Retry-After` (RFC 9110, section 10.2.3)."""

import math
import time
from collections.abc import Mapping
from datetime import UTC


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, 0 or more; None if it asks for no wait.

    A date is compared with the `Date` of the answer, the time on the service's clock, or else with
    this machine's clock.
    """
    value = headers.get("Retry-After")
    if value is None:
        return None
    if value.isascii() and value.strip().isdigit():
        return float(value) if len(value) < 16 else math.inf  # noqa: PLR2004 - past any wait
    moment = http_date(value)
    if moment is None:
        return None
    sent = http_date(headers.get("Date", ""))
    return max(0.0, moment - (time.time() if sent is None else sent))


def http_date(date: str) -> float | None:
    """Return the seconds since the epoch that an HTTP date stands for, or None if it is not one."""
    # Imported here: few answers have a date that is read.
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(date[:64])
        # Every HTTP date is in GMT, also in the oldest form, which has no zone.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError):
        return None
