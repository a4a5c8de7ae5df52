"""The control of served accounts, for tests in other languages: `serve --control`."""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, cast

import attrs
import msgspec
from aiohttp import web

from arize_roles_async._aiohttp.config import is_loopback
from arize_roles_async._wire.secrets import Secret
from arize_roles_fake._account.account import DEFAULT_API_KEY, FakeAccount, keys_of
from arize_roles_fake._service.wire import bearer, problem_response
from arize_roles_fake._testing import account_file
from arize_roles_fake._testing.account_file import AccountData, Keys
from arize_roles_fake._testing.fault_rules import parse_failure
from arize_roles_fake._testing.faults import ScriptedFault

PATH: Final = "/-/{tail:.*}"
"""The paths of the control; the service has none that begin so."""

_CALL_MEMBERS: Final = (
    *("operation", "role", "user", "resource", "arguments", "outcome", "attempt", "duration"),
    "host",
)


def refused(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return the answer to a request that does not reach the account."""
    problem = problem_response(status, detail, headers)
    return web.Response(status=status, headers=problem.headers, body=problem.body)


def is_local_request(host: str, peer: str | None) -> bool:
    """Return whether a request comes from this machine and has a local name in its Host header.

    A web page from elsewhere can make a browser resolve the page's own name to this machine (DNS
    rebinding), and then has the same origin. Its name is in the Host header, `host`.
    """
    return is_loopback(host_name(host)) and is_loopback(peer or "")


def host_name(host: str) -> str:
    """Return the name or address in a Host header; an empty text if it is malformed."""
    # Not `urlsplit`, for which in Python 3.11 `[::1].evil.test` has the name `::1`.
    found = re.fullmatch(r"(?:\[([\da-f:.]+)\]|([\w.-]+))(?::\d*)?", host.lower())
    return "" if found is None else found[1] or found[2]


def check_not_public(keys: Iterable[str]) -> None:
    """Raise `ValueError` if the key that everybody knows is one of an account's keys."""
    if DEFAULT_API_KEY in keys:
        raise ValueError(
            f"--control any needs a key other than {DEFAULT_API_KEY}, which is public; pass one "
            "with --api-key-file"
        )


class _Served:
    """A served account, under the key that controls it."""

    def __init__(self, first: FakeAccount) -> None:
        self.key = Secret(first.api_key)
        self.first: Final = first
        """The account as it was made: a reset returns to it."""
        self.serve(first)
        self.first_keys: Final = frozenset(self.keys)
        """Its keys then, which no other account may have; the first controls it."""

    @property
    def keys(self) -> Keys:
        """The keys that its callers send, the first one first."""
        return keys_of(self.account)

    def serve(self, account: FakeAccount) -> None:
        """Serve an account from now on."""
        self.account = account
        self.faults: list[ScriptedFault] = []
        """The faults that were scripted over HTTP."""
        self.requests = 0
        """The number of requests so far, of which the log keeps the newest."""


_Answer = web.Response | None
"""The answer to a request; None is a 204."""


class Control:
    """Steers served accounts over HTTP: makes, resets and replaces them, scripts faults.

    Each account has a key of its own, with which it is reached and controlled.

    Args:
        account: The account that is served first.
        make_account: Makes an account with some keys: of a file's data, or as it was served first.
        anywhere: Allow callers on other machines.
    """

    def __init__(
        self,
        account: FakeAccount,
        make_account: Callable[[AccountData | None, Keys], FakeAccount],
        *,
        anywhere: bool,
    ) -> None:
        self._main = _Served(account)
        self._served: dict[str, _Served] = {account.api_key: self._main}
        self._make_account = make_account
        self._anywhere = anywhere
        self._actions: dict[tuple[str, str], Callable[[_Served, bytes], _Answer]] = {
            ("POST", "/-/accounts"): self._add,
            ("DELETE", "/-/accounts"): self._remove,
            ("GET", "/-/account"): self._dump,
            ("PUT", "/-/account"): self._replace,
            ("POST", "/-/reset"): self._reset,
            ("POST", "/-/keys"): self._add_key,
            ("DELETE", "/-/keys"): self._remove_key,
            ("POST", "/-/faults"): self._fail,
            ("DELETE", "/-/faults"): self._clear_faults,
            ("POST", "/-/delay"): self._slow_down,
            ("POST", "/-/rate"): self._limit_rate,
            ("GET", "/-/calls"): self._calls,
            ("POST", "/-/clock"): self._advance,
        }

    @property
    def account(self) -> FakeAccount:
        """The account that is served to the key of the command line."""
        return self._main.account

    def account_of(self, authorization: str | None) -> FakeAccount:
        """Return the account that answers a request: the one that has its key, or the first."""
        if authorization is None:
            return self._main.account
        key = bearer(authorization)
        found = (served for served in self._served.values() if key in served.keys)
        served = next(found, self._served.get(key, self._main))
        served.requests += 1
        return served.account

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request: with JSON if it has a result, and 204 otherwise."""
        if not (self._anywhere or is_local_request(request.host, request.remote)):
            return refused(403, "only this machine may control the account")
        served = self._controlled(bearer(request.headers.get("Authorization", "")))
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
            answer = action(served, await request.content.read())
        except (ValueError, TypeError, OSError) as error:
            return refused(400, str(error))
        return web.Response(status=204) if answer is None else answer

    def _controlled(self, key: str) -> _Served | None:
        """Return the account that was made with a key, or has it as its first one now."""
        found = (served for served in self._served.values() if key == next(iter(served.keys), None))
        return self._served.get(key, next(found, None))

    # Accounts and keys

    def _add(self, _: _Served, body: bytes) -> _Answer:
        data = account_file.decode(body.decode()) if body.strip() else None
        account = self._new_account(data, {f"fake-{secrets.token_hex(8)}": None}, None)
        self._served[account.api_key] = _Served(account)
        return web.json_response({"api_key": account.api_key}, status=201)

    def _remove(self, served: _Served, _: bytes) -> None:
        if served is self._main:
            raise ValueError("only an account that was added can be removed")
        del self._served[served.key.reveal()]

    def _dump(self, served: _Served, _: bytes) -> _Answer:
        return web.Response(text=served.account.dump(), content_type="application/json")

    def _replace(self, served: _Served, body: bytes) -> None:
        data = account_file.decode(body.decode())
        served.serve(self._new_account(data, keys_of(served.account), served))

    def _new_account(
        self, data: AccountData | None, keys: Keys, but_for: _Served | None
    ) -> FakeAccount:
        """Make an account with the keys of its file, or with others where that has none."""
        if data is not None and data.keys is not None:
            keys = data.keys
        self._check_keys(keys, but_for)
        return self._make_account(data, keys)

    def _check_keys(self, keys: Iterable[str], but_for: _Served | None) -> None:
        """Raise `ValueError` if an account other than one has, or began with, one of the keys."""
        if self._anywhere:
            check_not_public(keys)
        others = (each for each in self._served.values() if each is not but_for)
        if any(each.first_keys.union(each.keys).intersection(keys) for each in others):
            raise ValueError(
                "keys holds the key of another account on this server; without keys, the account "
                "gets one of its own"
            )

    def _reset(self, served: _Served, _: bytes) -> _Answer:
        unused = [_as_json(fault) for fault in served.faults if fault.unused() is not None]
        served.first.reset()
        served.serve(served.first)
        return web.json_response({"unused_faults": unused})

    def _add_key(self, served: _Served, body: bytes) -> None:
        given = _decode(body, _Key)
        self._check_keys([given.key], served)
        served.account.add_key(given.key, grants=given.grants, on=given.on)

    def _remove_key(self, served: _Served, body: bytes) -> None:
        key = _decode(body, _RemovedKey).key
        if key not in served.keys:
            raise ValueError("there is no such API key")
        served.account.remove_key(key)

    # Failures and limits

    def _fail(self, served: _Served, body: bytes) -> None:
        given = _decode(body, dict[str, Any])
        if isinstance(given.get("failure"), str):
            given["failure"] = parse_failure(given["failure"])
        served.faults.append(cast("ScriptedFault", served.account.fail(**given)))

    def _clear_faults(self, served: _Served, _: bytes) -> None:
        served.account.clear_faults()
        served.faults.clear()

    def _slow_down(self, served: _Served, body: bytes) -> None:
        served.account.slow_down(**msgspec.structs.asdict(_decode(body, _Delay)))

    def _limit_rate(self, served: _Served, body: bytes) -> None:
        served.account.limit_rate(**msgspec.structs.asdict(_decode(body, _Rate)))

    # Calls and time

    def _calls(self, served: _Served, _: bytes) -> _Answer:
        calls = served.account.calls
        data = [
            {**{name: getattr(call, name) for name in _CALL_MEMBERS}, "at": call.at.isoformat()}
            for call in calls
        ]
        # Not msgspec: a logged request may hold characters that UTF-8 cannot carry.
        return web.json_response({"calls": data, "dropped": served.requests - len(calls)})

    def _advance(self, served: _Served, body: bytes) -> _Answer:
        served.account.advance(_decode(body, _Clock).seconds)
        return web.json_response({"now": served.account.now().isoformat()})


def _as_json(fault: ScriptedFault) -> dict[str, object]:
    """Return a fault as it can be scripted again, and the number of requests that it struck."""
    arguments = attrs.asdict(fault.arguments)
    given = arguments.pop("given")
    arguments["failure"] = given.__name__ if isinstance(given, type) else given
    return {"fault": arguments, "failed_requests": fault.failed_requests}


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of a request."""


class _Clock(_Body):
    seconds: float


class _Delay(_Body):
    seconds: float
    operation: str = "any"
    about: str | None = None


class _Rate(_Body):
    per_second: float
    burst: int = 1


class _RemovedKey(_Body):
    key: str


class _Key(_RemovedKey):
    grants: list[str] | None = None
    on: dict[str, list[str]] | None = None


_T = TypeVar("_T")


def _decode(body: bytes, as_type: type[_T]) -> _T:
    """Return the value of a body in JSON, or raise `ValueError` if it does not fit the type."""
    try:
        return msgspec.json.decode(body, type=as_type)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(f"the body does not have the documented form: {error}") from error
