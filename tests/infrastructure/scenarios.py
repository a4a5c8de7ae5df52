"""Scenarios of calls behind nginx, haproxy and squid: a line each, and a function to run one."""

import asyncio
import re
import ssl
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
import attrs
import pytest

from arize_roles_async import AiohttpRolesClient, RetryPolicy, RolesError, Timeouts
from tests.infrastructure.judge import Call, MakeCall, judge, made, make, planned
from tests.support.processes import HOST, Part, missing
from tests.support.proxies import Haproxy, Nginx, Squid, folder
from tests.support.tls import Authority
from tests.support.upstream import KEY, Behaviour, Upstream

PASSWORD: Final = "pw-51d0c2b8aa"
SLOW: Final = Behaviour(delay=0.03)
"""So that calls are under way while something happens."""
LONG_LIMITS: Final = Timeouts(total=20.0, connect=10.0, read=10.0)
"""Where no time limit should run out, however busy the machine is."""
HASTY: Final = Timeouts(total=6.0, connect=2.0, read=0.2)
"""Where silence is a part of the scenario."""


class Site:
    """The programs between the client and the service in one scenario, which end with its stack."""

    haproxy: Haproxy
    squid: Squid

    def __init__(self, stack: AsyncExitStack, upstream: Upstream, directory: Path) -> None:
        self.stack = stack
        self.upstream = upstream
        self.directory = directory
        self.authority = Authority(directory)
        self.options: dict[str, Any] = {"base_url": upstream.url}
        """The arguments of the client."""
        self.nodes: list[Nginx] = []

    def add(self, part: Part) -> Any:  # noqa: ANN401 - of its class
        """Start a program, which the client then calls; without it, the test is skipped."""
        if reason := missing(part.program):
            pytest.skip(reason)
        self.options["base_url"] = part.url
        return self.stack.enter_context(part)

    def add_nginx(self, server: str, http: str = "") -> None:
        """Start an nginx; in its server block, `{to}` is the address of the service."""
        block = f"{http} server {{ {server} }}".replace("{to}", f"{HOST}:{self.upstream.port}")
        self.nodes.append(self.add(Nginx(self.directory, block, f"nginx{len(self.nodes)}")))

    def secured(self, authority: Authority, more: str = "") -> str:
        """Return what an nginx's server block with a certificate of an authority holds."""
        certificate = authority.issue(HOST)
        return (
            f"listen {HOST}:{{port}} ssl; ssl_certificate {certificate};"
            f"ssl_certificate_key {certificate}; {more}"
            f"location / {{ proxy_pass {self.upstream.url}; }}"
        )


Step = Callable[[Site], object]
Check = Callable[[Sequence[Call]], list[Call]]


def _each(is_right: Callable[[Call], bool]) -> Check:
    """Return a check of each call."""
    return lambda calls: [call for call in calls if not is_right(call)]


def _each_fails(word: str) -> Check:
    return _each(lambda call: isinstance(call.end, RolesError) and word in str(call.end))


def _some_succeed(calls: Sequence[Call]) -> list[Call]:
    return [*calls] if all(call.failed for call in calls) else []


def _some_distrusted(calls: Sequence[Call]) -> list[Call]:
    distrusts = _each(lambda call: not call.failed or getattr(call.end, "certificate", False))
    return distrusts(calls) if any(call.failed for call in calls) else [*calls]


@attrs.frozen
class Scenario:
    """One line of the table."""

    name: str
    build: Step
    """Starts the programs between the client and the service."""
    steps: tuple[Step, ...] = ()
    """What happens, one after the other, while calls are under way."""
    behaviour: Behaviour = attrs.field(factory=Behaviour)
    check: Check = _some_succeed
    """Returns the calls that did not end as they should."""
    saw: str = ""
    """What the logs of the programs show, as a regular expression, where it happened."""
    clear: bool = False
    """Every attempt has a known end, so that no outcome may be unknown."""
    resends: bool = False
    """Something in between resends requests by itself."""
    timeouts: Timeouts = LONG_LIMITS
    calls: int = 40
    """Their number in the suite; the full set makes three times as many."""

    def __str__(self) -> str:
        return self.name


async def run(scenario: Scenario, *, times: int = 1, make_call: MakeCall = made) -> list[str]:
    """Run a scenario with so many times the calls, and return all that is not as it should be."""
    noise: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: noise.append(f"unhandled: {context['message']}")
    )
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(folder())
        upstream = stack.enter_context(Upstream(SLOW if scenario.steps else scenario.behaviour))
        calls = planned(upstream, scenario.calls * times)
        site = Site(stack, upstream, directory)
        scenario.build(site)
        retry = RetryPolicy(backoff=0.1)
        client = AiohttpRolesClient(KEY, timeout=scenario.timeouts, retry=retry, **site.options)
        steps = [None, *scenario.steps]
        async with client:
            for number, step in enumerate(steps):
                async with asyncio.TaskGroup() as group:
                    group.create_task(make(client, calls[number :: len(steps)], make_call))
                    if step is not None:
                        group.create_task(asyncio.to_thread(step, site))
        logs = [path.read_text("utf-8", "replace") for path in directory.rglob("*.log")]
        total = scenario.timeouts.total or 0.0
        clear, resends = scenario.clear, scenario.resends
        wrong = judge(calls, upstream, total=total, clear=clear, resends=resends)
    wrong += [f"{call}: not as it should end" for call in scenario.check(calls)]
    if not re.search(scenario.saw, "\n".join(logs), re.MULTILINE):
        wrong.append(f"no log shows {scenario.saw}")
    return wrong + noise


def _nginx(directives: str = "", http: str = "", location: str = "proxy_pass http://{to};") -> Step:
    """Put an nginx in between that has more directives."""
    server = f"listen {HOST}:{{port}}; {directives} location / {{ {location} }}"
    return lambda site: site.add_nginx(server, http)


def _haproxy(backend: str = "", server: str = "") -> Step:
    """Put a haproxy in between, with more in the section of its backend and for its server."""

    def build(site: Site) -> None:
        lines = f"{backend}\n  server s0 {HOST}:{site.upstream.port} {server}"
        site.haproxy = site.add(Haproxy(site.directory, lines))

    return build


def _limited(status: int, more: str = "") -> Step:
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


def _pages(*script: str) -> Step:
    """Put a gateway in between that answers attempts of changes with pages, or lets them `pass`."""
    attempts = " ".join(
        f'"~^(?:POST|PATCH|DELETE):{number or ""}$" "{page}";' for number, page in enumerate(script)
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
        _nginx()(site)
    servers = [f"server s{n} {HOST}:{node.port}" for n, node in enumerate(site.nodes)]
    lines = "\n  ".join(("balance roundrobin", "option redispatch", *servers))
    site.haproxy = site.add(Haproxy(site.directory, lines))


def _tls(site: Site, more: str = "") -> None:
    site.add_nginx(site.secured(site.authority, more))
    url = site.options["base_url"].replace("http", "https")
    site.options |= {"base_url": url, "ca_file": site.authority.pem}


def _asking(site: Site) -> None:
    """Have nginx ask for a client certificate."""
    _tls(site, f"ssl_verify_client on; ssl_client_certificate {site.authority.pem};")


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


def _squid(behind: Step, password: str = PASSWORD) -> Step:
    """Put a squid with one user before other programs, and give the client that user."""

    def build(site: Site) -> None:
        behind(site)
        url = site.options["base_url"]
        site.squid = site.add(Squid(site.directory, "roles", PASSWORD))
        proxy = f"http://roles:{password}@{HOST}:{site.squid.port}"
        site.options |= {"base_url": url, "proxy": proxy}

    return build


def _stop_node(site: Site, number: int, *, drains: bool) -> None:
    if drains:
        site.haproxy.run_command(f"set server out/s{number} state drain")
        site.nodes[number].drain()
    site.nodes[number].kill()


def _start_node(site: Site, number: int) -> None:
    site.nodes[number].start()
    site.haproxy.run_command(f"set server out/s{number} state ready")


def _each_node_stops(*, drains: bool) -> tuple[Step, ...]:
    """Stop and start one node, and then the other."""
    return (
        lambda site: _stop_node(site, 0, drains=drains),
        lambda site: _start_node(site, 0),
        lambda site: _stop_node(site, 1, drains=drains),
        lambda site: _start_node(site, 1),
    )


def _swap(name: str) -> Step:
    """Give nginx another certificate, of an authority of that name."""

    def step(site: Site) -> None:
        own = site.authority if name == "ca" else Authority(site.directory, name)
        site.nodes[0].write(f"server {{ {site.secured(own)} }}")
        site.nodes[0].reload()

    return step


def _twice(*steps: Step) -> tuple[Step, ...]:
    return steps * 2


_LOSES: Final = Behaviour(lose_every=5)
_CUTS: Final = Behaviour(cut_every=5)
_RETRY_AFTER: Final = (
    "error_page 429 = @busy; location @busy { add_header Retry-After 1 always;"
    'default_type text/html; return 429 "<html><h1>Too many</h1></html>"; }'
)
_LIMITS: Final[dict[str, Any]] = {"saw": "limiting requests", "calls": 8}
_KEEPALIVE: Final = (
    "upstream service { server {to} max_fails=0; keepalive 8; }",
    'proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";',
)
_NON_IDEMPOTENT: Final = (
    "upstream service { server {to} max_fails=0; server {to} max_fails=0; }",
    "proxy_pass http://service; proxy_next_upstream error timeout non_idempotent;",
)
_GZIP: Final = "gzip on; gzip_types application/json; gzip_min_length 1; gzip_proxied any;"
_WORKS: Final[dict[str, Any]] = {"clear": True, "check": _each(lambda call: not call.failed)}
_RESENDS: Final[dict[str, Any]] = {"resends": True, "behaviour": _LOSES}

SCENARIOS: Final = (
    Scenario(
        "nginx reloads",
        _nginx(),
        _twice(lambda site: site.nodes[0].reload()),
        saw="reconfiguring",
    ),
    Scenario(
        "service killed",
        _nginx(),
        _twice(lambda site: site.upstream.kill(), lambda site: site.upstream.start()),
        saw=" 502 502 ",
    ),
    Scenario(
        "service frozen",
        _nginx(),
        _twice(lambda site: site.upstream.thawed.clear(), lambda site: site.upstream.thawed.set()),
        timeouts=HASTY,
    ),
    Scenario("nodes drained", _nodes, _each_node_stops(drains=True)),
    Scenario("nodes die", _nodes, _each_node_stops(drains=False)),
    Scenario("rate limit, 503 page", _limited(503), **_LIMITS),
    Scenario("rate limit, 429 page", _limited(429), **_LIMITS),
    Scenario("rate limit, 429 page with Retry-After", _limited(429, _RETRY_AFTER), **_LIMITS),
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
    Scenario(
        "413",  # of nginx, which takes no body of a create
        _nginx("client_max_body_size 60;"),
        clear=True,
        check=_each(
            lambda call: getattr(call.end, "status", 0) == {"create": 413}.get(call.method, 0)
        ),
    ),
    Scenario(
        "504 after the effect",
        _nginx("proxy_read_timeout 200ms;"),
        saw=" 504 504 ",
        behaviour=Behaviour(hold_every=3),
    ),
    Scenario("gzip", _nginx(_GZIP), saw=r"\d\.\d\d$", **_WORKS),
    Scenario("HTTP/1.0", _nginx(), behaviour=Behaviour(http="1.0"), **_WORKS),
    Scenario("truncated", _nginx(), behaviour=_CUTS, saw="upstream prematurely closed"),
    Scenario("truncated behind haproxy", _haproxy(), behaviour=_CUTS),
    Scenario("answers lost", _nginx(), saw=" 502 502 ", behaviour=_LOSES),
    Scenario(
        "haproxy's queue",
        _haproxy("timeout queue 100ms", "maxconn 1"),
        saw=" sQ-- ",
        behaviour=Behaviour(hold_every=4),
    ),
    Scenario(
        "haproxy retry-on", _haproxy("retries 2\n  retry-on all-retryable-errors"), **_RESENDS
    ),
    Scenario("nginx, keepalive upstream", _nginx("", *_KEEPALIVE), calls=160, **_RESENDS),
    Scenario("nginx, non_idempotent", _nginx("", *_NON_IDEMPOTENT), **_RESENDS),
    Scenario(
        "TLS swapped",
        _tls,
        (_swap("ca"), _swap("another"), _swap("ca")),
        check=_some_distrusted,
    ),
    Scenario("mTLS with a certificate", _mtls, **_WORKS),
    Scenario(
        "mTLS without one",
        _asking,
        clear=True,
        check=_each_fails("No required SSL certificate was sent"),
    ),
    Scenario("squid, http", _squid(_nginx()), **_WORKS),
    Scenario("squid, https", _squid(_tls), **_WORKS),
    Scenario(
        "squid, wrong password",
        _squid(_tls, "pw-08e6f4d217"),
        clear=True,
        check=_each_fails("credentials"),
    ),
    Scenario(
        "squid dies",
        _squid(_tls),
        _twice(lambda site: site.squid.kill(), lambda site: site.squid.start()),
    ),
)
