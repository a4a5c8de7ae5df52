"""A disk that gets full while a test writes to it."""

import resource
from collections.abc import Generator
from contextlib import contextmanager

ROOM = 4_096
"""Bytes that a file can have on it."""


@contextmanager
def full_disk() -> Generator[None]:
    """Let every write fail that would make a file longer than `ROOM`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
