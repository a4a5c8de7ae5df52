"""Compares the outcomes that a client reported with the journal of the service.

The judge knows only the public API: what a call returned or raised. Each call has a mark that the
journal shows: in the description of what it creates or updates, and in the ID of what it deletes,
which no other call deletes.
"""

import traceback
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote

import attrs

from arize_roles_async import (
    ConflictError,
    ListRolesResponse,
    NotFoundError,
    OutcomeUnknownError,
    Role,
    RoleRenamedError,
    RolesError,
)
from tests.infrastructure.calls import Call
from tests.support.upstream import Entry

SLACK: Final = 1.5
"""Seconds that a busy machine may be late with the end of a call whose time is up."""


@attrs.frozen(kw_only=True)
class Verdict:
    """The findings of the judge.

    Attributes:
        calls: The calls.
        complaints: Everything that must not be.
        resent: Outcomes that are not so because something between resent a request by itself.
    """

    calls: Sequence[Call]
    complaints: list[str] = attrs.field(factory=list[str])
    resent: list[str] = attrs.field(factory=list[str])

    @property
    def failed(self) -> list[Call]:
        """The calls that raised."""
        return [call for call in self.calls if call.error is not None]


class History:
    """The roles of the account at every moment, by the journal."""

    def __init__(self, journal: Sequence[Entry]) -> None:
        self._states: dict[str, list[tuple[float, dict[str, Any] | None]]] = {}
        for entry in journal:
            if not entry.is_effect:
                continue
            if entry.method == "DELETE":
                self._states[target_id(entry)].append((entry.at, None))
            else:
                self._states.setdefault(entry.role["id"], []).append((entry.at, entry.role))

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
        return any(
            not any(
                state and state["name"] == name
                for state in (self.during(each, moment, moment)[-1] for each in self._states)
            )
            for moment in (start, *moments)
        )

    def knows(self, role_id: str) -> bool:
        """Return True if the journal covers the role; it does not cover predefined ones."""
        return role_id in self._states


def target_id(entry: Entry) -> str:
    """Return the ID of the role that a request is about."""
    return unquote(entry.request.target.removeprefix("/v2/roles/"))


def mark_of(entry: Entry) -> str | None:
    """Return the mark of the call that made a change."""
    if entry.method == "DELETE":
        return target_id(entry)
    return None if entry.method == "GET" else entry.sent.get("description")


def judge(
    calls: Sequence[Call], journal: Sequence[Entry], *, total: float, clear: bool, resends: bool
) -> Verdict:
    """Return the verdict on calls.

    Args:
        calls: The calls with their outcomes.
        journal: What happened.
        total: The limit on a whole call, in seconds.
        clear: Whether every attempt has a known end here, so that no outcome may be unknown.
        resends: Whether something between resends requests by itself.
    """
    history = History(journal)
    sent: Counter[tuple[str, str, str]] = Counter()
    effects: dict[str, list[Entry]] = {}
    for entry in journal:
        if mark := mark_of(entry):
            sent[mark, entry.method, entry.attempt] += 1
            if entry.is_effect:
                effects.setdefault(mark, []).append(entry)
    resent = {mark for (mark, _, _), times in sent.items() if times > 1}

    verdict = Verdict(calls=calls)
    for call in calls:
        # What came before is of another caller who wanted the very same.
        own = [entry for entry in effects.get(call.mark, []) if entry.at >= call.started]
        said = _untrue(call, own, history, clear=clear)
        if call.mark in resent:
            said.append("it was sent more than once for one attempt")
        excused = resends and call.mark in resent
        (verdict.resent if excused else verdict.complaints).extend(f"{call}: {e}" for e in said)
        if call.error is not None and not isinstance(call.error, RolesError):
            verdict.complaints.append(f"foreign: {call}: {call.error!r}")
        if call.ended - call.started > total + SLACK:
            verdict.complaints.append(f"{call}: it took {call.ended - call.started:.1f} s")
    return verdict


def shown(call: Call) -> str:
    """Return all that a caller can see of how a call ended, as a crash reporter shows it."""
    if call.error is None:
        return repr(call.result)
    lines = traceback.TracebackException.from_exception(call.error, capture_locals=True).format()
    return f"{call.error!r} {vars(call.error)} {''.join(lines)}"


def _untrue(  # noqa: PLR0911 - one case a kind of outcome
    call: Call, effects: Sequence[Entry], history: History, *, clear: bool
) -> list[str]:
    """Return what is wrong in what a call said."""
    is_change = call.kind in {"create", "update", "delete"}
    match call.error:
        case None:
            return _untrue_result(call, effects, history)
        case OutcomeUnknownError():
            why = "all is known" if clear else "nothing was changed"
            return [why] if clear or not is_change else []
        case RoleRenamedError() as error if call.by_name:
            names = [entry.role["name"] for entry in effects]
            return [] if names == [error.renamed_to] != [call.name] else [f"it changed {names}"]
        case RolesError() if is_change and effects:
            return ["it says that nothing happened, and it did"]
        case NotFoundError() if call.kind == "create":
            return ["nothing was looked for"]
        case NotFoundError() if call.by_name:
            free = history.is_free(call.name, call.started, call.ended)
            return [] if free else ["a role had the name all the time"]
        case NotFoundError() if None not in history.during(call.role_id, call.started, call.ended):
            return ["the role was there all the time"]
        case ConflictError() if call.kind in {"get", "delete", "list"} or not (
            history.holders(call.name, call.started, call.ended) - {call.role_id}
        ):
            return ["nothing was in its way"]
        case _:
            return []


def _untrue_result(  # noqa: PLR0911 - one case an operation
    call: Call, effects: Sequence[Entry], history: History
) -> list[str]:
    within = [entry for entry in effects if entry.at <= call.ended]
    match call.kind, call.result:
        case "create", Role() as role:
            ids = [entry.role["id"] for entry in within]
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
        return [] if role.is_predefined and call.kind == "list" else [f"no role {role.id}"]
    if call.role_id not in {"", role.id}:
        return [f"it is another role, {role.id}"]
    states = history.during(role.id, call.started, call.ended)
    seen = (role.name, role.description)
    if any(state and (state["name"], state.get("description")) == seen for state in states):
        return []
    return [f"{seen} was never so at the time"]
