"""Scenarios of calls behind nginx, haproxy and squid: a line each, and a function to run one."""

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import attrs
import msgspec

from arize_roles_async import (
    AiohttpRolesClient,
    RetryPolicy,
    RolesClient,
    RolesConnectionError,
    RolesError,
    Timeouts,
)
from tests.infrastructure.load import MIX, Load, LogText, MakeCall, make, plan
from tests.support.judge import Call, Judge, Verdict, texts_of
from tests.support.processes import HOST, await_true
from tests.support.proxies import Haproxy, Nginx, Squid, folder
from tests.support.tls import Authority
from tests.support.upstream import KEY, Behaviour, Upstream

PASSWORD: Final = "pw-51d0c2b8aa"
WRONG_PASSWORD: Final = "pw-08e6f4d217"
SECRETS: Final = (KEY, PASSWORD, WRONG_PASSWORD)

NORMAL: Final = Behaviour()
SLOW: Final = Behaviour(delay=0.03)
"""So that calls are under way while something happens."""
LONG_LIMITS: Final = Timeouts(total=20.0, connect=10.0, read=10.0)
"""Where no time limit should run out, however busy the machine is."""
HASTY: Final = Timeouts(total=6.0, connect=2.0, read=0.2)
"""Where silence is a part of the scenario."""


class Site:
    """The programs between the client and the service in one scenario.

    Attributes:
        directory: For every file.
        upstream: The service.
        authority: Issues the certificates.
        options: The arguments of the client.
        nginx: The first nginx, where there is one.
        nodes: Every nginx.
        haproxy: The haproxy, where there is one.
        squid: The squid, where there is one.
    """

    nginx: Nginx
    haproxy: Haproxy
    squid: Squid

    def __init__(self, stack: ExitStack, upstream: Upstream, directory: Path) -> None:
        self.directory = directory
        self.upstream = upstream
        self.authority = Authority(directory)
        self.options: dict[str, Any] = {"base_url": upstream.url}
        self.nodes: list[Nginx] = []
        self._stack = stack

    def add_nginx(self, server: str, http: str = "") -> Nginx:
        """Start an nginx in front of the service; `server` is what its server block holds."""
        nginx = Nginx(self.directory, _http(server, http), f"nginx{len(self.nodes)}")
        self.nodes.append(self._stack.enter_context(nginx))
        self.nginx = self.nodes[0]
        self.options["base_url"] = nginx.url
        return nginx

    def add_haproxy(self, backend: str, frontend: str = "", bind: str = "") -> Haproxy:
        """Start a haproxy; `backend` is what its section of that name holds."""
        self.haproxy = self._stack.enter_context(
            Haproxy(
                self.directory,
                f"frontend in\n  bind {HOST}:{{port}} {bind}\n  {frontend}\n"
                f"  default_backend out\nbackend out\n  {backend}\n",
            )
        )
        self.options["base_url"] = self.haproxy.url
        return self.haproxy

    def add_squid(self, *, password: str = PASSWORD) -> Squid:
        """Start a squid with one user, and give the client the user with a password."""
        self.squid = self._stack.enter_context(Squid(self.directory, {"roles": PASSWORD}))
        self.options["proxy"] = self.squid.url_for("roles", password)
        return self.squid

    def secure(self, certificate: Path, more: str = "") -> str:
        """Return what an nginx's server block with TLS holds."""
        return (
            f"listen {HOST}:{{port}} ssl; ssl_certificate {certificate};"
            f"ssl_certificate_key {certificate}; {more}"
            f"location / {{ proxy_pass {self.upstream.url}; }}"
        )

    def add_tls(self, *hosts: str, authority: Authority | None = None, more: str = "") -> Nginx:
        """Start an nginx with TLS, whose certificate is for hosts."""
        nginx = self.add_nginx(self.secure((authority or self.authority).issue(*hosts), more))
        self.options |= {
            "base_url": nginx.url.replace("http", "https"),
            "ca_file": self.authority.pem,
        }
        return nginx


def _http(server: str, http: str = "") -> str:
    listen = "" if "listen" in server else f"listen {HOST}:{{port}};"
    return f"{http} server {{ {listen} {server} }}"


Disturbance = Callable[[Site, Load], Awaitable[None]]
Check = Callable[[Site, Verdict, Sequence[Call]], list[str]]


def _no_check(_: Site, verdict: Verdict, __: Sequence[Call]) -> list[str]:
    return [] if verdict.successes else ["nothing succeeded"]


async def _undisturbed(_: Site, __: Load) -> None:
    """Disturb nothing."""


@attrs.frozen(kw_only=True)
class Scenario:
    """One line of the table.

    Attributes:
        name: Its name.
        needs: The programs that it needs.
        build: Starts the programs between the client and the service.
        disturbance: Run while calls are under way.
        behaviour: The behaviour of the service.
        check: Returns further faults.
        saw: What the logs of the programs show, as a regular expression, where it happened.
        clear: Whether every attempt has a known end, so that no outcome may be unknown.
        resends: Whether something in between resends requests by itself.
        timeouts: The limits of the client.
        attempts: The attempts of the client.
        mix: The operations.
        calls: The number of calls in the suite; the full set makes ten times as many.
        certificate: Whether the client is lent a session that has a client certificate.
    """

    name: str
    needs: tuple[str, ...] = ("nginx",)
    build: Callable[[Site], object]
    disturbance: Disturbance = _undisturbed
    behaviour: Behaviour = NORMAL
    check: Check = _no_check
    saw: str = ""
    clear: bool = False
    resends: bool = False
    timeouts: Timeouts = LONG_LIMITS
    attempts: int = 3
    mix: tuple[str, ...] = MIX
    calls: int = 40
    certificate: bool = False

    def __str__(self) -> str:
        return self.name


@attrs.frozen(kw_only=True)
class Run:
    """The result of a run of a scenario.

    Attributes:
        verdict: The judge's.
        complaints: Everything that is not as it should be.
    """

    verdict: Verdict
    complaints: list[str]


async def run(scenario: Scenario, *, times: int = 1, make_call: MakeCall = make) -> Run:
    """Run a scenario.

    Args:
        scenario: Which one.
        times: How often as many calls as in the suite.
        make_call: Makes each call; a liar is to be caught.
    """
    noise: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: noise.append(f"unhandled: {context['message']}")
    )
    with folder() as directory, ExitStack() as stack:
        upstream = stack.enter_context(Upstream(directory, scenario.behaviour))
        planned = plan(upstream, scenario.calls * times, scenario.mix)
        site = Site(stack, upstream, directory)
        scenario.build(site)
        log = stack.enter_context(LogText())
        async with _client(scenario, site) as client:
            load = Load(client, planned, make_call=make_call)
            async with asyncio.TaskGroup() as group:
                group.create_task(_arranged(scenario, site, load))
                group.create_task(load.run())
            texts = {"logs of the client": "\n".join(log.lines), "its repr": repr(client)}
        logs = texts_of(directory) | texts_of(directory / "squid")
        judge = Judge(
            total=scenario.timeouts.total or 0.0,
            clear=scenario.clear,
            resends=scenario.resends,
            secrets=SECRETS,
        )
        verdict = judge.judge(load.calls, upstream.entries(), texts | logs)
        seen = re.search(scenario.saw, "\n".join(logs.values()), re.MULTILINE)
        vacuous = [] if seen else [f"no log shows {scenario.saw}"]
        complaints = [
            *vacuous,
            *verdict.complaints,
            *noise,
            *scenario.check(site, verdict, load.calls),
        ]
    return Run(verdict=verdict, complaints=complaints)


async def _arranged(scenario: Scenario, site: Site, load: Load) -> None:
    await scenario.disturbance(site, load)
    await load.go_on()


@asynccontextmanager
async def _client(scenario: Scenario, site: Site) -> AsyncGenerator[RolesClient]:
    async with AsyncExitStack() as stack:
        lent: dict[str, Any] = {}
        if scenario.certificate:
            context = ssl.create_default_context(cafile=site.authority.pem)
            context.load_cert_chain(site.authority.issue("roles@caller.example"))
            connector = aiohttp.TCPConnector(ssl=context)
            lent["session"] = await stack.enter_async_context(
                aiohttp.ClientSession(connector=connector)
            )
            # What its connector knows counts; the client's own file would stand in its way.
            site.options.pop("ca_file")
        yield await stack.enter_async_context(
            AiohttpRolesClient(
                KEY,
                timeout=scenario.timeouts,
                retry=RetryPolicy(attempts=scenario.attempts, backoff=0.1),
                **lent,
                **site.options,
            )
        )


def _direct(_: Site) -> None:
    """Put nothing in between."""


def _plain_nginx(site: Site) -> None:
    site.add_nginx(f"location / {{ proxy_pass {site.upstream.url}; }}")


def _nginx(directives: str, http: str = "") -> Callable[[Site], None]:
    """Put an nginx in between that has more directives."""

    def build(site: Site) -> None:
        site.add_nginx(f"{directives} location / {{ proxy_pass {site.upstream.url}; }}", http)

    return build


def _nginx_upstream(block: str, directives: str) -> Callable[[Site], None]:
    """Put an nginx in between that has an upstream block; `{server}` in it is the service."""

    def build(site: Site) -> None:
        server = f"server {HOST}:{site.upstream.port} max_fails=0;"
        site.add_nginx(
            f"location / {{ proxy_pass http://service; {directives} }}",
            f"upstream service {{ {block.replace('{server}', server)} }}",
        )

    return build


def _haproxy(backend: str, server: str = "") -> Callable[[Site], None]:
    """Put a haproxy in between."""

    def build(site: Site) -> None:
        site.add_haproxy(f"{backend}\n  server s0 {HOST}:{site.upstream.port} {server}")

    return build


def _limited(status: int, more: str = "") -> Callable[[Site], None]:
    """Put an nginx in between that takes fewer requests than the calls that are made at once."""
    return _nginx(
        f"limit_req zone=all burst=2 nodelay; limit_req_status {status}; {more}",
        "limit_req_zone $server_port zone=all:1m rate=10r/s;",
    )


_PAGES: Final = {
    "502": "return 502;",
    "503": "return 503;",
    "404": 'default_type text/plain; return 404 "404 page not found\n";',
    "404-json": 'default_type application/json; return 404 \'{"message":"no Route matched"}\';',
    "409": "return 409;",
    "403": "return 403;",
    "302": "return 302 https://login.example/?from=$request_uri;",
    "200-page": 'default_type text/html; return 200 "<html><title>Maintenance</title></html>";',
    "200-empty": 'default_type text/html; return 200 "";',
}
"""Answers of gateways, as locations of nginx."""


def _pages(*script: str, methods: str = "POST|PATCH|DELETE") -> Callable[[Site], None]:
    """Put a gateway in between that answers attempts with pages of its own.

    Args:
        script: For each attempt, a page, `pass`, or `lost`: carried out, and the answer a 502.
        methods: Those that meet it.
    """
    attempts = " ".join(
        f'"~^(?:{methods}):{number or ""}$" "{page}";' for number, page in enumerate(script)
    )
    maps = (
        f'map "$request_method:$http_sdk_retry_count" $page {{ default pass; {attempts} }}'
        'map $page $lose { default ""; lost 1; }'
    )
    pages = "".join(
        f'if ($page = "{page}") {{ rewrite ^ /{page} last; }}'
        f"location = /{page} {{ internal; {_PAGES[page]} }}"
        for page in sorted({*script} - {"pass", "lost"})
    )

    def build(site: Site) -> None:
        proxied = f"proxy_set_header X-Lose $lose; proxy_pass {site.upstream.url};"
        site.add_nginx(f"{pages} location / {{ {proxied} }}", maps)

    return build


def _nodes(site: Site) -> None:
    for _ in range(2):
        _plain_nginx(site)
    servers = [f"server s{n} {HOST}:{node.port}" for n, node in enumerate(site.nodes)]
    site.add_haproxy("\n  ".join(("balance roundrobin", "option redispatch", *servers)))


def _tls(*hosts: str, more: str = "") -> Callable[[Site], None]:
    def build(site: Site) -> None:
        site.add_tls(*hosts, more=more.format(ca=site.authority.pem))

    return build


def _tls_of_another(site: Site) -> None:
    site.add_tls(HOST, authority=Authority(site.directory, "another"))


def _haproxy_mtls(site: Site) -> None:
    site.add_haproxy(
        f"server s0 {HOST}:{site.upstream.port}",
        bind=f"ssl crt {site.authority.issue(HOST)} ca-file {site.authority.pem} verify required",
    )
    url = site.haproxy.url.replace("http", "https")
    site.options |= {"base_url": url, "ca_file": site.authority.pem}


def _squid(password: str, *, tls: bool) -> Callable[[Site], None]:
    def build(site: Site) -> None:
        if tls:
            site.add_tls(HOST)
        else:
            _plain_nginx(site)
        site.add_squid(password=password)

    return build


_MEANWHILE: Final = 0.15
"""The share of the calls that go on while a step is made."""


def _steps(*steps: tuple[float, Callable[[Site], object]]) -> Disturbance:
    """Return a disturbance in steps, each of which begins when that share of the calls has ended.

    A few more calls go on meanwhile, and the rest wait until the step is done. What follows a step
    by a greater share than they are thus meets calls that began after it, however fast they are.
    """

    async def disturbance(site: Site, load: Load) -> None:
        for share, step in steps:
            load.allow(share + _MEANWHILE)
            await load.reached(share)
            await asyncio.to_thread(step, site)

    return disturbance


def _reload(site: Site) -> None:
    site.nginx.reload()


def _kill(site: Site) -> None:
    site.upstream.kill()


def _start(site: Site) -> None:
    site.upstream.start()


def _freeze(site: Site) -> None:
    site.upstream.freeze()


def _thaw(site: Site) -> None:
    site.upstream.thaw()


def _drain_node(number: int) -> Callable[[Site], None]:
    def step(site: Site) -> None:
        site.haproxy.run_command(f"set server out/s{number} state drain")
        site.nodes[number].drain()

    return step


def _kill_node(number: int) -> Callable[[Site], None]:
    return lambda site: site.nodes[number].kill()


def _start_node(number: int) -> Callable[[Site], None]:
    def step(site: Site) -> None:
        site.nodes[number].start()
        site.haproxy.run_command(f"set server out/s{number} state ready")

    return step


def _swap(authority: str) -> Callable[[Site], None]:
    """Give nginx another certificate, of an authority of that name."""

    def step(site: Site) -> None:
        own = site.authority if authority == "ca" else Authority(site.directory, authority)
        site.nginx.write(_http(site.secure(own.issue(HOST))))
        site.nginx.reload()

    return step


def _rename(site: Site) -> None:
    """Give every second role's name to another one, while calls by name are under way."""
    there: dict[str, str] = {}
    journal = site.upstream.entries()
    for entry in journal:
        if entry.method == "POST":
            role = msgspec.json.decode(entry.answer)
            there[role["name"]] = role["id"]
    for name, role_id in list(there.items())[::2]:
        site.upstream.rename(role_id, f"{name}, before {len(journal)}")
        site.upstream.add(name)


_RELOADS: Final = _steps((0.1, _reload), (0.3, _reload), (0.5, _reload), (0.7, _reload))
_KILLS: Final = _steps((0.2, _kill), (0.4, _start), (0.6, _kill), (0.8, _start))
_FREEZES: Final = _steps((0.2, _freeze), (0.4, _thaw), (0.6, _freeze), (0.8, _thaw))
_DRAINS: Final = _steps(
    (0.2, _drain_node(0)), (0.4, _start_node(0)), (0.6, _drain_node(1)), (0.8, _start_node(1))
)
_NODES_DIE: Final = _steps(
    (0.2, _kill_node(0)), (0.4, _start_node(0)), (0.6, _kill_node(1)), (0.8, _start_node(1))
)
_SWAPS: Final = _steps((0.2, _swap("ca")), (0.4, _swap("another")), (0.6, _swap("ca")))
_SQUID_DIES: Final = _steps(
    (0.2, lambda site: site.squid.kill()),
    (0.4, lambda site: site.squid.start()),
    (0.6, lambda site: site.squid.kill()),
    (0.8, lambda site: site.squid.start()),
)


def _anything(_: Site, __: Verdict, ___: Sequence[Call]) -> list[str]:
    return []


def _all_succeed(_: Site, verdict: Verdict, __: Sequence[Call]) -> list[str]:
    failed = verdict.calls - verdict.successes
    return [f"{failed} failed: {verdict.failures}"] if failed else []


def _resends(_: Site, verdict: Verdict, __: Sequence[Call]) -> list[str]:
    return [] if verdict.resent else ["nothing was resent"]


def _each_fails(kind: type[RolesError], *words: str, **attributes: object) -> Check:
    """Return a check that each call failed so, and said so."""

    def check(site: Site, _: Verdict, calls: Sequence[Call]) -> list[str]:
        wanted = [word.format(site=site, host=HOST) for word in words]
        return [
            f"{call.operation} said {call.error!r}"
            for call in calls
            if type(call.error) is not kind
            or any(word not in str(call.error) for word in wanted)
            or any(getattr(call.error, name) != value for name, value in attributes.items())
        ]

    return check


def _each_mentions(words: str) -> Check:
    """Return a check that each call failed, and that its message has these words."""

    def check(_: Site, __: Verdict, calls: Sequence[Call]) -> list[str]:
        return [
            f"{call.operation} said {call.error!r}"
            for call in calls
            if words not in str(call.error)
        ]

    return check


def _some_distrusted(_: Site, verdict: Verdict, calls: Sequence[Call]) -> list[str]:
    """Return what is wrong where the certificate is another authority's for a while."""
    distrusted = sum(getattr(call.error, "certificate", False) for call in calls)
    return [] if 0 < distrusted == verdict.calls - verdict.successes else [f"{verdict.failures}"]


def _too_large(_: Site, __: Verdict, calls: Sequence[Call]) -> list[str]:
    """Return what is wrong where nginx takes no body of a create."""
    return [
        f"{call.operation} said {call.error!r}"
        for call in calls
        if getattr(call.error, "status", None) != (413 if call.operation == "create" else None)
    ]


def _refused_once(site: Site, verdict: Verdict, calls: Sequence[Call]) -> list[str]:
    """Return what is wrong where squid takes no password: each call is to ask it once."""

    # Its log has a line once the answer has gone, which the client may have read before.
    def refusals() -> int:
        return sum("/407 " in line for line in site.squid.accesses())

    await_true(lambda: refusals() >= len(calls), "squid's log")
    asked = refusals()
    wrong = [] if asked == len(calls) else [f"squid was asked {asked} times by {len(calls)} calls"]
    said = [
        f"{call.operation} said {call.error!r}"
        for call in calls
        if f"{HOST}:{site.squid.port}" not in str(call.error)
        or "credentials" not in str(call.error)
    ]
    return [*wrong, *said, *([] if not verdict.successes else ["some calls got through"])]


_EVERY: Final = "GET|POST|PATCH|DELETE"

SCENARIOS: Final = (
    Scenario(
        name="nginx reloads",
        saw="reconfiguring",
        behaviour=SLOW,
        build=_plain_nginx,
        disturbance=_RELOADS,
    ),
    Scenario(
        name="service killed behind nginx",
        saw=" 502 502 ",
        behaviour=SLOW,
        build=_plain_nginx,
        disturbance=_KILLS,
    ),
    Scenario(
        name="service frozen behind nginx",
        behaviour=SLOW,
        build=_plain_nginx,
        disturbance=_FREEZES,
        timeouts=HASTY,
        attempts=2,
    ),
    Scenario(name="service killed", behaviour=SLOW, needs=(), build=_direct, disturbance=_KILLS),
    Scenario(
        name="service frozen",
        behaviour=SLOW,
        needs=(),
        build=_direct,
        disturbance=_FREEZES,
        timeouts=HASTY,
        attempts=2,
    ),
    Scenario(
        name="nodes drained",
        behaviour=SLOW,
        needs=("nginx", "haproxy"),
        build=_nodes,
        disturbance=_DRAINS,
    ),
    Scenario(
        name="nodes die",
        behaviour=SLOW,
        needs=("nginx", "haproxy"),
        build=_nodes,
        disturbance=_NODES_DIE,
    ),
    Scenario(name="rate limit, 503 page", calls=8, saw="limiting requests", build=_limited(503)),
    Scenario(name="rate limit, 429 page", calls=8, saw="limiting requests", build=_limited(429)),
    Scenario(
        name="rate limit, 429 page with Retry-After",
        calls=8,
        saw="limiting requests",
        build=_limited(
            429,
            "error_page 429 = @busy; location @busy { add_header Retry-After 1 always;"
            'default_type text/html; return 429 "<html><h1>Too many</h1></html>"; }',
        ),
    ),
    Scenario(
        name="rate limit, the service's own",
        calls=8,
        saw=" 429 429 ",
        build=_plain_nginx,
        behaviour=Behaviour(rate=10.0),
        clear=True,
    ),
    Scenario(
        name="413",
        build=_nginx("client_max_body_size 60;"),
        clear=True,
        check=_too_large,
    ),
    Scenario(
        name="504 after the effect",
        saw=" 504 504 ",
        build=_nginx("proxy_read_timeout 200ms;"),
        behaviour=Behaviour(hold_every=3, hold=0.5),
    ),
    Scenario(
        name="gzip",
        saw=r"\d\.\d\d$",
        build=_nginx("gzip on; gzip_types application/json; gzip_min_length 1; gzip_proxied any;"),
        clear=True,
        check=_all_succeed,
    ),
    Scenario(
        name="HTTP/1.0",
        needs=(),
        build=_direct,
        behaviour=Behaviour(http="1.0"),
        clear=True,
        check=_all_succeed,
    ),
    Scenario(
        name="HTTP/1.0 behind nginx",
        build=_plain_nginx,
        behaviour=Behaviour(http="1.0"),
        clear=True,
        check=_all_succeed,
    ),
    Scenario(name="truncated", needs=(), build=_direct, behaviour=Behaviour(cut_every=5)),
    Scenario(
        name="truncated, HTTP/1.0",
        needs=(),
        build=_direct,
        behaviour=Behaviour(cut_every=5, http="1.0"),
    ),
    Scenario(
        name="truncated behind nginx",
        saw="upstream prematurely closed",
        build=_plain_nginx,
        behaviour=Behaviour(cut_every=5),
    ),
    Scenario(
        name="truncated behind haproxy",
        needs=("haproxy",),
        build=_haproxy(""),
        behaviour=Behaviour(cut_every=5),
    ),
    Scenario(name="answers lost", needs=(), build=_direct, behaviour=Behaviour(lose_every=5)),
    Scenario(
        name="answers lost behind nginx",
        saw=" 502 502 ",
        build=_plain_nginx,
        behaviour=Behaviour(lose_every=5),
    ),
    *(
        Scenario(name=f"pages: {', '.join(script)}", build=_pages(*script), calls=16)
        for script in (
            ("404", "404", "404"),
            ("404-json", "404-json", "404-json"),
            ("409", "409", "409"),
            ("403", "403", "403"),
            ("302", "302", "302"),
            ("200-page", "200-page", "200-page"),
            ("200-empty", "200-empty", "200-empty"),
            ("502", "404", "pass"),
            ("502", "404-json", "pass"),
            ("502", "409", "409"),
            ("502", "403", "403"),
            ("502", "200-page", "200-page"),
            ("503", "200-empty", "pass"),
            ("503", "503", "503"),
            ("503", "503", "pass"),
            ("lost", "404", "pass"),
            ("lost", "409", "409"),
            ("lost", "200-page", "pass"),
            ("lost", "503", "pass"),
        )
    ),
    *(
        Scenario(
            name=f"pages for reads too: {page}",
            build=_pages(page, page, page, methods=_EVERY),
            calls=16,
            check=_anything,
        )
        for page in ("404", "404-json", "409", "302", "200-page", "200-empty", "503")
    ),
    Scenario(
        name="haproxy's queue",
        saw=" sQ-- ",
        needs=("haproxy",),
        build=_haproxy("timeout queue 100ms", "maxconn 1"),
        behaviour=Behaviour(hold_every=4, hold=0.2),
    ),
    Scenario(
        name="haproxy retry-on",
        check=_resends,
        needs=("haproxy",),
        build=_haproxy("retries 2\n  retry-on all-retryable-errors"),
        behaviour=Behaviour(lose_every=5),
        resends=True,
    ),
    Scenario(
        name="nginx, keepalive upstream",
        check=_resends,
        build=_nginx_upstream(
            "{server} keepalive 8;", 'proxy_http_version 1.1; proxy_set_header Connection "";'
        ),
        behaviour=Behaviour(lose_every=5),
        resends=True,
        # nginx resends only a GET or DELETE here, and few calls are deletions.
        calls=160,
    ),
    Scenario(
        name="nginx, non_idempotent",
        check=_resends,
        build=_nginx_upstream(
            "{server} {server}", "proxy_next_upstream error timeout non_idempotent;"
        ),
        behaviour=Behaviour(lose_every=5),
        resends=True,
    ),
    Scenario(
        name="nothing there",
        needs=(),
        build=_kill,
        clear=True,
        check=_each_fails(RolesConnectionError, "{host}:{site.upstream.port}"),
        calls=16,
    ),
    Scenario(
        name="another's equal role",
        build=_pages("503", "pass", "pass"),
        mix=("create, taken", "create"),
    ),
    Scenario(
        name="roles renamed",
        needs=(),
        build=_direct,
        behaviour=SLOW,
        disturbance=_steps((0.0, _rename), (0.5, _rename)),
        mix=("update by name", "get"),
        clear=True,
    ),
    Scenario(
        name="TLS swapped",
        check=_some_distrusted,
        behaviour=SLOW,
        build=_tls(HOST),
        disturbance=_SWAPS,
    ),
    Scenario(
        name="TLS, wrong CA",
        build=_tls_of_another,
        clear=True,
        check=_each_fails(RolesConnectionError, certificate=True),
        calls=16,
    ),
    Scenario(
        name="TLS, wrong host",
        build=_tls("elsewhere.example"),
        clear=True,
        check=_each_fails(RolesConnectionError, certificate=True),
        calls=16,
    ),
    Scenario(
        name="mTLS with a certificate",
        build=_tls(HOST, more="ssl_verify_client on; ssl_client_certificate {ca};"),
        certificate=True,
        clear=True,
        check=_all_succeed,
    ),
    Scenario(
        name="mTLS without one, nginx",
        build=_tls(HOST, more="ssl_verify_client on; ssl_client_certificate {ca};"),
        clear=True,
        check=_each_mentions("No required SSL certificate was sent"),
        calls=16,
    ),
    Scenario(
        name="mTLS without one, haproxy",
        needs=("haproxy",),
        build=_haproxy_mtls,
        clear=True,
        check=_each_mentions("client certificate"),
        calls=16,
    ),
    Scenario(
        name="squid, https",
        needs=("nginx", "squid"),
        build=_squid(PASSWORD, tls=True),
        clear=True,
        check=_all_succeed,
    ),
    Scenario(
        name="squid, http",
        needs=("nginx", "squid"),
        build=_squid(PASSWORD, tls=False),
        clear=True,
        check=_all_succeed,
    ),
    Scenario(
        name="squid, wrong password, https",
        needs=("nginx", "squid"),
        build=_squid(WRONG_PASSWORD, tls=True),
        clear=True,
        check=_refused_once,
        calls=16,
    ),
    Scenario(
        name="squid, wrong password, http",
        needs=("nginx", "squid"),
        build=_squid(WRONG_PASSWORD, tls=False),
        clear=True,
        check=_refused_once,
        calls=16,
    ),
    Scenario(
        name="squid dies",
        behaviour=SLOW,
        needs=("nginx", "squid"),
        build=_squid(PASSWORD, tls=True),
        disturbance=_SQUID_DIES,
    ),
)
