"""Judges `arize-roles apply`: random accounts and files, and whatever may happen during a run.

A case runs the command on a file, or on a folder of files and folders, while requests fail or are
refused, a gateway answers, others change roles or apply a file of their own, users have roles, and
signals arrive, mostly in the waits between two attempts. Some plans were reviewed, and the account
has changed since; some files are another account's. What the run said and what its requests did is
held against a model that plans by itself.
"""

import asyncio
import contextlib
import io
import itertools
import json
import random
import signal
import tempfile
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast
from unittest.mock import patch
from urllib.parse import unquote

import attrs
import msgspec

from arize_roles_async import Permission, Request, Response, RolesError, as_code
from arize_roles_async.__main__ import main as arize_roles
from arize_roles_fake import FakeAccount, FakeRolesClient, mock_arize
from arize_roles_fake._testing.faults import reply_of
from tests.as_code.accounts import content, ended
from tests.support.clients import START

OURS, THEIRS = "ours-4711", "theirs-4712"
HOST: Final = "api.arize.com"
NAMES: Final = [*"ABCDEFGH"]
MANY: Final = [f"Role {n}" for n in range(12)]
PERMISSIONS: Final = ["DATASET_READ", "PROJECT_READ", "ROLE_READ", "TAG_READ"]
SIGNALS: Final = [signal.SIGTERM, signal.SIGINT]
"""A shell has what it runs in the background ignore the second one."""
CHANGES: Final[tuple[Any, ...]] = ("create", "update", "delete")
REFUSALS: Final = {400, 403, 404, 409, 422}
"""The statuses that stop one change."""
FAULTS: Final[list[tuple[Any, Any]]] = [
    *((status, "before") for status in (403, 409, 500, 502, 503, "lost", "silent")),
    *((status, "after") for status in (500, 502, 503, "lost", "silent")),
]

KINDS: Final = [
    *("fault", "fault", *4 * ["refusal"], "drift", "second", "signal", "signals"),
    *6 * ["wait"],
]

Content = tuple[str, str | None, frozenset[str]]
State = dict[str, Content]
Born = dict[str, datetime]


@attrs.frozen
class Step:
    """A change, as the model plans it."""

    role_id: str | None
    before: Content | None
    after: Content | None

    @property
    def place(self) -> int:
        """Where it stands: gives, deletes, creates, both, takes."""
        if self.after is None or self.before is None:
            return 1 if self.before else 2
        return (3 if self.gives else 4) if self.takes else 0

    @property
    def gives(self) -> frozenset[str]:
        return self.after[2] - self.before[2] if self.after and self.before else frozenset()

    @property
    def takes(self) -> frozenset[str]:
        return self.before[2] - self.after[2] if self.after and self.before else frozenset()


Planned = tuple[list[Step], list[str]]
"""What is to change, and the IDs of the roles that stay."""


def drawn(rng: random.Random, names: list[str], held: dict[str, Content]) -> as_code.Declaration:
    """Return what somebody declares of an account that holds these roles, by name."""
    pool = rng.sample(names, rng.randint(0, len(names) // rng.choice([1, 1, 3])))
    is_new = rng.random() < 0.2  # It only creates: what is there stays.
    absent = [pool.pop() for _ in range(0 if is_new else min(len(pool), rng.randint(0, 2)))]
    roles: list[as_code.DeclaredRole] = []
    while pool:
        name = pool.pop()
        former = [pool.pop() for _ in range(min(len(pool), rng.random() < 0.3 * (not is_new)))]
        described = rng.choice([None, None, "One", "Two"])
        permissions = rng.sample(PERMISSIONS, rng.randint(1, 3))
        if name in held and (is_new or rng.random() < 0.4):
            _, described, kept = held[name]
            permissions = sorted(kept)[: None if is_new else rng.randint(1, len(kept))]
        role = as_code.DeclaredRole(name=name, previously=former, permissions=permissions)
        roles.append(attrs.evolve(role, description=described))
    return as_code.Declaration(roles=roles, absent=absent)


def planned(declared: as_code.Declaration, state: State, born: Born) -> Planned | None:
    """Return what has to change, and what stays; None if the file does not fit the account."""
    if declared.anchor not in {None, *state}:
        return None
    by_name = {content[0]: role_id for role_id, content in state.items()}
    steps: list[Step] = []
    kept: list[str] = []
    for role in declared.roles:
        found = [by_name[each] for each in (role.name, *role.previously) if each in by_name]
        if role.name in by_name:
            # Who is younger than the renamed role is a stranger.
            found = [each for each in found if born[each] <= born[found[0]]]
        if len(found) > 1:
            return None
        before, wanted = state[found[0]] if found else None, content(role)
        if before == wanted:
            kept += found
        else:
            steps.append(Step(found[0] if found else None, before, wanted))
    there = [by_name[name] for name in declared.absent if name in by_name]
    steps += [Step(role_id, state[role_id], None) for role_id in there]
    return sorted(steps, key=str), sorted(kept)


@attrs.define
class Entry:
    """A request of the run under judgement, and what it did."""

    method: str
    role_id: str | None
    name: str | None
    """The name that it gives to a role."""
    status: int
    before: State
    after: State
    is_answered: bool

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and self.role_id is None

    @property
    def effect(self) -> tuple[Content | None, Content | None] | None:
        """The role that it changed, before and after; None if it changed nothing."""
        for role_id, _ in self.before.items() ^ self.after.items():
            return self.before.get(role_id), self.after.get(role_id)
        return None

    def is_for(self, step: Step) -> bool:
        if step.role_id is not None:
            return self.role_id == step.role_id
        return self.method == "POST" and step.after is not None and self.name == step.after[0]


def spread(rng: random.Random, declared: as_code.Declaration, folder: Path) -> None:
    """Write a declaration into files of a folder and of those below it."""
    parts = [attrs.evolve(declared, roles=())]
    parts += [as_code.Declaration(roles=[role]) for role in declared.roles]
    (folder / "a/b").mkdir(parents=True)
    for n, part in enumerate(parts):
        place = folder / rng.choice([".", "a", "a/b"])
        (place / f"{n}.toml").write_text(part.to_toml(), "utf-8")


class Stage(FakeAccount):
    """An account that writes down what the run under judgement does, and lets things happen."""

    def __init__(self) -> None:
        ticks = itertools.count()
        super().__init__(api_key=OURS, clock=lambda: START + timedelta(microseconds=next(ticks)))
        self.entries: list[Entry] = []
        self.events: dict[int, list[Any]] = {}
        self.born: Born = {}
        self.in_wait: list[Any] = []
        """What happens while the run waits for an answer, or for its next attempt, and when."""
        self.wait_before = timedelta(0)
        self.due: datetime | None = None
        self.is_watched = False
        self.ended_at: int | None = None
        """The number of requests when the run was to end; one may be under way."""
        self.is_cancelled = False
        """True if a second signal ended it at once, so that an answer may not have come."""
        self.is_stopped_in_wait = False

    def state(self) -> State:
        self.born |= {role.id: role.created_at for role in self.roles}
        return {role.id: content(role) for role in self.roles if not role.is_predefined}

    def handle(self, request: Request) -> Response:
        if not self.is_watched or request.headers.get("Authorization") != f"Bearer {OURS}":
            return super().handle(request)
        number, self.due = len(self.entries), None
        before = self.state()
        reply = reply_of(super().handle(request))
        path = request.target.partition("?")[0].split("/")
        given: dict[str, Any] = msgspec.json.decode(request.body or b"{}")
        role_id = unquote(path[3]) if len(path) > 3 else None
        about = (request.method, role_id, given.get("name"), reply.status)
        self.entries.append(Entry(*about, before, self.state(), reply.broken is None))
        for event in self.events.get(number, ()):
            self.let_happen(event)
        if self.in_wait and not self.entries[-1].is_list:
            self.due = self.now() + self.wait_before * (reply.broken != "silent")
        return reply

    def advance(self, seconds: float) -> None:
        """Let time pass, and before that what happens in a wait for an answer or an attempt."""
        if self.is_watched and self.due is not None and self.now() >= self.due:
            self.due, event = None, self.in_wait.pop()
            self.is_stopped_in_wait = isinstance(event, str) and self.entries[-1].is_answered
            self.let_happen(event)
        super().advance(seconds)

    def let_happen(self, event: Any) -> None:  # noqa: ANN401
        if isinstance(event, str):
            self.ended_at, self.is_cancelled = len(self.entries), event == "signals"
            for each in SIGNALS[: 1 + self.is_cancelled]:
                signal.raise_signal(each)
        elif isinstance(event, tuple):
            self.drift(*cast("tuple[str, str, str]", event))
        else:
            thread = threading.Thread(target=lambda: asyncio.run(event(self)))
            thread.start()
            thread.join()

    def drift(self, action: str, name: str, other: str) -> None:
        """Let somebody else change a role; faults are for the run's own requests."""
        role = self.role(name)
        if action == "create" and role is None and self.max_custom_roles is None:
            self.add_role(name, ["ROLE_READ"])
        if role is None or role.is_predefined or self.bindings(role):
            return
        held = role.permissions or ()
        given = {*held, Permission.TAG_READ, Permission.PROJECT_READ}
        fields: dict[str, dict[str, Any]] = {
            "rename": {} if self.role(other) else {"name": other},
            "give": {"permissions": tuple(sorted(given))},
            "take": {"permissions": held[1:] or held},
            "describe": {"description": "Theirs."},
        }
        if action in fields:
            self._records.roles.put(attrs.evolve(role, **fields[action]))
        elif action != "create":
            self._records.roles.remove(role)
        if action == "replace":
            self.add_role(name, held, description=role.description)


class Client(FakeRolesClient):
    base_url = f"https://{HOST}"


def second_run(declared: as_code.Declaration, requests: int) -> Any:  # noqa: ANN401
    """Return somebody else's run, which ends after so many requests."""

    async def run(account: FakeAccount) -> None:
        left = iter(range(requests))
        with contextlib.suppress(RolesError):
            roles = FakeRolesClient(account, api_key=THEIRS)
            await ended(roles, declared, lambda: next(left, None) is None)

    return run


Reviewed = tuple[Planned, str]
"""What was planned, and its checksum."""


class Case:
    """One account, one file, and a run of it."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)  # noqa: S311 - a repeatable case
        self.account = account = Stage()
        account.add_key(THEIRS)
        self.names = MANY if rng.random() < 0.4 else NAMES
        for name in rng.sample(self.names, rng.randint(len(self.names) // 3, len(self.names))):
            described, permissions = rng.choice([None, "One"]), rng.sample(PERMISSIONS, 4)
            account.add_role(name, permissions[: rng.randint(1, 4)], description=described)
        self.tie = rng.choice(["none", "any", "any", "label", "anchor", "other"])
        """What ties the files to an account; `any` is the option."""
        anchors = {"anchor": rng.choice([*account.state()]), "other": "Um9sZTpvdGhlcg=="}
        self.declared = attrs.evolve(
            self.draw(),
            undeclared=rng.choice([None, None, "ignore"]),
            account="staging" if self.tie == "label" else None,
            anchor=anchors.get(self.tie),
        )
        self.is_folder = rng.random() < 0.5
        self.wrong: list[str] = []
        self.is_quiet = self.is_plannable = True
        """Nothing happens during the run; nothing before the first change."""

    def draw(self) -> as_code.Declaration:
        held = {content[0]: content for content in self.account.state().values()}
        return drawn(self.rng, self.names, held)

    def expect(self, holds: bool, what: str) -> None:  # noqa: FBT001
        if not holds:
            self.wrong.append(what)

    def judge(self) -> list[str]:
        """Run the case and return what was wrong with it."""
        reviewed = self.review() if self.rng.random() < 0.3 else None
        self.plan_trouble()
        self.judge_run(reviewed)
        self.judge_next_run()
        return self.wrong

    def plan(self) -> as_code.Plan | None:
        """Return the plan of the file; None if there is none."""
        with contextlib.suppress(RolesError):
            return asyncio.run(as_code.plan(Client(self.account), self.declared))
        return None

    def expected(self, state: State) -> Planned | None:
        return planned(self.declared, state, self.account.born)

    def apply(self, checksum: str | None = None) -> dict[str, Any] | None:
        """Return the result that the command prints; None if it refused to run."""
        options = [f"--checksum={checksum}"] if checksum else ["--yes", "--max-removals=100%"]
        options += ["--any-account"] * (self.tie == "any")
        output = io.TextIOWrapper(io.BytesIO())
        text = "" if self.is_folder else self.declared.to_toml()
        with (
            tempfile.TemporaryDirectory() as folder,
            patch("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode()))),
            mock_arize(self.account, unused_faults="allow"),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            spread(self.rng, self.declared, Path(folder))
            files = folder if self.is_folder else "-"
            status = arize_roles(["apply", "--format=json", *options, files])
        output.seek(0)
        result: dict[str, Any] = json.load(output)
        is_changed = result["made"] or result["may_have_been_made"]
        is_whole = result["reason"] is None and not result["refused"]
        expected = 0 if is_whole else 3 if is_changed else 2
        self.expect(status == expected, f"the status is {status}, with {result}")
        is_stopped = self.account.is_watched and self.account.ended_at is not None and expected > 0
        kind = result["kind"]
        self.expect((kind == "StoppedError") == is_stopped, f"its kind is {kind}")
        return None if "errors" in result else result

    def review(self) -> Reviewed | None:
        """Plan, as somebody would who reviews it, and let the account change afterwards."""
        before = self.account.state()
        expected, plan = self.expected(before), self.plan()
        self.expect(self.account.state() == before, "a plan changed something")
        self.expect((plan is None) == (expected is None), f"there is no plan of {expected}, or one")
        if expected is None or plan is None:
            return None
        touched = {*expected[1], *(step.role_id for step in expected[0])}
        others = set[str]() if self.declared.undeclared else {*before} - touched
        self.expect({role.id for role in plan.undeclared} == others, f"not declared: {others}")
        if self.rng.random() < 0.5:
            changed = [step.before[0] for step in expected[0] if step.before]
            action, name, other_name = self.any_drift()
            self.account.drift(action, self.rng.choice(changed or [name]), other_name)
        return expected, plan.checksum

    def any_drift(self) -> tuple[str, str, str]:
        actions = ["create", "rename", "give", "take", "describe", "delete", "replace"]
        name, other = self.rng.sample([*self.names, "Elsewhere"], 2)
        return self.rng.choice(actions), name, other

    def plan_trouble(self) -> None:  # noqa: C901, PLR0912 - one branch a kind of trouble
        rng, account = self.rng, self.account
        if rng.random() < 0.15:
            account.max_custom_roles = len(account.state()) + rng.randint(0, 1)
            self.is_quiet = False
        names = [content[0] for content in account.state().values()]
        if rng.random() < 0.15 and names:
            bound = rng.choice([name for name in self.declared.absent if name in names] or names)
            account.bind(bound, user="ada", resource=f"Space:{bound}")
        trouble = rng.random()
        if trouble < 0.25:
            return
        self.is_quiet = False
        for _ in range(rng.randint(1, 2)):
            kind = rng.choice(KINDS)
            number = rng.randint(0, rng.choice([4, 12]))
            if kind in {"drift", "second", "signal", "signals"} and number == 0:
                self.is_plannable = False
            if kind == "refusal":
                names = [role.name for role in self.declared.roles]
                for change in CHANGES:
                    role, status = rng.choice(names or ["A"]), rng.choice([400, 403, 409, 422])
                    account.fail(change, status, about=role, times=None)
            elif kind == "fault":
                status, when = rng.choice(FAULTS)
                operation: Any = rng.choice(["create", "create", "update", "delete", "get", "list"])
                times, skip = rng.choice([1, 3]), rng.randint(0, 3)
                account.fail(operation, status, when=when, skip=skip, times=times)
                if operation == "create":  # So that nothing shows whether it was made.
                    account.fail("list", 500, skip=1, times=3)
                self.is_plannable = self.is_plannable and operation != "list"
            elif kind == "wait":
                self.plan_wait()
            elif kind == "drift":
                account.events.setdefault(number, []).append(self.any_drift())
            elif kind == "second":
                theirs = self.declared if rng.random() < 0.5 else self.draw()
                account.events.setdefault(number, []).append(second_run(theirs, rng.randint(1, 20)))
            else:
                account.events.setdefault(number, []).append(kind)

    def plan_wait(self) -> None:
        """Let a change wait for its next attempt, and something happen meanwhile."""
        rng, account = self.rng, self.account
        status: Any = rng.choice([429, 429, 503, "silent"])
        wait = rng.choice([None, 1, 8])
        options: Any = {"when": "after"} if status == "silent" else {"retry_after": wait}
        account.fail("any", status, skip=rng.randint(1, 3), **options)
        account.in_wait = [rng.choice([self.any_drift(), "signal", "signals"])]
        account.wait_before = timedelta(seconds=rng.choice([0.0, 0.15, 0.6, 1.5]))

    def judge_run(self, reviewed: Reviewed | None) -> None:
        account = self.account
        account.is_watched = True
        result = self.apply(reviewed[1] if reviewed else None)
        account.is_watched = False
        # A create whose answer was lost lists again.
        lists = [*itertools.takewhile(lambda entry: entry.is_list, account.entries)]
        there = lists[-1].before if lists else {}
        expected = self.expected(there)
        refused = expected is None or (reviewed is not None and reviewed[0] != expected)
        refused = refused or (reviewed is None and self.tie == "none")
        if result is None:
            self.expect(refused or not self.is_plannable, "it was refused")
            effects = [*filter(None, (entry.effect for entry in account.entries))]
            self.expect(not effects, f"a refused run changed something: {effects}")
            return
        self.expect(not refused, f"it was not refused, with {reviewed}")
        if expected is not None:
            self.expect(result["host"] == HOST, f"the host is {result['host']}")
            self.judge_result(result, expected[0])

    def judge_result(self, result: dict[str, Any], steps: list[Step]) -> None:
        entries = self.account.entries
        failed, may_be = result["failed"], result["may_have_been_made"]
        refused = [as_step(each["change"]) for each in result["refused"]]
        begun = sorted([*map(as_step, result["made"]), *refused], key=lambda step: step.place)
        told = [as_step(each) for each in (failed, *result["not_reached"]) if each]
        wanted, steps = steps, [*begun, *told]
        self.expect(sorted(steps, key=str) == wanted, f"told {told}")
        made: list[int] = []
        for number, entry in enumerate(entries):
            if (effect := entry.effect) is None:
                continue
            index = next((n for n, step in enumerate(steps) if entry.is_for(step)), None)
            if index is None:
                self.wrong.append(f"it changed what is no change's: {effect}")
                continue
            step, (old, new) = steps[index], effect
            # Others may have deleted what was created.
            self.expect(index not in made or not step.before, f"it made {step} twice")
            self.expect(index >= max(made, default=0), f"{step} came too early")
            made.append(index)
            if step.role_id is not None:
                look = entries[number - 1]
                is_look = (look.method, look.role_id) == ("GET", step.role_id)
                self.expect(is_look, f"{step} was made without a look")
                looked = look.before.get(step.role_id)
                self.expect(looked == step.before, f"{step} was made of {looked}")
            self.expect(new == merged(step, old), f"{step} made {old} to {new}")
        self.judge_steps(result, steps, made)
        is_whole = len(begun) == len(steps)
        self.expect(is_whole or not self.is_quiet, f"a quiet run failed: {result}")
        is_done = len(result["made"]) == len(steps)
        is_said = result["reason"] is None and not refused
        self.expect(is_done == (is_said and not result["not_reached"]), f"it is done? {result}")
        self.judge_dependents(refused, [*map(as_step, result["not_reached"])], result["reason"])
        self.judge_ends(may_be)

    def judge_steps(self, result: dict[str, Any], steps: list[Step], made: list[int]) -> None:
        """Judge what the run said of each step, of which some had an effect."""
        entries, may_be = self.account.entries, result["may_have_been_made"]
        refused = {as_step(each["change"]): each["is_blocked"] for each in result["refused"]}
        begun = len(result["made"]) + len(refused)
        for n, step in enumerate(steps):
            about = [e for e in entries if e.is_for(step)]
            is_answered = all(e.is_answered for e in about)
            if step in refused:
                self.expect(n not in made, f"{step} is reported as refused")
                last = about[-1]
                is_drift = (
                    last.method == "GET" and last.before.get(str(step.role_id)) != step.before
                )
                self.expect(last.status in REFUSALS or is_drift, f"{step} was not refused: {last}")
                is_blocked = step.after is None and last.method == "DELETE" and last.status == 409
                self.expect(refused[step] == is_blocked, f"{step} is blocked, or not")
            elif n < begun:
                gone = self.was_made_by_others(step, entries)
                self.expect(n in made or gone, f"{step} is reported as made")
            elif result["failed"] and n == begun:
                self.expect(may_be or n not in made, f"{step} is reported as not made")
                # What has the name of a create that was refused may not be found.
                is_last = bool(about) and about[-1] is entries[-1] and about[-1].is_answered
                is_refused = is_last and about[-1].status in REFUSALS
                self.expect(may_be or not is_refused, f"{step} was refused, and stopped the run")
                sent = [e for e in about if e.method != "GET"]
                certain = all(e.is_answered and e.status in {401, *REFUSALS} for e in sent)
                certain = certain and not self.account.is_cancelled
                self.expect(not (may_be and certain), f"{step} is reported as open")
                is_gone = step.after is None and [e.status for e in about][-1:] == [404]
                self.expect(not (is_gone and is_answered), f"{step} failed though it was made")
            else:
                self.expect(n not in made, f"{step} is reported as not reached")

    def judge_ends(self, may_be: bool) -> None:  # noqa: FBT001
        entries = self.account.entries
        answered = all(e.status in {200, 201, 204, 429} and e.is_answered for e in entries)
        limited = answered and not self.account.is_cancelled and entries[-1].status == 429
        self.expect(not (limited and may_be), "a 429 left a change open")
        if (at := self.account.ended_at) is None:
            return
        if self.account.is_stopped_in_wait:
            self.expect(len(entries) == at, f"it sent {entries[at:]} after it was stopped")
        others = {(e.method, e.role_id) for e in entries[at:]}
        # A change whose answer does not show its outcome is looked up by the client.
        for e in entries[at - 1 : at]:
            others -= {(e.method, e.role_id), ("GET", e.role_id)}
        self.expect(not others, f"after it was stopped it sent {others}")

    def judge_dependents(self, refused: list[Step], skipped: list[Step], reason: object) -> None:
        """Judge what a run that went on after a refusal left out, and what it did not."""
        withheld: set[str] = set()
        for step in sorted([*refused, *skipped], key=lambda step: step.place):
            withheld |= step.gives
        for step in skipped:
            self.expect(bool(reason or step.takes & withheld), f"{step} was left out")
        for step in refused:
            last = max(n for n, e in enumerate(self.account.entries) if e.is_for(step))
            for entry in self.account.entries[last + 1 :]:
                old, new = entry.effect or (None, None)
                taken = old[2] - new[2] if old and new else frozenset[str]()
                self.expect(taken.isdisjoint(step.gives), f"{entry} took what {step} had to give")

    def was_made_by_others(self, step: Step, entries: list[Entry]) -> bool:
        if step.role_id is None:
            return any(step.after in e.before.values() for e in entries)
        about = [e for e in entries if e.role_id == step.role_id]
        return bool(about) and about[-1].before.get(step.role_id) == step.after

    def judge_next_run(self) -> None:
        """Without trouble, the next run makes the account as declared and leaves the rest."""
        account = self.account
        account.clear_faults()
        account.max_custom_roles = None
        for role in account.roles:
            for binding in account.bindings(role):
                account.unbind(role, user=binding.user_id, resource=binding.resource_id)
        before = account.state()
        expected, self.tie = self.expected(before), "any" if self.tie == "none" else self.tie
        result = self.apply()
        after = account.state()
        if expected is None:
            self.expect(result is None and after == before, f"a misfit ended in {result}")
            return
        changed = {step.role_id for step in expected[0]}
        made = [each for role_id, each in before.items() if role_id not in changed]
        made += [step.after for step in expected[0] if step.after]
        self.expect(result is not None and result["reason"] is None, f"next, it ended in {result}")
        is_made = sorted(after.values(), key=str) == sorted(made, key=str)
        self.expect(is_made, f"the next run made {after}")
        plan = self.plan()
        is_fit = self.expected(after) is not None  # The anchor may be what was deleted.
        is_done = not plan.changes if plan else not is_fit
        self.expect(is_done, f"after it there was a plan: {plan}")


def as_step(change: dict[str, Any]) -> Step:
    before, after = (
        each and (each["name"], each["description"], frozenset(each["permissions"]))
        for each in (change["before"], change["after"])
    )
    return Step(change["id"] if before else None, before, after)


def merged(step: Step, old: Content | None) -> Content | None:
    """Return what a role becomes if only the fields that differ are sent."""
    if step.after is None or step.before is None or old is None:
        return step.after
    fields = zip(step.before, step.after, old, strict=True)
    return tuple(after if before != after else now for before, after, now in fields)  # type: ignore[return-value]
