"""Every operation and every way that an exchange can break, held against the account's final state.

`python -m tests.tools.chaos_table` prints a row for each operation and point, with what the call
ended in for one fault, two, and a fault on every attempt, and exits with 1 if any of it was not
true.
"""

import asyncio
import gc
import itertools
import sys
import time
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp
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
    Timeouts,
)
from arize_roles_fake import FakeAccount, serve
from tests.support.chaos import ChaosProxy, Point, chaos_proxy
from tests.support.clients import sleeping
from tests.support.event_loop import skipping_loop

# A loop that skips time soon comes to them, and no busy machine does.
TOTAL: Final = 120.0
IMPATIENT: Final = Timeouts(total=TOTAL, connect=20.0, read=20.0)
LONG_LIMITS: Final = Timeouts(total=TOTAL, connect=TOTAL, read=TOTAL)
# How late a busy machine may be with the end of a call whose time is up.
SLACK: Final = 5.0
ATTEMPTS: Final = 3
FAULTS: Final = {"one": 1, "two": 2, "all": 3 * ATTEMPTS}
CLEAN: Final = None

# The only points after which the call must not be tried again: an answer came, and makes no sense.
SENSELESS: Final = {Point.WRONG_LENGTH_SHORT, Point.GZIP_BOMB}
HARMLESS: Final = {Point.RESPONSE_TWICE, Point.SLOW_BYTES}


class Effect(StrEnum):
    """The effect of a call on the account."""

    NOTHING = "nothing"
    DONE = "done"
    WRONG = "something else"


class Connection(StrEnum):
    """The connection that the call starts on."""

    NEW = "new connection"
    REUSED = "reused connection"
    LENT = "reused connection of a lent session"


@attrs.frozen
class Operation:
    """A call, and what comes before the exchange that breaks.

    Attributes:
        name: What the table calls it.
        call: Makes it.
        before: What the exchanges before the broken one meet.
        changes: Whether it is to change the account.
    """

    name: str
    call: "Callable[[RolesClient, Setting], Awaitable[object]]"
    before: tuple[Point | None, ...] = ()
    changes: bool = False


@attrs.frozen
class Case:
    """One cell of the table."""

    operation: Operation
    point: Point
    faults: str
    connection: Connection

    def __str__(self) -> str:
        return f"{self.operation.name}, {self.point}, {self.faults}, {self.connection}"


@attrs.frozen
class Outcome:
    """The outcome of a case; `wrong` names each false part of it."""

    case: Case
    ended: str
    effect: Effect
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        return self.ended if self.effect is Effect.NOTHING else f"{self.ended} ({self.effect})"


@attrs.frozen
class Setting:
    """An account before a call: a few roles, and one that the call is about."""

    account: FakeAccount
    target: Role
    before: tuple[Role, ...]

    @classmethod
    def fresh(cls) -> Self:
        account = FakeAccount()
        account.add_role("Kept", ["PROJECT_READ"])
        target = account.add_role("Target", ["DATASET_READ"], description="As it was.")
        return cls(account, target, account.roles)

    def effect(self) -> Effect:
        """Return what happened to the account, which nobody but the call has touched."""
        now = self.account.roles
        if now == self.before:
            return Effect.NOTHING
        others = [role for role in self.before if role != self.target]
        rest = [role for role in now if role.id in {role.id for role in others}]
        own = [role for role in now if role not in rest]
        match [(r.name, r.permissions, r.description) for r in own if r != self.target]:
            case _ if rest != others:
                return Effect.WRONG
            case [("Made", ("DATASET_CREATE",), "New.")] if self.target in now:
                return Effect.DONE
            case [("Target", ("DATASET_CREATE",), "As it was.")] if own[0].id == self.target.id:
                return Effect.DONE
            case []:
                return Effect.DONE
            case _:
                return Effect.WRONG


async def _list(roles: RolesClient, setting: Setting) -> object:
    page = await roles.list(limit=100)
    return None if page.roles == setting.before else "a page that is not the account's"


async def _walk(roles: RolesClient, setting: Setting) -> object:
    seen = [role async for role in roles.list(limit=2)]
    return None if tuple(seen) == setting.before else "a walk that is not the account's"


async def _get(roles: RolesClient, setting: Setting) -> object:
    return await roles.get(role_id=setting.target.id)


async def _get_by_name(roles: RolesClient, _: Setting) -> object:
    return await roles.get(role="Target")


async def _create(roles: RolesClient, _: Setting) -> object:
    return await roles.create(name="Made", permissions=["DATASET_CREATE"], description="New.")


async def _update(roles: RolesClient, setting: Setting) -> object:
    return await roles.update(role_id=setting.target.id, permissions=["DATASET_CREATE"])


async def _update_by_name(roles: RolesClient, _: Setting) -> object:
    return await roles.update(role="Target", permissions=["DATASET_CREATE"])


async def _delete(roles: RolesClient, setting: Setting) -> object:
    await roles.delete(role_id=setting.target.id)
    return None


async def _delete_by_name(roles: RolesClient, _: Setting) -> object:
    await roles.delete(role="Target")
    return None


OPERATIONS: Final = (
    Operation("list a page", _list),
    Operation("walk, first page", _walk),
    Operation("walk, second page", _walk, (CLEAN,)),
    Operation("get by ID", _get),
    Operation("get by name", _get_by_name),
    Operation("create", _create, changes=True),
    # The first attempt makes the role and the second finds it there; this reads it again.
    Operation("create, looking it up", _create, (Point.RESET_AFTER_COMMIT, CLEAN), changes=True),
    Operation("update by ID", _update, changes=True),
    Operation("update by name, finding it", _update_by_name, changes=True),
    Operation("update by name", _update_by_name, (CLEAN,), changes=True),
    Operation("delete by ID", _delete, changes=True),
    Operation("delete by name, finding it", _delete_by_name, changes=True),
    Operation("delete by name", _delete_by_name, (CLEAN,), changes=True),
)


def cases() -> list[Case]:
    """Return every case that there is."""
    return [
        Case(operation, point, faults, connection)
        for operation, point, faults, connection in itertools.product(
            OPERATIONS, Point, FAULTS, Connection
        )
        # A fault at connect time strikes only a call that connects there.
        if not (point.at_connect and operation.before)
    ]


def representatives() -> list[Case]:
    """Return every operation and point, each with the next number of faults and connection."""
    kinds = len(FAULTS) * len(Connection)
    return [case for n, case in enumerate(cases()) if n % kinds == n // kinds % kinds]


async def no_wait(_: float) -> None:
    """Let others run, and no time pass."""
    await asyncio.sleep(0)


@asynccontextmanager
async def lent_session(connection: Connection) -> AsyncGenerator[aiohttp.ClientSession | None]:
    """Yield an application's own session, or None where the client is to make one."""
    if connection is not Connection.LENT:
        yield None
        return
    async with aiohttp.ClientSession() as session:
        yield session


async def _run(case: Case) -> Outcome:
    unhandled: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unhandled.append(str(context["message"])))
    setting = Setting.fresh()
    async with serve(setting.account) as url:
        server = urlsplit(url)
        async with chaos_proxy(server.hostname or "", server.port or 0) as proxy:
            started = loop.time()
            wrong: list[str] = []
            async with (
                lent_session(case.connection) as session,
                sleeping(no_wait)(
                    setting.account.api_key,
                    base_url=proxy.url,
                    session=session,
                    timeout=IMPATIENT if case.point.startswith("stall") else LONG_LIMITS,
                    retry=RetryPolicy(attempts=ATTEMPTS),
                ) as roles,
            ):
                await _prepare(case, proxy, roles)
                started = loop.time()
                ended, result = await _ending(case, roles, setting)
                took = loop.time() - started
            if took > TOTAL + SLACK:
                wrong.append(f"took {took:.1f} s")
            if not await proxy.is_left_alone():
                wrong.append("left a connection open")
    left = asyncio.all_tasks() - {asyncio.current_task()}
    wrong += [f"left {task.get_name()} running" for task in left] + unhandled
    effect = setting.effect()
    wrong += _untrue(case, setting, effect, result)
    return Outcome(case, ended, effect, tuple(wrong))


async def _prepare(case: Case, proxy: ChaosProxy, roles: RolesClient) -> None:
    if case.connection is not Connection.NEW:
        await roles.list(limit=1)
        if case.point.at_connect:
            # What is reused is then a connection that the server gave up meanwhile.
            await proxy.drop_idle()
    proxy.script = [*case.operation.before, *[case.point] * FAULTS[case.faults]]


async def _ending(case: Case, roles: RolesClient, setting: Setting) -> tuple[str, Any]:
    try:
        result = await case.operation.call(roles, setting)
    except RolesError as error:
        return type(error).__name__, error
    except Exception as error:  # noqa: BLE001 - which would be wrong, and the table says so
        return type(error).__name__, f"{error!r}, which is none of ours"
    return "result", result


def _untrue(case: Case, setting: Setting, effect: Effect, result: object) -> list[str]:  # noqa: PLR0911
    """Return what is wrong in what a call said."""
    changes = case.operation.changes
    if effect is Effect.WRONG or (effect is Effect.DONE and not changes):
        return ["the account is in a state that nobody asked for"]
    match result:
        case str():
            return [result]
        case Role():
            known = result in setting.account.roles
            done = effect is (Effect.DONE if changes else Effect.NOTHING)
            return [] if known and done else ["a role that is not the account's"]
        case None:
            # A page or walk that was compared already, or a role deleted.
            return [] if changes is (effect is Effect.DONE) else ["nothing was deleted"]
        case NotFoundError():
            return ["the role was there"]
        case ConflictError():
            return ["the conflict is with its own attempt"]
        case OutcomeUnknownError():
            if case.point.at_connect or not changes:
                return ["it is known that nothing happened"]
            return [] if case.point in SENSELESS else _expected(case)
        case InvalidResponseError(status=status):
            claims = changes and "change was made" in str(result) and 200 <= status < 300
            wrong = [] if claims is (effect is Effect.DONE) else ["what it says of the change"]
            return wrong + ([] if case.point in SENSELESS else _expected(case))
        case _:
            wrong = ["it says that nothing happened"] if effect is Effect.DONE else []
            return wrong + _expected(case)


def _expected(case: Case) -> list[str]:
    """Return what is wrong with an error that fewer faults than attempts ended in."""
    if case.point in HARMLESS or case.faults != "all":
        return ["an attempt was left and would have worked"]
    return []


def _run_alone(case: Case) -> Outcome:
    with asyncio.Runner(loop_factory=skipping_loop) as runner:
        return runner.run(_run(case))


def run(chosen: Iterable[Case]) -> list[Outcome]:
    """Run cases side by side, each on an event loop of its own.

    Threads, because a fault at connect time is played on the loop, and because much of the time
    goes in waiting for limits.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", AlphaWarning)
        with ThreadPoolExecutor(24) as pool:
            outcomes = list(pool.map(_run_alone, chosen))
        gc.collect()
    for warning in caught:
        said = f"left a warning: {warning.message}"
        outcomes.append(attrs.evolve(outcomes[-1], wrong=(said,)))
    return outcomes


def table(outcomes: Iterable[Outcome]) -> str:
    """Return the table; a cell names several endings where they differ by the connection."""
    cells: dict[tuple[str, str], dict[str, list[str]]] = {}
    for outcome in outcomes:
        case = outcome.case
        row = cells.setdefault((case.operation.name, case.point), {each: [] for each in FAULTS})
        if str(outcome) not in row[case.faults]:
            row[case.faults].append(str(outcome))
    lines = [("operation", "point", *(f"{faults} broken" for faults in FAULTS))]
    lines += [(*key, *(" / ".join(row[each]) for each in FAULTS)) for key, row in cells.items()]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def main() -> int:
    """Run every case, print the table and return the exit status."""
    started = time.monotonic()
    outcomes = run(cases())
    print(table(outcomes))
    wrong = [outcome for outcome in outcomes if outcome.wrong]
    for outcome in wrong:
        print(f"WRONG: {outcome.case}: {outcome}: {'; '.join(outcome.wrong)}")
    print(f"\n{len(outcomes)} cases in {time.monotonic() - started:.0f} s, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
