"""Which failures of an attempt are tried again, and after how long."""

import math
import random
from typing import Final

from arize_roles_async._values import errors
from arize_roles_async._values.options import LONGEST_WAIT, RetryPolicy

_RETRIED: Final = frozenset({429, 502, 503, 504})
_RETRIED_READS: Final = _RETRIED | {500}


def retry_delay(
    retry: RetryPolicy, failure: errors.RolesError, *, attempt: int, change: bool
) -> float | None:
    """Return the seconds to wait before the next attempt, or None if there must be none.

    Attempts are counted from 1. A 500 ends a call that makes a change.
    """
    if attempt >= retry.attempts or not _may_be_retried(failure, change=change):
        return None
    if isinstance(failure, errors.StatusError) and failure.retry_after is not None:
        is_too_long = failure.retry_after > (retry.max_retry_after or math.inf)
        return None if is_too_long else min(failure.retry_after, LONGEST_WAIT)
    ceiling = min(retry.max_backoff, retry.backoff * 2.0 ** min(attempt - 1, 60))
    return random.uniform(0.0, ceiling)  # noqa: S311 - jitter, no secret


def _may_be_retried(failure: errors.RolesError, *, change: bool) -> bool:
    if isinstance(failure, errors.StatusError):
        return failure.status in (_RETRIED if change else _RETRIED_READS)
    if isinstance(failure, errors.RolesConnectionError):
        return not (failure.certificate or failure.credentials)
    return isinstance(failure, errors.RolesTimeoutError)
