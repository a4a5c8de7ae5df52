"""The size of long tests: a sample in each run, everything with `pytest --full`."""

from typing import TypeVar

T = TypeVar("T")

is_full = False
"""True if pytest was started with `--full`; `tests/conftest.py` sets it before it collects."""


def sized(sample: T, full: T) -> T:
    """Return the size of a sample, or the full one."""
    return full if is_full else sample
