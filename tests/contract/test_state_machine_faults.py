"""Random calls among faults, gateways and administrators, and what the account really did.

The judge is the account's journal: whatever a call returns or raises has to be true of it.
"""

# ruff: noqa: ANN401 - arguments are handed on as they come

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, Literal

import attrs
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from arize_roles_async import (
    AiohttpRolesClient,
    ConflictError,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
    Role,
    RolesClient,
    RolesConnectionError,
    RolesError,
    StatusError,
)
from arize_roles_fake import Assumptions, FakeRolesClient, serve
from tests.contract.journal import NOBODY, Ask, Journaled, Page, untrue, untrue_alone
from tests.contract.test_assumptions import PAIRS
from tests.contract.wrapping import WrappingClient
from tests.support.sizes import sized

pytestmark = [
    pytest.mark.usefixtures("unmeasured"),
    # Drawn at random, many strike no call.
    pytest.mark.arize_roles(unused_faults="allow"),
]

CALLERS: Final = ("caller-0", "caller-1", "caller-2", "caller-3")
NAMES: Final = ("Ada", "Bea", "Cal")
PERMISSIONS: Final = ["PROJECT_READ"]

ASKS: Final = st.builds(
    Ask,
    operation=st.sampled_from(
        ["list", "walk", "get", "create", "create", "update", "update", "delete"]
    ),
    name=st.sampled_from(NAMES),
    by_id=st.booleans(),
    new_name=st.none() | st.sampled_from([*NAMES, "ada", " Bea"]),
)

# A service that does a thing and then denies it, or denies what is there, can't be seen through.
BEFORE: Final = (
    *(400, 401, 403, 422, 429, 500, 502, 503, 504, 520),
    *("lost", "truncated", "refused", "unreachable", "silent"),
)
AFTER: Final = (500, 502, 504, 520, "lost", "truncated", "malformed", "silent")
FAULTS: Final = st.fixed_dictionaries(
    {
        "operation": st.sampled_from(["list", "get", "create", "update", "delete"]),
        "times": st.integers(1, 4),
        "after": st.integers(0, 2),
    }
)

# Nor can a gateway that answers a deletion as the service does.
HTML: Final = b"<html><title>Maintenance</title><body>We are back soon.</body></html>"
MISMATCH: Final = b'{"title": "Resource not found", "status": 404}'
PAGES_BEFORE: Final = [
    *[(status, HTML) for status in (200, 302, 401, 403, 404, 409, 429, 500, 502, 503, 504)],
    *[(200, b""), (202, b'{"accepted": true}'), (404, b""), (409, b"{}"), (502, MISMATCH)],
    *[(404, b'{"title": "Bad gateway", "status": 502}'), (201, HTML), (204, b"")],
]
PAGES_AFTER: Final = [
    *[(status, HTML) for status in (200, 500, 502, 503, 504)],
    *[(200, b""), (202, b'{"accepted": true}'), (502, MISMATCH), (204, b"")],
]
CHANGES: Final = frozenset({"POST", "PATCH", "DELETE"})
METHODS: Final = st.sampled_from(["GET", "POST", "PATCH", "DELETE"])


@attrs.frozen(kw_only=True)
class Meddling:
    """A change by an administrator before one of the requests of a call."""

    what: Literal["rename", "touch", "delete", "create", "predefine", "bind", "unbind", "twin"]
    name: str
    before_request: int
    age: float
    """Seconds that a twin is older than the call."""


MEDDLING: Final = st.builds(
    Meddling,
    what=st.sampled_from(
        ["rename", "touch", "delete", "create", "predefine", "bind", "unbind", "twin", "twin"]
    ),
    name=st.sampled_from(NAMES),
    before_request=st.integers(0, 4),
    age=st.sampled_from([2.0, 5.0, 60.0, 7200.0]),
)


TROUBLES: Final = st.lists(
    st.one_of(
        st.sampled_from(PAGES_BEFORE).map(lambda page: (*page, None, False)),
        st.sampled_from(PAGES_AFTER).map(lambda page: (*page, None, True)),
        st.sampled_from([(200, b"", "lost", False), (200, b"", "lost", True)]),
        st.sampled_from([(200, b"", "lost", False), (200, b"", "lost", True)]),
    ),
    min_size=1,
    max_size=3,
)


class Machine(RuleBasedStateMachine):
    """Calls and faults over one account; how the callers get there is a subclass's."""

    def __init__(self, ended: Counter[str]) -> None:
        super().__init__()
        self.ended = ended
        """The number of calls by how they ended."""
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.clients: dict[str, RolesClient] = {}
        self.asked = 0

    async def connect(self) -> None:
        raise NotImplementedError

    @initialize(assumptions=st.sampled_from(PAIRS))
    def begin(self, assumptions: Assumptions) -> None:
        self.account = Journaled(assumptions, CALLERS)
        self.account.add_role("Ada", PERMISSIONS)
        self.runner.run(self.connect())

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()

    @rule(fault=FAULTS, failure=st.sampled_from(BEFORE))
    def fail_before(self, fault: dict[str, Any], failure: Any) -> None:
        self.fail(fault, failure, "before")

    @rule(fault=FAULTS, failure=st.sampled_from(AFTER))
    def fail_after(self, fault: dict[str, Any], failure: Any) -> None:
        self.fail(fault, failure, "after")

    def fail(self, fault: dict[str, Any], failure: Any, when: Literal["before", "after"]) -> None:
        # A deletion is answered without a body, so none can be broken.
        if fault["operation"] != "delete" or failure not in {"truncated", "malformed"}:
            self.account.fail(**fault, failure=failure, when=when)

    @rule(method=METHODS, page=st.sampled_from(PAGES_BEFORE), times=st.integers(1, 3))
    def answer_before(self, method: str, page: tuple[int, bytes], times: int) -> None:
        self.answer(method, page, times, after=False)

    @rule(method=METHODS, page=st.sampled_from(PAGES_AFTER), times=st.integers(1, 3))
    def answer_after(self, method: str, page: tuple[int, bytes], times: int) -> None:
        self.answer(method, page, times, after=True)

    def answer(self, method: str, page: tuple[int, bytes], times: int, *, after: bool) -> None:
        status, body = page
        if self.may_answer(method == "DELETE", status):
            page_of = Page(methods=frozenset({method}), status=status, body=body, after=after)
            self.account.pages += [page_of] * times

    def may_answer(self, is_deletion: bool, status: int) -> bool:  # noqa: FBT001
        """Whether a gateway may answer so."""
        return not (is_deletion and status == 204)

    @rule()
    def recover(self) -> None:
        self.account.clear_faults()
        self.account.pages.clear()

    @rule(seconds=st.sampled_from([0.5, 3.0, 600.0]))
    def advance(self, seconds: float) -> None:
        self.account.advance(seconds)

    @rule(ask=ASKS)
    def alone(self, ask: Ask) -> None:
        self.call([ask], [])

    @rule(ask=ASKS, meddling=st.lists(MEDDLING, min_size=1, max_size=3))
    def with_administrators(self, ask: Ask, meddling: Sequence[Meddling]) -> None:
        self.call([ask], meddling)

    @rule(
        ask=ASKS,
        is_possible=st.booleans(),
        troubles=TROUBLES,
        meddling=st.lists(MEDDLING, max_size=2),
    )
    def troubled(
        self,
        ask: Ask,
        is_possible: bool,  # noqa: FBT001
        troubles: Sequence[tuple[int, bytes, Literal["lost"] | None, bool]],
        meddling: Sequence[Meddling],
    ) -> None:
        """Make a call whose changes meet one trouble after the other."""
        self.recover()
        if is_possible:
            self.make_possible(ask)
        self.account.pages += [
            Page(methods=CHANGES, status=status, body=body, broken=broken, after=after)
            for status, body, broken, after in troubles
            if self.may_answer(ask.operation == "delete", status)
        ]
        self.call([ask], [attrs.evolve(each, name=ask.name) for each in meddling])
        self.recover()

    def make_possible(self, ask: Ask) -> None:
        """Have the role there that a call is about, or not there for a create."""
        role = self.account.role(ask.name)
        if ask.operation == "create" and role is not None:
            self.account.write("administrator", lambda: self.account.administer("delete", role))
        elif ask.operation != "create" and role is None:
            self.add(ask.name, "possible")

    @rule(
        asks=st.lists(ASKS, min_size=2, max_size=len(CALLERS)),
        meddling=st.lists(MEDDLING, max_size=2),
    )
    def together(self, asks: Sequence[Ask], meddling: Sequence[Meddling]) -> None:
        self.call(asks, meddling)

    def call(self, asks: Sequence[Ask], meddling: Sequence[Meddling]) -> None:
        account = self.account
        account.begin()
        # In every change, so that no two callers ever want the same; a twin knows the first.
        marks = [f"call {self.asked + number}" for number in range(len(asks))]
        self.asked += len(asks)
        account.meddling = [
            (
                0 if each.what == "twin" else each.before_request,
                self.action(each, asks[0], marks[0]),
            )
            for each in meddling
        ]
        results = self.runner.run(self.results(asks, marks))
        account.meddling = []
        for caller, ask, mark, result in zip(CALLERS, asks, marks, results, strict=False):
            lie = untrue(account, caller, ask, mark, result)
            if not lie and len(asks) == 1 and not meddling:
                lie = untrue_alone(account, ask, result)
            attempts = "\n".join(map(str, account.attempts))
            assert not lie, f"{ask} ended in {result!r}: {lie}\n{attempts}"
            self.ended[f"{ask.operation}: {type(result).__name__}"] += 1

    def action(self, meddling: Meddling, ask: Ask, mark: str) -> Callable[[], None]:
        """Return what an administrator does; the roles decide whether it can be done."""
        account = self.account
        # The role is as the call requested; only a create must distinguish it from its own.
        description = mark if ask.operation == "create" else "a twin"

        def act() -> None:
            role = account.role(meddling.name)
            match meddling.what:
                case "twin":
                    made = account.now() - timedelta(seconds=meddling.age)
                    self.add(ask.name, description, created_at=made)
                case "predefine":
                    self.add(ask.name, description, is_predefined=True)
                case "create":
                    self.add(meddling.name, "another's")
                case "rename" if role is not None:
                    account.administer("update", role, name=f"Renamed {len(account.ever)}")
                case "touch" if role is not None:
                    account.administer("update", role, description=f"Touched {len(account.ever)}")
                case "delete" if role is not None:
                    account.administer("delete", role)
                case "bind" if role is not None and not account.bindings(role):
                    account.bind(role, user="somebody", resource=f"Space:{role}")
                case "unbind" if role is not None and account.bindings(role):
                    account.unbind(role, user="somebody", resource=f"Space:{role}")
                case _:
                    pass

        return act

    def add(self, name: str, description: str, **members: Any) -> None:
        with contextlib.suppress(ValueError):  # the name is taken
            self.account.add_role(name, PERMISSIONS, description=description, **members)

    async def results(self, asks: Sequence[Ask], marks: Sequence[str]) -> list[object]:
        return await asyncio.gather(
            *[
                self.result(self.clients[caller], ask, mark)
                for caller, ask, mark in zip(CALLERS, asks, marks, strict=False)
            ]
        )

    async def result(self, roles: RolesClient, ask: Ask, mark: str) -> object:
        try:
            return await self.make(roles, ask, mark)
        except RolesError as error:
            return error

    async def make(self, roles: RolesClient, ask: Ask, mark: str) -> object:
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
                return await roles.create(name=ask.name, permissions=PERMISSIONS, description=mark)
            case "update":
                return await roles.update(**target, name=ask.new_name, description=mark)
            case "delete":
                await roles.delete(**target)
                return None

    @invariant()
    def names_and_ids_are_unique(self) -> None:
        roles = self.account.roles if hasattr(self, "account") else ()
        assert len({role.name for role in roles}) == len(roles)
        assert len({role.id for role in roles}) == len(roles)


class InProcess(Machine):
    """The fake client, whose answers may take a while, or lack a `Date`."""

    async def connect(self) -> None:
        self.clients = {key: FakeRolesClient(self.account, api_key=key) for key in CALLERS}

    @rule(has_date=st.booleans())
    def send_date(self, has_date: bool) -> None:  # noqa: FBT001
        self.account.has_date = has_date

    @rule(seconds=st.sampled_from([0.0, 4.0, 9.0, 11.0, 31.0]))
    def slow_down(self, seconds: float) -> None:
        self.account.slow_down(seconds)


class OverHttp(Machine):
    """The real client, over sockets."""

    async def connect(self) -> None:
        url = await self.stack.enter_async_context(serve(self.account))
        # Short waits, as the account's clock has to go at the client's own pace.
        retry = RetryPolicy(backoff=0.001, max_backoff=0.001)
        for key in CALLERS:
            client = AiohttpRolesClient(key, base_url=url, retry=retry)
            self.clients[key] = await self.stack.enter_async_context(client)

    def fail(self, fault: dict[str, Any], failure: Any, when: Literal["before", "after"]) -> None:
        # These take the client's limits in real time.
        if failure not in {429, "silent", "unreachable", "refused"}:
            super().fail(fault, failure, when)

    def may_answer(self, is_deletion: bool, status: int) -> bool:  # noqa: FBT001
        return status != 429 and super().may_answer(is_deletion, status)


def run_machine(
    machine: type[Machine], examples: int, steps: int = 30, *, shrink: bool = True
) -> Counter[str]:
    """Run a machine, and return how often calls ended how."""
    ended = Counter[str]()
    run_state_machine_as_test(
        lambda: machine(ended),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples,
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]
            if shrink
            else [Phase.generate],
            stateful_step_count=steps,
        ),
    )
    return ended


@pytest.mark.parametrize(
    ("machine", "examples"), [(InProcess, sized(30, 80)), (OverHttp, sized(10, 20))]
)
def test_truth(machine: type[Machine], examples: int) -> None:
    """Whatever a call says is so, whatever the service, gateways and administrators do."""
    ended = run_machine(machine, examples)
    print(dict(sorted(ended.items())))


# Each of these reports a wrong outcome.


class TakesPagesForDeletions(WrappingClient):
    async def delete(self, **target: Any) -> None:
        try:
            await super().delete(**target)
        except StatusError as error:
            if error.from_service:
                raise


class TakesEqualRolesForItsOwn(WrappingClient):
    async def create(self, *, name: str, **arguments: Any) -> Role:
        try:
            return await super().create(name=name, **arguments)
        except ConflictError:
            role = await self.get(role=name)
            if role.description != arguments["description"]:
                raise
            return role


class DeniesWhatIsOpen(WrappingClient):
    async def update(self, **arguments: Any) -> Role:
        try:
            return await super().update(**arguments)
        except OutcomeUnknownError:
            raise RolesConnectionError("nothing happened") from None


class TakesPagesForTheService(WrappingClient):
    async def get(self, **target: Any) -> Role:
        try:
            return await super().get(**target)
        except StatusError as error:
            if error.status == 404 and not error.from_service:
                raise NotFoundError(status=404) from None
            raise


class LeavesAllOpen(WrappingClient):
    async def create(self, **arguments: Any) -> Role:
        try:
            return await super().create(**arguments)
        except ConflictError:
            raise OutcomeUnknownError("who knows") from None


@pytest.mark.parametrize(
    ("client", "lie"),
    [
        (TakesPagesForDeletions, "nothing was deleted"),
        (TakesEqualRolesForItsOwn, "another made it"),
        (DeniesWhatIsOpen, "it did"),
        (TakesPagesForTheService, "the service never said so"),
        (LeavesAllOpen, "everything is known"),
    ],
)
def test_lie(client: type[WrappingClient], lie: str) -> None:
    """A client that reports a wrong outcome is caught."""

    class Lying(InProcess):
        async def connect(self) -> None:
            await super().connect()
            self.clients = {key: client(roles) for key, roles in self.clients.items()}

    with pytest.raises(AssertionError, match=lie):
        run_machine(Lying, 1000, shrink=False)
