"""Compares the outcomes that a client reported with the account of the service.

The judge knows only the public API: what a call returned or raised. Each call about a role has one
of its own. A change leaves its mark: the role's description, or that the role is gone.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import attrs

from arize_roles_async import (
    ConflictError,
    ListRolesResponse,
    NotFoundError,
    OutcomeUnknownError,
    Role,
    RolesError,
)
from arize_roles_fake import LoggedCall
from tests.infrastructure.calls import Call
from tests.support.upstream import Upstream

SLACK: Final = 1.5
"""Seconds that a busy machine may be late with the end of a call whose time is up."""


@attrs.frozen(kw_only=True)
class Verdict:
    """The findings of the judge.

    `resent` are outcomes that are not so because something between resent a request by itself.
    """

    calls: Sequence[Call]
    complaints: list[str] = attrs.field(factory=list[str])
    resent: list[str] = attrs.field(factory=list[str])

    @property
    def failed(self) -> list[Call]:
        """The calls that raised."""
        return [call for call in self.calls if call.error is not None]


def mark_of(call: LoggedCall) -> object:
    """Return the mark of the call that sent a change."""
    arguments = call.arguments
    return arguments.get("role_id" if call.operation == "delete" else "description")


def judge(
    calls: Sequence[Call], upstream: Upstream, *, total: float, clear: bool, resends: bool
) -> Verdict:
    """Return the verdict on calls that were limited to a total of so many seconds.

    Where it is clear how every attempt ended, no outcome may be unknown; `resends` says that
    something between resends requests by itself.
    """
    sent = Counter((mark_of(each), each.operation, each.attempt) for each in upstream.account.calls)
    resent = {mark for (mark, _, _), times in sent.items() if mark and times > 1}
    roles = {role.id: role for role in upstream.account.roles}
    verdict = Verdict(calls=calls)
    for call in calls:
        is_create = call.kind == "create"
        role = upstream.account.role(call.name) if is_create else roles.get(call.role_id)
        said = _untrue(call, role, clear=clear)
        if isinstance(call.result, ListRolesResponse):
            said += [
                f"{each} has another name"
                for each in call.result.roles
                if each.id in roles and each.name != roles[each.id].name
            ]
        if call.mark in resent:
            said.append("it was sent more than once for one attempt")
        excused = resends and call.mark in resent
        (verdict.resent if excused else verdict.complaints).extend(f"{call}: {e}" for e in said)
        if call.error is not None and not isinstance(call.error, RolesError):
            verdict.complaints.append(f"foreign: {call}: {call.error!r}")
        if call.ended - call.started > total + SLACK:
            verdict.complaints.append(f"{call}: it took {call.ended - call.started:.1f} s")
    return verdict


def _untrue(call: Call, role: Role | None, *, clear: bool) -> list[str]:
    """Return what is wrong in what a call said, by the role that it is about, as it is now."""
    is_marked = role is not None and role.description == call.mark
    is_done = {"create": is_marked, "update": is_marked, "delete": role is None}.get(call.kind)
    match call.error:
        case None:
            return [] if _is_true(call, role, is_done=is_done) else ["the account says otherwise"]
        case OutcomeUnknownError():
            why = "all is known" if clear else "nothing was changed"
            return [why] if clear or is_done is None else []
        case RolesError() if is_done:
            return ["it says that nothing happened, and it did"]
        case NotFoundError():
            return ["the role was there"]
        case ConflictError():
            return ["nothing was in its way"]
        case _:
            return []


def _is_true(call: Call, role: Role | None, *, is_done: bool | None) -> bool:
    match call.kind, call.result:
        case "delete", None:
            return is_done is True
        case "create" | "update" | "get", Role() as found:
            shown = (found.id, found.name, found.description)
            is_same = role is not None and shown == (role.id, role.name, role.description)
            return is_same and is_done is not False
        case "list", ListRolesResponse():
            return True
        case _:
            return False
