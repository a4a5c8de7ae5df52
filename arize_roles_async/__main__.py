"""The command line: `python -m arize_roles_async`, or `arize-roles`."""

import argparse
import asyncio
import os
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Final

import arize_roles_async as client
from arize_roles_async import as_code

_COLORS: Final = {"+": 32, "-": 31, "!": 33, "?": 35, "#": 36}
_EPILOG: Final = """The key is ARIZE_API_KEY, and the address is in the variables that Arize's own
clients read. Exit status: 0 done, or as declared; 1 only plan --exit-code, with differences;
2 trouble, nothing was changed; 3 stopped midway, changes were or may have been made."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser("arize-roles", description="Roles as code.", epilog=_EPILOG)
    parser.set_defaults(began=False)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="check a file, offline")
    plan = commands.add_parser("plan", help="show what apply would change, and change nothing")
    plan.add_argument("--exit-code", action="store_true", help="end with 1 on a difference")
    plan.add_argument("--exact", action="store_true", help="an undeclared role is a difference")
    plan.add_argument("--format", choices=("text", "json", "markdown"), default="text")
    apply = commands.add_parser("apply", help="make the account as the file declares it")
    consent = apply.add_mutually_exclusive_group()
    consent.add_argument("--yes", action="store_true", help="do not ask")
    consent.add_argument("--checksum", metavar="SUM", help="do not ask, if it is the plan's")
    commands.add_parser("export", help="print a file that declares every custom role")
    for command in (check, plan, apply):
        command.add_argument("file", help="a TOML file of roles")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("ignore", client.AlphaWarning)
    try:
        return asyncio.run(_run(chosen))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a traceback would end with 1
        return _failed(error, began=chosen.began)


async def _run(chosen: argparse.Namespace) -> int:
    if chosen.command == "export":
        async with client.AiohttpRolesClient() as roles:
            _show((await as_code.export(roles)).to_toml(), end="")
        return 0
    declaration = as_code.load(chosen.file)
    if chosen.command == "check":
        for violation in declaration.unknown_permissions():
            print(f"warning: {violation}", file=sys.stderr)
        _show(f"declared: {len(declaration.roles)}; absent: {len(declaration.absent)}")
        return 0
    async with client.AiohttpRolesClient() as roles:
        if chosen.command == "apply":
            await _apply(chosen, roles, declaration)
            return 0
        plan = await as_code.plan(roles, declaration)
    forms = {"text": plan.__str__, "json": plan.to_json, "markdown": plan.to_markdown}
    _show(forms[chosen.format]())
    differs = plan.changes or (chosen.exact and plan.undeclared)
    return 1 if chosen.exit_code and differs else 0


async def _apply(
    chosen: argparse.Namespace, roles: client.RolesClient, declaration: as_code.Declaration
) -> None:
    def begin(plan: as_code.Plan) -> None:
        _show("" if asks else str(plan))
        chosen.began = bool(plan.changes)

    def tell(change: as_code.Change) -> None:
        _show(f"  made: {change}")

    if asks := not chosen.yes and chosen.checksum is None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise client.ConfigurationError("apply asks on a terminal; give it --yes or --checksum")
        plan = await as_code.plan(roles, declaration)
        _show(str(plan))
        # Under the handler of the event loop, an interrupt would wait for the answer.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if plan.changes and input("Make these changes? [y/N] ").lower() not in {"y", "yes"}:  # noqa: ASYNC250
            raise client.RolesError("nothing was changed")
        chosen.checksum = plan.checksum
    await as_code.apply(roles, declaration, expected=chosen.checksum, on_plan=begin, on_change=tell)


def _failed(error: BaseException, *, began: bool) -> int:
    if isinstance(error, BrokenPipeError):  # The interpreter would write what is left at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, as_code.ApplyError):
        began = error.may_have_been_made or error.made != ()
    for reason in getattr(error, "violations", (str(error) or type(error).__name__,)):
        print(f"error: {reason}", file=sys.stderr)
    return 3 if began else 2


def _show(text: str, end: str = "\n") -> None:
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        text = re.sub(r"(?m)^([-+!?#]) .*", lambda m: f"\x1b[{_COLORS[m[1]]}m{m[0]}\x1b[0m", text)
    # In UTF-8, as a file of roles is, whatever the terminal's encoding.
    sys.stdout.buffer.write(f"{text}{end}".encode())
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
