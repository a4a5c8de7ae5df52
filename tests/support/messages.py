"""The texts that people read: messages of errors, and log lines."""

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from hypothesis import strategies as st

from arize_roles_async import RolesError

HOSTILE = (
    "\x1b[31mred\x1b[0m",  # a terminal's colours
    "\x1b]0;title\x07",
    "first\r\nsecond",
    "first\u2028second",
    "abc\u202edef",  # the direction of writing turned round
    "\x00\x08\x7f\x9b2J",
    "\ud800",
    "zero\u200bwidth",
)
texts = st.text(st.characters(exclude_categories=())) | st.sampled_from(HOSTILE)
"""Any text, and often one that a terminal obeys."""


def assert_short_line(text: str) -> None:
    """Check that a message or a log line is one line of a bounded length."""
    assert text.isprintable(), text
    assert len(text) <= 2000


def messages_of(error: BaseException) -> Iterator[str]:
    """Yield what a traceback prints of an error and of all its causes."""
    link: BaseException | None = error
    while link is not None:
        # A library breaks the lines of its own text, and quotes what it was sent.
        yield from [str(link)] if isinstance(link, RolesError) else str(link).split("\n")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


class _JudgeLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        assert_short_line(record.getMessage())


@contextmanager
def judging_log_lines() -> Generator[None]:
    """Check every line that the client logs in the block."""
    logger, judge = logging.getLogger("arize_roles_async"), _JudgeLines()
    level, logger.propagate = logger.level, False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(judge)
    try:
        yield
    finally:
        logger.removeHandler(judge)
        logger.setLevel(level)
        logger.propagate = True
