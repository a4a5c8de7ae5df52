"""Judges `arize-roles apply`: random accounts and files, and whatever may happen during a run.

A case runs the command on a folder of files and folders, while requests fail or are refused, a
gateway answers, others change roles, bindings, users and spaces or apply a file of their own, the
key sees only a part, and signals arrive, mostly in the waits between two attempts. Some plans were
reviewed, and the account has changed since; some files are another account's. What the run said and
what its requests did is held against a model that plans by itself. Whatever fails, nobody gets a
right, or loses one, that the files do not say.
"""

import asyncio
import contextlib
import io
import itertools
import json
import random
import re
import signal
import tempfile
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs

from arize_roles_async import Permission, Request, Response, Role, RolesError, as_code
from arize_roles_async.__main__ import main as arize_roles
from arize_roles_fake import FakeAccount, FakeRolesClient, mock_arize
from arize_roles_fake._testing.fault_rules import WHOLE
from arize_roles_fake._testing.faults import reply_of
from tests.as_code.accounts import content, ended
from tests.support.clients import START
from tests.tools.as_code_model import (
    BINDS,
    EVERY,
    KINDS,
    Key,
    Planned,
    State,
    Step,
    as_step,
    planned,
    visible,
)

OURS, THEIRS = "ours-4711", "theirs-4712"
PERMISSIONS: Final = ["DATASET_READ", "PROJECT_READ", "ROLE_READ", "TAG_READ"]
PEOPLE: Final = [f"{name}@example.com" for name in ("ada", "bob", "cyd", "dan", "eve", "fay")]
PLACES: Final = {
    ("ML", None): "Space:ML",
    ("Ops", None): "Space:Ops",
    ("ML", "churn"): "Project:ML/churn",
    ("Ops", "churn"): "Project:Ops/churn",
}
"""The label of each space and project."""
TWIN: Final = "U3BhY2U6b3RoZXI="
"""The ID of a second space with a name."""
WRITES: Final[tuple[Any, ...]] = (
    *("create", "update", "delete"),
    *("role_bindings.create", "role_bindings.update", "role_bindings.delete"),
)
READS: Final[tuple[Any, ...]] = ("get", "list", "role_bindings.get", "role_bindings.list")
REFUSALS: Final = {400, 403, 404, 409, 422}
"""The statuses that stop one change."""
TROUBLES: Final = [
    *("fault", "fault", "outage", "outage", "drift", "second", "signal", "signals"),
    *6 * ["refusal", "wait"],
]


@attrs.define
class Entry:
    """A request of the run under judgement, and what it did."""

    method: str
    key: Key | None
    """What it is about; None for a list, other than of a user's bindings."""
    status: int
    before: State
    after: State
    is_answered: bool
    time: datetime
    retry_after: float
    """Seconds for which the answer says to wait, if it is a 503."""
    kind: str
    """What it lists."""

    @property
    def effect(self) -> Step | None:
        """What it changed; None if it changed nothing."""
        changed = (key for key, _ in self.before.items() ^ self.after.items() if key[0] in KINDS)
        return next((Step(key, self.before.get(key), self.after.get(key)) for key in changed), None)

    @property
    def about(self) -> tuple[str, Key | None]:
        return self.method, self.key

    def is_list(self) -> bool:
        return self.method == "GET" and self.key is None


class Stage(FakeAccount):
    """An account that writes down what the run under judgement does, and lets things happen."""

    def __init__(self, rng: random.Random) -> None:
        ticks = itertools.count()
        super().__init__(api_key=OURS, clock=lambda: START + timedelta(microseconds=next(ticks)))
        self.add_key(THEIRS)
        self.rng = rng
        self.names = [f"Role {n}" for n in range(12)] if rng.random() < 0.4 else [*"ABCDEFGH"]
        for name in rng.sample(self.names, rng.randint(len(self.names) // 3, len(self.names))):
            described, permissions = rng.choice([None, "One"]), rng.sample(PERMISSIONS, 4)
            binds = sorted(BINDS) if rng.random() < 0.2 else []
            granted = [*permissions[: rng.randint(1, 4)], *binds]
            self.add_role(name, granted, description=described)
        self.has_people = rng.random() < 0.8
        if self.has_people:
            self.add_people()
        self.entries: list[Entry] = []
        self.events: dict[int, str] = {}
        """What happens after requests, by their numbers."""
        self.theirs = as_code.Declaration()
        """What somebody else applies."""
        self.born: dict[str, datetime] = {}
        self.called: set[tuple[str, str]] = set()
        """Each ID of a role with each name that it had."""
        self.bound: dict[str, Key] = {}
        """What each role binding is about, by its ID."""
        self.has_drifted = False
        self.in_wait: list[str] = []
        """What happens while the run waits for an answer, or for its next attempt, and when."""
        self.wait_before = timedelta(0)
        self.due: datetime | None = None
        self.is_watched = False
        self.ended_at: int | None = None
        """The number of requests when the run was to end; one may be under way."""
        self.is_cancelled = False
        """True if a second signal ended it at once, so that an answer may not have come."""
        self.is_stopped_in_wait = False

    def add_people(self) -> None:
        rng = self.rng
        for space, project in PLACES:
            self.add_space(space)
            if project:
                self.add_project(project, space=space)
        for user in rng.sample(PEOPLE, 5):
            self.add_user(user)
        self.add_user(None, id="bot")
        if rng.random() < 0.06:
            self.add_space("Ops", id=TWIN, organization="other")
        if rng.random() < 0.06:
            self.add_user(PEOPLE[0], id="VXNlcjpvdGhlcg==", status="EXPIRED")
        for place in PLACES.values():
            for user in rng.sample([*PEOPLE[1:], "bot"], rng.randint(0, 5)):
                self.bind(rng.choice(self.custom()), user=user, resource=place)

    def custom(self) -> list[Role]:
        return [role for role in self.roles if not role.is_predefined]

    def state(self) -> State:
        self.born |= {role.id: role.created_at for role in self.roles}
        self.called |= {(role.id, role.name) for role in self.roles}
        records = self._records
        state: State = {("roles", role.id): content(role) for role in self.custom()}
        for each in self.bindings():
            self.bound[each.id] = (str(each.resource_type), each.user_id, each.resource_id)
            state[self.bound[each.id]] = each.role_id
        for user in records.users.in_order():
            if user.email and user.id not in records.blocked:
                state["users", user.id] = user.email
        state |= {("spaces", each.id): each.name for each in records.spaces.in_order()}
        for project in records.projects.in_order():
            state["projects", project.id] = (project.name, project.space_id)
        return state

    def handle(self, request: Request) -> Response:
        if not self.is_watched or request.headers.get("Authorization") != f"Bearer {OURS}":
            return super().handle(request)
        number, self.due = len(self.entries), None
        before = self.state()
        reply = reply_of(super().handle(request))
        seconds = float(reply.headers.get("Retry-After", 0)) if reply.status == 503 else 0.0
        seen = (reply.status, before, self.state(), reply.delivery is WHOLE, self.now(), seconds)
        call = self.calls[-1]
        listed = {"list": "roles"}.get(call.operation, call.operation.removesuffix(".list"))
        kind = call.arguments.get("resource_type", listed)
        key = self.key_of(call.operation, call.arguments)
        self.entries.append(Entry(request.method, key, *seen, kind=kind))
        if number in self.events:
            self.let_happen(self.events[number])
        if self.in_wait and not self.entries[-1].is_list():
            self.due = self.now() + self.wait_before * reply.delivery.ends
        return reply

    def key_of(self, operation: str, given: Mapping[str, Any]) -> Key | None:
        """Return what a call is about."""
        if "binding_id" in given:
            return self.bound[given["binding_id"]]
        if operation == "role_bindings.create":
            return given["resource_type"], given["user_id"], given["resource_id"]
        if "role_id" in given or operation == "create":
            return ("roles", given["role_id"]) if "role_id" in given else ("new", given["name"])
        # A look at the bindings of a user is about the place of the request before.
        return self.entries[-1].key if "user_id" in given else None

    def advance(self, seconds: float) -> None:
        """Let time pass, and before that what happens in a wait for an answer or an attempt."""
        if self.is_watched and self.due is not None and self.now() >= self.due:
            self.due, event = None, self.in_wait.pop()
            is_refused = self.entries[-1].status in {429, 503} and self.entries[-1].is_answered
            # A request that waits for its turn under a limit is one that was begun.
            self.is_stopped_in_wait = event[:6] == "signal" and is_refused
            self.let_happen(event)
        super().advance(seconds)

    def let_happen(self, event: str) -> None:
        self.has_drifted |= event in {"drift", "second"}
        if event == "drift":
            self.drift()
        elif event == "second":
            thread = threading.Thread(target=self.apply)
            thread.start()
            thread.join()
        else:
            self.ended_at, self.is_cancelled = len(self.entries), event == "signals"
            for each in [signal.SIGTERM, signal.SIGINT][: 1 + self.is_cancelled]:
                signal.raise_signal(each)

    def apply(self) -> None:
        """Apply what somebody else declares."""
        with contextlib.suppress(RolesError):
            asyncio.run(ended(FakeRolesClient(self, api_key=THEIRS), self.theirs))

    def drift(self, *names: str) -> None:
        """Let somebody else change something; faults are for the run's own requests."""
        is_many = self.has_people and not names
        for _ in range(self.rng.randint(1, 6) if is_many else 1):
            if is_many and self.rng.random() < 0.6:
                self.drift_of_people()
            else:
                self.drift_of_role(self.rng.choice(names or self.names))

    def drift_of_people(self) -> None:
        """Let somebody bind, take, or change a role, a user come or go, or a space be renamed."""
        rng, bindings = self.rng, self._records.bindings
        user, place = rng.choice(PEOPLE), rng.choice([*PLACES.values()])
        action = rng.choice(["take", "change", "change", "bind", "bind", "come", "go", "rename"])
        there = rng.choice(self.bindings() or (None,)) if action in {"take", "change"} else None
        with contextlib.suppress(ValueError, LookupError):
            role = rng.choice(self.custom())
            if there and action == "take":
                bindings.remove(there)
            elif there:
                bindings.put(attrs.evolve(there, role_id=role.id))
            elif action == "bind":
                self.bind(role, user=user, resource=place)
            elif action == "come":
                self.add_user(user)
            elif action == "go":
                self.block_user(user)
            elif action == "rename":
                name, space = rng.choice(["ML", "Ops", "New"]), rng.choice(["ML", "Ops"])
                self.add_space(name, id=f"Space:{space}")

    def drift_of_role(self, name: str) -> None:
        role, other, roles = self.role(name), self.rng.choice(self.names), self._records.roles
        action = self.rng.choice(["create", "rename", "give", "take", "delete", "replace"])
        if role is None:
            if action == "create":
                self.add_role(name, ["ROLE_READ"])
            return
        held = role.permissions or ()
        if action == "give":
            given = tuple({*held, Permission.TAG_READ, Permission.PROJECT_READ})
            roles.put(attrs.evolve(role, permissions=given, description="Theirs."))
        elif action == "take":
            roles.put(attrs.evolve(role, permissions=held[1:] or held))
        elif action == "rename" and (taken := self.role(other)):
            # They exchange their names.
            for each, called in ((taken, "Between"), (role, other), (taken, name)):
                roles.put(attrs.evolve(each, name=called))
        elif action == "rename":
            roles.put(attrs.evolve(role, name=other))
        elif action != "create" and not self.bindings(role):
            roles.remove(role)
            if action == "replace":
                self.add_role(name, held, description=role.description)


def drawn(account: Stage, anchor: str | None = None) -> as_code.Declaration:
    """Return what somebody declares of an account; nobody else loses a role without an anchor."""
    rng = account.rng
    held = {each[0]: each for key, each in account.state().items() if key[0] == "roles"}
    pool = rng.sample(account.names, rng.randint(0, len(account.names) // rng.choice([1, 1, 3])))
    is_new = rng.random() < 0.2  # It only creates: what is there stays.
    absent = [pool.pop() for _ in range(0 if is_new else min(len(pool), rng.randint(0, 2)))]
    roles: list[as_code.DeclaredRole] = []
    while pool:
        name = pool.pop()
        former = [pool.pop() for _ in range(min(len(pool), rng.random() < 0.3 * (not is_new)))]
        described = rng.choice([None, None, "One", "Two"])
        permissions = rng.sample(PERMISSIONS, rng.randint(1, 3))
        permissions += sorted(BINDS) if rng.random() < 0.2 else []
        if name in held and (is_new or rng.random() < 0.4):
            _, described, kept = held[name]
            permissions = sorted(kept)[: None if is_new else rng.randint(1, len(kept))]
        role = as_code.DeclaredRole(name=name, description=described, permissions=permissions)
        roles.append(attrs.evolve(role, previously=former))
    gone = {*absent, *(name for role in roles for name in role.previously)}
    names = [name for name in held if name not in gone] + 2 * [role.name for role in roles]
    has_places = account.has_people and rng.random() < 0.8 and names
    places = drawn_places(rng, names, 0.4 * bool(anchor)) if has_places else ()
    return as_code.Declaration(roles=roles, absent=absent, places=places, anchor=anchor)


def drawn_places(
    rng: random.Random, names: list[str], only_in: float
) -> list[as_code.DeclaredPlace]:
    places: list[as_code.DeclaredPlace] = []
    for space, project in rng.sample([*PLACES], rng.randint(1, 4)):
        pool = rng.sample(PEOPLE, 6)
        users = {pool.pop(): rng.choice(names) for _ in range(rng.randint(0, 5))}
        absent = [pool.pop() for _ in range(min(len(pool), rng.randint(0, 2)))]
        only = bool(users) and rng.random() < only_in
        place = as_code.DeclaredPlace(space=space, project=project, users=users, absent=absent)
        places.append(attrs.evolve(place, only=only))
    return places


class Case:
    """One account, one declaration, and a run of it."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)  # noqa: S311 - a repeatable case
        self.account = account = Stage(rng)
        ties = ["none", "any", "any", "label", "anchor", "other"]
        self.tie = rng.choice([*ties, *9 * ["anchor"]] if account.has_people else ties)
        """What ties the files to an account; `any` is the option."""
        oldest = next(key[1] for key in account.state() if key[0] == "roles")
        anchors = {"anchor": oldest, "other": "Um9sZTpvdGhlcg=="}
        self.declared = attrs.evolve(
            drawn(account, anchors.get(self.tie)),
            undeclared=rng.choice([None, None, "ignore"]),
            account="staging" if self.tie == "label" else None,
        )
        self.lacking: dict[str, frozenset[str]] = {}
        """The permissions that the key lacks on some places, by their IDs."""
        if self.declared.places and rng.random() < 0.25:
            self.lack()
        self.wrong: list[str] = []
        self.is_quiet = not self.lacking and rng.random() < 0.25
        """Nothing happens during the run, but an outage that a call waits out."""
        self.outages = 0
        self.is_round = False
        """The changes wait for each other."""

    def lack(self) -> None:
        """Let the key see, or change, a part of the places."""
        places = [self.account.id(label) for label in PLACES.values()]
        choices = [EVERY, *(frozenset({each}) for each in sorted(EVERY))]
        self.lacking = {each: self.rng.choice(choices) for each in self.rng.sample(places, 2)}
        self.lacking[TWIN] = EVERY
        changes = ("READ", "CREATE", "UPDATE", "DELETE")
        granted = ["USER_READ", *(f"ROLE_{each}" for each in changes)]
        on = {each: EVERY - self.lacking.get(each, frozenset()) for each in places}
        self.account.add_key(OURS, grants=granted, on=on)

    def expect(self, holds: object, what: str) -> None:
        if not holds:
            self.wrong.append(what)

    def judge(self) -> list[str]:
        """Run the case and return what was wrong with it."""
        reviewed = self.review() if self.rng.random() < 0.3 else None
        if not self.is_quiet:
            troubles = self.rng.randint(1, 2)
            for _ in range(troubles):
                self.plan_trouble()
            self.is_quiet = self.outages == troubles == 1 and not self.lacking
        self.judge_run(reviewed)
        self.judge_next_run()
        return self.wrong

    def expected(self, state: State) -> Planned | None:
        return planned(self.declared, state, self.account.born)

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Return the status of a command and what it prints."""
        output = io.TextIOWrapper(io.BytesIO())
        bare = attrs.evolve(self.declared, roles=(), places=())
        texts = [bare.to_toml()]
        texts += [as_code.Declaration(roles=[role]).to_toml() for role in self.declared.roles]
        for place in self.declared.places:
            alone = as_code.Declaration(places=[place], anchor=bare.anchor).to_toml()
            texts += self.with_team(alone[alone.index("[") :], f"t{len(texts)}")
        with (
            tempfile.TemporaryDirectory() as folder,
            mock_arize(self.account, unused_faults="allow"),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            (Path(folder) / "a/b").mkdir(parents=True)
            for n, text in enumerate(texts):
                below = Path(folder) / self.rng.choice([".", "a", "a/b"])
                (below / f"{n}.toml").write_bytes(self.as_written(text).encode())
            status = arize_roles([*arguments, "--format=json", folder])
        output.seek(0)
        result = json.load(output)
        self.is_round = "wait for each other" in str(result.get("errors"))
        return status, result

    def with_team(self, text: str, team: str) -> list[str]:
        """Return the text of a place, perhaps with a team of all its users of one role."""
        users = re.findall(r'(?m)^users\."(.+)" = "(.+)"$', text)
        if not users or self.rng.random() < 0.5:
            return [text]
        role = self.rng.choice(users)[1]
        members = [user for user, has in users if has == role]
        for each in members:
            text = text.replace(f'users."{each}" = "{role}"\n', "")
        head, _, rest = text.partition("\n")
        return [f"[teams]\n{team} = {members}\n", f'{head}\nusers."{team}" = "{role}"\n{rest}']

    def as_written(self, text: str) -> str:
        """Return the text of a file, as any editor writes it."""
        if self.rng.random() < 0.5:
            text = re.sub(r'(roles|spaces)\."([A-Za-z0-9 ]+)"', r"'\1' . '\2'\t", text)
        elif self.rng.random() < 0.5:
            text = re.sub(r"(?m)^(\w+) = ", r'"\1"\t=\t', text)
        text = text.replace("\n", self.rng.choice(["\n", "\r\n"]))
        return self.rng.choice(["", "\ufeff"]) + self.rng.choice([text, text.rstrip()])

    def apply(self, checksum: str | None = None) -> dict[str, Any] | None:
        """Return the result of a run; None if it refused to begin."""
        options = [f"--checksum={checksum}"] if checksum else ["--yes", "--max-removals=100%"]
        options += ["--any-account"] * (self.tie == "any")
        status, result = self.run("apply", *options)
        is_whole = result["reason"] is None and not result["refused"]
        is_tried = bool(result["made"] or result["refused"] or result["failed"])
        expected = 0 if is_whole else 2 + is_tried
        self.expect(status == expected, f"the status is {status}, with {result}")
        is_stopped = self.account.is_watched and self.account.ended_at is not None and expected > 0
        kind = result["kind"]
        self.expect((kind == "StoppedError") == is_stopped, f"its kind is {kind}")
        return None if status == 2 and not result["failed"] else result

    def review(self) -> tuple[Planned, str] | None:
        """Plan, as somebody would who reviews it, and let the account change afterwards."""
        before = self.account.state()
        expected = self.expected(visible(before, self.lacking))
        status, plan = self.run("plan")
        self.expect(self.account.state() == before, "a plan changed something")
        is_misfit = expected is None or self.is_round
        self.expect((status > 0) == is_misfit, f"there is no plan of {expected}, or one: {plan}")
        if expected is None or status:
            return None
        touched = {*expected[1], *(step.key[1] for step in expected[0])}
        listed = before if self.declared.undeclared is None else State()
        others = {v[0] for key, v in listed.items() if key[0] == "roles" and key[1] not in touched}
        self.expect({*plan["undeclared"]} == others, f"not declared: {others}")
        if self.rng.random() < 0.5:
            self.account.drift(*(s.before[0] for s in expected[0] if s.is_role and s.before))
        return expected, plan["checksum"]

    def plan_trouble(self) -> None:
        rng, account, places = self.rng, self.account, self.declared.places
        kind = rng.choice([*TROUBLES, *12 * ["drift"]] if places else TROUBLES)
        if kind == "refusal":
            names = [*(role.name for role in self.declared.roles), *self.declared.absent, "A"]
            people = [*PEOPLE, *PLACES.values()] if account.has_people else names
            for change in WRITES:
                status = rng.choice([400, 403, 409, 422])
                about = rng.choice(people if change.startswith("role_bindings") else names)
                account.fail(change, status, about=about, times=None)
        elif kind == "fault":
            fault: Any = rng.choice([403, 409, *2 * [500, 502, 503, "lost", "silent"]])
            when: Any = "before" if fault in {403, 409} else rng.choice(["before", "after"])
            writes = WRITES if account.has_people else WRITES[:3]
            operation: Any = rng.choice(["create", *READS, *writes])
            times, skip = rng.choice([1, 3]), rng.randint(0, 3)
            account.fail(operation, fault, when=when, skip=skip, times=times)
            if operation == "create":  # So that nothing shows whether it was made.
                account.fail("list", 500, skip=1, times=3)
        elif kind == "outage":
            # Of writes, for longer than each says, and over before the last attempt.
            self.outages += 1
            for change in WRITES:
                account.fail(change, 503, retry_after=rng.choice([1, 3, 5]), times=2)
        elif kind == "wait":
            fault, after = rng.choice([429, 429, 503, "silent"]), rng.choice([None, 1, 8])
            options: Any = {"when": "after"} if fault == "silent" else {"retry_after": after}
            skip = rng.randint(1, 10 if places else 3)
            account.fail("any", fault, skip=skip, **options)
            account.in_wait = [rng.choice(["drift", "signal", "signals"])]
            account.wait_before = timedelta(seconds=rng.choice([0.0, 0.15, 0.6, 1.5]))
        else:
            account.theirs = self.declared if rng.random() < 0.5 else drawn(account)
            account.events[rng.randint(0, rng.choice([4, 12])) + 3 * bool(places)] = kind

    def judge_run(self, reviewed: tuple[Planned, str] | None) -> None:
        account = self.account
        account.is_watched = True
        result = self.apply(reviewed[1] if reviewed else None)
        account.is_watched = False
        expected = self.expected(self.seen())
        is_fit = reviewed[0] == expected if reviewed else self.tie not in {"none", "label"}
        if result is None:
            is_able = expected and is_fit and self.is_quiet and not self.is_round
            self.expect(not is_able, "it was refused")
            effects = [*filter(None, (entry.effect for entry in account.entries))]
            self.expect(not effects, f"a refused run changed something: {effects}")
        elif expected is None or not is_fit:
            self.wrong.append(f"it was not refused, with {reviewed}")
        else:
            self.judge_result(result, expected[0])

    def seen(self) -> State:
        """Return what the run saw as it planned, by one walk a kind."""
        seen = State()
        for entry in itertools.takewhile(Entry.is_list, self.account.entries):
            if entry.is_answered and entry.status == 200:
                shown = visible(entry.before, self.lacking)
                seen = {key: each for key, each in seen.items() if key[0] != entry.kind}
                seen |= {key: each for key, each in shown.items() if key[0] == entry.kind}
        return seen

    def judge_result(self, result: dict[str, Any], wanted: list[Step]) -> None:
        refused = {as_step(each["change"]): each["is_blocked"] for each in result["refused"]}
        done, skipped = ([*map(as_step, result[each])] for each in ("made", "not_reached"))
        failed = [as_step(result["failed"])] if result["failed"] else []
        steps = [*done, *refused, *failed, *skipped]
        self.expect(sorted(steps, key=str) == wanted, f"it told of {steps}")
        self.expect(not skipped or not self.is_quiet, f"a quiet run failed: {result}")
        is_whole = result["reason"] is None and not refused
        self.expect(is_whole == (len(done) == len(steps)), f"it is done? {result}")
        made = self.judge_requests(steps)
        for step in steps:
            about = [e for e in self.account.entries if e.key == step.key]
            if step in refused:
                self.expect(step not in made, f"{step} is reported as refused")
                self.judge_refused(step, about, is_blocked=refused[step])
            elif step in done:
                is_theirs = self.was_made_by_others(step, about)
                self.expect(step in made or is_theirs, f"{step} is reported as made")
            elif step in skipped:
                self.expect(step not in made, f"{step} is reported as not reached")
            elif result["may_have_been_made"]:
                sent = [e for e in about if e.method != "GET"]
                is_sure = all(e.is_answered and e.status in {401, 429, *REFUSALS} for e in sent)
                self.expect(self.account.is_cancelled or not is_sure, f"{step} is reported as open")
            else:
                # With a 503 the service says that it did nothing, and the client trusts it.
                is_denied = any(e.effect and e.status == 503 for e in about)
                self.expect(is_denied or step not in made, f"{step} is reported as not made")
                # What has the name of a create that was refused may not be found.
                last = self.account.entries[-1]
                is_refusal = last.is_answered and last.status in REFUSALS and about[-1:] == [last]
                is_right = self.account.is_cancelled or not is_refusal
                self.expect(is_right, f"{step} was refused, and stopped the run")
        for step in skipped:
            is_bound = any(map(step.may_need, [*refused, *skipped]))
            self.expect(result["reason"] or is_bound, f"{step} was left out")
        if (at := self.account.ended_at) is not None:
            self.judge_end(self.account.entries[at - 1], self.account.entries[at:])

    def judge_requests(self, steps: list[Step]) -> list[Step]:
        """Judge what each request did, and return the steps that were made."""
        made: list[Step] = []
        is_of_roles = all(step.is_role for step in steps)
        for number, entry in enumerate(self.account.entries):
            same = [e for e in self.account.entries[:number] if e.about == entry.about]
            is_early = same and entry.time < same[-1].time + timedelta(seconds=same[-1].retry_after)
            self.expect(not is_early, f"{entry} did not wait as long as {same[-1:]} says")
            if (effect := entry.effect) is None:
                continue
            step = next((step for step in steps if entry.key == step.key), None)
            if step is None:
                self.wrong.append(f"it changed what is no change's: {effect}")
                continue
            self.expect(step not in made or not step.before, f"it made {step} twice")
            in_order = not is_of_roles or not made or step.place >= made[-1].place
            self.expect(in_order, f"{step} came too early")
            if step.before is not None:
                looked = self.looked_before(number)
                self.expect(looked, f"{step} was made without a look")
                self.expect(not looked or step.before in looked, f"{step} was made of {looked}")
            is_right = self.is_equal(effect.after, step.merged(effect.before))
            self.expect(is_right, f"{step} made {effect.before} to {effect.after}")
            self.judge_rights(step, entry, [each for each in steps if each not in made])
            made.append(step)
        return made

    def looked_before(self, number: int) -> list[Any]:
        """Return what the looks just before a request found of what it changes."""
        key, earlier = self.account.entries[number].key, reversed(self.account.entries[:number])
        looks = itertools.takewhile(lambda each: each.about == ("GET", key), earlier)
        return [key and look.before.get(key) for look in looks]

    def is_equal(self, value: Any, wanted: Any) -> bool:  # noqa: ANN401 - values of a state
        """Return whether values are equal; a role that the run creates stands there by its name."""
        return value == wanted or (value, wanted) in self.account.called

    def judge_rights(self, step: Step, entry: Entry, left: list[Step]) -> None:
        """Judge whether a change gives somebody more than is declared, or leaves nobody to bind."""
        if not step.is_role and step.after:
            late = [each for each in left if each.key == ("roles", step.after)]
            has = entry.before.get(("roles", step.after), ("", None, frozenset[str]()))[2]
            excess = [each for each in late if each.after and has - each.after[2]]
            self.expect(not excess, f"{step} gave {has}, before {excess}")
        if step.gives:
            users = [each for each in left if not each.is_role and each.before == step.key[1]]
            late = [each for each in users if entry.before.get(each.key) == each.before]
            self.expect(not late, f"{step} gave to users before {late}")
        if not (self.account.has_drifted or self.lacking):
            lost = self.binders(entry.before).keys() - self.binders(entry.after)
            places = {each.key[2] for each in [step, *left] if not each.is_role}
            self.expect(places.isdisjoint(lost), f"{step} left {lost} with nobody who may bind")

    @staticmethod
    def binders(state: State) -> dict[str, str]:
        """Return who may bind, for each place where somebody may."""
        return {
            key[2]: key[1]
            for key, role in state.items()
            if key[0] in {"SPACE", "PROJECT"} and state["roles", role][2] >= BINDS
        }

    def judge_refused(self, step: Step, about: list[Entry], *, is_blocked: bool) -> None:
        """Judge a refusal, by its requests; what it should have given is not taken."""
        last, *sent = about[-1], *(each for each in about if each.method != "GET")
        is_drift = last.before.get(step.key) != step.before
        is_refused = REFUSALS.intersection(each.status for each in (last, *sent[-1:]))
        self.expect(is_refused or is_drift, f"{step} was not refused: {last}")
        is_conflict = step.is_role and (last.method, last.status) == ("DELETE", 409)
        self.expect(is_blocked == is_conflict, f"{step} is blocked, or not")
        for entry in self.account.entries[self.account.entries.index(last) :]:
            taken = entry.effect.takes if entry.effect else ()
            self.expect(step.gives.isdisjoint(taken), f"{entry} took what {step} had to give")

    def judge_end(self, last: Entry, sent: list[Entry]) -> None:
        """Judge what was sent after a signal that came with the last request before."""
        if self.account.is_stopped_in_wait:
            self.expect(not sent, f"it sent {sent} after it was stopped")
        # After an answer that ends a change, the next one may already wait for its turn.
        is_over = last.status < 300 or last.status in REFUSALS
        begun = [last, *sent[:1]] if last.is_answered and is_over else [last]
        allowed = {each.about for each in begun}
        # A change whose answer does not show its outcome is looked up by the client.
        allowed |= {("GET", None if key and key[0] == "new" else key) for _, key in [*allowed]}
        others = {each.about for each in sent} - allowed
        self.expect(not others, f"after it was stopped it sent {others}")

    def was_made_by_others(self, step: Step, about: list[Entry]) -> bool:
        if step.key[0] == "new":
            return any(step.after in e.before.values() for e in self.account.entries)
        return bool(about) and self.is_equal(about[-1].before.get(step.key), step.after)

    def judge_next_run(self) -> None:
        """Without trouble, the next run makes the account as declared and leaves the rest."""
        account = self.account
        account.clear_faults()
        account.add_key(OURS)
        self.lacking = {}
        before = account.state()
        expected = self.expected(before)
        self.tie = "any" if self.tie in {"none", "label"} else self.tie
        result = self.apply()
        after = account.state()
        if expected is None or self.is_round:
            self.expect(result is None and after == before, f"a misfit ended in {result}")
            return
        if result is None or result["reason"]:
            self.wrong.append(f"next, it ended in {result}")
            return
        # A role that is to go may have users whom nobody declares.
        kept = [as_step(each["change"]) for each in result["refused"] if each["is_blocked"]]
        self.expect(len(kept) == len(result["refused"]), f"next, it ended in {result}")
        made = {value[0]: key for key, value in after.items() if key[0] == "roles"}
        wanted = before | {
            made.get(step.key[1], step.key): made.get(step.after, (None, step.after))[1]
            for step in expected[0]
            if step not in kept
        }
        wanted = {key: value for key, value in wanted.items() if value is not None}
        self.expect(after == wanted, f"the next run made {after.items() ^ wanted.items()}")
        status, plan = self.run("plan")
        is_fit = self.expected(after) is not None  # The anchor may be what was deleted.
        parts = [] if status else [plan, *plan.get("places", ())]
        left = [as_step(change) for part in parts for change in part["changes"]]
        self.expect((status == 0) == is_fit, f"after it there was {plan}")
        self.expect(not is_fit or {*left} == {*kept}, f"after it there was a plan: {plan}")
