"""Calls of role bindings under random faults, rights that come and go, and another client.

Each call has a small account of its own, and a seed of its own. `pytest --full` makes 20,000 of
them, and 2,000 with each planted fault, which have to show it.

The judge goes by what the account did with each request, and not by the answers:

- A change that returns was made by this call, or the account has been as asked within the call.
- A change that raises a definite error was not made. `OutcomeUnknownError` may always come.
- A read returns what its key was allowed to see within the call.

Some requests that are lost arrive late: before a later request of the call, or after its end, where
the judge does not look. Two ends are not wrong, because no answer shows the truth: a `remove`
at whose last look the key had no right to read, and a 503 by which the service itself says that it
did nothing, although it did.

The other client binds, unbinds and updates between the requests. What it binds is two seconds or
more older than the first create of the call, or has another role and keeps it.
"""

import asyncio
import base64
import itertools
import random
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, cast
from unittest.mock import patch
from urllib.parse import unquote

import attrs

from arize_roles_async import (
    ConflictError,
    OutcomeUnknownError,
    Request,
    Response,
    RetryPolicy,
    RoleBinding,
    RoleBindingsClient,
    RolesError,
    ServerError,
)
from arize_roles_async._calls.call import Call
from arize_roles_async._role_bindings.client import BaseRoleBindingsClient
from arize_roles_async._role_bindings.operations import ROLE_BINDINGS
from arize_roles_fake import Assumptions, FakeAccount, FakeRolesClient
from arize_roles_fake._testing.faults import Reply, reply_of
from tests.support.clients import START

KEY: Final = "key-of-the-judge"
RIGHTS: Final = ("ROLE_BINDING_READ", "ROLE_BINDING_CREATE", "ROLE_BINDING_DELETE")
PAGE: Final = "<title>Busy</title>"
WHEN: Final[list[dict[str, Any]]] = [{"when": "before"}, {"when": "after"}]
FAULTS: Final[Sequence[tuple[Any, dict[str, Any]]]] = [
    *itertools.product(("lost", "malformed", "silent"), WHEN),
    *itertools.product((500, 502, 503), [w | page for w in WHEN for page in ({}, {"page": PAGE})]),
    *((429, {}), (429, {"retry_after": 1}), (401, {})),
]
READS: Final = ("get", "list", "find")
CHANGES: Final = ("create", "update", "delete", "ensure", "remove")
REQUESTS: Final = {"ensure": ["create", "update"], "remove": ["delete"], "find": ["list"]}
"""The requests by which some methods do their work; the others have one of their own name."""


def _id(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


USERS: Final = (_id("User:ada"), _id("User:bob"))
RESOURCES: Final = {_id("Space:1"): "SPACE", _id("Space:2"): "SPACE", _id("Model:1"): "PROJECT"}


class Account(FakeAccount):
    """An account that another client changes, and that notes what it does with each request."""

    def __init__(self, chance: random.Random, operation: str | None) -> None:
        assumptions = Assumptions(rebind_to_own_role=chance.choice([200, 409]))
        super().__init__(clock=lambda: START, predefined=False, assumptions=assumptions)
        self._chance = chance
        self.role_ids = [self.add_role(name).id for name in "ABC"]
        for user, resource in itertools.product(USERS, RESOURCES):
            if chance.random() < 0.6:
                self.bind(chance.choice(self.role_ids), user=user, resource=resource)
        self.advance(chance.uniform(5, 60))
        self.operation = operation or chance.choice([*READS, *CHANGES, *CHANGES])
        self.user, self.resource = chance.choice(USERS), chance.choice([*RESOURCES])
        self.role_id = chance.choice([*self.role_ids, *self.role_ids, _id("Role:0:none")])
        found = self.on_target()
        self.binding_id = _id("RoleBinding:0:none") if found is None else found.id
        self.seen: list[tuple[tuple[RoleBinding, ...], frozenset[str]]] = []
        """The bindings before each request, and the resources whose bindings its key sees."""
        self.ends: list[tuple[RoleBinding, ...]] = [self.bindings()]
        """The bindings before the call, and after each request."""
        self.made: dict[str, bool] = {}
        """The bindings that this call changed, and whether an answer of 503 denied it."""
        self.deleted: set[str] = set()
        """The bindings that it asked to delete."""
        self._others: set[str] = set()
        """The bindings that the other client made after the first create was sent."""
        self._is_created = False
        self._others_act = chance.choice([0.15, 0.5])
        self._late: list[Request] = []
        """The requests that were lost and may still arrive."""
        self._draw_rights(chance.choice([1.0, 0.7]))
        for _ in range(chance.choice([0, 1, 1, 2, 3, 4])):
            self._draw_fault(chance.choice(REQUESTS.get(self.operation, [self.operation])))
        for _ in range(chance.choice([0, 0, 0, 1, 2])):
            self._draw_fault(chance.choice(["list", "get"]))

    def on_target(self) -> RoleBinding | None:
        """Return the binding of the call's user on its resource."""
        target = self.user, self.resource
        return next((b for b in self.bindings() if (b.user_id, b.resource_id) == target), None)

    def _draw_fault(self, operation: Any) -> None:  # noqa: ANN401
        failure, options = self._chance.choice(FAULTS)
        if not (operation == "delete" and failure == "malformed"):
            skip = self._chance.choice([0, 0, 0, 1, 2])
            self.fail(f"role_bindings.{operation}", failure, skip=skip, **options)  # type: ignore[arg-type]

    def _draw_rights(self, share: float) -> None:
        rights = {each: [r for r in RIGHTS if self._chance.random() < share] for each in RESOURCES}
        self.add_key(KEY, grants=(), on=rights)
        self.readable = frozenset(each for each in rights if RIGHTS[0] in rights[each])

    def handle(self, request: Request) -> Response:
        self._is_created |= request.method == "POST"
        if request.method == "DELETE":
            self.deleted.add(unquote(request.path.rpartition("/")[2]))
        self._meddle()
        self._arrive_late()
        self.advance(self._chance.uniform(0.0, 0.3))
        self.seen.append((self.bindings(), self.readable))
        reply = self._carry_out(request)
        if reply.broken and request.method != "GET" and self._chance.random() < 0.5:
            self._late.append(request)
        if not self._is_created:
            # Later, its time would count as latency.
            self._meddle()
            self._arrive_late()
        return reply

    def _arrive_late(self) -> None:
        while self._late and self._chance.random() < 0.3:
            self._carry_out(self._late.pop())

    def _carry_out(self, request: Request) -> Reply:
        """Answer a request, and note what it changes."""
        before = self.bindings()
        reply = reply_of(super().handle(request))
        after = self.bindings()
        self.ends.append(after)
        is_denied = reply.status == 503 and reply.body != PAGE.encode()
        for _, changed in {(id(b), b.id) for b in before} ^ {(id(b), b.id) for b in after}:
            self.made[changed] = is_denied and self.made.get(changed, True)
        return reply

    def _meddle(self) -> None:
        """Have others give or withdraw rights, and change bindings, at random."""
        if self._chance.random() < 0.15:
            self._draw_rights(self._chance.choice([1.0, 0.5]))
        if self._chance.random() < self._others_act:
            self.advance(self._chance.uniform(2.0, 5.0))
            self._act(self._chance.choice(["bind", "unbind", "rebind", "update"]))
            self.advance(self._chance.uniform(2.0, 5.0))
            self.ends.append(self.bindings())

    def _act(self, what: str) -> None:
        held, bindings = self.on_target(), self._store.bindings
        if held is not None and what == "update" and held.id not in self._others:
            role = self._chance.choice(self.role_ids)
            bindings.put(attrs.evolve(held, role_id=role, updated_at=self.now()))
        if held is not None and what in {"unbind", "rebind"}:
            bindings.remove(held)
            held = None
        if held is None and what in {"bind", "rebind"}:
            is_like = not self._is_created
            roles = [role for role in self.role_ids if is_like or role != self.role_id]
            made = self.bind(self._chance.choice(roles), user=self.user, resource=self.resource)
            if not is_like:
                self._others.add(made.id)


async def call(bindings: RoleBindingsClient, account: Account) -> Any:  # noqa: ANN401
    target: dict[str, Any] = {
        "user_id": account.user,
        "resource_type": RESOURCES[account.resource],
        "resource_id": account.resource,
    }
    role, binding = {"role_id": account.role_id}, {"binding_id": account.binding_id}
    match account.operation:
        case "list":
            kind = target["resource_type"]
            return (await bindings.list(resource_type=kind, limit=2).all()).role_bindings
        case "find":
            return [each async for each in bindings.find(user_id=account.user)]
        case "create" | "ensure" as method:
            return await getattr(bindings, method)(**target, **role)
        case "get" | "delete" as method:
            return await getattr(bindings, method)(**binding)
        case "update":
            return await bindings.update(**binding, **role)
        case _:
            return await bindings.remove(**target)


def is_right(account: Account, result: Any) -> bool:  # noqa: ANN401
    """Return whether the account agrees with the result of its call."""
    was_so = any(result in state for state in account.ends)
    match account.operation:
        case "list" | "find":
            return _is_walk(account, result)
        case "get":
            return any(result in seen and result.resource_id in may for seen, may in account.seen)
        case "create":
            return was_so and result.id in account.made
        case "update" | "ensure":
            return was_so and result.role_id == account.role_id
        case "delete":
            return account.binding_id in account.made
        case _:
            left = {binding.id for binding in account.bindings()}
            return not account.deleted <= left if result else not account.made


def _is_walk(account: Account, found: Sequence[RoleBinding]) -> bool:
    def is_asked(binding: RoleBinding) -> bool:
        if account.operation == "find":
            return binding.user_id == account.user
        return binding.resource_type == RESOURCES[account.resource]

    visible = [
        [b for b in seen if is_asked(b) and b.resource_id in may] for seen, may in account.seen
    ]
    ids = [binding.id for binding in found]
    is_true = all(any(binding in each for each in visible) for binding in found)
    is_whole = all(
        binding.id in ids or any(binding.id not in {b.id for b in each} for each in visible)
        for binding in visible[0]
    )
    return is_true and is_whole and len(ids) == len(set(ids))


async def is_wrong(seed: int, operation: str | None) -> bool:
    """Make a call, and return whether its end contradicts the account."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    account = Account(chance, operation)
    retry = RetryPolicy(attempts=chance.randint(1, 4), backoff=1e-9)
    timeout = chance.choice([None, None, 30.0])
    roles = FakeRolesClient(account, api_key=KEY, timeout=timeout, retry=retry)
    try:
        answer = await call(roles.role_bindings, account)
    except OutcomeUnknownError:
        return False
    except RolesError as error:
        is_503 = isinstance(error, ServerError) and error.status == 503
        return bool(account.made) and not (is_503 and all(account.made.values()))
    is_hidden = account.seen and account.resource not in account.seen[-1][1]
    is_unseen = account.operation == "remove" and answer and is_hidden
    return not (is_unseen or is_right(account, answer))


def wrong_calls(calls: int, operation: str | None = None) -> list[int]:
    """Make calls, each from a seed of its own, and return the seeds of the wrong ones."""

    async def judge() -> list[int]:
        return [seed for seed in range(calls) if await is_wrong(seed, operation)]

    return asyncio.run(judge())


async def _ensure_any_role(bindings: RoleBindingsClient, **target: Any) -> RoleBinding:  # noqa: ANN401
    """Return the binding that was made, also if somebody has changed its role since."""
    with suppress(ConflictError):
        return await bindings.create(**target)
    return cast("RoleBinding", await _ENSURE(bindings, **target))


async def _remove_by_end(bindings: RoleBindingsClient, **target: Any) -> bool:  # noqa: ANN401
    """Call a binding that is gone at the end removed by somebody else."""
    try:
        return cast("bool", await _REMOVE(bindings, **target))
    except OutcomeUnknownError:
        return False


_ENSURE: Final[Any] = BaseRoleBindingsClient.ensure
_REMOVE: Final[Any] = BaseRoleBindingsClient.remove
PLANTED: Final[dict[str, tuple[str, AbstractContextManager[object]]]] = {
    "a 404 means that a delete was made": (
        "delete",
        patch.dict(ROLE_BINDINGS.verdicts, {("role_bindings.delete", 404): True}),
    ),
    "a binding of any age is the call's own": (
        "create",
        patch.object(Call, "created_since", return_value=0.0),
    ),
    "ensure returns a binding with another role": (
        "ensure",
        patch.object(BaseRoleBindingsClient, "ensure", _ensure_any_role),
    ),
    "remove returns False where its outcome is unknown": (
        "remove",
        patch.object(BaseRoleBindingsClient, "remove", _remove_by_end),
    ),
}
"""Faults, each with the method that shows it."""
