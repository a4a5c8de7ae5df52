"""Middlewares and tracers of lent sessions, drawn at random, between calls and an account.

`python -m tests.tools.lent_sessions [N]` makes N calls, 2,000 unless given, and then a quarter of
them with a planted fault, which it has to find. A middleware sends twice, after an answer or at
once, reads the body, raises, or answers from a cache; a tracer calls another client. Meanwhile
answers of the account are lost or replaced. An error that says that a change was not made, or a
result that says that it was, has to be true. No middleware sees the key, and no error but ours
leaves a call.
"""

import asyncio
import random
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from arize_roles_async import (
    AiohttpRolesClient,
    AlphaWarning,
    OutcomeUnknownError,
    RetryPolicy,
    RolesError,
    StatusError,
)
from arize_roles_async._calls.call import Call
from arize_roles_fake import FakeAccount, serve
from tests.tools.mutated_answers import Result

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

KEY: Final = "key-of-the-judge"


class Middleware:
    """Does something of its own with each request, which the judge chooses anew for each call."""

    KINDS: Final = ("none", "again", "hedge", "read", "mistake", "late mistake", "status", "cache")

    def __init__(self, result: Result, chance: random.Random) -> None:
        self.kind = "none"
        self.cached = False
        """A cache answered during the call."""
        self._result = result
        self._chance = chance
        self._kept: dict[str, ClientResponse] = {}

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        if self.kind == "mistake" and self._chance.random() < 0.5:
            raise KeyError("tenant")
        if self.kind == "hedge":
            pair = [asyncio.ensure_future(handler(request)) for _ in range(2)]
            await asyncio.gather(*pair, return_exceptions=True)
            response = self._chance.choice(pair).result()
        elif self.kind == "cache":
            response = await self._answer_from_cache(request, handler)
        else:
            response = await handler(request)
        if KEY in f"{request.headers}{response.request_info}":
            self._result.faults["a middleware sees the key"] += 1
        if self.kind == "again" and (response.status >= 400 or self._chance.random() < 0.2):
            response.release()
            response = await handler(request)
        if self.kind == "read":
            await response.read()
        if self.kind == "late mistake" and self._chance.random() < 0.5:
            raise KeyError("tenant")
        if self.kind == "status":
            response.raise_for_status()
        return response

    async def _answer_from_cache(
        self, request: ClientRequest, handler: ClientHandlerType
    ) -> ClientResponse:
        place = f"{request.method} {request.url}"
        if place not in self._kept:
            response = await handler(request)
            await response.read()
            self._kept[place] = response
            return response
        self.cached = True
        return self._kept[place]


class Judge:
    """Makes calls on an account, and compares each outcome with the account."""

    def __init__(self, result: Result, chance: random.Random) -> None:
        self._result = result
        self._chance = chance
        self._account = FakeAccount(api_key=KEY, predefined=False)
        self._middleware = Middleware(result, chance)

    async def run(self, calls: int) -> None:
        others: list[AiohttpRolesClient] = []

        async def call_other(*_: object) -> None:
            if others and self._chance.random() < 0.2:
                await others[0].list(limit=1)

        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(call_other)
        trace.on_request_start.append(call_other)
        async with (
            serve(self._account) as url,
            aiohttp.ClientSession(middlewares=[self._middleware], trace_configs=[trace]) as session,
            AiohttpRolesClient(KEY, base_url=url) as other,
            AiohttpRolesClient(
                KEY, base_url=url, session=session, retry=RetryPolicy(backoff=0.001)
            ) as roles,
        ):
            others.append(other)
            for number in range(calls):
                await self._call(roles, f"Role {number}")

    async def _call(self, roles: AiohttpRolesClient, name: str) -> None:
        operation = self._chance.choice(["create", "update", "delete", "list"])
        role_id = ""
        if operation in {"update", "delete"}:
            role_id = self._account.add_role(name, ["PROJECT_READ"]).id
        self._account.clear_faults()
        for _ in range(self._chance.choice([0, 1, 1, 2])):
            failure: Any = self._chance.choice([500, 502, 503, 504, "lost"])
            page = self._chance.choice(["<title>Busy</title>", None])
            options: dict[str, Any] = {} if isinstance(failure, str) else {"page": page}
            if failure == 503:
                # The service's own says that nothing was done, and is believed.
                options["page"] = "<title>Busy</title>"
            self._account.fail(operation, failure, when="after", **options)  # type: ignore[arg-type]
        self._middleware.kind = self._chance.choice(Middleware.KINDS)
        self._middleware.cached = False
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "create": lambda: roles.create(name=name, permissions=["PROJECT_READ"]),
            "update": lambda: roles.update(role_id=role_id, description="New."),
            "delete": lambda: roles.delete(role_id=role_id),
            "list": lambda: roles.list(limit=1),
        }
        self._result.calls += 1
        (ended,) = await asyncio.gather(calls[operation](), return_exceptions=True)
        error = ended if isinstance(ended, BaseException) else None
        if error is not None and not isinstance(error, RolesError):
            self._result.faults[f"{type(error).__name__} leaves a call"] += 1
        self._judge(operation, name, error)

    def _judge(self, operation: str, name: str, error: BaseException | None) -> None:
        self._result.ended["result" if error is None else type(error).__name__] += 1
        kind = self._middleware.kind
        if operation == "list":
            if error is None and self._middleware.cached:
                self._result.faults["a cache answers"] += 1
            return
        role = next((each for each in self._account.roles if each.name == name), None)
        made = {
            "create": role is not None,
            "update": role is not None and role.description == "New.",
            "delete": role is None,
        }[operation]
        is_open = isinstance(error, OutcomeUnknownError) or (
            isinstance(error, StatusError) and not error.from_service
        )
        if not is_open and made is not (error is None):
            self._result.faults[f"{kind}: {operation} ends in {type(error).__name__}"] += 1


def run(calls: int, *, seed: int) -> Result:
    """Make calls and return what became of them."""
    result = Result()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AlphaWarning)
        asyncio.run(Judge(result, random.Random(seed)).run(calls))  # noqa: S311 - no secret
    return result


def run_planted(calls: int) -> Result:
    """Make calls that take no note of a second sending, and return what became of them."""
    real = Call.mark_sent

    def forget(call: Call, now: float) -> None:
        call.in_flight = False
        real(call, now)

    with patch.object(Call, "mark_sent", forget):
        return run(calls, seed=1)


def main() -> int:
    """Make the calls, print the tables and return the exit status."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    result = run(calls, seed=calls)
    print(result, "\n")
    planted = run_planted(calls // 4)
    print(f"with the planted fault\n{planted}")
    return int(bool(result.faults) or not planted.faults)


if __name__ == "__main__":
    sys.exit(main())
