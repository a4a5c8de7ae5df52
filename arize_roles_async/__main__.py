"""The command line: `python -m arize_roles_async`, or `arize-roles`."""

import argparse
import asyncio
import json
import logging
import os
import re
import shutil
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final

import attr

import arize_roles_async as client
from arize_roles_async import as_code
from arize_roles_async._directory.models import by_names, in_columns
from arize_roles_async._values.text import one_line, printable
from arize_roles_async._values.writing import write_file
from arize_roles_async.as_code.apply import Run, StoppedError, check_plan, removed
from arize_roles_async.as_code.files import path_text, texts_of
from arize_roles_async.as_code.planning import TITLE, fenced, read_plan
from arize_roles_async.as_code.schema import schema
from arize_roles_async.as_code.toml import formatted, quote

_COLORS: Final = {"+": 32, "-": 31, "!": 33, "~": 33, "?": 35, "#": 36}
_SOUGHT: Final = {
    "role": "only bindings of this role",
    "user": "only those of the user with this address",
    "space": "only those on this space",
    "project": "only those on this project",
    "in_space": "the space of --project",
}
_GRACE, _LONG, _PERIOD = 5.0, 5.0, 0.2
"""Seconds that the request under way has to end after a first signal, after which a wait is shown,
and between two looks at how far the run is."""
_AS_TYPED: Final = {
    r"(?<=raise )max_removals$|^max_removals(?=: )": "--max-removals",
    r"(?:^|(?<=; give )|(?<=[(,] ))in_space(?=: | or | ')": "--in-space",
    r"pass api_key, or (?=set )|, or pass allow_http=True$": "",
    # Of an ID alone: others may write what a shell would run.
    r"role_bindings\.find\(role_id='(\w[\w+/=-]*)'\) shows": r"`arize-roles who --role \1` shows",
}
"""Words of the library in its errors, and what to type instead."""
# Of all that there are: Windows has no SIGHUP.
_SIGNALS: Final = [s for s in signal.Signals if s.name in {"SIGINT", "SIGTERM", "SIGHUP"}]
_EPILOG: Final = """The key is ARIZE_API_KEY, and the address is in the variables that Arize's own
clients read. FILE may be - for the standard input. Exit status: 0 success; 1 plan --exit-code or
fmt --check found differences, or export left out a role; 2 an error, and no change was tried; 3 not
all changes were made."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; signals are handled until the process ends."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if getattr(chosen, "comment", None) == "/dev/stdout":
        chosen.comment = "-"
    if getattr(chosen, "comment", None) == "-" and chosen.format != "text":
        parser.error("--comment - prints Markdown alone: leave --format out")
    for notice in (client.AlphaWarning, client.BetaWarning):
        warnings.simplefilter("ignore", notice)
    run = _Run(chosen)
    try:
        run.handle_signals()
        return run.end(run.command())
    except (Exception, KeyboardInterrupt, asyncio.CancelledError) as error:  # noqa: BLE001 - a traceback would end with 1
        return run.end(2, error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("arize-roles", description="Roles as code.", epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=client.__version__)
    commands = parser.add_subparsers(dest="command", required=True)

    def flag(of: argparse.ArgumentParser, name: str, what: str) -> None:
        of.add_argument(name, action="store_true", help=what)

    check = commands.add_parser("check", help="check files, offline")
    plan = commands.add_parser("plan", help="show what apply would change, and change nothing")
    differs = "exit with 1 if there is a change, or a role that is neither declared nor ignored"
    flag(plan, "--exit-code", differs)
    plan.add_argument(
        "--comment", metavar="OUT", help="also write Markdown to OUT; - prints it, and nothing else"
    )
    apply = commands.add_parser("apply", help="change the account to match the file")
    consent = apply.add_mutually_exclusive_group()
    consent.add_argument("--yes", action="store_true", help="do not ask")
    consent.add_argument(
        "--checksum", metavar="SUM", help="do not ask; apply only the plan with this checksum"
    )
    apply.add_argument(
        "--max-removals",
        metavar="N",
        help="most roles that --yes may delete or take permissions from, such as 5 or 50%%; by "
        "default 30%% if the account has ten or more custom roles",
    )
    flag(apply, "--any-account", "let --yes use files without an anchor")
    for command in (plan, apply):
        command.add_argument("--format", choices=("text", "json"), default="text")
    export = commands.add_parser("export", help="print a file that declares every custom role")
    flag(export, "--anchor", "tie it to this account, by the oldest custom role")
    flag(export, "--bindings", "declare who has which role where, too")
    fmt = commands.add_parser("fmt", help="put the lists of files in order; comments are kept")
    flag(fmt, "--check", "only name files that would change")
    who = commands.add_parser("who", help="show who has which role on which space or project")
    who.description = "Each NAME may be an ID, too."
    for name, what in _SOUGHT.items():
        option = f"--{name.replace('_', '-')}"
        who.add_argument(option, default=client.UNSET, metavar="NAME", help=what)
    who.add_argument("--format", choices=("text", "json", "csv"), default="text")
    commands.add_parser("schema", help="print a JSON Schema of the file, for editors")
    for command in (check, plan, apply, fmt):
        command.add_argument("file", nargs="+", help="a TOML file of roles, or a folder of them")
    return parser


class _Run:
    """One run of a command: its output, its signals and its exit status."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self._chosen = chosen
        self._form: str = getattr(chosen, "format", "text")
        self._task: asyncio.Task[object] | None = None
        self._run: Run | None = None
        self._received: str | None = None
        """The name of the first signal."""
        self._is_ending = False
        self._watch = _Watch()

    def command(self) -> int:
        command = self._chosen.command
        if command == "fmt":
            return self._fmt()
        if command == "schema":
            _show(json.dumps(schema(), indent=2))
            return 0
        if command in {"export", "who"}:
            return asyncio.run(self._export() if command == "export" else self._who())
        # Before the event loop begins, a signal ends even the reading of a pipe.
        declaration = as_code.load(*self._chosen.file)
        if command == "check":
            places = f"; places: {len(declaration.places)}" if declaration.places else ""
            _show(f"declared: {len(declaration.roles)}; absent: {len(declaration.absent)}{places}")
            return 0
        return (self._plan if command == "plan" else self._apply)(declaration)

    def _fmt(self) -> int:
        files, broken = texts_of(self._chosen.file)
        wrong, changed = [*broken], list[tuple[Path | None, str]]()
        for file, path in files.items():
            try:
                text = formatted(file.name, file.written)
            except client.ValidationError as error:
                wrong += error.violations
                continue
            if path is None and not self._chosen.check:
                _show(text, end="", is_raw=True)
            elif text != file.written:
                changed.append((path, text))
        if wrong:
            raise client.ValidationError(violations=tuple(wrong))
        for path, text in changed:
            if path and not self._chosen.check:
                write_file(path, text.encode())
            _show(f"{'not ' if self._chosen.check else ''}formatted: {path_text(path or '-')}")
        return 1 if self._chosen.check and changed else 0

    @asynccontextmanager
    async def _connected(self) -> "AsyncGenerator[client.AiohttpRolesClient]":
        self._task = asyncio.current_task()
        async with client.AiohttpRolesClient() as roles, self._watch.shown():
            yield roles

    async def _who(self) -> int:
        sought = {name: getattr(self._chosen, name) for name in _SOUGHT}
        async with self._connected() as roles:
            found = await roles.by_name.find(**sought)
        found = found.of(sorted(found, key=by_names))
        if self._form == "csv":
            # Of data, only a terminal gets less than what the library returns.
            _show(found.to_csv(), end="", is_raw=not sys.stdout.isatty())
        else:
            _show(json.dumps(found.to_dict()) if self._form == "json" else in_columns(found))
        none = "" if found else "; it sees none without ROLE_BINDING_READ"
        some = "1 role binding" if len(found) == 1 else f"{len(found)} role bindings"
        _say(f"note: {some}; those that the key may not see are left out{none}")
        return 0

    async def _export(self) -> int:
        async with self._connected() as roles:
            chosen = self._chosen
            exported = await as_code.export(roles, anchored=chosen.anchor, bindings=chosen.bindings)
        _say(*(f"warning: {note}" for note in exported.notes))
        _show(exported.to_toml(), end="")
        return 1 if exported.notes else 0

    async def _planned(self, declaration: as_code.Declaration) -> as_code.Plan:
        async with self._connected() as roles:
            return await as_code.plan(roles, declaration)

    def _plan(self, declaration: as_code.Declaration) -> int:
        chosen, plan = self._chosen, asyncio.run(self._planned(declaration))
        self._comment(plan.to_markdown())
        if chosen.comment != "-":
            _show(json.dumps(plan.to_dict()) if self._form == "json" else str(plan))
        return 1 if chosen.exit_code and not plan.is_as_declared else 0

    def _comment(self, markdown: str) -> None:
        if self._chosen.comment == "-":
            _show(markdown, end="", is_raw=True)
        elif self._chosen.comment is not None:
            write_file(self._chosen.comment, markdown.encode())

    def _apply(self, declaration: as_code.Declaration) -> int:
        chosen = self._chosen
        is_shown = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
        is_asked = not chosen.yes and chosen.checksum is None
        if chosen.yes and not (declaration.anchor or is_shown or chosen.any_account):
            raise client.ConfigurationError(
                "these files fit any account: add the anchor that `arize-roles export --anchor` "
                "prints to one, or pass --any-account"
            )
        if is_asked and not is_shown:
            raise client.ConfigurationError(
                "apply can ask only on a terminal; pass --yes or --checksum"
            )
        if is_asked:
            plan = asyncio.run(self._planned(declaration))
            self._task, chosen.checksum = None, plan.checksum
            _show(str(plan))
            if plan.all_changes and not _is_agreed(plan):
                raise client.RolesError("nothing was changed")
        asyncio.run(self._change(declaration, is_asked=is_asked))
        return 0

    async def _change(self, declaration: as_code.Declaration, *, is_asked: bool) -> None:
        async with self._connected() as roles:
            plan = await read_plan(roles, declaration)
            check_plan(plan, self._chosen.checksum, self._chosen.max_removals)
            # A space, before the JSON, shows whether the rest can be written.
            _show(" ", end="") if self._form == "json" else _show("" if is_asked else str(plan))
            self._run = self._watch.run = Run(roles, plan, self._permit)
            await self._run.finish(self._made)

    def _permit(self) -> None:
        if self._received is not None:
            raise StoppedError(f"stopped by {self._received}")

    def _made(self, change: as_code.Change | as_code.BindingChange) -> None:
        self._watch.clear()
        if self._form != "json":
            _try_to_show(f"  made: {change}")

    def handle_signals(self) -> None:
        """Let signals stop the run, except those that the process was started to ignore."""
        if threading.current_thread() is threading.main_thread():
            for each in _SIGNALS:
                if signal.getsignal(each) not in {signal.SIG_IGN, None}:
                    # Not `loop.add_signal_handler`, which does not exist on Windows.
                    signal.signal(each, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        # Before the run, the first one's KeyboardInterrupt is on its way.
        if self._is_ending or (self._received and self._task is None):
            return
        is_first = self._received is None
        self._received = self._received or signal.Signals(number).name
        if self._task is None:
            raise KeyboardInterrupt
        loop, cancel = self._task.get_loop(), self._task.cancel

        def stop() -> None:
            # A look at a role, or a wait for another attempt, needs no time to end.
            if is_first and self._run is not None and self._run.step.is_sending:
                loop.call_later(_GRACE, cancel)
            else:
                cancel()

        with suppress(RuntimeError):  # The loop has just been closed.
            loop.call_soon_threadsafe(stop)

    def end(self, status: int, error: BaseException | None = None) -> int:
        """Print how the run ended and what it left undone, and return the exit status."""
        self._is_ending = True
        stop = f"stopped by {self._received}" if self._received else None
        plan: as_code.Plan | None = None
        if self._run:
            result, plan = self._run.result, self._run.result.plan
            if stop and result.reason and not isinstance(error, as_code.ApplyError):
                result = attr.evolve(result, reason=stop)
            refused = [attr.evolve(each, reason=_typed(each.reason)) for each in result.refused]
            result = attr.evolve(result, refused=tuple(refused))
            texts = result.errors
            status = (3 if result.made or result.refused or result.failed else 2) if texts else 0
            if texts:
                _say("error: " + "\n  ".join(result.lines()))
            if plan.undeclared and not texts:
                _say(f"note: not declared: {', '.join(quote(r.name) for r in plan.undeclared)}")
        elif error is None:
            return status
        else:
            found = getattr(error, "violations", ()) or [str(error) or type(error).__name__]
            texts = [_typed(str(each)) for each in ([stop] if stop else found)]
            plan = None if stop else getattr(error, "plan", None)
            result = as_code.ApplyError().result
            result = attr.evolve(result, plan=plan or result.plan, reason="; ".join(texts))
            _say(*(str(plan).splitlines() if plan else ()), *(f"error: {text}" for text in texts))
            if getattr(self._chosen, "comment", None):
                said = [one_line(f"! error: {text}").replace("```", "'''") for text in texts]
                with suppress(OSError, client.RolesError):
                    self._comment(fenced([(TITLE, text) for text in said]))
        if self._form == "json":
            kind = type(StoppedError() if stop else error).__name__ if error else None
            shown = result.to_dict() | {"checksum": plan and plan.checksum, "kind": kind}
            _try_to_show(json.dumps(shown | ({"errors": texts} if texts else {})))
        return status


class _Watch(logging.Handler):
    """Shows on the standard error how far a run is, and for what it has waited for long.

    On a terminal it is one line, which is written over; else there is a line for a long wait alone.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.run: Run | None = None
        self._read = Counter[str]()
        self._failure = ""
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._since = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "arize_status", None) in {200, 201, 204}:
            what, _, operation = f"roles.{vars(record)['arize_operation']}".rpartition(".")
            if operation == "list":
                self._read[what.removeprefix("roles.").replace("_", " ")] += 1
            self._failure, self._since = "", time.monotonic()
        else:
            self._failure = record.getMessage()

    @asynccontextmanager
    async def shown(self) -> "AsyncGenerator[None]":
        logger = logging.getLogger(client.__name__)
        before, self._since = logger.level, time.monotonic()
        logger.addHandler(self)
        logger.setLevel(logging.DEBUG)
        task = asyncio.create_task(self._show())
        try:
            yield
        finally:
            task.cancel()
            logger.removeHandler(self)
            logger.setLevel(before)
            self.clear()

    async def _show(self) -> None:
        said = 0.0
        while True:
            await asyncio.sleep(_PERIOD)
            waited = time.monotonic() - self._since
            why = (self.run and self.run.waits_for) or self._failure or "an answer"
            text = f"waiting for {waited:.0f} s: {why}" if waited >= _LONG else self._progress()
            if self._is_terminal:
                self.clear(one_line(printable(text), shutil.get_terminal_size().columns - 1))
            elif waited >= _LONG and said != self._since:
                said = self._since
                _say(text)

    def _progress(self) -> str:
        if self.run is not None:
            result = self.run.result
            return f"made {len(result.made)} of {len(result.plan.all_changes)}"
        return f"read pages: {', '.join(f'{n} of {what}' for what, n in self._read.items())}"

    def clear(self, text: str = "") -> None:
        """Write a text over the line, or nothing, since another line follows."""
        if self._is_terminal:
            with suppress(OSError):
                print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _is_agreed(plan: as_code.Plan) -> bool:
    where = f" to account {plan.where}" if plan.where else ""
    what = [f"{count} of {there} {what}." for count, there, what in removed(plan) if count]
    _show(" ".join([f"Make these changes{where}?", *what, "[y/N] "]), end="")
    try:
        return input().lower() in {"y", "yes"}
    except EOFError:
        return False


def _typed(text: str) -> str:
    for pattern, typed in _AS_TYPED.items():
        text = re.sub(pattern, typed, text)
    return text


def _say(*lines: str) -> None:
    """Print lines on the standard error, if there is one."""
    with suppress(OSError):
        for line in lines if sys.stderr is not None else ():
            print(printable(line), file=sys.stderr)


def _try_to_show(text: str) -> None:
    """Print a text, or warn if that fails: a closed output does not stop a run midway."""
    try:
        _show(text)
    except client.RolesError as error:
        _say(f"warning: {error}")


def _show(text: str, end: str = "\n", *, is_raw: bool = False) -> None:
    text = text if is_raw else printable(text)
    if sys.stdout.isatty() and not (is_raw or os.environ.get("NO_COLOR")):
        text = re.sub(r"(?m)^([-+!?#~]) .*", lambda m: f"\x1b[{_COLORS[m[1]]}m{m[0]}\x1b[0m", text)
    try:
        # In UTF-8, as a file of roles is, whatever the terminal's encoding.
        sys.stdout.buffer.write(f"{text}{end}".encode())
        sys.stdout.flush()
    except OSError as error:
        # Otherwise the interpreter would write the rest as it ends, and exit with 120.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise client.RolesError(f"the standard output cannot be written: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
