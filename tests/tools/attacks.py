"""Runs every attack in full size, and judges what became of the process that was attacked.

    python -m tests.tools.attacks [PART OF A NAME]

Nothing that a server or a client sends may hold the event loop for more than 0.25 s in one piece,
take more than 100 MiB, or make an error or a log line that is longer than 2,000 characters or more
than one line. Each attack has a process of its own for its victim: a client, or the fake's server.
The last row is a control, which the judge has to refuse. Memory is read from `/proc`: Linux only.
"""

import asyncio
import json
import logging
import sys
import warnings
from collections.abc import Awaitable
from pathlib import Path
from typing import Final

import aiohttp
import attr
import attrs
import cattrs
import msgspec

from arize_roles_async import AiohttpRolesClient, AlphaWarning, RetryPolicy, RolesClient, Timeouts
from arize_roles_fake import FakeAccount, serve
from tests.support.attacks import ATTACKS, SERVER_ATTACKS, Attack, assault, attacking
from tests.support.messages import messages_of

MAX_BLOCK: Final = 0.25
MAX_MEMORY: Final = 100.0
MAX_MESSAGE: Final = 2_000
_RUNS: Final = 3
_TICK: Final = 0.005
_TIMEOUTS: Final = Timeouts(total=4.0, read=1.0)


@attrs.frozen(kw_only=True)
class Reading:
    """The effect of an attack on its victim.

    Attributes:
        ended: The class of the error that the call raised, or `answered`.
        block: Seconds of the longest piece for which the event loop was held.
        memory: MiB that the process grew by at most.
        message: Characters of the longest error or log line.
        printable: True if each of them is one line that a terminal only prints.
    """

    ended: str
    block: float = 99.9
    memory: float = 9999.0
    message: int = 0
    printable: bool = False

    @property
    def holds(self) -> bool:
        """True if every bound was kept."""
        is_cheap = self.block <= MAX_BLOCK and self.memory <= MAX_MEMORY
        return is_cheap and self.message <= MAX_MESSAGE and self.printable


class Watch(logging.Handler):
    """Watches the process while it is attacked: the event loop, memory, and what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self._block = 0.0
        self._lines: list[str] = []
        logging.basicConfig(level=logging.DEBUG, handlers=[self], force=True)
        self._memory = _memory("VmRSS")
        self._ticking = asyncio.create_task(self._tick())

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())

    async def _tick(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            before = now()
            await asyncio.sleep(_TICK)
            self._block = max(self._block, now() - before - _TICK)

    async def stop(self, ended: str, messages: list[str]) -> Reading:
        """Return what was seen."""
        await asyncio.sleep(2 * _TICK)
        self._ticking.cancel()
        lines = messages + self._lines
        return Reading(
            ended=ended,
            block=self._block,
            memory=_memory("VmHWM") - self._memory,
            message=max(map(len, lines), default=0),
            printable=all(map(str.isprintable, lines)),
        )


def _memory(name: str) -> float:
    """Return MiB of memory that the process has (`VmRSS`), or has had at most (`VmHWM`)."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition(f"{name}:")[2].split()[0]) / 1024


async def attack_client(attack: Attack, url: str) -> Reading:
    """Make the call that an attack answers, in this process."""
    assert attack.call is not None
    warnings.simplefilter("ignore", AlphaWarning)
    once = RetryPolicy(attempts=1)
    async with AiohttpRolesClient("key-1234", base_url=url, timeout=_TIMEOUTS, retry=once) as roles:
        watch = Watch()
        await asyncio.sleep(2 * _TICK)
        ended, messages = "answered", list[str]()
        try:
            messages.append(repr(await attack.call(roles)))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
            ended, messages = type(error).__name__, list(messages_of(error))
        return await watch.stop(ended, messages)


async def serve_victim() -> Reading:
    """Serve a fake account, print its URL, and watch the process until standard input ends."""
    account = FakeAccount()
    account.add_key("fake-api-key")
    async with serve(account) as url:
        watch = Watch()
        print(url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        return await watch.stop("answered", [str(call) for call in account.calls])


@attr.frozen
class _Role:
    id: str
    name: str


async def _convert_all(_: RolesClient) -> object:
    """Convert as many invalid roles as come, and report every violation of every one."""
    data = msgspec.json.decode(b"[" + b"{}," * 30_000 + b"{}]")
    try:
        cattrs.Converter(detailed_validation=True).structure(data, tuple[_Role, ...])
    except cattrs.BaseValidationError as error:
        raise ValueError("\n".join(cattrs.transform_error(error))) from None
    return None


_CONTROL: Final = attrs.evolve(
    ATTACKS[0], name="control: every violation reported", call=_convert_all
)
_ALL: Final = (*ATTACKS, *SERVER_ATTACKS, _CONTROL)


async def run_attack(attack: Attack) -> Reading:
    """Run an attack on a fresh process, and return the reading with the shortest block."""
    run = _run_on_client if attack.call else _run_on_server
    readings: list[Reading] = []
    for _ in range(_RUNS):
        # Another process on the machine can only make a block longer.
        readings.append(await run(attack))
        if readings[-1].block <= MAX_BLOCK or attack is _CONTROL:
            break
    return min(readings, key=lambda reading: reading.block)


async def _run_on_client(attack: Attack) -> Reading:
    async with attacking(attack, attack.large) as url:
        victim = await _start("--client", attack.name, url)
        return await _reading(victim.communicate())


async def _run_on_server(attack: Attack) -> Reading:
    victim = await _start("--server")
    assert victim.stdout is not None
    url = (await victim.stdout.readline()).decode().strip()
    answered = await assault(url, attack, attack.large)
    reading = await _reading(victim.communicate(b""))  # It ends its standard input.
    status, _, body = answered.partition(b"\r\n\r\n")
    # What is said of a request; an answer that holds a role holds what was asked for.
    text = body.decode("utf-8", "replace") if b"problem+json" in status else ""
    return attrs.evolve(
        reading,
        ended=status[9:12].decode() or "closed",
        message=max(reading.message, len(text)),
        printable=reading.printable and text.isprintable(),
    )


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.tools.attacks", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def _reading(ended: Awaitable[tuple[bytes, bytes]]) -> Reading:
    lines = (await ended)[0].splitlines()
    return Reading(**json.loads(lines[-1])) if lines else Reading(ended="died")


async def _judge(part: str) -> int:
    attacks = [each for each in _ALL if part in each.name]
    print(f"aiohttp {aiohttp.__version__}, Python {sys.version.split()[0]}\n")
    print("| attack | on | ended in | block, s | MiB | longest message | holds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    wrong = 0
    for attack in attacks:
        reading = await run_attack(attack)
        wrong += reading.holds is (attack is _CONTROL)
        print(
            f"| {attack.name} | {'client' if attack.call else 'server'} | {reading.ended} "
            f"| {reading.block:.3f} | {reading.memory:.0f} "
            f"| {reading.message}{'' if reading.printable else ' RAW'} "
            f"| {'yes' if reading.holds else 'NO'} |",
            flush=True,
        )
    print(f"\n{len(attacks)} attacks, {wrong} judged otherwise than they must be")
    return min(wrong, 1)


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    match arguments:
        case ["--server"]:
            reading = asyncio.run(serve_victim())
        case ["--client", name, url]:
            [attack] = [each for each in _ALL if each.name == name]
            reading = asyncio.run(attack_client(attack, url))
        case _:
            return asyncio.run(_judge("".join(arguments)))
    print(json.dumps(attrs.asdict(reading)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
