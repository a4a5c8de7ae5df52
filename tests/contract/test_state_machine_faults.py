"""Random calls under random faults, alone and together, and what the account really did."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Literal

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from arize_roles_async import (
    AiohttpRolesClient,
    ConflictError,
    InvalidResponseError,
    ListRolesResponse,
    NotFoundError,
    OutcomeUnknownError,
    Role,
    RolesClient,
    RolesError,
)
from arize_roles_async._wire import Request
from arize_roles_fake import FakeAccount, FakeRolesClient, Reply, serve

CALLERS: Final = ("caller-0", "caller-1", "caller-2", "caller-3")
NAMES: Final = ("Ada", "Bea", "Cal")
NOBODY: Final = "Um9sZTo5OTk6bm9uZQ=="

Effect = Literal["created", "changed", "deleted"]


class Journaled(FakeAccount):
    """An account that writes down what each request of each caller really did."""

    def __init__(self) -> None:
        super().__init__(predefined=False)
        self.journal: list[tuple[str, Effect, Role]] = []
        self.ever: set[Role] = set()
        self.began = self.now()
        for key in CALLERS:
            self.add_key(key)

    def handle(self, request: Request) -> Reply:
        before = {role.id: role for role in self.roles}
        reply = super().handle(request)
        after = {role.id: role for role in self.roles}
        caller = request.headers["Authorization"].removeprefix("Bearer ")
        for role in after.values():
            if role.id not in before:
                self.journal.append((caller, "created", role))
            elif role != before[role.id]:
                self.journal.append((caller, "changed", role))
        for role in before.values():
            if role.id not in after:
                self.journal.append((caller, "deleted", role))
        self.ever.update(after.values())
        return reply

    def done_by(self, caller: str) -> list[tuple[Effect, Role]]:
        return [(effect, role) for who, effect, role in self.journal if who == caller]

    def was_undone(self, caller: str) -> bool:
        """Whether what a caller did last was followed by another's change to the same role."""
        changes = [(who, role.id) for who, _, role in self.journal]
        last = max((n for n, (who, _) in enumerate(changes) if who == caller), default=-1)
        return last >= 0 and changes[last][1] in {role_id for _, role_id in changes[last + 1 :]}

    def may_have_left_open(self, caller: str) -> bool:
        """Whether an attempt of a caller's ended in no answer, or in one that tells nothing."""
        return any(
            not isinstance(call.outcome, int)
            or call.outcome >= 500
            or call.duration >= 10.0
            or call.at + timedelta(seconds=call.duration) > self.began + timedelta(seconds=30.0)
            for call in self.calls
            if call.api_key == caller
        )


@attrs.frozen
class Ask:
    """A call to make."""

    operation: Literal["list", "walk", "get", "create", "update", "delete"]
    name: str
    by_id: bool
    new_name: str | None


ASKS: Final = st.builds(
    Ask,
    st.sampled_from(["list", "walk", "get", "create", "create", "update", "update", "delete"]),
    st.sampled_from(NAMES),
    st.booleans(),
    st.none() | st.sampled_from(NAMES),
)

# A service that does a thing and then denies it, or denies what is there, cannot be seen through.
BEFORE: Final = (400, 401, 403, 422, 429, 500, 502, 503, 504, 520, "lost", "truncated")
AFTER: Final = (500, 502, 504, 520, "lost", "truncated", "malformed")
FAULTS: Final = st.fixed_dictionaries(
    {
        "operation": st.sampled_from(["list", "get", "create", "update", "delete"]),
        "times": st.integers(1, 4),
        "after": st.integers(0, 2),
    }
)


class Machine(RuleBasedStateMachine):
    """Calls and faults over one account; how the callers get there is a subclass's."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.account = Journaled()
        self.stack = contextlib.AsyncExitStack()
        self.clients: dict[str, RolesClient] = {}
        self.asked = 0

    async def connect(self) -> None:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.runner.run(self.connect())

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()

    @rule(fault=FAULTS, failure=st.sampled_from(BEFORE))
    def fail_before(self, fault: dict[str, Any], failure: Any) -> None:  # noqa: ANN401
        self.fail(fault, failure, "before")

    @rule(fault=FAULTS, failure=st.sampled_from(AFTER))
    def fail_after(self, fault: dict[str, Any], failure: Any) -> None:  # noqa: ANN401
        self.fail(fault, failure, "after")

    def fail(self, fault: dict[str, Any], failure: Any, when: Literal["before", "after"]) -> None:  # noqa: ANN401
        # A deletion is answered without a body, so none can be broken.
        if fault["operation"] != "delete" or failure not in {"truncated", "malformed"}:
            self.account.fail(**fault, failure=failure, when=when)

    @rule()
    def recover(self) -> None:
        self.account.clear_faults()

    @rule(ask=ASKS)
    def alone(self, ask: Ask) -> None:
        self.together([ask])

    @rule(asks=st.lists(ASKS, min_size=2, max_size=len(CALLERS)))
    def together(self, asks: Sequence[Ask]) -> None:
        account = self.account
        account.journal.clear()
        account.clear_calls()
        before = account.roles
        account.ever = set(before)
        account.began = account.now()
        results = self.runner.run(self.made(asks))
        for caller, ask, (mark, result) in zip(CALLERS, asks, results, strict=False):
            untrue = self.untrue(caller, ask, mark, result)
            if not untrue and len(asks) == 1:
                untrue = self.untrue_alone(before, result)
            assert not untrue, f"{ask} ended in {result!r}: {untrue}"

    async def made(self, asks: Sequence[Ask]) -> list[tuple[str, object]]:
        calls = (self.make(self.clients[c], a) for c, a in zip(CALLERS, asks, strict=False))
        return await asyncio.gather(*calls)

    async def make(self, roles: RolesClient, ask: Ask) -> tuple[str, object]:
        self.asked += 1
        # In every change, so that no two callers ever want the same.
        mark = f"call {self.asked}"
        try:
            return mark, await self.made_by(roles, ask, mark)
        except RolesError as error:
            return mark, error

    async def made_by(self, roles: RolesClient, ask: Ask, mark: str) -> object:
        known = self.account.role(ask.name)
        target: Any = {"role": ask.name}
        if ask.by_id:
            target = {"role_id": NOBODY if known is None else known.id}
        match ask.operation:
            case "list":
                return await roles.list()
            case "walk":
                return await roles.list(limit=2).all()
            case "get":
                return await roles.get(**target)
            case "create":
                return await roles.create(
                    name=ask.name, permissions=["PROJECT_READ"], description=mark
                )
            case "update":
                return await roles.update(**target, name=ask.new_name, description=mark)
            case "delete":
                await roles.delete(**target)
                return None

    def untrue(self, caller: str, ask: Ask, mark: str, result: object) -> str:  # noqa: PLR0911
        """Return what a call said that is not so, whoever else was calling."""
        did = self.account.done_by(caller)
        meant: dict[str, Effect] = {"create": "created", "update": "changed", "delete": "deleted"}
        if any(effect != meant.get(ask.operation) for effect, _ in did):
            return f"it did {did}"
        if any(effect != "deleted" and role.description != mark for effect, role in did):
            return f"it did another's {did}"
        match result:
            case OutcomeUnknownError():
                open_ = self.account.may_have_left_open(caller) and ask.operation in meant
                return "" if open_ else "everything is known"
            case InvalidResponseError(status=200 | 201, method="POST" | "PATCH"):
                return "" if did else "the change was not made"
            case NotFoundError() | ConflictError() if self.account.was_undone(caller):
                return ""
            case RolesError():
                return f"it did {did}" if did else ""
            case Role() if ask.operation in {"create", "update"}:
                return "" if did and did[-1][1] == result else f"it did {did}"
            case Role():
                return "" if result in self.account.ever else "there never was such a role"
            case ListRolesResponse():
                ids = [role.id for role in result]
                strange = set(result.roles) - self.account.ever
                return f"{ids}, {strange}" if strange or len(set(ids)) < len(ids) else ""
            case _:
                gone = did or self.account.may_have_left_open(caller)
                return "" if gone else "nothing was deleted"

    def untrue_alone(self, before: tuple[Role, ...], result: object) -> str:
        """Return what a call said that is not so, where nobody else was calling."""
        # An update that is sent again changes what it changed, to the same.
        if len({(effect, role.id) for _, effect, role in self.account.journal}) > 1:
            return f"it did more than once what it was asked: {self.account.journal}"
        match result:
            case Role():
                return "" if result in self.account.roles else "it is not there"
            case ListRolesResponse():
                return "" if result.roles == before else f"the roles were {before}"
            case _:
                return ""

    @invariant()
    def names_and_ids_are_unique(self) -> None:
        roles = self.account.roles
        assert len({role.name for role in roles}) == len(roles)
        assert len({role.id for role in roles}) == len(roles)


class InProcess(Machine):
    """The fake client, whose answers may take a while too."""

    async def connect(self) -> None:
        self.clients = {key: FakeRolesClient(self.account, api_key=key) for key in CALLERS}

    @rule(seconds=st.sampled_from([0.0, 4.0, 9.0, 11.0, 31.0]))
    def slow_down(self, seconds: float) -> None:
        self.account.slow_down(seconds)


class OverHttp(Machine):
    """The real client, over sockets."""

    async def connect(self) -> None:
        url = await self.stack.enter_async_context(serve(self.account))

        async def sleep(seconds: float) -> None:
            self.account.advance(seconds)
            await asyncio.sleep(0)

        for key in CALLERS:
            client = AiohttpRolesClient(key, base_url=url, sleep=sleep)
            self.clients[key] = await self.stack.enter_async_context(client)


TestInProcess = InProcess.TestCase
TestInProcess.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestOverHttp = OverHttp.TestCase
TestOverHttp.settings = settings(
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
