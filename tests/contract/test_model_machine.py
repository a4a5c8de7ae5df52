"""The fake client and the real one, driven with the same random calls and held to one small model.

Each has an account of its own, the real one behind a socket; they share a clock, so that every
result must be the same to the last field.
"""

import asyncio
import functools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import UnsetType

from arize_roles_async import (
    UNSET,
    AiohttpRolesClient,
    BadRequestError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    Permission,
    Role,
    RolesError,
    ValidationError,
)
from arize_roles_fake import FakeAccount, FakeRolesClient, make_role, serve
from tests.support.clients import PREDEFINED
from tests.support.sizes import sized

pytestmark = pytest.mark.usefixtures("unmeasured")

NO_ID = "Um9sZTowOm5vbmU="
SEEDED = ["First", "Second", "Third"]
GOOD_NAMES = ["A", "a", " A", "B/=+%.", "..", "Zebra", "C" * 255, *"DEFGHIJKLMNOPQRS"]
BAD_NAMES = ["", "A\n", "Ä", "C" * 256]
PERMISSIONS = ["ROLE_READ", "TAG_READ", "TAG_CREATE"]

T = TypeVar("T")
Bound = FakeRolesClient | AiohttpRolesClient


def mostly(usual: st.SearchStrategy[T], other: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """Draw nine times of ten what is usual."""
    return st.integers(0, 9).flatmap(lambda number: other if number == 9 else usual)


names = mostly(st.sampled_from(GOOD_NAMES), st.sampled_from([*BAD_NAMES, *PREDEFINED]))
descriptions = mostly(st.sampled_from(["", "Text.", "ß" * 1000]), st.just("d" * 1001))
permission_lists = mostly(
    st.lists(st.sampled_from(PERMISSIONS), min_size=1, max_size=4),
    st.sampled_from([[], ["TAG_RAED"], ["TAG_READ", "TAG_RAED"]]),
)
filters = st.sampled_from([UNSET, True, False])


class Outcome(NamedTuple):
    """The result of a call: a value, or an error as far as both clients must agree on it."""

    value: object = None
    error: type[RolesError] | None = None
    details: object = None


@attrs.define(eq=False)
class Walk:
    """The same walk on both clients, and what the model expects of it."""

    steps: tuple[AsyncIterator[Role], AsyncIterator[Role]]
    is_predefined: bool | UnsetType
    due: set[str]
    seen: list[str] = attrs.field(factory=list[str])
    ended: bool = False


def is_valid_name(name: str) -> bool:
    return name not in BAD_NAMES


def are_valid_permissions(given: list[str]) -> bool:
    return bool(given) and set(given) <= set(PERMISSIONS)


class Machine(RuleBasedStateMachine):
    walks: Bundle[Walk] = Bundle("walks")

    def __init__(self, succeeded: Counter[str], failed: Counter[str]) -> None:
        super().__init__()
        self.succeeded = succeeded
        self.failed = failed
        self.now = datetime(2026, 11, 24, tzinfo=UTC)
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.open_walks: list[Walk] = []
        self.accounts = [FakeAccount(api_key="key", clock=lambda: self.now) for _ in range(2)]
        for account in self.accounts:
            for name in SEEDED:
                account.add_role(name, ["ROLE_READ"])
        self.clients = self.runner.run(self.connect())
        # Newest first. What the predefined roles hold is the account's own to say.
        self.model = [*self.accounts[0].roles]
        assert [role.name for role in self.model] == [*SEEDED[::-1], *PREDEFINED]

    async def connect(self) -> tuple[Bound, Bound]:
        url = await self.stack.enter_async_context(serve(self.accounts[1]))
        over_socket = AiohttpRolesClient(self.accounts[1].api_key, base_url=url)
        return (
            await self.stack.enter_async_context(FakeRolesClient(self.accounts[0])),
            await self.stack.enter_async_context(over_socket),
        )

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()

    def both(self, operation: str, call: Callable[[Bound], Awaitable[object]]) -> Outcome:
        fake, real = [self.runner.run(self.outcome(call, client)) for client in self.clients]
        assert fake == real
        (self.succeeded if fake.error is None else self.failed)[operation] += 1
        return fake

    async def outcome(self, call: Callable[[Bound], Awaitable[object]], client: Bound) -> Outcome:
        try:
            return Outcome(await call(client))
        except RolesError as error:
            names = ("violations", "name", "closest", "status", "method", "path", "problem")
            details = [str(error), *(getattr(error, name, None) for name in names)]
            return Outcome(None, type(error), details)

    def by_name(self, name: str) -> Role | None:
        return next((role for role in self.model if role.name == name), None)

    def of_kind(self, is_predefined: bool | UnsetType) -> list[Role]:  # noqa: FBT001
        return [role for role in self.model if is_predefined in {UNSET, role.is_predefined}]

    @rule(seconds=st.sampled_from([0.001, 1.0, 86400.0]))
    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(name=names, description=st.none() | descriptions, permissions=permission_lists)
    def create(self, name: str, description: str | None, permissions: list[str]) -> None:
        got = self.both(
            "create",
            lambda roles: roles.create(name=name, description=description, permissions=permissions),
        )
        if not (
            is_valid_name(name)
            and are_valid_permissions(permissions)
            and len(description or "") <= 1000
        ):
            assert got.error is ValidationError
        elif self.by_name(name):
            assert got.error is ConflictError
        else:
            assert isinstance(got.value, Role)
            made = make_role(
                name=name,
                description=description or None,
                permissions=dict.fromkeys(permissions),
                id=got.value.id,
                created_at=self.now,
            )
            assert got.value == made
            assert made.id not in {role.id for role in self.model}
            self.model.insert(0, made)

    @rule(data=st.data(), name=st.none() | names, permissions=st.none() | permission_lists)
    def update(self, data: st.DataObject, name: str | None, permissions: list[str] | None) -> None:
        target, role = self.draw_target(data)
        description: Any = data.draw(st.sampled_from([UNSET, None]) | descriptions)
        got = self.both(
            "update",
            lambda roles: roles.update(
                **target, name=name, description=description, permissions=permissions
            ),
        )
        if (
            (name is not None and not is_valid_name(name))
            or (permissions is not None and not are_valid_permissions(permissions))
            or len(description if isinstance(description, str) else "") > 1000
            or (name is None and permissions is None and description is UNSET)
        ):
            assert got.error is ValidationError
        elif role is None:
            assert got.error in {BadRequestError, NotFoundError}
        elif role.is_predefined:
            assert got.error is ForbiddenError
        elif name is not None and (self.by_name(name) or role) is not role:
            assert got.error is ConflictError
        else:
            given: dict[str, Any] = {} if name is None else {"name": name}
            if description is not UNSET:
                given["description"] = description or None
            if permissions is not None:
                given["permissions"] = tuple(map(Permission, dict.fromkeys(permissions)))
            changed = attrs.evolve(role, **given, updated_at=self.now)
            assert got.value == changed
            self.model[self.model.index(role)] = changed

    @rule(data=st.data())
    def get(self, data: st.DataObject) -> None:
        target, role = self.draw_target(data)
        got = self.both("get", lambda roles: roles.get(**target))
        if role is None:
            assert got.error in {BadRequestError, NotFoundError}
        else:
            assert got.value == role

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        target, role = self.draw_target(data)
        got = self.both("delete", lambda roles: roles.delete(**target))
        if role is None:
            assert got.error in {BadRequestError, NotFoundError}
        elif role.is_predefined:
            assert got.error is ForbiddenError
        else:
            assert got == Outcome()
            self.model.remove(role)
            for walk in self.open_walks:
                walk.due.discard(role.id)

    def draw_target(self, data: st.DataObject) -> tuple[dict[str, str], Role | None]:
        """Draw a role by its ID or its name, mostly a custom one, and what the model has of it."""
        custom = [role for role in self.model if not role.is_predefined]
        role = data.draw(mostly(st.sampled_from(custom or self.model), st.sampled_from(self.model)))
        existing = [{"role_id": role.id}, {"role": role.id}, {"role": role.name}]
        free_name = next(name for name in [*GOOD_NAMES, "None's"] if not self.by_name(name))
        missing = [{"role_id": NO_ID}, {"role": NO_ID}, {"role": free_name}]
        known: list[tuple[dict[str, str], Role | None]] = [(target, role) for target in existing]
        unknown: list[tuple[dict[str, str], Role | None]] = [(target, None) for target in missing]
        return data.draw(mostly(st.sampled_from(known), st.sampled_from(unknown)))

    @rule(limit=st.integers(1, 5), is_predefined=filters)
    def list_pages(self, limit: int, is_predefined: bool | UnsetType) -> None:  # noqa: FBT001
        async def read(roles: Bound) -> list[tuple[tuple[Role, ...], bool]]:
            pages = list[tuple[tuple[Role, ...], bool]]()
            async for page in roles.list(limit=limit, is_predefined=is_predefined).pages():
                pages.append((page.roles, page.pagination.has_more))
                assert len(pages) <= 1 + len(self.model)
            return pages

        pages: Any = self.both("list", read).value
        found = [role for roles, _ in pages for role in roles]
        assert found == self.of_kind(is_predefined)
        assert all(len(roles) == limit for roles, _ in pages[:-1])
        assert [more for _, more in pages] == [True] * (len(pages) - 1) + [False]

    @rule(limit=st.integers(1, 3), is_predefined=filters, target=walks)
    def start_walk(self, limit: int, is_predefined: bool | UnsetType) -> Walk:  # noqa: FBT001
        one, other = [
            aiter(client.list(limit=limit, is_predefined=is_predefined)) for client in self.clients
        ]
        due = {role.id for role in self.of_kind(is_predefined)}
        walk = Walk((one, other), is_predefined, due)
        self.open_walks.append(walk)
        return walk

    @precondition(lambda self: any(not walk.ended for walk in self.open_walks))
    @rule(walk=walks)
    def continue_walk(self, walk: Walk) -> None:
        async def step(roles: AsyncIterator[Role]) -> Role | None:
            return await anext(roles, None)

        fake, real = [self.runner.run(step(steps)) for steps in walk.steps]
        assert fake == real
        if fake is None:
            # What was there from the walk's start to its end was seen, and nothing twice.
            assert walk.ended or walk.due <= set(walk.seen)
            assert len(walk.seen) == len(set(walk.seen))
            walk.ended = True
        else:
            assert not walk.ended
            assert walk.is_predefined in {UNSET, fake.is_predefined}
            walk.seen.append(fake.id)

    @invariant()
    def accounts_match_model(self) -> None:
        for account in self.accounts:
            assert [*account.roles] == self.model


def test_machine() -> None:
    """Random calls end alike on both clients and in the model, and many of them change a role."""
    succeeded, failed = Counter[str](), Counter[str]()
    run_state_machine_as_test(
        functools.partial(Machine, succeeded, failed),  # type: ignore[arg-type]
        settings=settings(
            max_examples=sized(8, 50),
            stateful_step_count=40,
        ),
    )
    print(f"succeeded: {dict(succeeded)}; failed: {dict(failed)}")
    for operation in ("update", "delete"):
        calls = succeeded[operation] + failed[operation]
        assert succeeded[operation] >= 0.3 * calls > 0, f"{operation}: {succeeded} {failed}"
