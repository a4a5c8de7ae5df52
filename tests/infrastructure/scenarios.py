"""Scenarios of calls behind nginx, haproxy and squid: a line each, and a function to run one."""

import asyncio
import itertools
import re
import ssl
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from operator import methodcaller
from pathlib import Path
from typing import Any, Final

import aiohttp
import attrs
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    RetryPolicy,
    RolesConnectionError,
    RolesError,
    Timeouts,
)
from tests.infrastructure.calls import Call, Load, MakeCall, make, plan
from tests.infrastructure.judge import Verdict, judge
from tests.support.processes import HOST, await_true, missing
from tests.support.proxies import Haproxy, Nginx, Squid, folder
from tests.support.tls import Authority
from tests.support.upstream import KEY, Behaviour, Upstream

PASSWORD: Final = "pw-51d0c2b8aa"
WRONG_PASSWORD: Final = "pw-08e6f4d217"

NORMAL: Final = Behaviour()
SLOW: Final = Behaviour(delay=0.03)
NOTHING: Final = ()
"""The programs that a client alone needs."""
_MEANWHILE: Final = 0.15
"""The share of the calls that go on while a step is made."""
LONG_LIMITS: Final = Timeouts(total=20.0, connect=10.0, read=10.0)
"""Where no time limit should run out, however busy the machine is."""
HASTY: Final = Timeouts(total=6.0, connect=2.0, read=0.2)
"""Where silence is a part of the scenario."""


class Site:
    """The programs between the client and the service in one scenario, which end with its stack."""

    haproxy: Haproxy
    squid: Squid

    def __init__(self, stack: AsyncExitStack, upstream: Upstream, directory: Path) -> None:
        self.directory = directory
        self.upstream = upstream
        self.authority = Authority(directory)
        self.options: dict[str, Any] = {"base_url": upstream.url}
        """The arguments of the client."""
        self.nodes: list[Nginx] = []
        self.stack = stack

    def add_nginx(self, server: str, http: str = "") -> None:
        """Start an nginx in front of the service; `server` is what its server block holds."""
        nginx = Nginx(self.directory, _http(server, http), f"nginx{len(self.nodes)}")
        self.nodes.append(self.stack.enter_context(nginx))
        self.options["base_url"] = nginx.url

    def add_haproxy(self, backend: str, bind: str = "") -> None:
        """Start a haproxy; `backend` is what its section of that name holds."""
        sections = (
            f"frontend in\n  bind {HOST}:{{port}} {bind}\n"
            f"  default_backend out\nbackend out\n  {backend}\n"
        )
        self.haproxy = self.stack.enter_context(Haproxy(self.directory, sections))
        self.options["base_url"] = self.haproxy.url

    def add_squid(self, password: str) -> None:
        """Start a squid with one user, and give the client the user with a password."""
        self.squid = self.stack.enter_context(Squid(self.directory, "roles", PASSWORD))
        self.options["proxy"] = f"http://roles:{password}@{HOST}:{self.squid.port}"

    def secure(self, certificate: Path, more: str = "") -> str:
        """Return what an nginx's server block with TLS holds."""
        return (
            f"listen {HOST}:{{port}} ssl; ssl_certificate {certificate};"
            f"ssl_certificate_key {certificate}; {more}"
            f"location / {{ proxy_pass {self.upstream.url}; }}"
        )

    def add_tls(
        self, host: str = HOST, *, authority: Authority | None = None, more: str = ""
    ) -> None:
        """Start an nginx with TLS, whose certificate is for a host."""
        self.add_nginx(self.secure((authority or self.authority).issue(host), more))
        self.trust(self.nodes[-1].url)

    def trust(self, url: str) -> None:
        """Have the client call a program with TLS, whose certificate is the authority's."""
        self.options |= {"base_url": url.replace("http", "https"), "ca_file": self.authority.pem}


def _http(server: str, http: str = "") -> str:
    listen = "" if "listen" in server else f"listen {HOST}:{{port}};"
    return f"{http} server {{ {listen} {server} }}"


Step = Callable[[Site], object]
Steps = tuple[tuple[float, Step], ...]
Check = Callable[[Site, Verdict], list[str]]


def _some_succeed(_: Site, verdict: Verdict) -> list[str]:
    return ["nothing succeeded"] if len(verdict.failed) == len(verdict.calls) else []


@attrs.frozen
class Scenario:
    """One line of the table.

    Attributes:
        build: Starts the programs between the client and the service.
        steps: What happens while calls are under way, each when that share of them has ended.
        check: Returns further faults.
        saw: What the logs of the programs show, as a regular expression, where it happened.
        clear: Whether every attempt has a known end, so that no outcome may be unknown.
        resends: Whether something in between resends requests by itself.
        calls: The number of calls in the suite; the full set makes three times as many.
    """

    name: str
    build: Step
    needs: tuple[str, ...] = ("nginx",)
    steps: Steps = ()
    behaviour: Behaviour = NORMAL
    check: Check = _some_succeed
    saw: str = ""
    clear: bool = False
    resends: bool = False
    timeouts: Timeouts = LONG_LIMITS
    attempts: int = 3
    calls: int = 40

    def __str__(self) -> str:
        return self.name


async def run(
    scenario: Scenario, *, times: int = 1, make_call: MakeCall = make
) -> tuple[Verdict, list[str]]:
    """Run a scenario, and return the verdict and everything that is not as it should be.

    Without a program that it needs, the test is skipped. It makes `times` as many calls as in the
    suite, each with `make_call`; a liar is to be caught.
    """
    if reason := missing(*scenario.needs):
        pytest.skip(reason)
    noise: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: noise.append(f"unhandled: {context['message']}")
    )
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(folder())
        # Slow, so that calls are under way while something happens.
        behaviour = SLOW if scenario.steps else scenario.behaviour
        upstream = stack.enter_context(Upstream(behaviour))
        calls = plan(upstream, scenario.calls * times)
        site = Site(stack, upstream, directory)
        scenario.build(site)
        retry = RetryPolicy(attempts=scenario.attempts, backoff=0.1)
        client = AiohttpRolesClient(KEY, timeout=scenario.timeouts, retry=retry, **site.options)
        async with client, asyncio.TaskGroup() as group:
            load = Load(client, calls, make_call)
            group.create_task(_arranged(scenario, site, load))
            group.create_task(load.run())
        logs = {path.name: path.read_text("utf-8", "replace") for path in directory.rglob("*.log")}
        verdict = judge(
            calls,
            upstream,
            total=scenario.timeouts.total or 0.0,
            clear=scenario.clear,
            resends=scenario.resends,
        )
        complaints = [*verdict.complaints, *noise, *scenario.check(site, verdict)]
        if not re.search(scenario.saw, "\n".join(logs.values()), re.MULTILINE):
            complaints.append(f"no log shows {scenario.saw}")
    return verdict, complaints


async def _arranged(scenario: Scenario, site: Site, load: Load) -> None:
    """Make the steps of a scenario.

    A few more calls go on meanwhile, and the rest wait until the step is done. What follows a step
    by a greater share than they are thus meets calls that began after it, however fast they are.
    """
    for share, step in scenario.steps:
        load.allow(share + _MEANWHILE)
        await load.reached(share)
        await asyncio.to_thread(step, site)
    load.allow(1.0)


def _direct(_: Site) -> None:
    """Put nothing in between."""


def _nginx(directives: str, http: str = "", location: str = "proxy_pass http://{to};") -> Step:
    """Put an nginx in between that has more directives; `{to}` is the address of the service."""

    def build(site: Site) -> None:
        server = f"{directives} location / {{ {location} }}"
        to = f"{HOST}:{site.upstream.port}"
        site.add_nginx(server.replace("{to}", to), http.replace("{to}", to))

    return build


_plain_nginx: Final = _nginx("")


def _haproxy(backend: str, server: str = "") -> Step:

    def build(site: Site) -> None:
        site.add_haproxy(f"{backend}\n  server s0 {HOST}:{site.upstream.port} {server}")

    return build


def _limited(status: int, more: str = "") -> Step:
    """Put an nginx in between that takes fewer requests than the calls that are made at once."""
    return _nginx(
        f"limit_req zone=all burst=2 nodelay; limit_req_status {status}; {more}",
        "limit_req_zone $server_port zone=all:1m rate=10r/s;",
    )


def _own_limit(site: Site) -> None:
    _plain_nginx(site)
    site.upstream.account.limit_rate(10.0, burst=2)


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


def _pages(*script: str, methods: str = "POST|PATCH|DELETE") -> Step:
    """Put a gateway in between that answers attempts with pages of its own, or lets them `pass`."""
    attempts = " ".join(
        f'"~^(?:{methods}):{number or ""}$" "{page}";' for number, page in enumerate(script)
    )
    pages = "".join(
        f'if ($page = "{page}") {{ rewrite ^ /{page} last; }}'
        f"location = /{page} {{ internal; {_PAGES[page]} }}"
        for page in sorted({*script} - {"pass"})
    )
    return _nginx(
        pages, f'map "$request_method:$http_sdk_retry_count" $page {{ default pass; {attempts} }}'
    )


def _nodes(site: Site) -> None:
    for _ in range(2):
        _plain_nginx(site)
    servers = [f"server s{n} {HOST}:{node.port}" for n, node in enumerate(site.nodes)]
    site.add_haproxy("\n  ".join(("balance roundrobin", "option redispatch", *servers)))


def _tls_of_another(site: Site) -> None:
    site.add_tls(authority=Authority(site.directory, "another"))


def _asking(site: Site) -> None:
    """Have nginx ask for a client certificate."""
    site.add_tls(more=f"ssl_verify_client on; ssl_client_certificate {site.authority.pem};")


def _haproxy_asking(site: Site) -> None:
    site.add_haproxy(
        f"server s0 {HOST}:{site.upstream.port}",
        f"ssl crt {site.authority.issue(HOST)} ca-file {site.authority.pem} verify required",
    )
    site.trust(site.haproxy.url)


def _mtls(site: Site) -> None:
    """Lend the client a session that has a certificate, which nginx asks for."""
    _asking(site)
    context = ssl.create_default_context(cafile=site.authority.pem)
    context.load_cert_chain(site.authority.issue("roles@caller.example"))
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
    site.stack.push_async_callback(session.close)
    # What its connector knows counts; the client's own file would stand in its way.
    del site.options["ca_file"]
    site.options["session"] = session


def _squid(scheme: str, password: str = PASSWORD) -> Step:
    def build(site: Site) -> None:
        (Site.add_tls if scheme == "https" else _plain_nginx)(site)
        site.add_squid(password)

    return build


def _kill(site: Site) -> None:
    site.upstream.kill()


def _stop_node(site: Site, number: int, *, drains: bool) -> None:
    if drains:
        site.haproxy.run_command(f"set server out/s{number} state drain")
        site.nodes[number].drain()
    site.nodes[number].kill()


def _start_node(site: Site, number: int) -> None:
    site.nodes[number].start()
    site.haproxy.run_command(f"set server out/s{number} state ready")


def _each_node_stops(*, drains: bool) -> Steps:
    """Stop and start one node, and then the other."""
    return (
        (0.2, lambda site: _stop_node(site, 0, drains=drains)),
        (0.4, lambda site: _start_node(site, 0)),
        (0.6, lambda site: _stop_node(site, 1, drains=drains)),
        (0.8, lambda site: _start_node(site, 1)),
    )


def _swap(authority: str) -> Step:
    """Give nginx another certificate, of an authority of that name."""

    def step(site: Site) -> None:
        own = site.authority if authority == "ca" else Authority(site.directory, authority)
        site.nodes[0].write(_http(site.secure(own.issue(HOST))))
        site.nodes[0].reload()

    return step


def _twice(stop: Step, again: Step) -> Steps:
    return ((0.2, stop), (0.4, again), (0.6, stop), (0.8, again))


_RELOADS: Final = _twice(lambda site: site.nodes[0].reload(), lambda site: site.nodes[0].reload())
_KILLS: Final = _twice(_kill, lambda site: site.upstream.start())
_FREEZES: Final = _twice(
    lambda site: site.upstream.thawed.clear(), lambda site: site.upstream.thawed.set()
)
_SWAPS: Final = ((0.2, _swap("ca")), (0.4, _swap("another")), (0.6, _swap("ca")))
_SQUID_DIES: Final = _twice(lambda site: site.squid.kill(), lambda site: site.squid.start())


def _anything(_: Site, __: Verdict) -> list[str]:
    return []


def _said(calls: Iterable[Call]) -> list[str]:
    return [f"{call.operation} said {call.error!r}" for call in calls]


def _all_succeed(_: Site, verdict: Verdict) -> list[str]:
    return _said(verdict.failed)


def _resends(_: Site, verdict: Verdict) -> list[str]:
    return [] if verdict.resent else ["nothing was resent"]


def _each_fails(*words: str, kind: type[RolesError] = RolesConnectionError) -> Check:
    """Return a check that each call failed so, and said so."""

    def check(site: Site, verdict: Verdict) -> list[str]:
        wanted = [word.format(site=site, host=HOST) for word in words]
        return _said(
            call
            for call in verdict.calls
            if not isinstance(call.error, kind)
            or any(word not in str(call.error) for word in wanted)
        )

    return check


def _is_distrust(call: Call) -> bool:
    return getattr(call.error, "certificate", False)


def _distrusted(_: Site, verdict: Verdict) -> list[str]:
    return _said(itertools.filterfalse(_is_distrust, verdict.calls))


def _some_distrusted(_: Site, verdict: Verdict) -> list[str]:
    """Return what is wrong where the certificate is another authority's for a while."""
    wrong = _said(itertools.filterfalse(_is_distrust, verdict.failed))
    return wrong if verdict.failed else ["none was distrusted"]


def _refused_once(site: Site, verdict: Verdict) -> list[str]:
    """Return what is wrong where squid takes no password: each call is to ask it once."""

    # Its log has a line once the answer has gone, which the client may have read before.
    def refusals() -> int:
        return site.squid.access_log.read_text().count("/407 ")

    await_true(lambda: refusals() >= len(verdict.calls), "squid's log")
    asked = refusals()
    wrong = [] if asked == len(verdict.calls) else [f"squid was asked {asked} times"]
    return wrong + _each_fails("{host}:{site.squid.port}", "credentials", kind=RolesError)(
        site, verdict
    )


def _too_large(_: Site, verdict: Verdict) -> list[str]:
    """Return what is wrong where nginx takes no body of a create."""
    return _said(
        call
        for call in verdict.calls
        if getattr(call.error, "status", None) != (413 if call.kind == "create" else None)
    )


_BETWEEN: Final[tuple[tuple[str, Step, tuple[str, ...]], ...]] = (
    ("", _direct, NOTHING),
    (" behind nginx", _plain_nginx, ("nginx",)),
    (" behind haproxy", _haproxy(""), ("haproxy",)),
)
_LOSES: Final = Behaviour(lose_every=5)
_RETRY_AFTER: Final = (
    "error_page 429 = @busy; location @busy { add_header Retry-After 1 always;"
    'default_type text/html; return 429 "<html><h1>Too many</h1></html>"; }'
)
_LIMITS: Final = "limiting requests"
_KEEPALIVE: Final = (
    "upstream service { server {to} max_fails=0; keepalive 8; }",
    'proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";',
)
_NON_IDEMPOTENT: Final = (
    "upstream service { server {to} max_fails=0; server {to} max_fails=0; }",
    "proxy_pass http://service; proxy_next_upstream error timeout non_idempotent;",
)


def _behind(name: str, saws: tuple[str, ...], **options: Any) -> list[Scenario]:  # noqa: ANN401
    """Return a scenario for each of what is between, by what the logs show there."""
    return [
        Scenario(f"{name}{place}", build, needs, saw=saw, **options)
        for saw, (place, build, needs) in zip(saws, _BETWEEN, strict=False)
    ]


def _works(name: str, build: Step, *needs: str, saw: str = "") -> Scenario:
    """Return a scenario in which every call succeeds."""
    return Scenario(name, build, needs, saw=saw, clear=True, check=_all_succeed)


def _fails(name: str, build: Step, *needs: str, check: Check = _distrusted) -> Scenario:
    """Return a scenario in which every call fails alike."""
    return Scenario(name, build, needs, check=check, clear=True, calls=16)


def _resending(name: str, build: Step, *needs: str, calls: int = 40) -> Scenario:
    """Return a scenario in which what is between sends requests again by itself."""
    return Scenario(name, build, needs, check=_resends, behaviour=_LOSES, resends=True, calls=calls)


SCENARIOS: Final = (
    Scenario("nginx reloads", _plain_nginx, saw="reconfiguring", steps=_RELOADS),
    *_behind("service killed", ("", " 502 502 "), steps=_KILLS),
    *_behind("service frozen", ("", ""), steps=_FREEZES, timeouts=HASTY, attempts=2),
    Scenario("nodes drained", _nodes, ("nginx", "haproxy"), _each_node_stops(drains=True)),
    Scenario("nodes die", _nodes, ("nginx", "haproxy"), _each_node_stops(drains=False)),
    Scenario("rate limit, 503 page", _limited(503), calls=8, saw=_LIMITS),
    Scenario("rate limit, 429 page", _limited(429), calls=8, saw=_LIMITS),
    Scenario(
        "rate limit, 429 page with Retry-After", _limited(429, _RETRY_AFTER), calls=8, saw=_LIMITS
    ),
    Scenario("rate limit, the service's own", _own_limit, calls=8, saw=" 429 429 ", clear=True),
    *(
        Scenario(f"pages: {', '.join(script)}", _pages(*script), calls=16)
        for script in (
            *((page,) * 3 for page in _PAGES if page != "502"),
            ("502", "404", "pass"),
            ("502", "404-json", "pass"),
            ("502", "409", "409"),
            ("502", "403", "403"),
            ("502", "200-page", "200-page"),
            ("503", "200-empty", "pass"),
            ("503", "503", "pass"),
        )
    ),
    *(
        Scenario(
            f"pages for reads too: {page}",
            _pages(page, page, page, methods="GET|POST|PATCH|DELETE"),
            calls=16,
            check=_anything,
        )
        for page in ("404", "404-json", "409", "302", "200-page", "200-empty", "503")
    ),
    Scenario("413", _nginx("client_max_body_size 60;"), clear=True, check=_too_large),
    Scenario(
        "504 after the effect",
        _nginx("proxy_read_timeout 200ms;"),
        saw=" 504 504 ",
        behaviour=Behaviour(hold_every=3, hold=0.5),
    ),
    _works(
        "gzip",
        _nginx("gzip on; gzip_types application/json; gzip_min_length 1; gzip_proxied any;"),
        "nginx",
        saw=r"\d\.\d\d$",
    ),
    *_behind("HTTP/1.0", ("", ""), behaviour=Behaviour(http="1.0"), clear=True, check=_all_succeed),
    *_behind(
        "truncated", ("", "upstream prematurely closed", ""), behaviour=Behaviour(cut_every=5)
    ),
    Scenario("truncated, HTTP/1.0", _direct, NOTHING, behaviour=Behaviour(cut_every=5, http="1.0")),
    *_behind("answers lost", ("", " 502 502 "), behaviour=_LOSES),
    Scenario(
        "haproxy's queue",
        _haproxy("timeout queue 100ms", "maxconn 1"),
        ("haproxy",),
        saw=" sQ-- ",
        behaviour=Behaviour(hold_every=4, hold=0.2),
    ),
    _resending(
        "haproxy retry-on", _haproxy("retries 2\n  retry-on all-retryable-errors"), "haproxy"
    ),
    _resending("nginx, keepalive upstream", _nginx("", *_KEEPALIVE), "nginx", calls=160),
    _resending("nginx, non_idempotent", _nginx("", *_NON_IDEMPOTENT), "nginx"),
    _fails("nothing there", _kill, check=_each_fails("{host}:{site.upstream.port}")),
    Scenario("TLS swapped", Site.add_tls, check=_some_distrusted, steps=_SWAPS),
    _fails("TLS, wrong CA", _tls_of_another, "nginx"),
    _fails("TLS, wrong host", methodcaller("add_tls", "elsewhere.example"), "nginx"),
    _works("mTLS with a certificate", _mtls, "nginx"),
    _fails(
        "mTLS without one, nginx",
        _asking,
        "nginx",
        check=_each_fails("No required SSL certificate was sent", kind=RolesError),
    ),
    _fails(
        "mTLS without one, haproxy",
        _haproxy_asking,
        "haproxy",
        check=_each_fails("client certificate", kind=RolesError),
    ),
    *(_works(f"squid, {scheme}", _squid(scheme), "nginx", "squid") for scheme in ("http", "https")),
    *(
        _fails(
            f"squid, wrong password, {scheme}",
            _squid(scheme, WRONG_PASSWORD),
            *("nginx", "squid"),
            check=_refused_once,
        )
        for scheme in ("http", "https")
    ),
    Scenario("squid dies", _squid("https"), ("nginx", "squid"), steps=_SQUID_DIES),
)
