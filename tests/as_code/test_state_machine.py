"""Any account, declaration and faults, a second administrator, and what applying really did."""

import asyncio
import contextlib
from collections import deque
from typing import Any, Final, Literal
from urllib.parse import quote

import attrs
import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from arize_roles_async import AiohttpRolesClient, RetryPolicy, Role, RolesClient, RolesError
from arize_roles_async._wire.request import Request
from arize_roles_async.as_code import (
    ApplyError,
    Change,
    Declaration,
    Plan,
    PlanError,
    apply,
    plan,
)
from arize_roles_fake import FakeAccount, FakeRolesClient, Reply, serve
from tests.as_code import strategies
from tests.as_code.accounts import content

OURS: Final = "ours"
NAMES: Final = ("Ada", "ada", "Bea", "Cal", "Dot", "Eve")
SEEDED: Final = (*NAMES, "Odd\x1b name", "Fay")

names = st.sampled_from(NAMES)
predefined_too = st.sampled_from((*NAMES, "Member"))
contents = st.fixed_dictionaries(
    {"permissions": strategies.permissions, "description": strategies.descriptions}
)


@attrs.frozen
class Meddling:
    """What the second administrator does after one of our requests."""

    action: Literal["create", "update", "rename", "delete"]
    name: str
    other: str
    after: int


# Five to one, as no plan can be made where a predefined role is named.
wanted = st.one_of(
    *[strategies.declarations(names, at_least=3)] * 5, strategies.declarations(predefined_too)
)
meddlings = st.builds(
    Meddling,
    st.sampled_from(["create", "update", "rename", "delete"]),
    st.sampled_from(SEEDED),
    st.sampled_from(SEEDED),
    st.integers(0, 3),
)
failures = st.sampled_from(
    [
        *((status, "before") for status in (403, 429, 500, 502, 503, "lost")),
        *((status, "after") for status in (500, 502, "lost", "malformed")),
    ]
)


class Shared(FakeAccount):
    """An account that writes down what our requests did, and that somebody else changes too."""

    def __init__(self) -> None:
        super().__init__(api_key=OURS)
        self.add_key("theirs")
        self.effects: list[tuple[Role | None, Role | None]] = []
        self.meddled: set[str] = set()
        self.to_come: deque[Meddling] = deque()
        self.asked = 0

    def handle(self, request: Request) -> Reply:
        if request.headers["Authorization"] != f"Bearer {OURS}":
            return super().handle(request)
        before = {role.id: role for role in self.roles}
        reply = super().handle(request)
        after = {role.id: role for role in self.roles}
        for role_id in {**before, **after}:
            effect = (before.get(role_id), after.get(role_id))
            if effect[0] != effect[1]:
                self.effects.append(effect)
        self.asked += 1
        while self.to_come and self.to_come[0].after < self.asked:
            self.meddle(self.to_come.popleft())
        return reply

    def meddle(self, what: Meddling) -> None:
        if what.action == "create":
            if self.role(what.name) is None:
                self.meddled.add(self.add_role(what.name, ["ROLE_READ"]).id)
            return
        role = self.role(what.name)
        if role is None:
            return
        self.meddled.add(role.id)
        body = {
            "update": {"description": "Theirs."},
            "rename": {"name": what.other},
            "delete": None,
        }[what.action]
        self.handle(
            Request(
                method="DELETE" if body is None else "PATCH",
                target=f"/v2/roles/{quote(role.id, safe='')}",
                headers={"Authorization": "Bearer theirs", "Content-Type": "application/json"},
                body=None if body is None else msgspec.json.encode(body),
            )
        )


class Machine(RuleBasedStateMachine):
    """One account and one declaration at a time; how we get there is a subclass's."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.account = Shared()
        self.stack = contextlib.AsyncExitStack()
        self.declaration = Declaration()

    async def connect(self) -> RolesClient:
        raise NotImplementedError

    @initialize(given=st.dictionaries(st.sampled_from(SEEDED), contents, min_size=2))
    def begin(self, given: dict[str, dict[str, Any]]) -> None:
        self.roles = self.runner.run(self.connect())
        for name, each in given.items():
            self.account.add_role(name, **each)

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()

    @rule(name=st.sampled_from(SEEDED), given=contents)
    def seed(self, name: str, given: dict[str, Any]) -> None:
        if self.account.role(name) is None:
            self.account.add_role(name, **given)

    @rule(
        operation=st.sampled_from(["create", "update", "delete", "delete", "update", "list"]),
        failure=failures,
        times=st.integers(1, 4),
        after=st.integers(0, 2),
    )
    def fail(self, operation: Any, failure: tuple[Any, Any], times: int, after: int) -> None:  # noqa: ANN401
        status, when = failure
        # A deletion is answered without a body, so none can be malformed.
        if (operation, status) != ("delete", "malformed"):
            self.account.fail(operation, status, when=when, times=times, after=after)

    @rule(count=st.none() | st.integers(0, 6))
    def limit(self, count: int | None) -> None:
        self.account.max_custom_roles = count

    @rule(name=st.sampled_from(SEEDED))
    def bind(self, name: str) -> None:
        if self.account.role(name) and not self.account.bindings(name):
            self.account.bind(name, user="ada", resource="space")

    @rule(declared=wanted)
    def apply_once(self, declared: Declaration) -> None:
        self.declaration = declared
        self.made()

    @rule(declared=wanted, meddling=st.lists(meddlings, min_size=1, max_size=3))
    def apply_meddled(self, declared: Declaration, meddling: list[Meddling]) -> None:
        self.declaration = declared
        self.account.to_come.extend(meddling)
        self.made()
        self.account.to_come.clear()

    @rule()
    def apply_again(self) -> None:
        self.made()

    @rule(declared=wanted)
    def settle(self, declared: Declaration) -> None:
        """Run again until it succeeds: the state is the declared one, and the rest untouched."""
        self.declaration = declared
        account = self.account
        account.max_custom_roles = None
        for role in account.roles:
            for binding in account.bindings(role):
                account.unbind(role, user=binding.user, resource=binding.resource)
        named = {role.name: role for role in self.declaration.roles}
        of_ours = {*self.declaration.absent, *named}
        of_ours |= {name for role in self.declaration.roles for name in role.previously}
        before = {role.name: role for role in account.roles if role.name not in of_ours}
        outcome = self.made()
        for _ in range(40):
            if isinstance(outcome, Plan | PlanError):
                break
            outcome = self.made()
        if isinstance(outcome, PlanError):
            return
        assert isinstance(outcome, Plan), f"it never succeeds: {outcome!r}"
        after = {role.name: role for role in account.roles}
        assert {name: content(after[name]) for name in named} == {
            name: content(role) for name, role in named.items()
        }
        assert {name: role for name, role in after.items() if name not in named} == before
        account.clear_faults()
        account.clear_calls()
        assert self.runner.run(plan(self.roles, self.declaration)).changes == ()
        assert [call.operation for call in account.calls] == ["list"]

    def made(self) -> Plan | RolesError:
        """Apply, and hold what it said against what our requests did."""
        account = self.account
        account.effects.clear()
        account.meddled.clear()
        account.clear_calls()
        account.asked = 0
        alone = not account.to_come
        clean = alone and not account.pending_faults
        before = {role.id: role for role in account.roles}
        plans: list[Plan] = []
        told: list[Change] = []

        async def run() -> Plan | RolesError:
            try:
                result = await apply(
                    self.roles,
                    self.declaration,
                    max_removals="100%",
                    on_plan=plans.append,
                    on_change=told.append,
                )
            except RolesError as error:
                return error
            return result.plan

        outcome = self.runner.run(run())
        changes = plans[0].changes if plans else ()
        self.judge_others(before, changes)
        effects = self.effects(changes)
        if alone:
            assert isinstance(outcome, PlanError) == (
                self.misfits(before) and not self.unseen(outcome)
            )
        match outcome:
            case Plan():
                assert told == list(changes)
                assert outcome == plans[0]
                assert not alone or effects == list(changes)
            case ApplyError():
                result = outcome.result
                position = len(result.made)
                assert (*result.made, result.failed, *result.not_reached) == changes
                assert told == list(result.made)
                assert not {*map(id, effects)} & {*map(id, result.not_reached)}
                may_be = result.may_have_been_made and [*effects] == list(changes[: position + 1])
                assert not alone or effects == told or may_be
            case RolesError():
                assert account.effects == []
        if clean and isinstance(outcome, Plan):
            assert [call.operation for call in account.calls] == [
                "list",
                *(
                    each
                    for change in changes
                    for each in (["get"] * (change.before is not None) + [change.action])
                ),
            ]
        return outcome

    def effects(self, changes: tuple[Change, ...]) -> list[Change]:
        """Return the changes of a plan that our requests made, each once; no other may be."""
        found: list[Change] = []
        for old, new in self.account.effects:
            (change,) = (
                change
                for change in changes
                if (change.before.id if change.before else None) == (old.id if old else None)
                and (old or (change.after and new and change.after.name == new.name))
            )
            # Sent again, an update touches a role once more.
            if change not in found:
                found.append(change)
        return found

    def judge_others(self, before: dict[str, Role], changes: tuple[Change, ...]) -> None:
        """Every role that is no change's is as it was, to the last field."""
        ours = {change.before.id for change in changes if change.before is not None}
        left = before.keys() - ours - self.account.meddled
        after = {role.id: role for role in self.account.roles}
        assert {role_id: after.get(role_id) for role_id in left} == {
            role_id: before[role_id] for role_id in left
        }

    def misfits(self, before: dict[str, Role]) -> bool:
        """Whether the declaration does not fit the account, by rules of its own."""
        there = {role.name: role for role in before.values()}
        held = {str(p) for role in there.values() for p in role.permissions or ()}
        lists = [[role.name, *role.previously] for role in self.declaration.roles]
        return (
            any(len([name for name in each if name in there]) > 1 for each in lists)
            or "Member" in {*self.declaration.absent, *(name for each in lists for name in each)}
            or any("NEW_READ" in {*r.permissions} - held for r in self.declaration.roles)
        )

    def unseen(self, outcome: object) -> bool:
        """Whether the walk itself failed, so that nobody could tell."""
        return isinstance(outcome, RolesError) and not isinstance(outcome, PlanError | ApplyError)


class InProcess(Machine):
    """The fake client."""

    async def connect(self) -> RolesClient:
        # One attempt, so that what a fault leaves open reaches us.
        once = FakeRolesClient(self.account, api_key=OURS, retry=RetryPolicy(attempts=1))
        return await self.stack.enter_async_context(once)


class OverHttp(Machine):
    """The real client, over a socket."""

    async def connect(self) -> RolesClient:
        url = await self.stack.enter_async_context(serve(self.account))

        async def sleep(seconds: float) -> None:
            self.account.advance(seconds)
            await asyncio.sleep(0)

        client = AiohttpRolesClient(OURS, base_url=url, sleep=sleep)
        return await self.stack.enter_async_context(client)


TestInProcess = InProcess.TestCase
TestInProcess.settings = settings(
    max_examples=100,
    stateful_step_count=25,
)
TestOverHttp = OverHttp.TestCase
TestOverHttp.settings = settings(
    max_examples=20,
    stateful_step_count=20,
)
