"""Every operation and every way that an exchange can break, held against the account's final state.

It breaks one exchange of a call, two, and one on every attempt, on a new connection and on a used
one, with the service itself or over TLS through a proxy. Of calls that are stuck, it also cancels
one, and closes the client of another. `pytest --full` runs every case, and finds a planted fault: a
request that aiohttp sends again by itself.
"""

import asyncio
import gc
import itertools
import ssl
import tempfile
import warnings
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import methodcaller
from pathlib import Path
from typing import Any, Final
from unittest import mock

import attrs

from arize_roles_async import (
    AlphaWarning,
    ConflictError,
    InvalidResponseError,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
    Role,
    RolesClient,
    RolesError,
    StatusError,
    Timeouts,
)
from arize_roles_async._aiohttp.connections import Attempt
from arize_roles_fake import FakeAccount
from tests.support.chaos import ChaosServer, Point
from tests.support.chaos_proxy import ChaosProxy
from tests.support.clients import own_or_lent, sleeping
from tests.support.event_loop import skipping_loop, until
from tests.support.tls import Authority

# A loop that skips time soon comes to them, and no busy machine does.
TOTAL: Final = 120.0
IMPATIENT: Final = Timeouts(total=TOTAL, connect=20.0, read=20.0)
LONG_LIMITS: Final = Timeouts(total=TOTAL, connect=TOTAL, read=TOTAL)
# How late a busy machine may be with the end of a call whose time is up.
SLACK: Final = 5.0
ATTEMPTS: Final = 3
FAULTS: Final = {"one": 1, "two": 2, "all": 3 * ATTEMPTS}
CONNECTIONS: Final = ("new", "reused", "lent")
"""The connection that a call starts on; a lent one is a reused one of a lent session."""

# The only points after which the call must not be tried again: an answer came, and makes no sense.
SENSELESS: Final = {
    *(Point.WRONG_LENGTH_SHORT, Point.GZIP_BOMB, Point.SWITCHED_PROTOCOLS),
    # Another attempt would meet the same proxy.
    *(Point.TUNNEL_REFUSED_407,),
}
HARMLESS: Final = {
    *(Point.RESPONSE_TWICE, Point.SLOW_BYTES, Point.CONTINUE_FIRST, Point.HINTS_FIRST),
    *(Point.SURPLUS_LINE, Point.UNTIL_THE_END, Point.UNASKED),
}
ENDS: Final = ("", "cancelled", "closed")
"""What ends a call that is stuck, other than a limit."""


Content = tuple[str, Sequence[str] | None, str | None] | None
"""What a caller sets of a role; None is no role."""


TARGET: Final = "Um9sZTpUYXJnZXQ="


class Account(FakeAccount):
    """An account before a call: a few roles, and one that the call is about."""

    def __init__(self) -> None:
        super().__init__()
        self.add_role("Kept", ["PROJECT_READ"])
        self.add_role("Target", ["DATASET_READ"], description="As it was.", id=TARGET)
        self.before = self.roles

    def effect(self) -> list[Content]:
        """Return what became of each role that is not as it was before the call."""
        old, new = (
            {role.id: _content(role) for role in each} for each in (self.before, self.roles)
        )
        return [new.get(each) for each in {**old, **new} if new.get(each) != old.get(each)]


def _content(role: Role) -> Content:
    return role.name, role.permissions, role.description


MADE: Final = [("Made", ("DATASET_CREATE",), "New.")]
CHANGED: Final = [("Target", ("DATASET_CREATE",), "As it was.")]
DELETED: Final = [None]


@attrs.frozen
class Operation:
    """A call, what the exchanges before the broken one meet, and its effect if it is a change."""

    name: str
    call: Callable[[RolesClient], Awaitable[object]]
    before: tuple[Point | None, ...] = ()
    effect: Sequence[Content] = ()


@attrs.frozen
class Case:
    """A call that meets faults of one kind."""

    operation: Operation
    point: Point
    faults: str
    connection: str
    end: str = ""

    def __str__(self) -> str:
        parts = (self.operation.name, self.point, self.faults, self.connection, self.end)
        return ", ".join(filter(None, parts))


async def _list(roles: RolesClient) -> object:
    return (await roles.list(limit=100)).roles


async def _walk(roles: RolesClient) -> object:
    return tuple([role async for role in roles.list(limit=2)])


_CREATE: Final = methodcaller(
    "create", name="Made", permissions=["DATASET_CREATE"], description="New."
)
_UPDATE: Final = methodcaller("update", role_id=TARGET, permissions=["DATASET_CREATE"])
_UPDATE_BY_NAME: Final = methodcaller("update", role="Target", permissions=["DATASET_CREATE"])
_DELETE_BY_NAME: Final = methodcaller("delete", role="Target")
OPERATIONS: Final = (
    Operation("list a page", _list),
    Operation("walk, first page", _walk),
    Operation("walk, second page", _walk, (None,)),
    Operation("get by ID", methodcaller("get", role_id=TARGET)),
    Operation("get by name", methodcaller("get", role="Target")),
    Operation("create", _CREATE, effect=MADE),
    # The first attempt makes the role and the second finds it there; this reads it again.
    Operation("create, looking it up", _CREATE, (Point.RESET_AFTER_COMMIT, None), MADE),
    Operation("update by ID", _UPDATE, effect=CHANGED),
    Operation("update by name, finding it", _UPDATE_BY_NAME, effect=CHANGED),
    Operation("update by name", _UPDATE_BY_NAME, (None,), CHANGED),
    Operation("delete by ID", methodcaller("delete", role_id=TARGET), effect=DELETED),
    Operation("delete by name, finding it", _DELETE_BY_NAME, effect=DELETED),
    Operation("delete by name", _DELETE_BY_NAME, (None,), DELETED),
)


def cases() -> list[Case]:
    every = itertools.starmap(Case, itertools.product(OPERATIONS, Point, FAULTS, CONNECTIONS, ENDS))
    return [each for each in every if _is_possible(each)]


def _is_possible(case: Case) -> bool:
    point, before = case.point, case.operation.before
    if case.end and not (point.is_stall and case.faults == "one"):
        return False
    if point is Point.UNASKED:
        return case.connection != "new" and case.faults == "one" and not before
    # A fault at connect time strikes only a call that connects there, and a proxy no request.
    return not (point.at_connect and before) and not (point.by_proxy and any(before))


async def no_wait(_: float) -> None:
    """Let others run, and no time pass."""
    await asyncio.sleep(0)


async def _run(case: Case, ca_file: Path, context: ssl.SSLContext) -> list[str]:
    """Return each false part of the end of a case."""
    wrong: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: wrong.append(str(context["message"])))
    account = Account()
    tls = context if case.point.by_proxy else None
    async with ChaosServer(account, tls).run() as server, ChaosProxy(server).run() as proxy:
        way: dict[str, Any] = {"proxy": proxy.url, "ca_file": ca_file} if tls else {}
        async with own_or_lent(
            sleeping(no_wait),
            account.api_key,
            server.url,
            lent=case.connection == "lent",
            timeout=IMPATIENT if case.point.is_stall and not case.end else LONG_LIMITS,
            retry=RetryPolicy(attempts=ATTEMPTS),
            **way,
        ) as roles:
            if case.connection != "new":
                await roles.list(limit=1)
                if case.point.at_connect:
                    # What is reused is then a connection that was given up meanwhile.
                    await (proxy.drop_tunnels() if tls else server.drop_idle())
            await _set_up(case, server, proxy)
            started = loop.time()
            ended, result = await _ending(case, roles, server, proxy)
            took = loop.time() - started
        if took > TOTAL + SLACK:
            wrong.append(f"took {took:.1f} s")
        if not (await server.is_left_alone() and await proxy.is_left_alone()):
            wrong.append("left a connection open")
        changes = [each[1:] for each in server.log if each.method not in {"", "GET"}]
        if len(changes) > len({*changes}):
            wrong.append("sent an attempt of a change twice")
        if account.api_key.encode() in proxy.seen:
            wrong.append("showed the key to the proxy")
    # asyncio's server still takes note of a handshake that failed.
    await no_wait(0.0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    wrong += [f"left {task.get_name()} running" for task in left]
    wrong += _untrue(case, account, result)
    done = " (done)" if account.effect() else ""
    return [f"{case}: {ended}{done}: {each}" for each in wrong]


async def _set_up(case: Case, server: ChaosServer, proxy: ChaosProxy) -> None:
    """Have the server or the proxy break what the case says."""
    if case.point is Point.UNASKED:
        await server.answer_idle()
        return
    broken = proxy if case.point.by_proxy else server
    broken.script = [*case.operation.before, *[case.point] * FAULTS[case.faults]]


async def _ending(
    case: Case, roles: RolesClient, server: ChaosServer, proxy: ChaosProxy
) -> tuple[str, Any]:
    call = asyncio.ensure_future(case.operation.call(roles))
    try:
        if case.end:
            await until(lambda: case.point in {*server.struck, *proxy.struck})
            if case.end == "cancelled":
                call.cancel()
            else:
                await roles.aclose()
        result = await call
    except RolesError as error:
        return type(error).__name__, error
    except asyncio.CancelledError as error:
        return "cancelled", error
    except Exception as error:  # noqa: BLE001 - which would be wrong, and the table says so
        return type(error).__name__, f"{error!r}, which is none of ours"
    return "result", result


def _untrue(case: Case, account: Account, result: object) -> list[str]:  # noqa: C901, PLR0911, PLR0912
    """Return what is wrong in what a call said."""
    effect = account.effect()
    changes, is_done = bool(case.operation.effect), bool(effect)
    if is_done and effect != case.operation.effect:
        return ["the account is in a state that nobody asked for"]
    match result:
        case str():
            return [result]
        case asyncio.CancelledError():
            return [] if case.end == "cancelled" else ["nobody cancelled it"]
        case Role():
            is_true = result in account.roles and is_done is changes
            return [] if is_true else ["a role that is not the account's"]
        case tuple():
            return [] if result == account.before else ["a listing that is not the account's"]
        case None:
            return [] if is_done else ["nothing was deleted"]
        case NotFoundError():
            return ["the role was there"]
        case ConflictError():
            return ["the conflict is with its own attempt"]
        case StatusError(from_service=False):
            return _expected(case)
        case OutcomeUnknownError():
            if case.point.at_connect or not changes:
                return ["it is known that nothing happened"]
            return _expected(case)
        case InvalidResponseError(status=status):
            claims = changes and "change was made" in str(result) and 200 <= status < 300
            return _expected(case) + ([] if claims is is_done else ["what it says of the change"])
        case _:
            wrong = ["it says that nothing happened"] if is_done else []
            return wrong + _expected(case)


def _expected(case: Case) -> list[str]:
    """Return what is wrong with an error that fewer faults than attempts ended in."""
    if case.end or case.point in SENSELESS or (case.faults == "all" and case.point not in HARMLESS):
        return []
    return ["an attempt was left and would have worked"]


def run(chosen: Iterable[Case]) -> list[str]:
    """Run cases side by side, each on an event loop of its own, and return what is wrong.

    Threads, because a fault at connect time is played on the loop, and because much of the time
    goes in waiting for limits.
    """

    def run_alone(case: Case) -> list[str]:
        with asyncio.Runner(loop_factory=skipping_loop) as runner:
            return runner.run(_run(case, authority.pem, context))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", AlphaWarning)
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(24) as pool:
            authority = Authority(Path(folder))
            context = authority.right()
            wrong = list(itertools.chain(*pool.map(run_alone, chosen)))
        gc.collect()
    return [*wrong, *(f"left a warning: {each.message}" for each in caught)]


_CALL: Final[Any] = Attempt.__call__


def _forget(attempt: Attempt, request: Any, handler: Any) -> Any:  # noqa: ANN401
    vars(attempt)["_failure"] = None
    return _CALL(attempt, request, handler)


PLANTED: Final = mock.patch.object(Attempt, "__call__", _forget)
"""aiohttp may send a request again by itself."""
