"""The check that a test writes no API key, for the pytest plugin."""

import logging
import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from typing import Any, Final, cast
from unittest.mock import patch

from arize_roles_async._values.text import text_of
from arize_roles_async._wire.redaction import redact
from arize_roles_async._wire.secrets import Secret

_Call = Callable[..., Any]

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) - {"args"}


class TestOutput:
    """All that a test writes, and that pytest's reports do not show."""

    def __init__(self) -> None:
        self._is_enabled = logging.Logger.isEnabledFor
        self._texts: list[tuple[str, str]] = []
        self._warnings: list[list[warnings.WarningMessage]] = []

    @contextmanager
    def collected(self, capture: type[Any]) -> Generator[None]:
        """Collect log records of every level, warnings, and what `capsys` and its like read."""
        logger, catcher = logging.Logger, warnings.catch_warnings
        with (
            patch.object(logger, "isEnabledFor", _is_enabled_for),
            patch.object(logger, "handle", self._handle(logger.handle)),
            patch.object(capture, "readouterr", self._read(capture.readouterr)),
            patch.object(catcher, "__enter__", self._enter(catcher.__enter__)),
            warnings.catch_warnings(record=True) as issued,
        ):
            yield
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            for each in issued:
                warnings.warn_explicit(
                    cast("Warning", each.message),
                    *(each.category, each.filename, each.lineno),
                    source=each.source,
                )

    def _handle(self, handle: _Call) -> _Call:
        def note_and_handle(log: logging.Logger, record: logging.LogRecord) -> None:
            # Nobody else formats a record below the level, so that may fail.
            with suppress(Exception):
                self._texts.append(("Log record", _text(record)))
            if self._is_enabled(log, record.levelno):
                handle(log, record)

        return note_and_handle

    def _read(self, read: _Call) -> _Call:
        def read_and_note(capture: object) -> Any:  # noqa: ANN401 - as it is
            captured = read(capture)
            for text in captured:
                output = text.decode(errors="replace") if isinstance(text, bytes) else text
                self._texts.append(("Captured output", output))
            return captured

        return read_and_note

    def _enter(self, enter: _Call) -> _Call:
        def enter_and_note(block: object) -> object:
            collected = enter(block)
            if collected is not None:
                self._warnings.append(collected)
            return collected

        return enter_and_note

    def leaks(self, keys: Iterable[str], sections: Iterable[tuple[str, str]]) -> str:
        """Return the message of a test that wrote an API key somewhere; empty if it wrote none.

        The sections of pytest's reports, with their titles, are searched, too.
        """
        secrets = [Secret(key) for key in keys]
        texts: list[tuple[str, object]] = [*sections, *self._texts]
        texts += [("Warning", each.message) for block in self._warnings for each in block]
        lines = [
            f"  {title}: {clean}"
            for title, text in texts
            for line in text_of(text).splitlines()
            if (clean := redact(line, *secrets)) != line
        ]
        if not lines:
            return ""
        return "\n".join(["the test wrote an API key of a fake account:", *dict.fromkeys(lines)])


def _is_enabled_for(*_: object) -> bool:
    return True


def _text(record: logging.LogRecord) -> str:
    """Return a record as text, with the attributes that a JSON logger writes as well."""
    further = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return f"{logging.Formatter().format(record)} {further}"
