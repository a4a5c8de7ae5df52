"""Scenarios of calls behind nginx, haproxy and squid: a table, and a function to run a row."""

import asyncio
import re
import signal
import ssl
import tempfile
import threading
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
import attrs
import msgspec

from arize_roles_async import (
    AiohttpRolesClient,
    Request,
    Response,
    RetryPolicy,
    RolesError,
    Timeouts,
)
from arize_roles_fake import FakeAccount, RolesServer
from arize_roles_fake._testing.fault_rules import DELIVERIES
from arize_roles_fake._testing.faults import reply_of
from tests.infrastructure.judge import Call, MakeCall, judge, made, make, planned
from tests.infrastructure.programs import Program, free_port
from tests.support.processes import HOST, LONGEST_WAIT, ROOT
from tests.support.tls import Authority

KEY: Final = "sk-upstream-7f3c9a1e55"
PASSWORD: Final = "pw-51d0c2b8aa"
LONG_LIMITS: Final = Timeouts(total=20.0, connect=10.0, read=10.0)
"""Where no time limit should run out, however busy the machine is."""
HASTY: Final = Timeouts(total=6.0, connect=2.0, read=0.2)
"""Where silence is a part of the scenario."""


@attrs.frozen
class Scenario:
    """A row of `tests/data/scenarios.toml`."""

    name: str
    nodes: int = 1
    """The number of nginx between the client and the service."""
    nginx: str = ""
    """Directives of its `server` block, of its `http` block, and of the only location."""
    http: str = ""
    location: str = "proxy_pass http://@service@;"
    tls: str = ""
    """`server`, if nginx has a certificate; `asked`, if it wants one; `both`, if it gets one."""
    haproxy: str | None = None
    """What its backend holds besides the nodes, or the service."""
    squid: str = ""
    """The password with which the client calls a proxy."""
    steps: Sequence[Sequence[Any]] = ()
    """What happens, one after the other, while calls are under way: a method of `Site` each."""
    fate: str = ""
    """What becomes of each so many-th answer to a method: it is lost, truncated or held."""
    every: int = 0
    ends: str = "some succeed"
    """How calls end, or what each error says."""
    saw: str = ""
    """What the logs of the programs show, as a regular expression, where it happened."""
    is_clear: bool = False
    """Every attempt has a known end, so that no outcome may be unknown."""
    resends: bool = False
    """Something in between resends requests by itself."""
    is_hasty: bool = False
    calls: int = 40
    """Their number in the suite; the full set makes three times as many."""

    def __str__(self) -> str:
        return self.name

    def odd(self, calls: list[Call]) -> list[Call]:
        """Return the calls that did not end as they should."""
        failed = [call for call in calls if call.failed]
        distrusting = [call for call in failed if getattr(call.end, "certificate", False)]
        refused = [call for call in failed if getattr(call.end, "status", 0) == 413]
        match self.ends:
            case "all succeed":
                return failed
            case "some succeed":
                return calls if failed == calls else []
            case "some distrust":
                return [] if distrusting == failed != [] else calls
            case "creates are too long":
                creates = [call for call in calls if call.method == "create"]
                return [] if creates == refused == failed else calls
            case words:
                said = [call for call in failed if isinstance(call.end, RolesError)]
                return [] if said == calls and all(words in str(x.end) for x in said) else calls


def _scenarios() -> Iterator[Scenario]:
    text = (ROOT / "tests/data/scenarios.toml").read_text("utf-8")
    rows: dict[str, dict[str, Any]] = tomllib.loads(text)
    for name, row in rows.items():
        for script in row.pop("scripts", [[]]):
            scenario = Scenario(name=": ".join([name, *script]), **row)
            for number, part in enumerate(script):
                at = f"@{number}@"
                http, nginx = scenario.http.replace(at, part), scenario.nginx.replace(at, part)
                scenario = attrs.evolve(scenario, http=http, nginx=nginx)
            yield scenario


SCENARIOS: Final = (*_scenarios(),)


class Service(FakeAccount):
    """The service; some of its answers have a fate, the others take a while."""

    def __init__(self, fate: str = "", every: int = 0, delay: float = 0.0) -> None:
        super().__init__(api_key=KEY)
        self._fate, self._every, self._delay = fate, every, delay
        # By method, so that each has its share of what is lost, in whatever order they come.
        self._answers: Counter[str] = Counter()
        self.thawed = threading.Event()
        """Cleared, nobody is answered; the kernel still takes connections and data in its name."""
        self.thawed.set()

    def handle(self, request: Request) -> Response:
        self.thawed.wait(LONGEST_WAIT)
        reply = reply_of(super().handle(request))
        self._answers[request.method] += 1
        if not self._every or self._answers[request.method] % self._every:
            return msgspec.structs.replace(reply, delay=self._delay)
        if self._fate == "held":
            return msgspec.structs.replace(reply, delay=0.5)
        is_cut = self._fate == "truncated" and reply.body
        delivery = DELIVERIES["truncated" if is_cut else "lost"]
        return msgspec.structs.replace(reply, delivery=delivery)


class Site:
    """The service and the programs between it and the client, which end with the stack."""

    def __init__(self, scenario: Scenario, stack: AsyncExitStack) -> None:
        # Slow, so that calls are under way while something happens.
        delay = 0.03 if scenario.steps else 0.0
        self.account = Service(scenario.fate, scenario.every, delay)
        self._stack = stack
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._folder.chmod(0o755)  # Other users run programs in it, too.
        self._port = free_port()
        self._server = stack.enter_context(RolesServer(self.account, port=self._port))
        self._is_down = stack.enter_context(ExitStack())
        stack.callback(self.thaw)
        self._authority = Authority(self._folder)
        self.options: dict[str, Any] = {}
        """The arguments of the client."""
        self._programs: list[Program] = []
        self._haproxy: Program | None = None
        self._build(scenario)

    def _build(self, scenario: Scenario) -> None:
        texts = {"http": scenario.http, "location": scenario.location, "server": scenario.nginx}
        texts = {x: y.replace("@service@", f"{HOST}:{self._port}") for x, y in texts.items()}
        if scenario.tls:
            texts["server"] = self._secured(self._authority)
        if scenario.tls in ("asked", "both"):
            ca = self._authority.pem
            texts["server"] += f"ssl_verify_client on; ssl_client_certificate {ca};"
        for _ in range(scenario.nodes):
            self._add("nginx", **texts, ssl="ssl" if scenario.tls else "")
        if scenario.haproxy is not None:
            ports = [node.port for node in self._programs] or [self._port]
            servers = [f"server s{number} {HOST}:{port}" for number, port in enumerate(ports)]
            self._haproxy = self._add("haproxy", backend="\n  ".join([scenario.haproxy, *servers]))
        url = f"http{'s' * bool(scenario.tls)}://{HOST}:{self._programs[-1].port}"
        self.options = {"base_url": url, "ca_file": self._authority.pem}
        if scenario.tls == "both":
            self._lend_session()
        if scenario.squid:
            proxy = self._add("squid", password=PASSWORD)
            self.options["proxy"] = f"http://roles:{scenario.squid}@{HOST}:{proxy.port}"

    def _add(self, name: str, **values: str) -> Program:
        program = Program(name, self._folder / f"{len(self._programs)}", **values)
        self._programs.append(self._stack.enter_context(program))
        return program

    def _secured(self, authority: Authority) -> str:
        certificate = authority.issue(HOST)
        return f"ssl_certificate {certificate}; ssl_certificate_key {certificate};"

    def _lend_session(self) -> None:
        """Lend the client a session that has a certificate."""
        context = ssl.create_default_context(cafile=self.options.pop("ca_file"))
        context.load_cert_chain(self._authority.issue("roles@caller.example"))
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
        self._stack.push_async_callback(session.close)
        self.options["session"] = session

    def logs(self) -> str:
        logs = self._folder.rglob("*.log")
        return "\n".join(path.read_text("utf-8", "replace") for path in logs)

    def reload(self, number: int) -> None:
        self._programs[number].reload()

    def certify(self, name: str) -> None:
        """Give nginx another certificate, of an authority of that name."""
        own = self._authority if name == "ca" else Authority(self._folder, name)
        self._programs[0].configure(server=self._secured(own))
        self.reload(0)

    def kill(self, number: int) -> None:
        self._programs[number].end(signal.SIGKILL)

    def drain(self, number: int) -> None:
        self._set_state(number, "drain")
        self._programs[number].drain()

    def start(self, number: int) -> None:
        self._programs[number].start()
        self._set_state(number, "ready")

    def _set_state(self, number: int, state: str) -> None:
        if self._haproxy:
            self._haproxy.command(f"set server out/s{number} state {state}")

    def go_down(self) -> None:
        self._is_down.enter_context(self._server.refuse_connections())

    def come_back(self) -> None:
        self._is_down.close()

    def freeze(self) -> None:
        self.account.thawed.clear()

    def thaw(self) -> None:
        self.account.thawed.set()


async def run(scenario: Scenario, *, times: int = 1, make_call: MakeCall = made) -> list[str]:
    """Run a scenario with so many times the calls, and return all that is not as it should be."""
    noise: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: noise.append(f"unhandled: {context['message']}")
    )
    limits = HASTY if scenario.is_hasty else LONG_LIMITS
    async with AsyncExitStack() as stack:
        site = Site(scenario, stack)
        calls = planned(site.account, scenario.calls * times)
        retry = RetryPolicy(backoff=0.1)
        steps = [None, *scenario.steps]
        async with AiohttpRolesClient(KEY, timeout=limits, retry=retry, **site.options) as client:
            for number, step in enumerate(steps):
                async with asyncio.TaskGroup() as group:
                    group.create_task(make(client, calls[number :: len(steps)], make_call))
                    if step is not None:
                        name, *given = step
                        group.create_task(asyncio.to_thread(getattr(site, name), *given))
        logs = site.logs()
    wrong = judge(
        calls,
        site.account,
        total=limits.total or 0.0,
        is_clear=scenario.is_clear,
        resends=scenario.resends,
    )
    wrong += [f"{call}: not as it should end" for call in scenario.odd(calls)]
    if not re.search(scenario.saw, logs, re.MULTILINE):
        wrong.append(f"no log shows {scenario.saw}")
    return wrong + noise
