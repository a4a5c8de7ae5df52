"""Role bindings by names, while things are renamed, hidden, blocked and answers are lost.

Each call has a small account of its own, and a seed of its own. `pytest --full` makes 5,000 of
them; with each planted fault at most 300 are made, until it is found.

The judge goes by the account before each request of the call, and not by the answers:

- A binding that the call makes, changes or takes is of a user, a role and a place that had these
  names at one of these moments.
- A call that ends in another error than `OutcomeUnknownError` changed nothing.
- Where two things had a name all the time, the call does not pick one of them.
- A thing that had its name all the time, alone and visible, is found.
- After a call that returns, the user has the role there, or where it was to be taken, none.
"""

import asyncio
import random
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import AbstractContextManager, suppress
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Final
from unittest.mock import patch

from arize_roles_async import (
    AmbiguousNameError,
    NotFoundError,
    OutcomeUnknownError,
    Project,
    Request,
    Response,
    RetryPolicy,
    RolesError,
    Space,
)
from arize_roles_async._directory import client as directory
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import START

ADDRESSES: Final = (
    *("mike@x.org", "Mike@x.org", "MIKE@X.ORG", "mi\u212ae@x.org"),
    *("xmike@x.org", "mike@x.org.br", "eve@x.org"),
)
NAMES: Final = ("ML", "ml", "ML 2", "ML", "html", "Ops")
ROLES: Final = ("Analyst", "Editor")
STATUSES: Final[Any] = ("ACTIVE", "INVITED", "EXPIRED")


class Account(FakeAccount):
    """An account with a call to make, that somebody changes between requests."""

    def __init__(self, drawn: random.Random) -> None:
        super().__init__(api_key="fake-api-key", clock=lambda: START, predefined=False)
        self.drawn = drawn
        self.moments: list[dict[str, dict[str, str]]] = []
        """The name of each thing that is visible, by its kind and ID, before each request."""
        for name in ROLES:
            self.add_role(name)
        self.known = [
            self.add_user(drawn.choice(ADDRESSES), id=f"u{number}", status=drawn.choice(STATUSES))
            for number in range(drawn.randint(1, 6))
        ]
        self.places: list[Space | Project] = []
        for number in range(drawn.randint(1, 5)):
            name, of = drawn.choice(NAMES), f"o{number}"
            space = self.add_space(name, id=f"Space:{number}", organization=of)
            self.places.append(space)
            if drawn.random() < 0.7:
                name, of = drawn.choice(NAMES), space.id
                self.places.append(self.add_project(name, space=of, id=f"Project:{number}/p"))
        for place in self.places:
            if drawn.random() < 0.5:
                user = drawn.choice(self.known)
                self.bind(drawn.choice(ROLES), user=user.id, resource=place.id)
        self.before = self.held()
        self.kind = drawn.choice(("space", "project"))
        addresses, names = [str(x.email) for x in self.known], [x.name for x in self.places]
        self.given: dict[str, str] = {
            "user": drawn.choice((*addresses, *addresses, *ADDRESSES)),
            self.kind: drawn.choice((*names, *names, *NAMES)),
        }
        if self.kind == "project" and drawn.random() < 0.4:
            self.given["in_space"] = drawn.choice(NAMES)
        if drawn.random() < 0.7:
            self.given["role"] = drawn.choice(ROLES)
        for _ in range(drawn.choice((0, 0, 1, 2))):
            self.fail("any", drawn.choice(("lost", 503, "malformed")), skip=drawn.randint(0, 6))
        if drawn.random() < 0.5:
            self.shorten_pages(*[1] * 20)
        self.renames = drawn.random() < 0.3
        self.is_quiet = not (self.renames or self.unused_faults or "in_space" in self.given)

    def held(self) -> dict[tuple[str, str], str]:
        """Return who has which role where."""
        return {(each.user_id, each.resource_id): each.role_id for each in self.bindings()}

    def bearers(self, kind: str) -> list[set[str]]:
        """Return the IDs of what had the given name, before each request."""
        wanted = folded(self.given[kind]) if kind == "user" else self.given[kind]
        if kind == "project" and "in_space" in self.given:
            wanted = f"{self.given['in_space']}/{wanted}"
        return [{x for x, name in named[kind].items() if name == wanted} for named in self.moments]

    def handle(self, request: Request) -> Response:
        """Answer, and have somebody change names before that."""
        drawn = self.drawn
        if self.renames and drawn.random() < 0.3:
            user = drawn.choice(self.known)
            place = drawn.choice(self.places)
            match drawn.randint(0, 2):
                case 0:
                    self.add_user(drawn.choice(ADDRESSES), id=user.id)
                case 1 if isinstance(place, Space):
                    self.add_space(drawn.choice(NAMES), id=place.id, organization=place.id[-9:])
                case _:
                    self.block_user(user.id)
                    # The bindings that go with the user are not the call's doing.
                    self.before = {key: x for key, x in self.before.items() if key[0] != user.id}
        store = self._state.store
        users = [each for each in store.users.in_order() if each.id not in store.blocked]
        spaces = {each.id: each.name for each in store.spaces.in_order()}
        around = {x: f"{name}/" if "in_space" in self.given else "" for x, name in spaces.items()}
        projects = store.projects.in_order()
        self.moments.append(
            {
                "user": {each.id: folded(str(each.email)) for each in users},
                "space": spaces,
                "project": {each.id: f"{around[each.space_id]}{each.name}" for each in projects},
                "role": {each.id: each.name for each in self.roles},
            }
        )
        return super().handle(request)


def folded(address: str) -> str:
    """Return an address with small ASCII letters."""
    return address.translate(str.maketrans(ascii_uppercase, ascii_lowercase))


async def judged(seed: int) -> list[str]:
    """Make a call, and return what is wrong with its end."""
    account = Account(random.Random(seed))  # noqa: S311
    roles = FakeRolesClient(account, retry=RetryPolicy(attempts=2, backoff=0.01))
    error: RolesError | None = None
    call = roles.by_name.ensure if "role" in account.given else roles.by_name.remove
    try:
        await call(**account.given)
    except RolesError as caught:
        error = caught
    account.clear_faults()
    return [*flaws(account, error)]


def flaws(account: Account, error: RolesError | None) -> Iterator[str]:
    """Yield what is wrong with the end of a call."""
    before, after, given = account.before, account.held(), account.given
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    kinds = {"user", account.kind, *given.keys() & {"role"}}
    bearers = {kind: account.bearers(kind) for kind in kinds}
    ever = {each: set[str]().union(*moments) for each, moments in bearers.items()}
    place = ever[account.kind]
    for user, at in changed:
        if user not in ever["user"]:
            yield "the wrong user"
        if at not in place:
            yield "the wrong place"
        if (user, at) in after and "role" in given and after[user, at] not in ever["role"]:
            yield "the wrong role"
    held = {role for (user, at), role in after.items() if at in place and user in ever["user"]}
    is_left = account.is_quiet and bool(held)
    if error is None and (not held & ever["role"] if "role" in given else is_left):
        yield "nothing was done"
    if changed and error is not None and not isinstance(error, OutcomeUnknownError):
        yield f"changed, and raised {type(error).__name__}"
    if len(changed) > 1:
        yield "more than one change"
    sure = [ids for each, ids in bearers.items() if "in_space" not in given or each != account.kind]
    if error is None and any(all(len(ids) > 1 for ids in each) for each in sure):
        yield "one of two was picked"
    is_clear = account.is_quiet and all(len(each[0]) == 1 for each in sure)
    if is_clear and isinstance(error, AmbiguousNameError | NotFoundError):
        yield f"not found: {error}"


ONLY: Final = vars(directory)["_only"]


async def over(*items: object) -> AsyncIterator[object]:
    """Iterate items as a listing does."""
    for each in items:
        yield each


def is_same_in_unicode(one: str, other: str) -> bool:
    return one.lower() == other.lower()


async def first_match(kind: object, name: str, listing: AsyncIterable[object]) -> Any:  # noqa: ANN401
    async for each in listing:
        with suppress(NotFoundError):
            return await ONLY(kind, name, over(each))
    return await ONLY(kind, name, over())


async def of_first_page(kind: object, name: str, listing: Any) -> Any:  # noqa: ANN401
    return await ONLY(kind, name, over(*await listing))


PLANTED: Final[dict[str, AbstractContextManager[object]]] = {
    "Unicode's rule of case": patch.object(directory, "_is_same_address", is_same_in_unicode),
    "a part of the address": patch.object(directory, "_is_same_address", str.__contains__),
    "the first of two": patch.object(directory, "_only", first_match),
    "the first page alone": patch.object(directory, "_only", of_first_page),
}
"""The ways in which other clients mistake one name for another."""


def wrong(calls: int) -> Iterator[str]:
    """Make calls, each from a seed of its own, and yield what is wrong with their ends."""
    for seed in range(calls):
        yield from asyncio.run(judged(seed))
