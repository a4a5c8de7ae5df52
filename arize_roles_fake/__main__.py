"""The command line: `python -m arize_roles_fake`."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from arize_roles_fake._account import DEFAULT_API_KEY, FakeAccount
from arize_roles_fake._faults import parse_fault


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m arize_roles_fake", description="The fake of Arize's roles API, over HTTP."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="start the server and drive it with the real client")
    server = commands.add_parser(
        "serve",
        help="serve an account until interrupted",
        description="Serve an account until interrupted. Prints its URL once it is ready; a "
        "browser on the same machine finds the account's roles and last calls there.",
    )
    server.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    server.add_argument("--port", type=int, default=0, help="the port; 0 is any free one")
    server.add_argument("--account", metavar="FILE", help="JSON that FakeAccount.dump() wrote")
    server.add_argument(
        "--api-key",
        metavar="KEY",
        help=f"the one key that callers may use, instead of the account's or {DEFAULT_API_KEY}",
    )
    server.add_argument(
        "--latency", metavar="SECONDS", help="how long answers take, as 0.2 or drawn, as 0.1-0.5"
    )
    server.add_argument(
        "--fault",
        metavar="FAULT",
        action="append",
        default=[],
        help="a failure, as OPERATION:FAILURE[,times=N|always][,after=N][,when=before|after]"
        "[,retry_after=SECONDS][,role=NAME]; may be given several times",
    )
    recorder = commands.add_parser(
        "record",
        help="write down what a service answers to a script of calls",
        description="Write down what a service answers to a script of calls. The key is "
        "ARIZE_API_KEY. The script makes a few roles under names of its own, deletes them again "
        "and changes no other.",
    )
    recorder.add_argument("--base-url", metavar="URL", help="the service; else the environment's")
    recorder.add_argument("--out", metavar="FILE", required=True, help="where to write it")
    comparison = commands.add_parser(
        "compare", help="compare what a service answered with what the fake answers"
    )
    comparison.add_argument("file", metavar="FILE", help="what record wrote")
    chosen = parser.parse_args(arguments)
    if chosen.command == "record":
        return _record(chosen.base_url, Path(chosen.out))
    if chosen.command == "compare":
        return _compare(Path(chosen.file))
    if chosen.command == "demo":
        from arize_roles_fake._demo import demo

        return asyncio.run(demo())
    try:
        account = _account(chosen)
    except (ValueError, OSError) as error:
        server.error(str(error))
    try:
        return asyncio.run(_serve(account, chosen.host, chosen.port))
    except (OSError, OverflowError) as error:
        print(f"cannot listen on {chosen.host}, port {chosen.port}: {error}", file=sys.stderr)
        return 1


def _account(chosen: argparse.Namespace) -> FakeAccount:
    account = (
        FakeAccount(api_key=DEFAULT_API_KEY)
        if chosen.account is None
        else FakeAccount.load(chosen.account)
    )
    if chosen.api_key is not None:
        for key in account.api_keys:
            account.remove_key(key)
        account.add_key(chosen.api_key)
    if chosen.latency is not None:
        low, drawn, high = chosen.latency.partition("-")
        account.slow_down(float(low), up_to=float(high) if drawn else None)
    for fault in chosen.fault:
        account.fail(**parse_fault(fault))
    return account


def _record(base_url: str | None, out: Path) -> int:
    from arize_roles_async import RolesError
    from arize_roles_fake._recording import encode, record_service

    try:
        recorded = asyncio.run(record_service(base_url))
        out.write_bytes(encode(recorded))
    except (RolesError, OSError) as error:
        print(f"nothing was recorded: {error}", file=sys.stderr)
        return 1
    print(f"{len(recorded)} answers are in {out}")
    return 0


def _compare(file: Path) -> int:
    from arize_roles_fake._recording import decode, replay

    try:
        recorded = decode(file.read_bytes())
    except (ValueError, OSError) as error:
        print(f"cannot compare {file}: {error}", file=sys.stderr)
        return 2
    differences = list(asyncio.run(replay(recorded, FakeAccount())))
    for difference in differences:
        print(difference)
    print(f"{len(differences)} differences in {len(recorded)} answers")
    return 1 if differences else 0


async def _serve(account: FakeAccount, host: str, port: int) -> int:
    from arize_roles_fake._server import serve

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve(account, host=host, port=port) as url:
        print(url, flush=True)
        await stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
