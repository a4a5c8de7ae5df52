"""Judges runs that declare who has which role: whatever fails, nobody gets or loses another's.

A case draws an account, places and what happens during a run: lost answers, refusals, and others
who bind, take and change roles. What each request did is held against a model that resolves names
and plans by itself.
"""

import contextlib
import random
from typing import Any, Final

import attrs

from arize_roles_async import Request, Response
from arize_roles_async.as_code import (
    ApplyError,
    BindingChange,
    Declaration,
    DeclaredPlace,
    DeclaredRole,
    PlanError,
    plan,
)
from arize_roles_async.as_code.apply import Run
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import START

BINDS: Final = {"ROLE_BINDING_CREATE", "ROLE_BINDING_DELETE"}
PEOPLE: Final = [f"{name}@example.com" for name in ("ada", "bob", "cyd", "dan", "eve", "fay")]
VERBS: Final = ["create", "update", "delete", "get", "list"]
PLACES: Final = [("ML", None), ("Ops", None), ("ML", "churn"), ("Ops", "churn")]

Held = dict[tuple[str, str], str]
"""The ID of the role that each user has on each resource, by their IDs."""


class Stage(FakeAccount):
    """An account in which others act after some requests of the run."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(clock=lambda: START, predefined=False)
        self.rng = rng
        self.acts: set[int] = set()
        self.requests = 0
        self.changes: list[tuple[Held, Held, bool]] = []
        """The bindings before and after each request of the run that changed any, and whether
        others acted just before it, which nobody can see."""
        for name, granted in {
            "Admin": sorted(BINDS),
            "Editor": ["TAG_READ"],
            "Viewer": ["ROLE_READ"],
        }.items():
            self.add_role(name, granted)
        for space, project in PLACES:
            if project is None:
                self.add_space(space)
            else:
                self.add_project(project, space=space)
        self.people = {*rng.sample(PEOPLE, 5)}
        for user in sorted(self.people):
            self.add_user(user)
        self.add_user(None, id="bot")
        self.has_twins = rng.random() < 0.1
        if self.has_twins:
            self.add_space("Ops", id="U3BhY2U6b3RoZXI=", organization="other")
        self.has_expired = PEOPLE[0] in self.people and rng.random() < 0.1
        if self.has_expired:
            self.add_user(PEOPLE[0], id="VXNlcjpvdGhlcg==", status="EXPIRED")
        for place in PLACES:
            for user in rng.sample([*PEOPLE[1:5], "bot"], rng.randint(0, 5)):
                self.people.add(user)
                self.bind(
                    rng.choice(["Admin", "Editor", "Viewer"]), user=user, resource=label(place)
                )

    def held(self) -> Held:
        return {(each.user_id, each.resource_id): each.role_id for each in self.bindings()}

    def handle(self, request: Request) -> Response:
        before = self.held()
        response = super().handle(request)
        if (after := self.held()) != before:
            self.changes.append((before, after, self.requests in self.acts))
        self.requests += 1
        if self.requests in self.acts:
            self.drift()
        return response

    def drift(self) -> None:
        """Let somebody else bind, take, or change a role."""
        bindings = self._records.bindings
        there = self.rng.choice(self.bindings() or (None,))
        if there is not None and self.rng.random() < 0.5:
            bindings.remove(there)
        elif there is not None:
            role = self.rng.choice(self.roles)
            bindings.put(attrs.evolve(there, role_id=role.id))


def label(place: tuple[str, str | None]) -> str:
    space, project = place
    return f"Space:{space}" if project is None else f"Project:{space}/{project}"


def drawn(rng: random.Random) -> Declaration:
    places: list[DeclaredPlace] = []
    for space, project in rng.sample(PLACES, rng.randint(1, 4)):
        pool = rng.sample(PEOPLE, 6)
        users = {
            pool.pop(): rng.choice(["Admin", "Admin", "Editor", "Viewer", "New"])
            for _ in range(rng.randint(0, 3))
        }
        absent = [pool.pop() for _ in range(rng.randint(0, 2))]
        only = bool(users) and rng.random() < 0.4
        place = DeclaredPlace(space=space, project=project, users=users, absent=absent, only=only)
        places.append(place)
    new = DeclaredRole(name="New", permissions=["DATASET_READ"])
    absent = ["Editor"] if rng.random() < 0.2 else []
    return Declaration(roles=[new], absent=absent, places=places)


class Case:
    """One account, one declaration, and a run of it."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - a repeatable case
        self.account = Stage(self.rng)
        anchor = self.account.role("Viewer")
        assert anchor is not None
        self.declared = attrs.evolve(drawn(self.rng), anchor=anchor.id)
        self.wrong: list[str] = []

    def wanted(self) -> dict[tuple[str, str], str | None] | None:
        """Return the role that each user should have where, by the model; None for a misfit."""
        wanted = dict[tuple[str, str], str | None]()
        for place in self.declared.places:
            of_place = self.wanted_on(place)
            if of_place is None or (self.account.has_twins and place.space == "Ops"):
                return None
            wanted |= of_place
        return wanted

    def wanted_on(self, place: DeclaredPlace) -> dict[tuple[str, str], str | None] | None:
        account, wanted = self.account, dict[tuple[str, str], str | None]()
        resource = account.id(label((place.space, place.project)))
        names = {role.id: role.name for role in account.roles}
        there = {key[0]: names[role] for key, role in account.held().items() if key[1] == resource}
        named = {**place.users, **dict.fromkeys(place.absent)}
        if PEOPLE[0] in named and account.has_expired:
            return None
        if {*place.users.values()}.intersection(self.declared.absent):
            return None
        for user in account.people.intersection(named):
            wanted[account.id(user), resource] = named[user]
        if place.only and account.people.issuperset(place.users):
            for user_id in there.keys() - {account.id("bot")}:
                wanted.setdefault((user_id, resource), None)
        after = {**there, **{user_id: role or "" for (user_id, _), role in wanted.items()}}
        is_locked = "Admin" in there.values() and "Admin" not in after.values()
        return None if is_locked else wanted

    async def judge(self) -> list[str]:
        account, client = self.account, FakeRolesClient(self.account)
        wanted, before = self.wanted(), account.held()
        try:
            planned = await plan(client, self.declared)
        except PlanError as error:
            return [] if wanted is None else [f"refused: {error}"]
        if wanted is None:
            return [f"not refused: {planned}"]
        names = {role.id: role.name for role in account.roles}
        differs = {
            key: role for key, role in wanted.items() if names.get(before.get(key, "")) != role
        }
        told = {
            (each.user_id, each.resource_id): each.after
            for p in planned.places
            for each in p.changes
        }
        self.expect(told == differs, f"it planned {told} instead of {differs}")
        self.plan_trouble()
        account.requests, account.changes = 0, []
        run = Run(client, planned)
        with contextlib.suppress(ApplyError):
            await run.finish()
        made = self.judge_requests(differs, before)
        result, held = run.result, account.held()
        names = {role.id: role.name for role in account.roles}
        for each in () if account.acts else result.made:
            if isinstance(each, BindingChange):
                role = names.get(held.get((each.user_id, each.resource_id), ""))
                self.expect(role == each.after, f"{each} is reported as made")
        for each in (*result.not_reached, *(refused.change for refused in result.refused)):
            if isinstance(each, BindingChange):
                key = each.user_id, each.resource_id
                self.expect(key not in made, f"{each} is reported as not made")
        account.acts = set()
        account.clear_faults()
        await self.judge_next_run(client)
        return self.wrong

    def expect(self, holds: bool, what: str) -> None:  # noqa: FBT001
        if not holds:
            self.wrong.append(what)

    def plan_trouble(self) -> None:
        rng, account = self.rng, self.account
        for _ in range(rng.randint(0, 2)):
            fault: Any = rng.choice([403, 404, 409, 500, 502, 503, "lost", "lost", "silent", 429])
            when: Any = (
                rng.choice(["before", "after"]) if fault not in {403, 404, 409, 429} else "before"
            )
            operation: Any = f"role_bindings.{rng.choice(VERBS)}"
            times = rng.choice([1, 1, 3])
            account.fail(operation, fault, when=when, times=times, skip=rng.randint(0, 1))
        if rng.random() < 0.5:
            account.acts = {rng.randint(1, 12) for _ in range(2)}

    def judge_requests(
        self, differs: dict[tuple[str, str], str | None], planned: Held
    ) -> set[tuple[str, str]]:
        """Judge each change of a binding by the run, and return whose roles it changed."""
        made = set[tuple[str, str]]()
        for before, after, is_unseen in self.account.changes:
            names = {role.id: role.name for role in self.account.roles}
            for key in {key for key, _ in before.items() ^ after.items()}:
                made.add(key)
                role = names.get(after.get(key, ""))
                is_asked = key in differs and differs[key] == role
                is_planned = before.get(key) == planned.get(key) or is_unseen
                self.expect(is_planned, f"{key} was not as the plan saw it: {before.get(key)}")
                self.expect(is_asked, f"{key} got {role}, where {differs} was asked for")
        return made

    async def judge_next_run(self, client: FakeRolesClient) -> None:
        """Without trouble, one more run makes the account as declared."""
        wanted = self.wanted()
        if wanted is None or self.account.role("Viewer") is None:
            return
        run = Run(client, await plan(client, self.declared))
        with contextlib.suppress(ApplyError):
            await run.finish()
        # A role that is to go may have users on places that nobody declares.
        left = [each for each in run.result.refused if not each.is_blocked]
        self.expect(not left and run.result.failed is None, f"next, it ended in {run.result}")
        again = await plan(client, self.declared)
        changes = [each for place in again.places for each in place.changes]
        self.expect(not changes, f"after it there was {again}")
