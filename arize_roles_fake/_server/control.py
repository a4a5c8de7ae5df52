"""The control of a served account, for tests in other languages: `serve --control`."""

import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from arize_roles_async._wire.redaction import Secret
from arize_roles_fake._account import FakeAccount
from arize_roles_fake._server.page import is_local_request
from arize_roles_fake._service.wire import problem_response
from arize_roles_fake._testing import account_file
from arize_roles_fake._testing.faults import parse_fault

PATH: Final = "/-/{tail:.*}"
"""The paths of the control; the service has none that begin so."""


def refused(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return the answer to a request that does not reach the account."""
    problem = problem_response(status, detail, headers)
    return web.Response(status=status, headers=problem.headers, body=problem.body)


class Control:
    """Steers a served account over HTTP: resets it, scripts faults, moves its clock, replaces it.

    Only callers on this machine that send the key may use it.

    Args:
        account: The account that is served first.
        load: Makes an account from the text of an account file.
        set_up: Sets up an account by the options of the command line, also after a reset.
    """

    def __init__(
        self,
        account: FakeAccount,
        load: Callable[[str], FakeAccount],
        set_up: Callable[[FakeAccount], None],
    ) -> None:
        self.account = account
        """The account that is served."""
        self._key = Secret(account.api_key)
        self._load = load
        self._set_up = set_up
        self._actions: dict[tuple[str, str], Callable[[bytes], object]] = {
            ("POST", "/-/reset"): self._reset,
            ("POST", "/-/faults"): self._fail,
            ("DELETE", "/-/faults"): lambda _: self.account.clear_faults(),
            ("GET", "/-/calls"): self._calls,
            ("POST", "/-/clock"): self._advance,
            ("PUT", "/-/account"): self._replace,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request: 200 with JSON if it has a result, and 204 otherwise."""
        if not is_local_request(request.host, request.remote):
            return refused(403, "only this machine may control the account")
        expected = f"Bearer {self._key.reveal()}".encode()
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, expected):
            return refused(401, "the key is not the one that serve printed")
        action = self._actions.get((request.method, request.path))
        if action is None:
            known = ", ".join(f"{method} {path}" for method, path in self._actions)
            return refused(404, f"--control has only these requests: {known}")
        try:
            answer = action(await request.read())
        except (ValueError, TypeError, OSError) as error:
            return refused(400, str(error))
        if answer is None:
            return web.Response(status=204)
        # Not msgspec: a logged request may hold characters that UTF-8 cannot carry.
        return web.json_response(answer)

    def _reset(self, _: bytes) -> None:
        self.account.reset()
        self._set_up(self.account)

    def _fail(self, body: bytes) -> None:
        arguments = _decode(body, dict[str, Any])
        what = f"{arguments.pop('operation', '')}:{arguments.pop('failure', '')}"
        self.account.fail(**parse_fault(what), **arguments)

    def _calls(self, _: bytes) -> object:
        return [
            {
                "operation": call.operation,
                "role": call.role,
                "arguments": call.arguments,
                "outcome": call.outcome,
                "attempt": call.attempt,
                "duration": call.duration,
                "at": call.at.isoformat(),
            }
            for call in self.account.calls
        ]

    def _advance(self, body: bytes) -> object:
        self.account.advance(_decode(body, _Clock).seconds)
        return {"now": self.account.now().isoformat()}

    def _replace(self, body: bytes) -> None:
        data = account_file.decode(body.decode())
        if data.keys is None:
            keys = account_file.decode(self.account.dump()).keys
            data = msgspec.structs.replace(data, keys=keys)
        account = self._load(account_file.encode(data))
        self._set_up(account)
        self.account = account


class _Clock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    seconds: float


_T = TypeVar("_T")


def _decode(body: bytes, as_type: type[_T]) -> _T:
    """Return the value of a body in JSON.

    Raises:
        ValueError: The body does not fit the type.
    """
    try:
        return msgspec.json.decode(body, type=as_type)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(f"the body does not have the documented form: {error}") from error
