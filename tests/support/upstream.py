"""The service as a server of the standard library's, which can be killed, frozen and started again.

A kill ends its connections, and the account stays.
"""

import contextlib
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

import attrs
from multidict import CIMultiDict

from arize_roles_async import Request, Response
from arize_roles_fake import FakeAccount
from tests.support.processes import HOST, LONGEST_WAIT, free_port

KEY: Final = "sk-upstream-7f3c9a1e55"
"""The API key that the service knows: a text that nothing else could contain by chance."""


@attrs.frozen(kw_only=True)
class Behaviour:
    """The behaviour of the service; each so many-th answer to a method has a fate, 0 is none."""

    http: str = "1.1"
    """The version of HTTP; 1.0 closes after each answer, and gives no length."""
    delay: float = 0.0
    """Seconds that each request takes."""
    lose_every: int = 0
    """After the effect, nothing is sent."""
    cut_every: int = 0
    """After the effect, the answer ends in its middle."""
    hold_every: int = 0
    """After the effect of a change, the answer takes half a second."""


class Upstream:
    """The service, perhaps over TLS; it ends with its block."""

    def __init__(self, behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.behaviour = behaviour
        self.tls = tls
        self.port = free_port()
        self.url = f"{'https' if tls else 'http'}://{HOST}:{self.port}"
        self.account = FakeAccount(api_key=KEY)
        self.thawed = threading.Event()
        """Cleared, nobody is answered; the kernel still takes connections and data in its name."""
        # By method, so that each has its share of what is lost, in whatever order they come.
        self._answers: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        self.thawed.set()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thawed.set()
        self.kill()

    def start(self) -> None:
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def kill(self) -> None:
        """End every connection at once, and listen no more; twice does nothing."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.end()

    def answer(self, server: "_Server", request: Request) -> tuple[Response, str]:
        """Carry a request out, unless its server was killed; return the answer and its fate."""
        method, behaviour = request.method, self.behaviour
        with self._lock:
            if server is not self._server:
                raise ConnectionError
            reply = self.account.handle(request)
            self._answers[method] += 1
            number = self._answers[method]
        fates = {"lost": behaviour.lose_every, "cut": behaviour.cut_every}
        if method != "GET":
            fates["held"] = behaviour.hold_every
        return reply, next((x for x, every in fates.items() if every and number % every == 0), "")


class _Handler(BaseHTTPRequestHandler):
    server: Any
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle(self) -> None:
        self.protocol_version = f"HTTP/{self.server.service.behaviour.http}"
        super().handle()

    def _carry_out(self) -> None:
        service: Upstream = self.server.service
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError
        headers = CIMultiDict(self.headers.items())
        request = Request(method=self.command, target=self.path, body=body or None, headers=headers)
        time.sleep(service.behaviour.delay)
        service.thawed.wait(LONGEST_WAIT)
        reply, fate = service.answer(self.server, request)
        service.thawed.wait(LONGEST_WAIT)
        time.sleep(0.5 * (fate == "held"))
        self.close_connection |= fate in {"lost", "cut"} or self.protocol_version == "HTTP/1.0"
        if fate != "lost":
            self._answer(reply, is_cut=fate == "cut")

    def _answer(self, reply: Response, *, is_cut: bool) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if self.protocol_version == "HTTP/1.1" and reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        if reply.body or not is_cut:
            self.end_headers()
            self.wfile.write(reply.body[: len(reply.body) // 2] if is_cut else reply.body)
        self.wfile.flush()

    do_GET = do_POST = do_PATCH = do_DELETE = _carry_out  # noqa: N815 - names of the base class

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing; the account does."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service: Upstream) -> None:
        self.service = service
        self._open: set[socket.socket] = set()
        super().__init__((HOST, service.port), _Handler)
        if service.tls is not None:
            self.socket = service.tls.wrap_socket(self.socket, server_side=True)

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        for each in [*self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Print what is wrong here, and nothing where a client or this server went."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
