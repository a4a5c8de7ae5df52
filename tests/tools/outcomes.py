"""The ends of calls of four attempts, alone on an account and beside another client.

`pytest --full` runs every sequence of attempts alone, in about three minutes, and as many random
ones beside another client.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import methodcaller
from random import Random
from typing import Any, Final, NamedTuple, cast

import attrs

from arize_roles_async import (
    OutcomeUnknownError,
    Request,
    Response,
    RetryPolicy,
    RoleRenamedError,
    RolesError,
    ServerError,
    StatusError,
)
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import START

ATTEMPTS: Final = 4
Fault = tuple[Any, dict[str, Any]]
"""What `FakeAccount.fail` takes."""

RETRIED: Final[tuple[Fault, ...]] = (
    ("lost", {"when": "before"}),
    ("lost", {"when": "after"}),
    (503, {"when": "before"}),
    (503, {"when": "after"}),
    (502, {"when": "after", "page": "gateway"}),
    ("refused", {}),
)
"""Outcomes of an attempt that another one follows."""
FINAL: Final[tuple[Fault | None, ...]] = (
    None,
    (401, {}),
    (403, {}),
    (404, {"when": "before", "page": "gateway"}),
    (404, {"when": "after", "page": "gateway"}),
    (200, {"when": "before", "page": "maintenance"}),
    (200, {"when": "after", "page": "maintenance"}),
    (500, {"when": "before"}),
    (500, {"when": "after"}),
)
"""Outcomes that end a call; None is the service's own answer."""
CREATE_ALONE: Final[tuple[Fault, ...]] = ((404, {}),)
"""The cause of a 404 for a create is not stated. The service itself is not wrong about an ID."""

ROLE_ID: Final = "Um9sZTpSb2xl"
CHANGES: Final = {
    "create": methodcaller("create", name="Made", permissions=["PROJECT_READ"], description="New."),
    "update": methodcaller("update", role_id=ROLE_ID, description="New."),
    "rename": methodcaller("update", role_id=ROLE_ID, name="Made"),
    "delete": methodcaller("delete", role_id=ROLE_ID),
    "delete by name": methodcaller("delete", role="Role"),
}


class Story(NamedTuple):
    """A call, the outcomes of its attempts, and what somebody else does meanwhile."""

    change: str
    outcomes: Sequence[Fault | None]
    others: Sequence[tuple[int, str]] = ()
    """The number of a request, and what another client does just before it."""


def every_story() -> Iterator[Story]:
    """Yield every sequence of four attempts, alone on an account: 18,394 of them."""
    for change in CHANGES:
        ends = (*FINAL, *CREATE_ALONE) if change == "create" else FINAL
        for number in range(ATTEMPTS):
            for before in itertools.product(RETRIED, repeat=number):
                for last in ends:
                    yield Story(change, (*before, last))
        for outcomes in itertools.product(RETRIED, repeat=ATTEMPTS):
            yield Story(change, outcomes)


def random_story(random: Random) -> Story:
    """Return a sequence of attempts, and at random moments the changes of another client."""
    before = random.choices(RETRIED, k=random.randint(0, ATTEMPTS))
    outcomes = [*before, random.choice([*FINAL, *RETRIED])][:ATTEMPTS]
    acts = ["delete", "take", "change"]
    others = [(random.randint(1, 6), random.choice(acts)) for _ in range(2)]
    return Story(random.choice([*CHANGES]), outcomes, others)


class _Account(FakeAccount):
    """An account that notes which changes of the call it makes, and lets another client in."""

    def __init__(self, story: Story) -> None:
        super().__init__(clock=lambda: START)
        self.add_role("Role", ["PROJECT_READ"], description="Old.", id=ROLE_ID)
        self.advance(60)
        self.made = False
        self._requests = 0
        self._others = story.others
        self._operation = cast("Any", story.change.split()[0].replace("rename", "update"))
        for failure, options in filter(None, story.outcomes):
            self.fail(self._operation, failure, **options)

    def _seen(self) -> object:
        return {role.id: (role.name, role.description) for role in self.roles}

    def handle(self, request: Request) -> Response:
        self._requests += 1
        self.advance(2)
        for number, what in self._others:
            if number == self._requests:
                self._act(what)
        before = self._seen()
        try:
            return super().handle(request)
        finally:
            self.made = self.made or before != self._seen()

    def _act(self, what: str) -> None:
        found = self.role("Made") or self.role("Role")
        if what == "change" and found is not None:
            other = attrs.evolve(found, description="Theirs.", updated_at=self.now())
            self._store.put(other)
        if what == "take" and self.role("Made") is None:
            self.add_role("Made", ["DATASET_READ"])
        # Of a role that both delete nobody could say who did it.
        if what == "delete" != self._operation and found is not None:
            self._store.remove(found)


async def end_of(story: Story) -> tuple[str, bool]:
    """Run a call; return the name of its end, and whether that contradicts the account."""
    account = _Account(story)
    retry = RetryPolicy(attempts=ATTEMPTS, backoff=1e-9)
    roles = FakeRolesClient(account, timeout=None, retry=retry)
    try:
        await CHANGES[story.change](roles)
    except OutcomeUnknownError:
        return "OutcomeUnknownError", False
    except RoleRenamedError:
        return "RoleRenamedError", not account.made
    except StatusError as error:
        # The guide says so: after a gateway's answer, and after a 503 of the service.
        is_open = not error.from_service or (isinstance(error, ServerError) and error.status == 503)
        return type(error).__name__, account.made and not is_open
    except RolesError as error:
        return type(error).__name__, account.made
    return "done", not account.made


async def judge(stories: Iterable[Story]) -> tuple[Counter[str], list[Story]]:
    """Run calls; return how often each end came, and the calls whose end was not true.

    Beside another client only a create may be so, as the guide says: where the other one deletes
    its role within the call, or makes a role of its name and changes that.
    """
    ends: Counter[str] = Counter()
    wrong: list[Story] = []
    for story in stories:
        end, is_wrong = await end_of(story)
        ends[end] += 1
        acts = {what for _, what in story.others}
        is_race = "delete" in acts or acts == {"take", "change"}
        if is_wrong and not (is_race and story.change == "create"):
            wrong.append(story)
    return ends, wrong


def random_stories(number: int) -> list[Story]:
    """Return random sequences, the same each time."""
    return [random_story(Random(seed)) for seed in range(number)]  # noqa: S311 - no secret
