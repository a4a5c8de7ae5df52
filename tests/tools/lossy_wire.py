"""Calls over a wire that delays, loses and cuts, between two network namespaces; for root.

`python -m tests.tools.lossy_wire` takes about three minutes. It prints a row a scenario, and exits
with 1 if anything is not as it should be. In a cut of 15 s the client gives changes up; its kernel
must not deliver them when the wire is mended. The control is a client that only closes its
connections, for which the kernel does just that.
"""

import asyncio
import sys
import time
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import attrs
import msgspec

from arize_roles_async import (
    AiohttpRolesClient,
    AlphaWarning,
    OutcomeUnknownError,
    RetryPolicy,
    RolesClient,
    Timeouts,
)
from tests.infrastructure.load import Load, MakeCall, Planned, make, plan
from tests.support.judge import Call, Judge, Row, Verdict
from tests.support.proxies import folder, program
from tests.support.upstream import KEY, Upstream
from tests.support.wire import FAR, Wire, why_not, wire

LIMITS = Timeouts(total=6.0, connect=2.0, read=2.0)
LONG_LIMITS = Timeouts(total=60.0, connect=30.0, read=30.0)
"""Where no time limit should run out, however busy the machine is."""
CHANGES = ("create", "update", "delete")
DELAY = 0.02
"""Seconds that a packet takes."""
CUT = 15.0
"""Seconds without a wire."""
RETRANSMISSION = 30.0
"""Seconds after a cut of 15 in which a kernel sends again what it still holds.

It waits 0.2 s and then twice as long each time, so that it tries 25.4 s after the start, and then
not before 51 s.
"""


@attrs.frozen(kw_only=True)
class Setting:
    """The parts that a scenario works with."""

    wire: Wire
    upstream: Upstream
    client: RolesClient
    limits: Timeouts

    def plan(self, count: int) -> list[Planned]:
        """Return calls to make, for which the wire gets ready without a delay."""
        self.wire.delay = 0.0
        planned = plan(self.upstream, count)
        self.wire.delay = DELAY
        return planned


Scenario = Callable[[Setting], Awaitable[tuple[list[Call], list[str]]]]


async def clear(setting: Setting) -> tuple[list[Call], list[str]]:
    """Only delay."""
    calls = await Load(setting.client, setting.plan(96)).run()
    return calls, [f"{call} failed" for call in calls if call.error]


async def lossy(setting: Setting) -> tuple[list[Call], list[str]]:
    """Lose every tenth packet, which costs time and no calls."""
    planned = setting.plan(96)
    setting.wire.loss = 0.1
    calls = await Load(setting.client, planned).run()
    return calls, [] if any(call.error is None for call in calls) else ["nothing succeeded"]


async def very_lossy(setting: Setting) -> tuple[list[Call], list[str]]:
    """Lose every third packet, so that limits run out."""
    planned = setting.plan(96)
    setting.wire.loss = 0.33
    calls = await Load(setting.client, planned, at_once=24).run()
    return calls, [] if any(call.error is None for call in calls) else ["nothing succeeded"]


async def cut(setting: Setting, make_call: MakeCall = make) -> tuple[list[Call], list[str]]:
    """Cut the wire under calls; their callers then do something else, which has to stay so."""
    upstream, client = setting.upstream, setting.client
    # Given up for silence, for the limit on the whole call, and by their callers.
    impatient = client.with_options(timeout=Timeouts(total=LIMITS.read, read=None))
    ways = ((client, None), (impatient, None), (client, LIMITS.read))
    planned = [
        [
            attrs.evolve(p, gives_up_after=seconds)
            for p in plan(upstream, 6, CHANGES, prefix=f"Way {way}")
        ]
        for way, (_, seconds) in enumerate(ways)
    ]
    given_up = [p for each in planned for p in each]
    warm = plan(upstream, len(given_up), ("get",), prefix="Warm")
    first = await Load(client, warm, make_call=make_call, at_once=len(warm)).run()
    setting.wire.cut()
    began = time.monotonic()
    loads = [
        Load(each, calls, make_call=make_call, at_once=len(calls)).run()
        for (each, _), calls in zip(ways, planned, strict=True)
    ]
    lost = [call for calls in await asyncio.gather(*loads) for call in calls]
    await asyncio.sleep(began + CUT - time.monotonic())
    setting.wire.mend()

    # What was not known is looked up and done otherwise.
    again = [
        Planned(operation="update", number=10 + p.number, role_id=p.role_id, name=p.name)
        for p in given_up
        if p.operation == "update"
    ]
    last = await Load(client, again, at_once=4).run()
    await asyncio.sleep(RETRANSMISSION)
    undone = [
        f"{p.name}: the last update was undone"
        for p in again
        if (await client.get(role_id=p.role_id)).description != p.mark
    ]
    shown = [f"{call}: a cut wire is not known to carry it" for call in lost if not call.error]
    return [*first, *lost, *last], [*undone, *shown]


async def careless_cut(setting: Setting) -> tuple[list[Call], list[str]]:
    """Cut the wire under a client that closes its connections without a reset."""
    url = f"{setting.upstream.url}/v2/roles"
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    timeout = aiohttp.ClientTimeout(sock_read=LIMITS.read)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:

        async def careless(client: RolesClient, planned: Planned) -> object:
            if planned.operation == "get":
                async with session.get(f"{url}/{planned.role_id}") as answer:
                    await answer.read()
                return await make(client, planned)
            method, path, body = {
                "create": ("POST", "", {"name": planned.name, "permissions": ["PROJECT_READ"]}),
                "update": ("PATCH", f"/{planned.role_id}", {}),
                "delete": ("DELETE", f"/{planned.role_id}", None),
            }[planned.operation]
            data = (
                None if body is None else msgspec.json.encode(body | {"description": planned.mark})
            )
            try:
                async with session.request(method, url + path, data=data) as answer:
                    await answer.read()
            except TimeoutError as error:
                raise OutcomeUnknownError("no answer") from error
            return None

        return await cut(setting, careless)


async def forgotten(setting: Setting) -> tuple[list[Call], list[str]]:
    """Have a firewall forget 20 connections: one attempt may find that out, and no call fails."""
    upstream, client = setting.upstream, setting.client
    warm = plan(upstream, 20, ("get",), prefix="Warm")
    first = await Load(client, warm, at_once=20).run()
    setting.wire.forget()
    after = plan(upstream, 20, ("get", "update"), prefix="After")
    one = await Load(client, after[:1], at_once=1).run()
    rest = await Load(client, after[1:], at_once=1).run()
    limit = setting.limits.read or 0.0
    slow = [f"{c}: {c.ended - c.started:.1f} s" for c in rest if c.ended - c.started > limit]
    return [*first, *one, *rest], [*slow, *(f"{c} failed" for c in [*one, *rest] if c.error)]


@attrs.frozen(kw_only=True)
class Expected:
    """The expected result: no fault, or for the control, that the judge finds one."""

    scenario: Scenario
    name: str
    clear: bool = False
    control: bool = False
    limits: Timeouts = LIMITS
    attempts: int = 3


SCENARIOS = (
    Expected(name="delay of 20 ms", scenario=clear, clear=True, limits=LONG_LIMITS),
    Expected(name="every 10th packet lost", scenario=lossy),
    Expected(name="every 3rd packet lost", scenario=very_lossy),
    Expected(name="a firewall forgets 20 connections", scenario=forgotten),
    Expected(name="cut for 15 s", scenario=cut, attempts=1),
    Expected(name="cut for 15 s, retried", scenario=cut),
    Expected(name="control: cut, closed without reset", scenario=careless_cut, control=True),
)


@asynccontextmanager
async def _setting(expected: Expected, directory: Path) -> AsyncGenerator[Setting]:
    with wire() as line:
        line.delay = DELAY
        ip = program("ip") or "ip"
        with Upstream(directory, host=FAR, command=(ip, "netns", "exec", line.far)) as upstream:
            async with AiohttpRolesClient(
                KEY,
                base_url=upstream.url,
                allow_http=True,
                timeout=expected.limits,
                retry=RetryPolicy(attempts=expected.attempts, backoff=0.1),
            ) as client:
                yield Setting(wire=line, upstream=upstream, client=client, limits=expected.limits)


async def _run(expected: Expected) -> tuple[Verdict, list[str]]:
    with folder() as directory:
        async with asyncio.timeout(120), _setting(expected, directory) as setting:
            calls, complaints = await expected.scenario(setting)
            journal = setting.upstream.entries()
    judge = Judge(total=expected.limits.total or 0.0, clear=expected.clear, secrets=(KEY,))
    verdict = judge.judge(calls, journal)
    late = [f"late: {each}" for each in verdict.late]
    found = [*complaints, *verdict.complaints, *late]
    if not expected.control:
        return verdict, found
    return verdict, [] if late and complaints else ["the control was not caught"]


def main(names: Sequence[str]) -> int:
    """Run the scenarios, or those whose names contain one of `names`; return the exit status."""
    if reason := why_not():
        print(reason)
        return 1
    warnings.simplefilter("ignore", AlphaWarning)
    rows: list[Row] = []
    complaints: list[str] = []
    for expected in SCENARIOS:
        if names and not any(name in expected.name for name in names):
            continue
        verdict, found = asyncio.run(_run(expected))
        rows.append(Row(scenario=expected.name, verdict=verdict))
        complaints += [f"{expected.name}: {each}" for each in found]
        print(f"{expected.name}: {len(found)} complaints", file=sys.stderr)
    print(Row.table(rows))
    print("\n".join(complaints))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
