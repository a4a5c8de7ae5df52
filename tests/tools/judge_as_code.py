"""Judges `arize-roles apply`: random accounts and files, and whatever may happen during a run.

A case runs the command on a folder of files and folders, while requests fail or are refused, a
gateway answers, others change roles or apply a file of their own, and signals arrive, mostly in the
waits between two attempts. Some plans were reviewed, and the account has changed since; some files
are another account's. What the run said and what its requests did is held against a model that
plans by itself.
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
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
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
PERMISSIONS: Final = ["DATASET_READ", "PROJECT_READ", "ROLE_READ", "TAG_READ"]
REFUSALS: Final = {400, 403, 404, 409, 422}
"""The statuses that stop one change."""
KINDS: Final = [
    "fault",
    "fault",
    "outage",
    "outage",
    "drift",
    "second",
    "signal",
    "signals",
    *6 * ["refusal", "wait"],
]

Content = tuple[str, str | None, frozenset[str]]
State = dict[str, Content]


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


def as_step(change: dict[str, Any]) -> Step:
    before, after = (
        each and (each["name"], each["description"], frozenset(each["permissions"]))
        for each in (change["before"], change["after"])
    )
    return Step(change["id"], before, after)


Planned = tuple[list[Step], list[str]]
"""What is to change, and the IDs of the roles that stay."""


def planned(
    declared: as_code.Declaration, state: State, born: dict[str, datetime]
) -> Planned | None:
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
    time: datetime
    retry_after: float
    """Seconds for which the answer says to wait, if it is a 503."""

    @property
    def effect(self) -> tuple[Content | None, Content | None] | None:
        """The role that it changed, before and after; None if it changed nothing."""
        for role_id, _ in self.before.items() ^ self.after.items():
            return self.before.get(role_id), self.after.get(role_id)
        return None

    def is_same(self, other: "Entry") -> bool:
        """Return whether another request makes the same change."""
        same = (self.method, self.role_id, self.name) == (other.method, other.role_id, other.name)
        return same and self.method != "GET"

    def is_list(self) -> bool:
        return self.method == "GET" and self.role_id is None

    def is_for(self, step: Step) -> bool:
        if step.role_id is not None:
            return self.role_id == step.role_id
        return self.method == "POST" and step.after is not None and self.name == step.after[0]


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
            self.add_role(name, permissions[: rng.randint(1, 4)], description=described)
        self.entries: list[Entry] = []
        self.events: dict[int, str] = {}
        """What happens after requests, by their numbers."""
        self.theirs = as_code.Declaration()
        """What somebody else applies."""
        self.born: dict[str, datetime] = {}
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
        seconds = float(reply.headers.get("Retry-After", 0)) if reply.status == 503 else 0.0
        seen = (before, self.state(), reply.breakage is None)
        self.entries.append(Entry(*about, *seen, time=self.now(), retry_after=seconds))
        if number in self.events:
            self.let_happen(self.events[number])
        if self.in_wait and not self.entries[-1].is_list():
            self.due = self.now() + self.wait_before * (reply.breakage != "silent")
        return reply

    def advance(self, seconds: float) -> None:
        """Let time pass, and before that what happens in a wait for an answer or an attempt."""
        if self.is_watched and self.due is not None and self.now() >= self.due:
            self.due, event = None, self.in_wait.pop()
            self.is_stopped_in_wait = event[:6] == "signal" and self.entries[-1].is_answered
            self.let_happen(event)
        super().advance(seconds)

    def let_happen(self, event: str) -> None:
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
        """Let somebody else change a role; faults are for the run's own requests."""
        name, other = self.rng.choice(names or self.names), self.rng.choice(self.names)
        action = self.rng.choice(["create", "rename", "give", "take", "delete", "replace"])
        role = self.role(name)
        if action == "create" and role is None:
            self.add_role(name, ["ROLE_READ"])
        if role is None:
            return
        held = role.permissions or ()
        given = {*held, Permission.TAG_READ, Permission.PROJECT_READ}
        fields: dict[str, dict[str, Any]] = {
            "rename": {} if self.role(other) else {"name": other},
            "give": {"permissions": tuple(given), "description": "Theirs."},
            "take": {"permissions": held[1:] or held},
        }
        if action in fields:
            self._records.roles.put(attrs.evolve(role, **fields[action]))
        elif action != "create":
            self._records.roles.remove(role)
        if action == "replace":
            self.add_role(name, held, description=role.description)


def drawn(account: Stage) -> as_code.Declaration:
    """Return what somebody declares of an account."""
    rng, held = account.rng, {content[0]: content for content in account.state().values()}
    pool = rng.sample(account.names, rng.randint(0, len(account.names) // rng.choice([1, 1, 3])))
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


class Case:
    """One account, one file, and a run of it."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)  # noqa: S311 - a repeatable case
        self.account = account = Stage(rng)
        self.tie = rng.choice(["none", "any", "any", "label", "anchor", "other"])
        """What ties the files to an account; `any` is the option."""
        anchors = {"anchor": rng.choice([*account.state()]), "other": "Um9sZTpvdGhlcg=="}
        self.declared = attrs.evolve(
            drawn(account),
            undeclared=rng.choice([None, None, "ignore"]),
            account="staging" if self.tie == "label" else None,
            anchor=anchors.get(self.tie),
        )
        self.wrong: list[str] = []
        self.is_quiet = rng.random() < 0.25
        """Nothing happens during the run, but an outage that a call waits out."""
        self.outages = 0

    def expect(self, holds: bool, what: str) -> None:  # noqa: FBT001
        if not holds:
            self.wrong.append(what)

    def judge(self) -> list[str]:
        """Run the case and return what was wrong with it."""
        reviewed = self.review() if self.rng.random() < 0.3 else None
        if not self.is_quiet:
            troubles = self.rng.randint(1, 2)
            for _ in range(troubles):
                self.plan_trouble()
            self.is_quiet = self.outages == troubles == 1
        self.judge_run(reviewed)
        self.judge_next_run()
        return self.wrong

    def expected(self, state: State) -> Planned | None:
        return planned(self.declared, state, self.account.born)

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Return the status of a command and what it prints."""
        output = io.TextIOWrapper(io.BytesIO())
        parts = [as_code.Declaration(roles=[role]) for role in self.declared.roles]
        with (
            tempfile.TemporaryDirectory() as folder,
            mock_arize(self.account, unused_faults="allow"),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            (Path(folder) / "a/b").mkdir(parents=True)
            for n, part in enumerate([attrs.evolve(self.declared, roles=()), *parts]):
                place = Path(folder) / self.rng.choice([".", "a", "a/b"])
                (place / f"{n}.toml").write_bytes(self.as_written(part).encode())
            status = arize_roles([*arguments, "--format=json", folder])
        output.seek(0)
        return status, json.load(output)

    def as_written(self, part: as_code.Declaration) -> str:
        """Return the text of a file, as any editor writes it."""
        text = part.to_toml()
        if self.rng.random() < 0.5:
            text = re.sub(r'roles\."([A-Za-z0-9 ]+)"', r"'roles' . '\1'\t", text)
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
        return None if "errors" in result else result

    def review(self) -> tuple[Planned, str] | None:
        """Plan, as somebody would who reviews it, and let the account change afterwards."""
        before = self.account.state()
        expected, (status, plan) = self.expected(before), self.run("plan")
        self.expect(self.account.state() == before, "a plan changed something")
        self.expect((status > 0) == (expected is None), f"there is no plan of {expected}, or one")
        if expected is None or status:
            return None
        touched = {*expected[1], *(step.role_id for step in expected[0])}
        listed = before if self.declared.undeclared is None else State()
        others = {each[0] for role_id, each in listed.items() if role_id not in touched}
        self.expect({*plan["undeclared"]} == others, f"not declared: {others}")
        if self.rng.random() < 0.5:
            self.account.drift(*(step.before[0] for step in expected[0] if step.before))
        return expected, plan["checksum"]

    def plan_trouble(self) -> None:
        rng, account, kind = self.rng, self.account, self.rng.choice(KINDS)
        if kind == "refusal":
            names = [*(role.name for role in self.declared.roles), *self.declared.absent, "A"]
            changes: tuple[Any, ...] = ("create", "update", "delete")
            for change in changes:
                status = rng.choice([400, 403, 409, 422])
                account.fail(change, status, about=rng.choice(names), times=None)
        elif kind == "fault":
            fault: Any = rng.choice([403, 409, *2 * [500, 502, 503, "lost", "silent"]])
            when: Any = "before" if fault in {403, 409} else rng.choice(["before", "after"])
            operation: Any = rng.choice(["create", "create", "update", "delete", "get", "list"])
            times, skip = rng.choice([1, 3]), rng.randint(0, 3)
            account.fail(operation, fault, when=when, skip=skip, times=times)
            if operation == "create":  # So that nothing shows whether it was made.
                account.fail("list", 500, skip=1, times=3)
        elif kind == "outage":
            # Of writes, for longer than each says, and over before the last attempt.
            self.outages += 1
            writes: tuple[Any, ...] = ("create", "update", "delete")
            for change in writes:
                account.fail(change, 503, retry_after=rng.choice([1, 3, 5]), times=2)
        elif kind == "wait":
            fault, after = rng.choice([429, 429, 503, "silent"]), rng.choice([None, 1, 8])
            options: Any = {"when": "after"} if fault == "silent" else {"retry_after": after}
            account.fail("any", fault, skip=rng.randint(1, 3), **options)
            account.in_wait = [rng.choice(["drift", "signal", "signals"])]
            account.wait_before = timedelta(seconds=rng.choice([0.0, 0.15, 0.6, 1.5]))
        else:
            account.theirs = self.declared if rng.random() < 0.5 else drawn(account)
            account.events[rng.randint(0, rng.choice([4, 12]))] = kind

    def judge_run(self, reviewed: tuple[Planned, str] | None) -> None:
        account = self.account
        account.is_watched = True
        result = self.apply(reviewed[1] if reviewed else None)
        account.is_watched = False
        lists = [*itertools.takewhile(Entry.is_list, account.entries)]
        expected = self.expected(lists[-1].before if lists else {})
        is_fit = reviewed[0] == expected if reviewed else self.tie not in {"none", "label"}
        if result is None:
            self.expect(not (expected and is_fit and self.is_quiet), "it was refused")
            effects = [*filter(None, (entry.effect for entry in account.entries))]
            self.expect(not effects, f"a refused run changed something: {effects}")
        elif expected is None or not is_fit:
            self.wrong.append(f"it was not refused, with {reviewed}")
        else:
            self.judge_result(result, expected[0])

    def judge_result(self, result: dict[str, Any], wanted: list[Step]) -> None:
        refused = {as_step(each["change"]): each["is_blocked"] for each in result["refused"]}
        begun = sorted([*map(as_step, result["made"]), *refused], key=lambda step: step.place)
        skipped = [*map(as_step, result["not_reached"])]
        steps = [*begun, *([as_step(result["failed"])] if result["failed"] else ()), *skipped]
        self.expect(sorted(steps, key=str) == wanted, f"it told of {steps}")
        self.expect(not skipped or not self.is_quiet, f"a quiet run failed: {result}")
        is_whole = result["reason"] is None and not refused
        self.expect(is_whole == (len(result["made"]) == len(steps)), f"it is done? {result}")
        made = self.judge_requests(steps)
        for n, step in enumerate(steps):
            about = [e for e in self.account.entries if e.is_for(step)]
            if step in refused:
                self.expect(step not in made, f"{step} is reported as refused")
                self.judge_refused(step, about[-1], is_blocked=refused[step])
            elif n < len(begun):
                is_theirs = self.was_made_by_others(step, about)
                self.expect(step in made or is_theirs, f"{step} is reported as made")
            elif step in skipped:
                self.expect(step not in made, f"{step} is reported as not reached")
            elif result["may_have_been_made"]:
                sent = [e for e in about if e.method != "GET"]
                is_sure = all(e.is_answered and e.status in {401, 429, *REFUSALS} for e in sent)
                is_sure = is_sure and not self.account.is_cancelled
                self.expect(not is_sure, f"{step} is reported as open")
            else:
                # With a 503 the service says that it did nothing, and the client trusts it.
                is_denied = any(e.effect and e.status == 503 for e in about)
                self.expect(is_denied or step not in made, f"{step} is reported as not made")
                # What has the name of a create that was refused may not be found.
                is_last = bool(about) and about[-1] is self.account.entries[-1]
                is_refusal = is_last and about[-1].is_answered and about[-1].status in REFUSALS
                self.expect(not is_refusal, f"{step} was refused, and stopped the run")
        withheld = {each for step in [*refused, *skipped] for each in step.gives}
        for step in skipped:
            is_free = result["reason"] is None and step.takes.isdisjoint(withheld)
            self.expect(not is_free, f"{step} was left out")
        if (at := self.account.ended_at) is not None:
            self.judge_end(self.account.entries[at - 1], self.account.entries[at:])

    def judge_requests(self, steps: list[Step]) -> list[Step]:
        """Judge what each request did, and return the steps that were made."""
        made: list[Step] = []
        for number, entry in enumerate(self.account.entries):
            earlier = [e for e in self.account.entries[:number] if e.is_same(entry)]
            is_early = earlier and entry.time < earlier[-1].time + timedelta(
                seconds=earlier[-1].retry_after
            )
            self.expect(not is_early, f"{entry} did not wait as long as {earlier[-1:]} says")
            if (effect := entry.effect) is None:
                continue
            step = next((step for step in steps if entry.is_for(step)), None)
            if step is None:
                self.wrong.append(f"it changed what is no change's: {effect}")
                continue
            old, new = effect
            self.expect(step not in made or not step.before, f"it made {step} twice")
            self.expect(not made or step.place >= made[-1].place, f"{step} came too early")
            made.append(step)
            if step.role_id is not None:
                look = self.account.entries[number - 1]
                is_look = (look.method, look.role_id) == ("GET", step.role_id)
                self.expect(is_look, f"{step} was made without a look")
                looked = look.before.get(step.role_id)
                self.expect(looked == step.before, f"{step} was made of {looked}")
            self.expect(new == merged(step, old), f"{step} made {old} to {new}")
        return made

    def judge_refused(self, step: Step, last: Entry, *, is_blocked: bool) -> None:
        """Judge a refusal, by its last request; what it should have given is not taken."""
        is_drift = last.before.get(step.role_id or "") != step.before
        self.expect(last.status in REFUSALS or is_drift, f"{step} was not refused: {last}")
        is_conflict = step.after is None and (last.method, last.status) == ("DELETE", 409)
        self.expect(is_blocked == is_conflict, f"{step} is blocked, or not")
        for entry in self.account.entries[self.account.entries.index(last) :]:
            old, new = entry.effect or (None, None)
            taken = old[2] - new[2] if old and new else frozenset[str]()
            self.expect(taken.isdisjoint(step.gives), f"{entry} took what {step} had to give")

    def judge_end(self, last: Entry, sent: list[Entry]) -> None:
        """Judge what was sent after a signal that came with the last request before."""
        if self.account.is_stopped_in_wait:
            self.expect(not sent, f"it sent {sent} after it was stopped")
        # A change whose answer does not show its outcome is looked up by the client.
        allowed = {(last.method, last.role_id), ("GET", last.role_id)}
        others = {(e.method, e.role_id) for e in sent} - allowed
        self.expect(not others, f"after it was stopped it sent {others}")

    def was_made_by_others(self, step: Step, about: list[Entry]) -> bool:
        if step.role_id is None:
            return any(step.after in e.before.values() for e in self.account.entries)
        return bool(about) and about[-1].before.get(step.role_id) == step.after

    def judge_next_run(self) -> None:
        """Without trouble, the next run makes the account as declared and leaves the rest."""
        account = self.account
        account.clear_faults()
        before = account.state()
        expected, self.tie = (
            self.expected(before),
            "any" if self.tie in {"none", "label"} else self.tie,
        )
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
        status, plan = self.run("plan")
        is_fit = self.expected(after) is not None  # The anchor may be what was deleted.
        is_done = is_fit and not plan["changes"] if status == 0 else not is_fit
        self.expect(is_done, f"after it there was a plan: {plan}")


def merged(step: Step, old: Content | None) -> Content | None:
    """Return what a role becomes if only the fields that differ are sent."""
    if step.after is None or step.before is None or old is None:
        return step.after
    fields = zip(step.before, step.after, old, strict=True)
    return tuple(after if before != after else now for before, after, now in fields)  # type: ignore[return-value]
