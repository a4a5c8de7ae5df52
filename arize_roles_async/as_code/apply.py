"""Applying: the changes of a plan are made one after another, and the result lists them."""

import json
import re
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, Final, cast

import attr

from arize_roles_async import RolesClient, RolesError
from arize_roles_async._values.options import is_count
from arize_roles_async._values.requests import check
from arize_roles_async._values.text import quoted, type_name
from arize_roles_async.as_code.attempts import Attempts, StalePlanError, StoppedError
from arize_roles_async.as_code.declaration import Declaration
from arize_roles_async.as_code.plan import CHECKSUM_FORMAT, FORMAT_VERSION, Change, Plan, PlanError
from arize_roles_async.as_code.planning import plan
from arize_roles_async.as_code.toml import quote

_DEFAULT_REMOVALS: Final = "30%"
"""As octoDNS has it."""
_FEW_ROLES: Final = 10
"""An account of fewer custom roles has no limit of removals unless one is given."""


@attr.frozen(kw_only=True)
class ApplyResult:
    """The result of a run; `str` of it is one line that begins with the counts."""

    plan: Plan
    made: tuple[Change, ...] = ()
    """The changes that were made, or that somebody else had made already."""
    blocked: tuple[Change, ...] = ()
    """The deletes that the service refused since users have the role; nothing waits for them."""
    failed: Change | None = None
    """The change at which the run ended."""
    may_have_been_made: bool = False
    """True if `failed` may have been made nevertheless, perhaps with another result than asked."""
    reason: str | None = None
    """Why the run ended early; None if every change was made."""

    @property
    def not_reached(self) -> tuple[Change, ...]:
        """The changes that were not begun."""
        begun = len(self.made) + len(self.blocked) + (self.failed is not None)
        return self.plan.changes[begun:]

    def __str__(self) -> str:
        counts = f"made: {len(self.made)} of {len(self.plan.changes)}"
        parts = [f"{counts}, not reached: {len(self.not_reached)}", self.failure()]
        for title, changes in (("blocked", self.blocked), ("not reached", self.not_reached)):
            if changes:
                parts.append(f"{title}: {', '.join(map(str, changes))}")
        return "; ".join(filter(None, parts))

    def failure(self) -> str | None:
        """Return why the run ended early, with the change that failed; None if it did not."""
        if self.failed is None:
            return self.reason
        outcome = "may have been" if self.may_have_been_made else "was not"
        return f"{self.failed} {outcome} made: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "format_version": FORMAT_VERSION,
            "account": self.plan.account,
            "host": self.plan.host,
            "checksum": self.plan.checksum,
            "made": [change.to_dict() for change in self.made],
            "blocked": [change.to_dict() for change in self.blocked],
            "failed": self.failed and self.failed.to_dict(),
            "may_have_been_made": self.may_have_been_made,
            "not_reached": [change.to_dict() for change in self.not_reached],
            "reason": self.reason,
        }

    def to_json(self) -> str:
        """Return `to_dict()` as JSON text, on one line and in ASCII."""
        return json.dumps(self.to_dict())


class TooManyRemovalsError(PlanError):
    """The plan deletes, or takes permissions from, more roles than allowed; nothing was changed.

    Attributes:
        plan: The plan, whose `removals` are too many; None in an error that was made by hand.
    """

    plan: Plan | None = None


class ApplyError(RolesError):
    """A change failed, or the run was stopped; no other change was begun after it.

    Planning and applying again makes the missing changes. A delete that is refused since users have
    the role does not stop the run, which ends with this error all the same.

    Attributes:
        result: The changes that were made, blocked, that failed and that were not reached.
    """

    result: ApplyResult = ApplyResult(plan=Plan(changes=(), unchanged=(), undeclared=()))


async def apply(
    roles: RolesClient,
    declaration: Declaration,
    *,
    expected: Plan | str | None = None,
    account: str | None = None,
    max_removals: int | str | None = None,
    on_plan: Callable[[Plan], object] | None = None,
    on_change: Callable[[Change], object] | None = None,
    on_result: Callable[[ApplyResult], object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> ApplyResult:
    """Plan again and make the changes, one after another; a cancellation ends the run at once.

    Each role is read again before each attempt to update or delete it. If it differs from the plan,
    the run ends there, so that it does not undo a change by somebody else. Only a change between
    that reading and our own request, which follows at once, is not noticed; under a rate limit, the
    request may have to wait for its turn. A role that is already as declared, or is already gone
    where it should be deleted, counts as made. Each change has as many attempts, and as much time
    for the waits between them, as a call of the client.

    Args:
        roles: A client of the account.
        declaration: The roles that the account should have.
        expected: The plan that was reviewed, or its checksum; None applies any plan.
        account: A label of the account, as `plan` takes it.
        max_removals: The most custom roles that may be deleted or lose permissions: a number, or a
            share such as `"50%"`. Unless given, it is 30 % for an account of ten or more custom
            roles, and no limit for a smaller one. An expected plan has no limit. Only the command
            reads `ARIZE_ROLES_MAX_REMOVALS`.
        on_plan: Called with the plan before the first change.
        on_change: Called with each change after it was made.
        on_result: Called with the result when the run ends, also when it fails or is cancelled.
        stop: Called before each request, again after one had to wait for its turn, and ten times a
            second in a wait; the run ends as soon as it returns True.

    Returns:
        The result: every change of the plan was made.

    Raises:
        ValidationError: An argument is of another type, or a function cannot be called or is async.
        StalePlanError: The plan is not the expected one.
        TooManyRemovalsError: The plan deletes or takes from more roles than `max_removals`.
        ApplyError: A change failed, or its answer differs from what was asked; a role is not as the
            plan saw it; users have a role that is to be deleted; or `stop` ended the run.
        RolesError: As from `plan`; nothing was changed.
    """
    is_expected = isinstance(cast("object", expected), Plan | str | None)
    wrong = f"must be a Plan, its checksum or None, not {type_name(expected)}"
    functions = {"on_plan": on_plan, "on_change": on_change, "on_result": on_result, "stop": stop}
    check(
        *((name, _function_rule(function)) for name, function in functions.items()),
        ("expected", None if is_expected else wrong),
        ("max_removals", _removals_rule(max_removals)),
    )
    planned = await plan(roles, declaration, account=account)
    _check_plan(planned, expected, max_removals)
    if on_plan is not None:
        on_plan(planned)
    made: list[Change] = []
    blocked: list[Change] = []
    attempts: Attempts | None = None
    cause: RolesError | None = None
    reason: str | None = None
    try:
        for change in planned.changes:
            attempts = Attempts(roles, change, stop)
            refusal = await attempts.make()
            attempts = None
            if refusal is not None:
                blocked.append(change)
                cause = cause or refusal
            else:
                made.append(change)
                if on_change is not None:
                    on_change(change)
        if cause is not None:
            names = ", ".join(quote(each.before.name) for each in blocked if each.before)
            reason = f"users still have {names}: {cause}"
    except RolesError as error:
        cause, reason = error, str(error)
    except BaseException as error:
        reason = f"the run was ended by {type(error).__name__}"
        raise
    finally:
        is_open = attempts is not None and attempts.may_have_been_made
        is_begun = is_open or not isinstance(cause, StoppedError)
        result = ApplyResult(
            plan=planned,
            made=tuple(made),
            blocked=tuple(blocked),
            failed=attempts.change if attempts and is_begun else None,
            may_have_been_made=is_open,
            reason=reason,
        )
        if on_result is not None:
            on_result(result)
    if cause is not None:
        failure = ApplyError(str(result))
        failure.result = result
        raise failure from cause
    return result


def _function_rule(called: object) -> str | None:
    called_by = called.__call__ if callable(called) else called
    is_async = iscoroutinefunction(called) or iscoroutinefunction(called_by)
    is_wrong = called is not None and (is_async or not callable(called))
    return "must be a function, and not async" if is_wrong else None


def _removals_rule(limit: object) -> str | None:
    is_share = isinstance(limit, str) and re.fullmatch("[0-9]{1,9}%?", limit)
    if limit is None or is_share or is_count(limit):
        return None
    return f"must be a number, or a share such as '30%', not {quoted(limit)}"


def _check_plan(planned: Plan, expected: Plan | str | None, limit: int | str | None) -> None:
    """Raise if a plan is not the expected one, or removes too much where none is expected."""
    error: StalePlanError | TooManyRemovalsError
    checksum = expected.checksum if isinstance(expected, Plan) else expected
    if checksum is None:
        there, removed = planned.custom_roles, len(planned.removals)
        if limit is None:
            limit = _DEFAULT_REMOVALS if there >= _FEW_ROLES else there
        text = str(limit)
        allowed = int(text[:-1]) * there / 100 if text.endswith("%") else int(text)
        if removed <= allowed:
            return
        error = TooManyRemovalsError(
            f"nothing was changed: {removed} of {there} custom roles would be deleted or lose "
            f"permissions, and the limit is {text}; expect a reviewed plan, or raise max_removals"
        )
    else:
        if checksum == planned.checksum:
            return
        why = "the plan differs from the expected one"
        is_checksum = re.fullmatch("([0-9]+-)?[0-9a-f]{64}", checksum)
        if is_checksum and not checksum.startswith(CHECKSUM_FORMAT):
            why = "the expected checksum was made by another version of this library"
        now = f"the plan's checksum is now {planned.checksum}"
        error = StalePlanError(f"nothing was changed: {why}; {now}")
    error.plan = planned
    raise error
