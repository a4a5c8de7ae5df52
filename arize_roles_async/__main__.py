"""The command line: `python -m arize_roles_async`, or `arize-roles`."""

import argparse
import asyncio
import csv
import io
import json
import os
import re
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final, Literal, cast

import attr

import arize_roles_async as client
from arize_roles_async import as_code
from arize_roles_async._directory.models import in_words
from arize_roles_async._values.text import one_line, printable
from arize_roles_async._values.writing import write_file
from arize_roles_async.as_code.apply import Run, StoppedError, check_plan
from arize_roles_async.as_code.files import path_text, read, texts_of, with_places
from arize_roles_async.as_code.planning import FORMAT_VERSION, TITLE, fenced, path_of, read_plan
from arize_roles_async.as_code.schema import schema
from arize_roles_async.as_code.toml import formatted

_COLORS: Final = {"+": 32, "-": 31, "!": 33, "?": 35, "#": 36}
_SOUGHT: Final = {
    "role": "only bindings of the role with this name or ID",
    "user": "only those of the user with this address or ID",
    "space": "only those on the space with this name or ID",
    "project": "only those on the project with this name or ID",
    "in_space": "the space of --project, by its name or ID",
}
_FORMULA: Final = r"(^|[;\t\r\n])(?=\s*[=+@＝＋－＠﹦﹢﹣﹫-])"  # noqa: RUF001 - signs of other widths
"""Where a spreadsheet runs the rest of a text, also where a semicolon or tab separates cells."""
_GRACE: Final = 5.0
"""Seconds that the request under way has to end after a first signal."""
# Of all that there are: Windows has no SIGHUP.
_SIGNALS: Final = [s for s in signal.Signals if s.name in {"SIGINT", "SIGTERM", "SIGHUP"}]
_EPILOG: Final = """The key is ARIZE_API_KEY, and the address is in the variables that Arize's own
clients read. FILE may be - for the standard input. Exit status: 0 success; 1 plan --exit-code found
differences, export left out a role, or fmt --check found a file to format; 2 an error, and nothing
was changed; 3 stopped midway, and changes were made or may have been made."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if getattr(chosen, "comment", None) == "-" and chosen.format != "text":
        parser.error("--comment - prints Markdown alone: leave --format out")
    for notice in (client.AlphaWarning, client.BetaWarning):
        warnings.simplefilter("ignore", notice)
    run = _Run(chosen)
    with run.signals(is_process=arguments is None):
        try:
            return run.end(run.command())
        except (Exception, KeyboardInterrupt, asyncio.CancelledError) as error:  # noqa: BLE001 - a traceback would end with 1
            return run.end(2, error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("arize-roles", description="Roles as code.", epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=client.__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="check files, offline")
    plan = commands.add_parser("plan", help="show what apply would change, and change nothing")
    plan.add_argument(
        "--exit-code",
        action="store_true",
        help="exit with 1 if there is a change, or a role that is neither declared nor ignored",
    )
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
        help="most roles that --yes may delete or take permissions from: a number, or a share such "
        "as 50%%; by default 30%% if the account has ten or more custom roles",
    )
    apply.add_argument(
        "--any-account", action="store_true", help="let --yes use files without account and anchor"
    )
    forms = {check: ("text", "github"), plan: ("text", "json", "github"), apply: ("text", "json")}
    for command, choices in forms.items():
        about = "github adds annotations to the text" if "github" in choices else "json: one line"
        command.add_argument("--format", choices=choices, default="text", help=about)
    export = commands.add_parser("export", help="print a file that declares every custom role")
    export.add_argument(
        "--anchor", action="store_true", help="tie it to this account, by the oldest custom role"
    )
    fmt = commands.add_parser("fmt", help="write files in a fixed order; comments are kept")
    fmt.add_argument("--check", action="store_true", help="only name files that would change")
    who = commands.add_parser("who", help="show who has which role on which space or project")
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
        self._phase: Literal["running", "asking", "ending"] = "running"
        """Decides what `_on_signal` does."""
        self._is_output_lost = False

    def command(self) -> int:
        """Run the command and return its exit status."""
        if cast("object", sys.stdout) is None:
            raise client.RolesError("the standard output is closed")
        command = self._chosen.command
        if command == "fmt":
            return self._fmt()
        if command == "schema":
            _show(json.dumps(schema(), indent=2))
            return 0
        if command in {"export", "who"}:
            return asyncio.run(self._export() if command == "export" else self._who())
        # Before the event loop begins, a signal ends even the reading of a pipe.
        declaration = read(self._chosen.file, or_input=True)
        self._report("note", declaration.notes)
        if command == "check":
            _show(f"declared: {len(declaration.roles)}; absent: {len(declaration.absent)}")
            return 0
        return asyncio.run((self._plan if command == "plan" else self._apply)(declaration))

    def _report(self, kind: str, reasons: Iterable[object]) -> None:
        """Print reasons on the standard error, and as annotations of GitHub if these are wanted."""
        for reason in reasons:
            _say(f"{kind}: {reason}")
            if self._form == "github":
                self._try_to_show(_annotation(kind, reason), is_raw=True)

    def _fmt(self) -> int:
        files, broken = texts_of(self._chosen.file, or_input=True)
        wrong, changed = [*broken], list[tuple[Path | None, str]]()
        for file, path in files.items():
            end = "\r\n" if "\r\n" in file.text else "\n"
            try:
                text = formatted(file.name, file.text.replace("\r\n", "\n")).replace("\n", end)
            except client.ValidationError as error:
                wrong += error.violations
                continue
            if path is None and not self._chosen.check:
                _show(text, end="", is_raw=True)
            elif text != file.text:
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
        if not os.environ.get("ARIZE_API_KEY"):
            raise client.ConfigurationError("no API key: set ARIZE_API_KEY")
        async with client.AiohttpRolesClient() as roles:
            yield roles

    async def _who(self) -> int:
        sought = {name: getattr(self._chosen, name) for name in _SOUGHT}
        async with self._connected() as roles:
            found = await roles.by_name.find(**sought)
        if self._form == "json":
            _show(found.to_json())
        else:
            _show(to_csv(found) if self._form == "csv" else to_columns(found))
        none = "" if found else "; it sees none without ROLE_BINDING_READ"
        _say(f"note: {len(found)} role bindings; those that the key may not see are left out{none}")
        return 0

    async def _export(self) -> int:
        async with self._connected() as roles:
            exported = await as_code.export(roles, anchored=self._chosen.anchor)
        self._report("warning", exported.notes)
        _show(exported.to_toml(), end="")
        return 1 if exported.notes else 0

    async def _plan(self, declaration: as_code.Declaration) -> int:
        chosen = self._chosen
        async with self._connected() as roles:
            plan = await as_code.plan(roles, declaration)
        self._comment(plan.to_markdown())
        if chosen.comment != "-":
            _show(plan.to_json() if self._form == "json" else str(plan))
        if self._form == "github":
            notes = [client.Violation(path_of(c), c.note) for c in plan.changes if c.note]
            self._report("note", [*with_places(notes, declaration.files), *plan.notes])
        return 1 if chosen.exit_code and (plan.changes or plan.undeclared) else 0

    def _comment(self, markdown: str) -> None:
        if self._chosen.comment == "-":
            _show(markdown, end="", is_raw=True)
        elif self._chosen.comment is not None:
            write_file(self._chosen.comment, markdown.encode())

    async def _apply(self, declaration: as_code.Declaration) -> int:
        chosen, is_asked = self._chosen, False
        is_shown = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
        if "ARIZE_ROLES_MAX_REMOVALS" in os.environ:
            raise client.ConfigurationError(
                "ARIZE_ROLES_MAX_REMOVALS limits nothing any more: unset it, pass --max-removals"
            )
        is_tied = declaration.account is not None or declaration.anchor is not None
        if chosen.yes and not (is_tied or is_shown or chosen.any_account):
            raise client.ConfigurationError(
                "these files fit any account: add account or anchor to one, or pass --any-account"
            )
        async with self._connected() as roles:
            if not chosen.yes and chosen.checksum is None:
                if not is_shown:
                    raise client.ConfigurationError(
                        "apply can ask only on a terminal; pass --yes or --checksum"
                    )
                plan = await as_code.plan(roles, declaration)
                _show(str(plan))
                chosen.checksum, is_asked = plan.checksum, True
                if plan.changes and not self._is_agreed(plan):
                    raise client.RolesError("nothing was changed")
            plan = await read_plan(roles, declaration)
            check_plan(plan, chosen.checksum, chosen.max_removals)
            # A space, before the JSON, shows whether the rest can be written.
            _show(" ", end="") if self._form == "json" else _show("" if is_asked else str(plan))
            self._run = Run(roles, plan, self._permit)
            await self._run.finish(self._made)
        return 0

    def _permit(self) -> None:
        if self._received is not None:
            raise StoppedError(f"stopped by {self._received}")

    def _is_agreed(self, plan: as_code.Plan) -> bool:
        where = f" to account {plan.where}" if plan.where else ""
        removed = f"{len(plan.removals)} of {plan.custom_roles} custom roles"
        what = f" They delete or take permissions from {removed}." if plan.removals else ""
        self._phase = "asking"
        try:
            _show(f"Make these changes{where}?{what} [y/N] ", end="")
            answer = input()
        except EOFError:
            return False
        finally:
            self._phase = "running"
        return answer.lower() in {"y", "yes"}

    def _made(self, change: as_code.Change) -> None:
        if self._form != "json":
            self._try_to_show(f"  made: {change}")

    def _try_to_show(self, text: str, *, is_raw: bool = False) -> None:
        """Print a text, or warn if that fails: a closed output does not stop a run midway."""
        try:
            _show(text, is_raw=is_raw)
        except client.RolesError as error:
            self._is_output_lost = True
            _say(f"warning: {error}")

    @contextmanager
    def signals(self, *, is_process: bool) -> Generator[None]:
        """Let signals stop the run, except those that the process was started to ignore."""
        before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for each in _SIGNALS:
                if signal.getsignal(each) not in {signal.SIG_IGN, None}:
                    # Not `loop.add_signal_handler`, which does not exist on Windows.
                    before[each] = signal.signal(each, self._on_signal)
        try:
            yield
        finally:
            # A signal in the last moments of a process would print a traceback.
            for each, handler in () if is_process else before.items():
                signal.signal(each, handler)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        # Before the run, the first one's KeyboardInterrupt is on its way.
        if self._phase == "ending" or (self._received and self._task is None):
            return
        is_first = self._received is None
        self._received = self._received or signal.Signals(number).name
        if self._task is None or self._phase == "asking":
            raise KeyboardInterrupt
        loop, cancel = self._task.get_loop(), self._task.cancel

        def stop() -> None:
            # A look at a role, or a wait for another attempt, needs no time to end.
            if is_first and self._run is not None and self._run.is_sending:
                loop.call_later(_GRACE, cancel)
            else:
                cancel()

        with suppress(RuntimeError):  # The loop has just been closed.
            loop.call_soon_threadsafe(stop)

    def end(self, status: int, error: BaseException | None = None) -> int:
        """Print how the run ended and what it left undone, and return the exit status."""
        self._phase = "ending"
        result, stopped = self._run.result if self._run else None, self._received
        if result is None:
            if error is not None:
                self._refuse(error)
            return status
        is_failed = isinstance(error, as_code.ApplyError) and result.failed is not None
        if stopped and result.reason and not is_failed:
            result = attr.evolve(result, reason=f"stopped by {stopped}")
        is_incomplete = result.reason or result.refused
        if self._form == "json":
            self._try_to_show(json.dumps({**result.to_dict(), "kind": self._kind(error)}))
        if not is_incomplete:
            return 0
        for refusal in result.refused:
            _say(f"error: {refusal}")
            if refusal.is_blocked and refusal.change.before:
                name = shlex.quote(refusal.change.before.name)
                _say(f"  for who has it: arize-roles who --role={name}")
        if failure := result.failure():
            _say(f"error: {failure}")
        _say(f"made: {len(result.made)} of {len(result.plan.changes)}")
        if self._is_output_lost:
            _say(*(f"  made: {change}" for change in result.made))
        _say(f"not reached: {len(result.not_reached)}")
        _say(*(f"  not reached: {change}" for change in result.not_reached))
        return 3 if result.made or result.may_have_been_made else 2

    def _kind(self, error: BaseException | None) -> str | None:
        """Return the name of an error's class; after an early end, that of its cause."""
        if isinstance(error, as_code.ApplyError) and error.result.reason:
            error = error.__cause__
        return type(StoppedError() if self._received else error).__name__ if error else None

    def _refuse(self, error: BaseException) -> None:
        """Print why nothing was changed, in every form that was asked for."""
        plan: as_code.Plan | None = None if self._received else getattr(error, "plan", None)
        reasons = [*getattr(error, "violations", ())] or [str(error) or type(error).__name__]
        if self._received:
            end = "" if self._chosen.command == "fmt" else "; nothing was changed"
            reasons = [f"stopped by {self._received}{end}"]
        elif plan and isinstance(error, as_code.TooManyRemovalsError):
            _say(*map(str, plan.removals))
            reasons = [f"{reason} (--checksum, --max-removals)" for reason in reasons]
        elif plan:
            _say(*str(plan).splitlines())
        self._report("error", reasons)
        texts = [*map(str, reasons)]
        if getattr(self._chosen, "comment", None):
            said = [one_line(printable(f"! error: {text}")) for text in texts]
            lines = [(TITLE, text.replace("```", "'''")) for text in said]
            with suppress(OSError, client.RolesError):
                self._comment(fenced(lines))
        if self._form == "json":
            ended: dict[str, object] = {"format_version": FORMAT_VERSION}
            if self._chosen.command == "apply":
                none = attr.evolve(as_code.ApplyError().result, reason="; ".join(texts))
                ended = attr.evolve(none, plan=plan or none.plan).to_dict()
                ended["checksum"] = plan and plan.checksum
            self._try_to_show(json.dumps({**ended, "kind": self._kind(error), "errors": texts}))


def to_columns(bindings: Sequence[client.NamedBinding]) -> str:
    """Return a line a binding: the user, the role, and the place."""
    rows = [[*in_words(each)] for each in bindings]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def to_csv(bindings: Sequence[client.NamedBinding]) -> str:
    """Return CSV with a heading; an apostrophe is before what a spreadsheet would run."""
    out = io.StringIO()
    writer = csv.DictWriter(out, client.NamedBinding.model_fields, lineterminator="\n")
    writer.writeheader()
    for each in bindings:
        row = each.to_dict().items()
        writer.writerow({name: re.sub(_FORMULA, r"\1'", text) for name, text in row})
    return out.getvalue().rstrip("\n")


def _annotation(kind: str, reason: object) -> str:
    text, place = printable(str(reason)).replace("%", "%25").replace("\n", "%0A"), ""
    if isinstance(reason, as_code.FileViolation):
        name = printable(reason.file).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
        place = f" file={name},line={reason.line}"
    return f"::{'notice' if kind == 'note' else kind}{place}::{text}"


def _say(*lines: str) -> None:
    """Print lines on the standard error, if there is one."""
    with suppress(OSError):
        for line in lines if sys.stderr is not None else ():
            print(printable(line), file=sys.stderr)


def _show(text: str, end: str = "\n", *, is_raw: bool = False) -> None:
    text = text if is_raw else printable(text)
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if sys.stdout.isatty() and not (is_plain or is_raw):
        text = re.sub(r"(?m)^([-+!?#]) .*", lambda m: f"\x1b[{_COLORS[m[1]]}m{m[0]}\x1b[0m", text)
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
