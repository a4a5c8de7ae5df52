"""Applying: the changes of a plan are made one after another, and the result lists them."""

import json
import re
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, Final, cast

import attr

from arize_roles_async import (
    ConflictError,
    InvalidResponseError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    Role,
    RolesClient,
    RolesError,
    ServerError,
    StatusError,
)
from arize_roles_async._values.requests import check
from arize_roles_async._values.text import quoted, type_name
from arize_roles_async.as_code.declaration import Declaration, quote
from arize_roles_async.as_code.plan import FORMAT_VERSION, Change, Plan, differing, only_in, plan

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
    failed: Change | None = None
    """The change at which the run ended."""
    may_have_been_made: bool = False
    """True if `failed` may have been made nevertheless, perhaps with another result than asked."""
    reason: str | None = None
    """Why the run ended early; None if every change was made."""

    @property
    def not_reached(self) -> tuple[Change, ...]:
        """The changes that were not begun."""
        begun = len(self.made) + (self.failed is not None)
        return self.plan.changes[begun:]

    def __str__(self) -> str:
        counts = f"made: {len(self.made)} of {len(self.plan.changes)}"
        parts = [f"{counts}, not reached: {len(self.not_reached)}", self.failure()]
        if self.not_reached:
            parts.append(f"not reached: {', '.join(map(str, self.not_reached))}")
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
            "checksum": self.plan.checksum,
            "made": [change.to_dict() for change in self.made],
            "failed": self.failed and self.failed.to_dict(),
            "may_have_been_made": self.may_have_been_made,
            "not_reached": [change.to_dict() for change in self.not_reached],
            "reason": self.reason,
        }

    def to_json(self) -> str:
        """Return `to_dict()` as JSON text, on one line and in ASCII."""
        return json.dumps(self.to_dict())


class StalePlanError(RolesError):
    """The account or the declaration has changed since the plan was made.

    Raised by `apply`, before any change, if the plan is not the expected one. As the cause of an
    `ApplyError` it names a role that differs from the plan; that role was not changed.
    """


class TooManyRemovalsError(RolesError):
    """The plan deletes, or takes permissions from, more roles than allowed; nothing was changed."""


class ApplyError(RolesError):
    """A change failed, or the run was stopped; no other change was begun after it.

    Planning and applying again makes the missing changes.

    Attributes:
        result: The changes that were made, that failed and that were not reached.
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

    Each role is read again before it is updated or deleted. If it differs from the plan, the run
    ends there, so that it does not undo a change by somebody else. Only a change in the time of one
    request, between that reading and our own change, is not noticed. A role that is already as
    declared, or is already gone where it should be deleted, counts as made.

    Args:
        roles: A client of the account.
        declaration: The roles that the account should have.
        expected: The plan that was reviewed, or its checksum; None applies any plan.
        account: A label of the account, as `plan` takes it.
        max_removals: The most custom roles that may be deleted or lose permissions: a number, or a
            share such as `"50%"`. Unless given, it is 30 % for an account of ten or more custom
            roles, and no limit for a smaller one. An expected plan has no limit.
        on_plan: Called with the plan before the first change.
        on_change: Called with each change after it was made.
        on_result: Called with the result when the run ends, also when it fails or is cancelled.
        stop: Called before each request; the run ends as soon as it returns True.

    Returns:
        The result: every change of the plan was made.

    Raises:
        ValidationError: An argument is of another type, or a function cannot be called or is async.
        StalePlanError: The plan is not the expected one.
        TooManyRemovalsError: The plan deletes or takes from more roles than `max_removals`.
        ApplyError: A change failed, or its answer differs from what was asked; a role is not as the
            plan saw it; or `stop` ended the run.
        RolesError: As from `plan`; nothing was changed.
    """
    is_expected = isinstance(cast("object", expected), Plan | str | None)
    wrong = f"must be a Plan, its checksum or None, not {type_name(expected)}"
    functions = {"on_plan": on_plan, "on_change": on_change, "on_result": on_result, "stop": stop}
    check(
        *((name, _function_rule(function)) for name, function in functions.items()),
        ("expected", None if is_expected else wrong),
        ("max_removals", None if max_removals is None else _removals_rule(max_removals)),
    )
    planned = await plan(roles, declaration, account=account)
    checksum = expected.checksum if isinstance(expected, Plan) else expected
    if checksum is None:
        _check_removals(planned, max_removals)
    elif checksum != planned.checksum:
        why = "nothing was changed: the plan differs from the expected one; its checksum is now"
        raise StalePlanError(f"{why} {planned.checksum}")
    if on_plan is not None:
        on_plan(planned)
    return await _make_all(
        roles, planned, on_change or _ignore, on_result or _ignore, stop or _ignore
    )


async def _make_all(
    roles: RolesClient,
    planned: Plan,
    on_change: Callable[[Change], object],
    on_result: Callable[[ApplyResult], object],
    stop: Callable[[], object],
) -> ApplyResult:
    result = ApplyResult(plan=planned)
    try:
        for change in planned.changes:
            if stop():
                break
            result = attr.evolve(result, failed=change)
            if not await _is_made(roles, change):
                if stop():
                    result = attr.evolve(result, failed=None)
                    break
                result = attr.evolve(result, may_have_been_made=True)
                await _make(roles, change)
            result = ApplyResult(plan=planned, made=(*result.made, change))
            on_change(change)
        if result.not_reached:
            raise RolesError("the run was stopped")  # noqa: TRY301 - as any other end midway
    except RolesError as error:
        is_open = result.may_have_been_made and _may_have_been_made(error)
        reason = f"{_bound_to_users(result.failed, error)}{error}"
        result = attr.evolve(result, may_have_been_made=is_open, reason=reason)
        failure = ApplyError(str(result))
        failure.result = result
        raise failure from error
    except BaseException as error:
        result = attr.evolve(result, reason=f"the run was ended by {type(error).__name__}")
        raise
    finally:
        on_result(result)
    return result


def _ignore(*_: object) -> None:
    """Stand in for a function that the caller did not pass."""


def _function_rule(called: object) -> str | None:
    if called is None or (
        callable(called)
        and not (iscoroutinefunction(called) or iscoroutinefunction(called.__call__))
    ):
        return None
    return "must be a function, and not async"


def _removals_rule(limit: object) -> str | None:
    is_number = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0
    if is_number or (isinstance(limit, str) and re.fullmatch("[0-9]{1,9}%?", limit)):
        return None
    return f"must be a number, or a share such as '30%', not {quoted(limit)}"


def _check_removals(planned: Plan, limit: int | str | None) -> None:
    there, removed = planned.custom_roles, len(planned.removals)
    if limit is None:
        limit = _DEFAULT_REMOVALS if there >= _FEW_ROLES else there
    text = str(limit)
    allowed = int(text[:-1]) * there / 100 if text.endswith("%") else int(text)
    if removed > allowed:
        raise TooManyRemovalsError(
            f"nothing was changed: {removed} of {there} custom roles would be deleted or lose "
            f"permissions, and the limit is {text}; apply a reviewed plan (--checksum), or raise "
            "the limit (--max-removals)"
        )


async def _is_made(roles: RolesClient, change: Change) -> bool:
    """Return True if somebody else made the change already.

    Raises:
        StalePlanError: The role is neither as the plan saw it nor as declared.
    """
    before, after = change.before, change.after
    if before is None:
        return False
    try:
        now = await roles.get(role_id=before.id)
    except NotFoundError as error:
        if after is None:
            return True
        raise StalePlanError(f"{quote(before.name)} was deleted since the plan was made") from error
    if not differing(now, before):
        return False
    if after is not None and not differing(now, after):
        return True
    drift = _drift(before, now)
    raise StalePlanError(f"{quote(before.name)} was changed since the plan was made: {drift}")


def _drift(before: Role, now: Role) -> str:
    fields, drift = differing(before, now), list[str]()
    if "name" in fields:
        drift.append(f"its name is {quote(now.name)}")
    for verb, permissions in (("gained", only_in(now, before)), ("lost", only_in(before, now))):
        if permissions:
            drift.append(f"it {verb} {', '.join(permissions)}")
    if "description" in fields:
        drift.append(f"its description is {quote(now.description or '')}")
    return ", ".join(drift)


async def _make(roles: RolesClient, change: Change) -> None:
    role_id, after = change.before.id if change.before else "", change.after
    if after is None:
        await _delete(roles, role_id)
        return
    fields: dict[str, Any] = {f: getattr(after, f) for f in differing(change.before, after)}
    role = await (roles.update(role_id=role_id, **fields) if role_id else roles.create(**fields))
    withheld = {"permissions"} if role.permissions is None else ()
    if others := [field for field in differing(role, after) if field not in withheld]:
        raise InvalidResponseError(f"the answer has a different {' and '.join(others)}")


async def _delete(roles: RolesClient, role_id: str) -> None:
    try:
        await roles.delete(role_id=role_id)
    except NotFoundError:
        pass  # Somebody else deleted it since it was read.
    except OutcomeUnknownError as error:
        # The role is gone, whoever deleted it.
        if not isinstance(error.__cause__, NotFoundError):
            raise


def _may_have_been_made(error: RolesError) -> bool:
    """Return True if a change that ended in this error may have been made.

    A refusal by the service itself shows that it was not; so does a 429, whoever sent it. A 5xx
    does not, even the service's own: it may come after the change was made.
    """
    if isinstance(error, StatusError) and not isinstance(error, RateLimitError):
        return isinstance(error, ServerError) or not error.from_service
    return isinstance(error, OutcomeUnknownError | InvalidResponseError)


def _bound_to_users(change: Change | None, error: RolesError) -> str:
    is_delete = change is not None and change.action == "delete"
    is_bound = is_delete and isinstance(error, ConflictError)
    return "the role is still bound to users: " if is_bound else ""
