"""Compares the outcomes that a client reported with the journal of the service.

The judge knows only the public API: what a call returned or raised. Each call has a mark that the
journal shows: in the description of what it creates or updates, and in the ID of what it deletes,
which no other call deletes.
"""

import functools
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Self
from urllib.parse import unquote

import attrs
import msgspec

from arize_roles_async import (
    ConflictError,
    ListRolesResponse,
    NotFoundError,
    OutcomeUnknownError,
    Role,
    RoleRenamedError,
    RolesError,
)
from tests.support.upstream import Entry

SLACK: Final = 1.5
"""Seconds that a busy machine may be late with the end of a call whose time is up."""
CHANGES: Final = frozenset({"create", "update", "delete"})


@attrs.frozen(kw_only=True)
class Call:
    """One call of a client, and its reported outcome.

    Attributes:
        operation: The name of the method.
        mark: What the journal knows it by; for a delete, the ID of the role.
        role_id: The role that it is about; empty for a create and a list.
        name: The name of that role.
        by_name: Whether the client got only the role's name.
        started: When, on the machine's monotonic clock.
        ended: When it ended for its caller.
        result: What it returned.
        error: What it raised.
        cancelled: Whether its caller gave it up.
    """

    operation: str
    mark: str
    role_id: str = ""
    name: str = ""
    by_name: bool = False
    started: float
    ended: float
    result: object = None
    error: BaseException | None = None
    cancelled: bool = False

    def __str__(self) -> str:
        shown = repr(self.result) if self.error is None else f"{type(self.error).__name__}"
        return f"{self.operation} {self.mark}: {shown}"


@attrs.frozen(kw_only=True)
class Verdict:
    """The findings of the judge.

    Attributes:
        calls: How many there were.
        successes: How many of them returned.
        failures: What the others raised, by class.
        wrong: Outcomes that are not so.
        resent: Outcomes that are not so because something between resent a request by itself.
        late: Effects that came after the call had ended for its caller.
        foreign: Exceptions that are none of the library's.
        overruns: Calls that took longer than their total limit.
        secrets: Texts that hold a secret.
    """

    calls: int = 0
    successes: int = 0
    failures: Counter[str] = attrs.field(factory=Counter[str])
    wrong: tuple[str, ...] = ()
    resent: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    overruns: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()

    @property
    def complaints(self) -> list[str]:
        """Everything that must not be."""
        columns = ("wrong", "foreign", "overruns", "secrets")
        return [f"{column}: {each}" for column in columns for each in getattr(self, column)]


class History:
    """The roles of the account at every moment, by the journal."""

    def __init__(self, journal: Sequence[Entry]) -> None:
        self.journal = journal
        self._states: dict[str, list[tuple[float, dict[str, Any] | None]]] = {}
        for entry in journal:
            if not entry.is_effect:
                continue
            if entry.method == "DELETE":
                self._states[target_id(entry)].append((entry.at, None))
            else:
                role: dict[str, Any] = msgspec.json.decode(entry.answer)
                self._states.setdefault(role["id"], []).append((entry.at, role))

    def during(self, role_id: str, start: float, end: float) -> list[dict[str, Any] | None]:
        """Return the states that a role had in a span of time; None is that it was not there."""
        before: dict[str, Any] | None = None
        within: list[dict[str, Any] | None] = []
        for at, state in self._states.get(role_id, []):
            if at <= start:
                before = state
            elif at <= end:
                within.append(state)
        return [before, *within]

    def holders(self, name: str, start: float, end: float) -> set[str]:
        """Return the IDs of the roles that had a name in a span of time."""
        return {
            role_id
            for role_id in self._states
            if any(state and state["name"] == name for state in self.during(role_id, start, end))
        }

    def is_free(self, name: str, start: float, end: float) -> bool:
        """Return True if no role had a name at some moment of a span of time."""
        moments = [at for states in self._states.values() for at, _ in states if start < at <= end]
        return any(not self._holders_at(name, moment) for moment in (start, *moments))

    def _holders_at(self, name: str, moment: float) -> list[str]:
        states = {role_id: self.during(role_id, moment, moment)[-1] for role_id in self._states}
        return [role_id for role_id, state in states.items() if state and state["name"] == name]

    def knows(self, role_id: str) -> bool:
        """Return True if the journal covers the role; it does not cover predefined ones."""
        return role_id in self._states


def target_id(entry: Entry) -> str:
    """Return the ID of the role that a request is about."""
    return unquote(entry.target.removeprefix("/v2/roles/"))


def mark_of(entry: Entry) -> str | None:
    """Return the mark of the call that made a change."""
    if entry.method == "DELETE":
        return target_id(entry)
    return None if entry.method == "GET" else msgspec.json.decode(entry.body).get("description")


@attrs.frozen(kw_only=True)
class Judge:
    """Holds calls against a journal.

    Args:
        total: The limit on a whole call, in seconds.
        clear: Whether every attempt has a known end here, so that no outcome may be unknown.
        resends: Whether something between resends requests by itself.
        secrets: What no text may hold.
    """

    total: float
    clear: bool = False
    resends: bool = False
    secrets: tuple[str, ...] = ()

    def judge(
        self,
        calls: Sequence[Call],
        journal: Sequence[Entry],
        texts: Mapping[str, str] | None = None,
    ) -> Verdict:
        """Return the verdict on calls.

        Args:
            calls: The calls with their outcomes.
            journal: What happened.
            texts: What else must hold no secret: logs, by name.
        """
        history = History(journal)
        sent: Counter[tuple[str, str, str]] = Counter()
        effects: dict[str, list[Entry]] = {}
        for entry in journal:
            if mark := mark_of(entry):
                sent[mark, entry.method, entry.retry] += 1
                if entry.is_effect:
                    effects.setdefault(mark, []).append(entry)
        resent = {mark for (mark, _, _), times in sent.items() if times > 1}

        wrong: list[str] = []
        excused: list[str] = []
        late: list[str] = []
        for call in calls:
            # What came before is of another caller who wanted the very same.
            own = [entry for entry in effects.get(call.mark, []) if entry.at >= call.started]
            said = [f"{call}: {why}" for why in _untrue(call, own, history, clear=self.clear)]
            if call.mark in resent:
                said.append(f"{call}: it was sent more than once for one attempt")
            (excused if self.resends and call.mark in resent else wrong).extend(said)
            late += [
                f"{call}: {e.method} {e.at - call.ended:.2f} s after"
                for e in own
                if e.at > call.ended
            ]
        errors = [call for call in calls if call.error is not None and not call.cancelled]
        shown = {**{str(call): _shown(call) for call in calls}, **(texts or {})}
        return Verdict(
            calls=len(calls),
            successes=sum(call.error is None for call in calls),
            failures=Counter(type(call.error).__name__ for call in calls if call.error),
            wrong=tuple(wrong),
            resent=tuple(excused),
            late=tuple(late),
            foreign=tuple(
                f"{call}: {call.error!r}"
                for call in errors
                if not isinstance(call.error, RolesError)
            ),
            overruns=tuple(
                f"{call}: {call.ended - call.started:.1f} s"
                for call in calls
                if call.ended - call.started > self.total + SLACK
            ),
            secrets=tuple(
                name for name, text in shown.items() if any(each in text for each in self.secrets)
            ),
        )


def _shown(call: Call) -> str:
    """Return all that a caller can see of how a call ended, as a crash reporter shows it."""
    if call.error is None:
        return repr(call.result)
    shown = traceback.TracebackException.from_exception(call.error, capture_locals=True)
    return f"{call.error!r} {vars(call.error)} {''.join(shown.format())}"


def _untrue(  # noqa: PLR0911 - one case a kind of outcome
    call: Call, effects: Sequence[Entry], history: History, *, clear: bool
) -> list[str]:
    """Return what is wrong in what a call said."""
    during = functools.partial(history.during, start=call.started, end=call.ended)
    match call.error:
        case _ if call.cancelled:
            return []
        case None:
            return _untrue_result(call, effects, history)
        case OutcomeUnknownError():
            why = "all is known" if clear else "nothing was changed"
            return [why] if clear or call.operation not in CHANGES else []
        case RoleRenamedError() as error if call.by_name:
            names = [msgspec.json.decode(entry.answer)["name"] for entry in effects]
            return [] if names == [error.renamed_to] != [call.name] else [f"it changed {names}"]
        case RolesError() if call.operation in CHANGES and effects:
            return ["it says that nothing happened, and it did"]
        case NotFoundError() if call.operation == "create":
            return ["nothing was looked for"]
        case NotFoundError() if call.by_name:
            free = history.is_free(call.name, call.started, call.ended)
            return [] if free else ["a role had the name all the time"]
        case NotFoundError() if None not in during(call.role_id):
            return ["the role was there all the time"]
        case ConflictError() if call.operation in {"get", "delete", "list"} or not (
            history.holders(call.name, call.started, call.ended) - {call.role_id}
        ):
            return ["nothing was in its way"]
        case _:
            return []


def _untrue_result(  # noqa: PLR0911 - one case an operation
    call: Call, effects: Sequence[Entry], history: History
) -> list[str]:
    within = [entry for entry in effects if entry.at <= call.ended]
    match call.operation, call.result:
        case "create", Role() as role:
            ids = [msgspec.json.decode(entry.answer)["id"] for entry in within]
            if ids == [role.id] and role.description == call.mark and role.name == call.name:
                return []
            return [f"it made {ids}"]
        case "update", Role() as role:
            asked = role.name == call.name if call.by_name else role.id == call.role_id
            if not within:
                return ["it changed nothing"]
            return [] if asked and role.description == call.mark else ["it changed something else"]
        case "delete", None:
            gone = None in history.during(call.role_id, call.started, call.ended)
            return [] if within and gone else ["it deleted nothing"]
        case "get", Role() as role:
            return _unlike(call, role, history)
        case "list", ListRolesResponse() as page:
            return [why for role in page.roles for why in _unlike(call, role, history)]
        case _:
            return ["it returned something else"]


def _unlike(call: Call, role: Role, history: History) -> list[str]:
    if not history.knows(role.id):
        return [] if role.is_predefined and call.operation == "list" else [f"no role {role.id}"]
    if call.role_id not in {"", role.id}:
        return [f"it is another role, {role.id}"]
    states = history.during(role.id, call.started, call.ended)
    shown = (role.name, role.description)
    if any(state and (state["name"], state.get("description")) == shown for state in states):
        return []
    return [f"{shown} was never so at the time"]


@attrs.frozen(kw_only=True)
class Row:
    """A verdict as a row of a table."""

    scenario: str
    verdict: Verdict

    HEAD: ClassVar = (
        *("scenario", "calls", "successes", "failures by class", "wrong outcomes"),
        *("resent", "late", "foreign", "overruns", "secrets"),
    )

    def cells(self) -> tuple[str, ...]:
        """Return the columns as texts."""
        v = self.verdict
        classes = ", ".join(f"{name} {count}" for name, count in v.failures.most_common())
        counts = (v.wrong, v.resent, v.late, v.foreign, v.overruns, v.secrets)
        return (
            *(self.scenario, str(v.calls), str(v.successes), classes or "-"),
            *(str(len(count)) for count in counts),
        )

    @classmethod
    def table(cls, rows: Sequence[Self]) -> str:
        """Return rows as a table of plain text."""
        lines = [cls.HEAD, *(row.cells() for row in rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


def texts_of(folder: Path) -> dict[str, str]:
    """Return the logs in a folder, by their names."""
    return {path.name: path.read_text("utf-8", "replace") for path in folder.glob("*.log")}
