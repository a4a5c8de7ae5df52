"""Applying: a plan's changes are made one after another, and a failure says what was made."""

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, cast

from arize_roles_async import (
    ConflictError,
    InvalidResponseError,
    OutcomeUnknownError,
    RolesClient,
    RolesError,
)
from arize_roles_async._values.errors import validation_error
from arize_roles_async._values.text import type_name
from arize_roles_async.as_code.declaration import Declaration
from arize_roles_async.as_code.plan import Change, Plan, differing, plan


class StalePlanError(RolesError):
    """The account or the declaration is not what the expected plan was for; nothing was changed."""


class ApplyError(RolesError):
    """A change failed, and no other was begun after it. Applying again makes what is missing.

    Attributes:
        made, failed, not_reached: The changes before it, it, and those after it.
        may_have_been_made: Whether it may still have been made, perhaps not as asked.
    """

    made: tuple[Change, ...] = ()
    failed: Change | None = None
    may_have_been_made: bool = False
    not_reached: tuple[Change, ...] = ()


async def apply(
    roles: RolesClient,
    declaration: Declaration,
    *,
    expected: Plan | str | None = None,
    on_plan: Callable[[Plan], object] | None = None,
    on_change: Callable[[Change], object] | None = None,
) -> Plan:
    """Plan again and make the changes, one after another; a cancellation ends it where it is.

    Args:
        roles: A client of the account.
        declaration: The roles that the account is to have.
        expected: The plan that was reviewed, or its checksum; None applies whatever is planned.
        on_plan: Called with the plan before the first change.
        on_change: Called with each change after it was made.

    Returns:
        The plan whose changes were made.

    Raises:
        ValidationError: `declaration` or `expected` is of another type, or `on_plan` or `on_change`
            cannot be called, or is an async function.
        StalePlanError: The plan is not the expected one.
        ApplyError: A change failed, or was answered otherwise than asked.
        RolesError: As from `plan`; nothing was changed.
    """
    for name, called in (("on_plan", on_plan), ("on_change", on_change)):
        if called is not None and not _is_plain_function(called):
            raise validation_error((name, "must be a function, and not async"))
    if not isinstance(cast("object", expected), Plan | str | None):
        message = f"must be a Plan, its checksum or None, not {type_name(expected)}"
        raise validation_error(("expected", message))
    planned = await plan(roles, declaration)
    checksum = expected.checksum if isinstance(expected, Plan) else expected
    if checksum not in {None, planned.checksum}:
        why = "nothing was changed, as the plan is not the expected one; its checksum is now"
        raise StalePlanError(f"{why} {planned.checksum}")
    if on_plan is not None:
        on_plan(planned)
    for position, change in enumerate(planned.changes):
        try:
            await _make(roles, change)
        except RolesError as error:
            raise _failure(planned.changes, position, error) from error
        if on_change is not None:
            on_change(change)
    return planned


def _is_plain_function(called: object) -> bool:
    if not callable(called):
        return False
    return not (iscoroutinefunction(called) or iscoroutinefunction(called.__call__))


async def _make(roles: RolesClient, change: Change) -> None:
    role_id, after = change.before.id if change.before else "", change.after
    if after is None:
        await roles.delete(role_id=role_id)
        return
    fields: dict[str, Any] = {f: getattr(after, f) for f in differing(change.before, after)}
    role = await (roles.update(role_id=role_id, **fields) if role_id else roles.create(**fields))
    withheld = {"permissions"} if role.permissions is None else ()
    if others := [field for field in differing(role, after) if field not in withheld]:
        raise InvalidResponseError(f"the answer has a different {' and '.join(others)}")


def _failure(changes: tuple[Change, ...], position: int, cause: RolesError) -> ApplyError:
    failed, not_reached = changes[position], changes[position + 1 :]
    is_open = isinstance(cause, InvalidResponseError | OutcomeUnknownError)
    message = f"{failed} {'may have been' if is_open else 'was not'} made"
    if failed.action == "delete" and isinstance(cause, ConflictError):
        message += ", as the role is still bound to users"
    message += f": {cause}; made before: {position}; not reached: "
    error = ApplyError(f"{message}{', '.join(map(str, not_reached)) or 'none'}")
    error.made, error.failed, error.not_reached = changes[:position], failed, not_reached
    error.may_have_been_made = is_open
    return error
