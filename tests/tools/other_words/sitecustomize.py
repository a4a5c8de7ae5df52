"""Gives whatever other libraries and the interpreter say in a sentence other words.

    PYTHONPATH=tests/tools/other_words python -m pytest -n auto

A test that fails then expects words that the next release of somebody else may change; a test has
to expect our own words, such as the beginning of a message, or a path, or a class.

Python imports this at its start, so it also works in the processes that tests start. It changes the
texts of exceptions as they reach code of ours, what argparse prints, `os.strerror` and the phrases
of `HTTPStatus`. Needs Python 3.12 or newer, which shows it every exception.
"""

import argparse
import http
import os
import re
import sys
from contextlib import suppress
from opcode import opmap
from types import CodeType, FunctionType
from typing import Final

WORDS: Final = "in other words"
"""The text in place of each other one."""
_OTHERS: Final = (os.path.dirname(os.__file__), "<")  # noqa: PTH120 - pathlib takes long to import
"""Beginnings of the files of code that is not ours."""
_VALUES: Final = {
    *("CancelledError", "KeyError", "StopIteration", "StopAsyncIteration", "SystemExit"),
    *("Exit", "Failed", "Skipped", "XFailed"),
}
"""Exceptions with what somebody passed through them: values, and texts of pytest's callers."""
_ATTRIBUTES: Final = ("message", "msg", "reason", "strerror", "verify_message")


def _is_ours(code: CodeType) -> bool:
    """Return whether code belongs to the packages, their tests, or a file that these write."""
    name = code.co_filename
    if "/arize_roles_" in name or name == "<string>":
        return True
    return not name.startswith(_OTHERS) and "-packages/" not in name


def _is_from_us(error: BaseException) -> bool:
    """Return whether a statement of ours raised an exception first, or nothing did yet."""
    frame = error.__traceback__
    if frame is None:
        return True
    while frame.tb_next is not None:
        frame = frame.tb_next
    code = frame.tb_frame.f_code
    is_statement = code.co_code[frame.tb_lasti] == opmap["RAISE_VARARGS"]
    # A warning that is an error is raised by a call, with the text that was passed.
    return _is_ours(code) and (is_statement or isinstance(error, Warning))


def _is_sentence(value: object) -> bool:
    return isinstance(value, str) and " " in value


def _say(_: object) -> str:
    return WORDS


def _change(error: BaseException) -> None:
    """Change the text of an exception that is not from us."""
    error.args = tuple(WORDS if _is_sentence(each) else each for each in error.args)
    for name in _ATTRIBUTES:
        if _is_sentence(getattr(error, name, None)):
            # An exception group's cannot be set.
            with suppress(AttributeError):
                setattr(error, name, WORDS)
    for kind in type(error).__mro__:
        own = vars(kind).get("__str__")
        if own is not None:
            # Some put their text together when they are asked for it.
            if isinstance(own, FunctionType) and not _is_ours(own.__code__):
                setattr(kind, "__str__", _say)  # noqa: B010 - it is a method
            break


def _change_all(code: CodeType, _: int, error: BaseException) -> None:
    """Change the text of an exception that reaches a frame of ours, and all that it hangs on."""
    if not _is_ours(code):
        return
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop()
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        waiting += [link.__cause__, link.__context__, *link.args, *getattr(link, "exceptions", ())]
        if type(link).__name__ not in _VALUES and not _is_from_us(link):
            _change(link)


def _translate(text: str) -> str:
    """Return a text of argparse's in which only the places of values are left."""
    return re.sub(r"(%(?:\(\w+\))?\w)|[A-Za-z]+", lambda found: found[1] or "word", text)


def _translate_one(one: str, many: str, number: int) -> str:
    return _translate(one if number == 1 else many)


def install() -> None:
    """Change what is said from now on."""
    if sys.version_info < (3, 12):
        sys.exit("error: this needs Python 3.12")
    watch = sys.monitoring
    tool, raised = 4, watch.events.RAISE
    watch.use_tool_id(tool, "other words")
    watch.register_callback(tool, raised, _change_all)
    watch.set_events(tool, raised)
    for module, name, function in (
        (argparse, "_", _translate),
        (argparse, "ngettext", _translate_one),
        (os, "strerror", _say),
    ):
        setattr(module, name, function)
    for status in http.HTTPStatus:
        vars(status).update(phrase=WORDS)


install()
