"""The command line: `python -m arize_roles_fake`."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from shlex import quote
from typing import Any

import msgspec

from arize_roles_async._aiohttp.config import is_loopback
from arize_roles_async._values.text import printable
from arize_roles_fake._account.account import DEFAULT_API_KEY, FakeAccount, keys_of
from arize_roles_fake._service.assumptions import Assumptions
from arize_roles_fake._testing import account_file
from arize_roles_fake._testing.account_file import AccountData, Keys

_KEY_VARIABLE = "ARIZE_FAKE_API_KEY"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m arize_roles_fake", description="The fake of Arize's roles API, over HTTP."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="start the server and drive it with the real client")
    server = _add_serve(commands)
    chosen = parser.parse_args(arguments)
    if chosen.command == "demo":
        from arize_roles_fake._server.demo import demo

        asyncio.run(demo())
        return 0
    try:
        account, file = _account(chosen)
    except (ValueError, OSError) as error:
        server.error(printable(str(error)))
    try:
        account = asyncio.run(_serve(account, file, chosen))
    except (OSError, OverflowError) as error:
        _say(f"cannot listen on {chosen.host}, port {chosen.port}: {error}")
        return 1
    try:
        if chosen.save is not None:
            account.dump(chosen.save)
    except OSError as error:
        _say(f"the account was not saved: {error}")
        return 1
    return 0


def _add_serve(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> argparse.ArgumentParser:
    server = commands.add_parser(
        "serve",
        help="serve an account until interrupted",
        description="Serve an account until interrupted. Prints its URL once it is ready, and on "
        "stderr the variables to export. In a browser on the same machine, the URL shows the "
        "account's roles and last calls.",
    )
    server.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    server.add_argument("--port", type=int, default=0, help="the port; 0 is any free one")
    several: dict[str, Any] = {"action": "append", "default": []}
    server.add_argument(
        "--allow-host",
        metavar="NAME",
        help="another name to accept in the Host header; may be given several times",
        **several,
    )
    server.add_argument(
        "--account", metavar="FILE", help="the account to serve: JSON, as FakeAccount.dump() writes"
    )
    server.add_argument("--save", metavar="FILE", help="write the account to this file on exit")
    keys = server.add_mutually_exclusive_group()
    keys.add_argument(
        "--api-key",
        metavar="KEY",
        help=f"the account's only API key; by default {_KEY_VARIABLE} in the environment, else the "
        f"keys of the account file, else {DEFAULT_API_KEY}",
    )
    keys.add_argument("--api-key-file", metavar="FILE", help="a file that holds this key")
    server.add_argument(
        "--assume",
        metavar="NAME=VALUE",
        help="the behaviour of the service where its reference is silent, such as "
        "predefined_refusal=400; may be given several times",
        **several,
    )
    server.add_argument(
        "--control",
        nargs="?",
        choices=["loopback", "any"],
        const="loopback",
        help="let callers on this machine, or with any on any machine, that send the key reset the "
        "account, script faults, read the calls, move the clock, and replace or add accounts, with "
        f"requests to /-/; any needs a key other than {DEFAULT_API_KEY}",
    )
    return server


def _account(chosen: argparse.Namespace) -> tuple[FakeAccount, AccountData | None]:
    """Return the account to serve, and the data of its file if it has one."""
    key = _api_key(chosen)
    keys: Keys = {DEFAULT_API_KEY if key is None else key: None}
    source = chosen.account
    with nullcontext() if source is None else account_file.loaded(source) as file:
        if key is None and file is not None and file.keys is not None:
            keys = file.keys
        account = _make_account(file, keys, chosen, chosen.assume)
    if chosen.save is not None:
        # A file that cannot be written is refused before the account can change.
        account.dump(chosen.save)
    return account, file


def _make_account(
    data: AccountData | None, keys: Keys, chosen: argparse.Namespace, over_file: Sequence[str] = ()
) -> FakeAccount:
    """Make an account; `over_file` are assumptions that count more than those of its file."""
    if not keys:
        raise ValueError("the account has no API key; pass one with --api-key")
    if chosen.control == "any":
        from arize_roles_fake._server.control import check_not_public

        check_not_public(keys)
    if data is None:
        (key,) = keys
        return FakeAccount(assumptions=Assumptions.parse(chosen.assume), api_key=key)
    settings = [f"{name}={value}" for name, value in data.assumptions.items()]
    return FakeAccount.load(
        account_file.encode(msgspec.structs.replace(data, keys=keys)),
        assumptions=Assumptions.parse([*chosen.assume, *settings, *over_file]),
    )


def _api_key(chosen: argparse.Namespace) -> str | None:
    """Return the only key of the account by the options; None keeps the account's own keys."""
    if chosen.api_key is not None:
        return str(chosen.api_key)
    if chosen.api_key_file is not None:
        return Path(chosen.api_key_file).read_text("utf-8").strip()
    return os.environ.get(_KEY_VARIABLE) or None


async def _serve(
    account: FakeAccount, file: AccountData | None, chosen: argparse.Namespace
) -> FakeAccount:
    """Serve an account until a signal comes, and return the account served last."""
    from arize_roles_fake._server.control import Control
    from arize_roles_fake._server.server import Listener

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # The loops of Windows have none.
            signal.signal(number, lambda _, __: loop.call_soon_threadsafe(stop.set))
    allowed = None
    if is_loopback(chosen.host):
        allowed = frozenset(chosen.allow_host)
    elif DEFAULT_API_KEY in keys_of(account):
        _say(
            f"warning: other machines can reach {chosen.host}, and the key {DEFAULT_API_KEY} is "
            "public; pass another one with --api-key-file"
        )
    control = Control(
        account,
        lambda data, keys: _make_account(data or file, keys, chosen, () if data else chosen.assume),
        anywhere=chosen.control == "any",
    )
    is_controlled = chosen.control is not None
    listener = Listener(control.account_of, allowed, control if is_controlled else None)
    async with listener.running(chosen.host, chosen.port) as url:
        host, _, port = url.removeprefix("http://").rpartition(":")
        print(
            f"export ARIZE_API_KEY={quote(account.api_key)} ARIZE_BASE_URL={quote(url)}",
            f"export ARIZE_API_SCHEME=http ARIZE_API_HOST={quote(host)} ARIZE_API_PORT={port}",
            sep="\n",
            file=sys.stderr,
        )
        print(url, flush=True)
        await stop.wait()
    return control.account


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
