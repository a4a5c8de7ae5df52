"""The control of served accounts, for tests in other languages: `serve --control`."""

import secrets
from collections.abc import Callable, Iterable
from inspect import Parameter, signature
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from arize_roles_async._values.text import nearest, quoted
from arize_roles_async._wire.redaction import Secret
from arize_roles_fake._account import FakeAccount
from arize_roles_fake._server.refusals import is_local_request, refused
from arize_roles_fake._service.wire import bearer
from arize_roles_fake._testing import account_file
from arize_roles_fake._testing.account_file import AccountData, Keys
from arize_roles_fake._testing.faults import MEMBERS, Fault, parse_failure

PATH: Final = "/-/{tail:.*}"
"""The paths of the control; the service has none that begin so."""

Make = Callable[[AccountData | None, Keys], FakeAccount]
"""Makes an account with these keys: of a file's data, or as it was served first."""

_FAULT_MEMBERS: Final = (
    *("operation", "failure"),
    *(
        name
        for name, parameter in signature(FakeAccount.fail).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY
    ),
    *MEMBERS,
)
_SHOWN_OF_FAULT: Final = ("operation", "times", "after", "every_attempt", "when", "role", "fired")
_CALL_MEMBERS: Final = (
    *("operation", "role", "user", "resource", "arguments", "outcome", "attempt", "duration"),
    "host",
)


class _Served:
    """A served account, under the key that controls it."""

    def __init__(self, key: str, first: FakeAccount) -> None:
        self.key = Secret(key)
        del key  # A traceback may show the variables of this frame.
        self.first: Final = first
        """The account as it was made: a reset returns to it."""
        self.first_keys: Final = first.api_keys
        """Its keys then."""
        self.serve(first)

    def serve(self, account: FakeAccount) -> None:
        """Serve an account from now on."""
        self.account = account
        self.faults: list[Fault] = []
        """The faults that were scripted over HTTP."""
        self.calls_before = account.calls_in_all
        """The number of calls before the log began."""


class _ConflictError(ValueError):
    """A request contradicts another account on the server."""


class Control:
    """Steers served accounts over HTTP: makes, resets and replaces them, scripts faults.

    Each account has a key of its own, with which it is reached and controlled.

    Args:
        account: The account that is served first.
        make: Makes a further account.
        set_up: Scripts the failures of the command line's options, again after a reset.
        anywhere: Allow callers on other machines.
    """

    def __init__(
        self,
        account: FakeAccount,
        make: Make,
        set_up: Callable[[FakeAccount], None],
        *,
        anywhere: bool,
    ) -> None:
        self._main = _Served(account.api_key, account)
        self._served: dict[str, _Served] = {account.api_key: self._main}
        self._make = make
        self._set_up = set_up
        self._anywhere = anywhere
        self._actions: dict[tuple[str, str], Callable[[_Served, bytes], tuple[int, object]]] = {
            ("POST", "/-/accounts"): self._add,
            ("DELETE", "/-/accounts"): self._remove,
            ("PUT", "/-/account"): self._replace,
            ("POST", "/-/reset"): self._reset,
            ("GET", "/-/faults"): self._faults,
            ("POST", "/-/faults"): self._fail,
            ("DELETE", "/-/faults"): self._clear_faults,
            ("GET", "/-/calls"): self._calls,
            ("POST", "/-/clock"): self._advance,
        }

    @property
    def account(self) -> FakeAccount:
        """The account that is served to the key of the command line."""
        return self._main.account

    def account_of(self, authorization: str) -> FakeAccount:
        """Return the account that has a request's key, or the first one, which refuses it."""
        key = bearer(authorization)
        for served in self._served.values():
            if key in served.account.api_keys:
                return served.account
        return self._served.get(key, self._main).account

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request: with JSON if it has a result, and 204 otherwise."""
        if not (self._anywhere or is_local_request(request.host, request.remote)):
            return refused(403, "only this machine may control the account")
        served = self._served.get(bearer(request.headers.get("Authorization", "")))
        if served is None:
            return refused(
                401, "the key is not the one that serve printed, nor of POST /-/accounts"
            )
        action = self._actions.get((request.method, request.path))
        if action is None:
            known = ", ".join(f"{method} {path}" for method, path in self._actions)
            return refused(404, f"--control has only these requests: {known}")
        try:
            # Not `request.read`, whose limit is that of the service's requests.
            status, answer = action(served, await request.content.read())
        except (ValueError, TypeError, OSError) as error:
            return refused(409 if isinstance(error, _ConflictError) else 400, str(error))
        if answer is None:
            return web.Response(status=status)
        # Not msgspec: a logged request may hold characters that UTF-8 cannot carry.
        return web.json_response(answer, status=status)

    # Accounts

    def _add(self, _: _Served, body: bytes) -> tuple[int, object]:
        data = account_file.decode(body.decode("utf-8-sig")) if body.strip() else None
        keys = None if data is None else data.keys
        if keys is None:
            keys = {f"fake-{secrets.token_hex(8)}": None}
        account = self._made(data, keys, None)
        self._served[account.api_key] = _Served(account.api_key, account)
        return 201, {"api_key": account.api_key}

    def _remove(self, served: _Served, _: bytes) -> tuple[int, object]:
        if served is self._main:
            raise ValueError("only an account that was added can be removed")
        del self._served[served.key.reveal()]
        return 204, None

    def _replace(self, served: _Served, body: bytes) -> tuple[int, object]:
        data = account_file.decode(body.decode("utf-8-sig"))
        keys = data.keys
        if keys is None:
            keys = account_file.decode(served.account.dump()).keys or {}
        served.serve(self._made(data, keys, served))
        return 204, None

    def _are_taken(self, keys: Iterable[str], own: _Served | None) -> bool:
        """Return whether another account than `own` has or is controlled with one of the keys."""
        return any(
            key in served.account.api_keys or key == served.key.reveal()
            for served in self._served.values()
            if served is not own
            for key in keys
        )

    def _made(self, data: AccountData | None, keys: Keys, own: _Served | None) -> FakeAccount:
        if self._are_taken(keys, own):
            raise ValueError(
                "keys holds the key of another account on this server; without keys, the account "
                "gets one of its own"
            )
        account = self._make(data, keys)
        self._set_up(account)
        return account

    def _reset(self, served: _Served, _: bytes) -> tuple[int, object]:
        if self._are_taken(served.first_keys, served):
            raise _ConflictError(
                "another account on this server has a key that this one had at its start"
            )
        unused = [_fault_members(fault) for fault in served.faults if fault.is_pending]
        served.first.reset()
        self._set_up(served.first)
        served.serve(served.first)
        return 200, {"unused_faults": unused}

    # Faults

    def _faults(self, served: _Served, _: bytes) -> tuple[int, object]:
        return 200, [_fault_members(fault) for fault in served.faults]

    def _fail(self, served: _Served, body: bytes) -> tuple[int, object]:
        given = _decode(body, dict[str, Any])
        for name in given:
            if name not in _FAULT_MEMBERS:
                raise ValueError(
                    f"a fault has no member {quoted(name)}; did you mean "
                    f"{nearest(name, _FAULT_MEMBERS)!r}? It has {', '.join(_FAULT_MEMBERS)}"
                )
        failure = given.pop("failure", None)
        if isinstance(failure, str):
            failure = parse_failure(failure)
        operation = given.pop("operation", None)
        served.faults.append(served.account.fail(operation, failure, **given))
        return 204, None

    def _clear_faults(self, served: _Served, _: bytes) -> tuple[int, object]:
        served.account.clear_faults()
        served.faults.clear()
        return 204, None

    # Calls and time

    def _calls(self, served: _Served, _: bytes) -> tuple[int, object]:
        calls = served.account.calls
        return 200, {
            "calls": [
                {**{name: getattr(call, name) for name in _CALL_MEMBERS}, "at": call.at.isoformat()}
                for call in calls
            ],
            "dropped": served.account.calls_in_all - served.calls_before - len(calls),
        }

    def _advance(self, served: _Served, body: bytes) -> tuple[int, object]:
        served.account.advance(_decode(body, _Clock).seconds)
        return 200, {"now": served.account.now().isoformat()}


def _fault_members(fault: Fault) -> dict[str, object]:
    """Return a fault as it can be scripted again, and the number of requests that it struck."""
    argument = fault.argument
    failure = argument.__name__ if isinstance(argument, type) else argument
    return {"failure": failure, **{name: getattr(fault, name) for name in _SHOWN_OF_FAULT}}


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
