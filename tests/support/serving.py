"""The command `serve` in a thread, and the account that it serves as another language sees it."""

import asyncio
import io
import json
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import httpx
import pytest

from arize_roles_fake.__main__ import main
from tests.support.processes import LONGEST_WAIT, await_true

KEY = "fake-api-key"


class Served:
    """A served account, as a test in another language sees it."""

    def __init__(self, url: str, key: str = KEY) -> None:
        self.url = url
        self.key = key

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Any:  # noqa: ANN401
        """Send a request and return the answer's status and JSON."""
        given = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        sent = httpx.Headers({**given, **headers}, "latin-1")
        request = httpx.Request(method, f"{self.url}{path}", headers=sent, content=content)
        with httpx.Client(trust_env=False, verify=False, timeout=LONGEST_WAIT) as http:  # noqa: S501
            answer = http.send(request)
        return answer.status_code, answer.json() if answer.content else None

    def status(self, path: str = "/v2/roles", **headers: str) -> int:
        """Return the status of the answer to a GET."""
        status, _ = self.ask("GET", path, **headers)
        return int(status)

    def names(self) -> list[str]:
        _, page = self.ask("GET", "/v2/roles?is_predefined=false")
        return [role["name"] for role in page["roles"]]

    def create(self, name: str) -> int:
        """Create a role and return the status."""
        status, _ = self.ask("POST", "/v2/roles", {"name": name, "permissions": ["ROLE_READ"]})
        return int(status)


@contextmanager
def serving(*arguments: str, status: int = 0) -> Generator[tuple[str, io.StringIO]]:
    """Runs `serve` in a thread until the block ends, and hands out its URL and standard error.

    It ends with the status.

    A signal reaches only the main thread, so the block's end takes its place.
    """
    output, errors = io.StringIO(), io.StringIO()
    stops: list[Callable[[], object]] = []

    def stop_with_block(
        loop: asyncio.AbstractEventLoop, _: int, stop: Callable[[], object]
    ) -> None:
        stops.append(lambda: loop.call_soon_threadsafe(stop))

    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(output),
        redirect_stderr(errors),
        ThreadPoolExecutor(1) as pool,
    ):
        patch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", stop_with_block)
        ended = pool.submit(main, ["serve", *arguments])
        await_true(lambda: ended.done() or "\n" in output.getvalue(), "the URL of `serve`")
        try:
            yield output.getvalue().strip(), errors
        finally:
            for stop in stops[:1]:  # for two signals, one of which is enough
                stop()
        assert ended.result(LONGEST_WAIT) == status
