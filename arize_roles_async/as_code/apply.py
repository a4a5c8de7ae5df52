"""Applying: the changes of a plan are made one after another, and the result lists them."""

import json
import re
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, Final, cast

import attr

from arize_roles_async import Role, RolesClient, RolesError, __version__
from arize_roles_async._calls.client import begin, part_of
from arize_roles_async._values import errors
from arize_roles_async._values.options import RetryPolicy, retry_delay
from arize_roles_async._values.requests import check
from arize_roles_async._values.text import quoted, type_name
from arize_roles_async.as_code.declaration import Declaration, DeclaredRole
from arize_roles_async.as_code.planning import (
    CHECKSUM_FORMAT,
    FORMAT_VERSION,
    Change,
    Plan,
    PlanError,
    differing,
    only_in,
    read_plan,
)
from arize_roles_async.as_code.toml import quote

_MOST_REMOVALS: Final = "30%"
"""As octoDNS has it."""
_FEW_ROLES: Final = 10
"""An account of fewer custom roles has no limit of removals unless one is given."""
_ONCE: Final = RetryPolicy(attempts=1)
_MOST_LIMITED: Final = 20
"""Attempts of a change that a rate limit refuses, after each of which the next reading waits."""


@attr.frozen(kw_only=True)
class Refusal:
    """A change that was refused; it stopped no other one but those that depend on it."""

    change: Change
    reason: str
    is_blocked: bool = False
    """True for a delete if users have the role."""

    def __str__(self) -> str:
        who = "users still have the role: " if self.is_blocked else ""
        return f"{self.change} was not made: {who}{self.reason}"


@attr.frozen(kw_only=True)
class ApplyResult:
    """The result of a run; `str` of it is one line that begins with the counts."""

    plan: Plan
    made: tuple[Change, ...] = ()
    """The changes that were made, or that somebody else had made already."""
    refused: tuple[Refusal, ...] = ()
    """The changes that the service refused, or whose role is not as the plan saw it."""
    failed: Change | None = None
    """The change at which the run ended early."""
    may_have_been_made: bool = False
    """True if `failed` may have been made nevertheless, perhaps with another result than asked."""
    reason: str | None = None
    """Why the run ended early; None if it did not."""

    @property
    def not_reached(self) -> tuple[Change, ...]:
        """The changes that were not begun; if the run did not end early, they depend on others."""
        refused = [each.change for each in self.refused]
        begun = {*map(str, [*self.made, *refused, self.failed])}
        return tuple(each for each in self.plan.changes if str(each) not in begun)

    def __str__(self) -> str:
        left = self.not_reached
        parts = [f"made: {len(self.made)} of {len(self.plan.changes)}, not reached: {len(left)}"]
        parts += [*map(str, self.refused), self.failure() or ""]
        parts += [f"not reached: {', '.join(map(str, left))}"] if left else []
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
            "refused": [
                {**attr.asdict(r, recurse=False), "change": r.change.to_dict()}
                for r in self.refused
            ],
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

    plan: Plan | None = None
    """The plan of the account as it is now; None if the error names a role."""


class TooManyRemovalsError(PlanError):
    """The plan deletes, or takes permissions from, more roles than allowed; nothing was changed."""

    plan: Plan | None = None
    """The plan, whose `removals` are too many; None in an error that was made by hand."""


class ApplyError(RolesError):
    """A change was not made; its cause is the first error. Applying again makes what is missing."""

    result: ApplyResult = ApplyResult(plan=Plan(changes=(), unchanged=(), undeclared=()))


_REFUSALS: Final = (
    errors.BadRequestError,
    errors.ForbiddenError,
    errors.NotFoundError,
    errors.ConflictError,
    errors.UnprocessableEntityError,
    StalePlanError,
)
"""What stops one change; any other failure may meet every change, and ends the run."""


class StoppedError(RolesError):
    """The run is to stop, so that nothing more is sent."""


async def apply(
    roles: RolesClient,
    declaration: Declaration,
    *,
    expected: Plan | str | None = None,
    max_removals: int | str | None = None,
    on_plan: Callable[[Plan], object] | None = None,
    on_change: Callable[[Change], object] | None = None,
) -> ApplyResult:
    """Plan again and make the changes, one after another.

    Each role is read again before each attempt to update or delete it. If it differs from the plan,
    it stays, so that a change by somebody else is not undone; only one between that reading and our
    own request, which may have to wait for its turn under a rate limit, is not noticed. A role that
    is already as declared, or already gone where it should be, counts as made. Each change has the
    time of one call, and three attempts; those that a rate limit refuses do not count up to 20.

    A change that is refused (400, 403, 404, 409, 422) stops no other one but each update that takes
    a permission which it should have given. Any other failure ends the run: a key that is refused,
    a rate limit without an end, no connection, or a change that may have been made. A cancellation
    ends it at once, and has no result: `on_change` got what was made. If the client is closed, its
    grace is for the change under way, and the run ends after it.

    Args:
        roles: A client of the account.
        declaration: The roles that the account should have.
        expected: The plan that was reviewed, or its checksum; None applies any plan.
        max_removals: The most custom roles that may be deleted or lose permissions: a number, or a
            share such as `"50%"`. Unless given, it is 30 % for an account of ten or more custom
            roles, and no limit for a smaller one. An expected plan has no limit.
        on_plan: Called with the plan before the first change.
        on_change: Called with each change after it was made.

    Returns:
        The result: every change of the plan was made.

    Raises:
        ValidationError: An argument is of another type, or a function cannot be called or is async.
        StalePlanError: The plan is not the expected one.
        TooManyRemovalsError: The plan deletes or takes from more roles than `max_removals`.
        ApplyError: A change was refused or failed, or its answer differs from what was asked.
        RolesError: As from `plan`; nothing was changed.
    """
    is_expected = isinstance(cast("object", expected), Plan | str | None)
    wrong = f"must be a Plan, its checksum or None, not {type_name(expected)}"
    check(
        ("on_plan", _function_flaw(on_plan)),
        ("on_change", _function_flaw(on_change)),
        ("expected", None if is_expected else wrong),
        ("max_removals", _removals_flaw(max_removals)),
    )
    planned = await read_plan(roles, declaration)
    check_plan(planned, expected, max_removals)
    if on_plan is not None:
        on_plan(planned)
    return await Run(roles, planned).finish(on_change)


class Run:
    """The run of a plan.

    The guide promises that a role is read again before each attempt to change it. So an attempt is
    a call that tries once; the reading before it tries again and waits as any call of the client.

    `permit` is called before each request; it stops the run by a `StoppedError`.
    """

    def __init__(
        self, client: RolesClient, planned: Plan, permit: Callable[[], object] = lambda: None
    ) -> None:
        self.result: ApplyResult = ApplyResult(plan=planned)
        """How far the run came; the whole of it once `finish` has ended in whatever way."""
        self.is_sending: bool = False
        """A request is under way that may make a change."""
        self._client, self._permit = client, permit
        self._begun: Change | None = None
        self._is_open = False
        """A request was sent that may have made the change, and its answer does not show it."""

    async def finish(self, on_change: Callable[[Change], object] | None = None) -> ApplyResult:
        """Make every change and return the result; raises as `apply` does."""
        ended_by: BaseException | None = None
        withheld: set[str] = set()
        """The permissions that updates should have given."""
        try:
            for change in self.result.plan.changes:
                is_update = change.action == "update"
                if not is_update or withheld.isdisjoint(change.takes):
                    refusal = await self._try(change, on_change)
                    ended_by = ended_by or refusal
                    if refusal is None:
                        continue
                withheld.update(change.gives if is_update else ())
        except BaseException as error:
            is_error = isinstance(error, RolesError)
            has_failed = self._is_open or (is_error and not isinstance(error, StoppedError))
            self.result = attr.evolve(
                self.result,
                failed=self._begun if has_failed else None,
                may_have_been_made=self._is_open,
                reason=str(error) if is_error else f"the run was ended by {type(error).__name__}",
            )
            if not is_error:
                raise
            ended_by = error
        if ended_by is None:
            return self.result
        failure = ApplyError(str(self.result))
        failure.result = self.result
        raise failure from ended_by

    async def _try(
        self, change: Change, on_change: Callable[[Change], object] | None
    ) -> RolesError | None:
        """Make a change, unless somebody else made it; return the error if it was refused."""
        self._begun, self._is_open, result = change, False, self.result
        try:
            made = await self._make(change)
        except _REFUSALS as error:
            if self._is_open:
                raise
            is_blocked = isinstance(error, errors.ConflictError) and error.method == "DELETE"
            refusal = Refusal(change=change, reason=str(error), is_blocked=is_blocked)
            self.result = attr.evolve(result, refused=(*result.refused, refusal))
            return error
        self.result = attr.evolve(result, made=(*result.made, made))
        self._begun = None
        if on_change is not None:
            on_change(made)
        return None

    async def _make(self, change: Change) -> Change:
        """Return a change as it was made, after as many attempts as it takes."""
        # Its calls have the time of one together, and all the grace of a client that closes.
        whole = begin(self._client, "apply")
        roles = part_of(whole, self._client)
        failed = limited = 0
        while True:
            self._permit()
            # Nobody has to look before a first create: a name that is taken is refused.
            if change.before or failed or limited:
                if made := await self._find(roles, change):
                    return made
                self._permit()
            try:
                return await self._send(roles, change)
            except RolesError as error:
                cause = error.__cause__ if isinstance(error, errors.OutcomeUnknownError) else None
                failure = cause if isinstance(cause, RolesError) else error
                is_limited = isinstance(failure, errors.RateLimitError)
                failed, limited = failed + (not is_limited), limited + is_limited
                attempt, policy = max(failed, 1), RetryPolicy()
                is_last = retry_delay(policy, failure, attempt=attempt, change=True) is None
                if is_last or limited > _MOST_LIMITED:
                    raise

    async def _find(self, roles: RolesClient, change: Change) -> Change | None:
        """Return a change that is made already; None if its role is as the plan saw it."""
        before, after = change.before, change.after
        now: Role | None
        if before is None:
            named = [role async for role in roles.list() if after and role.name == after.name]
            now = named[0] if named else None
        else:
            try:
                now = await roles.get(role_id=before.id)
            except errors.NotFoundError as error:
                if after is None:
                    return change
                gone = f"{quote(after.name)} was deleted since the plan was made"
                raise StalePlanError(gone) from error
        if now is None or not differing(before, now):
            return None
        if not differing(after, now):
            return change if before else attr.evolve(change, created_id=now.id)
        name = before.name if before else now.name
        what = "was changed since the plan was made" if before else "is not as declared"
        raise StalePlanError(f"{quote(name)} {what}: {_drift(before or after, now)}")

    async def _send(self, roles: RolesClient, change: Change) -> Change:
        """Send a change and return it as it was made."""
        before, after, once = change.before, change.after, roles.with_options(retry=_ONCE)
        role_id = before.id if before else ""
        was_open, self._is_open, self.is_sending = self._is_open, True, True
        try:
            if after is None:
                await once.delete(role_id=role_id)
                return change
            fields: dict[str, Any] = {f: getattr(after, f) for f in differing(before, after)}
            asked = once.update(role_id=role_id, **fields) if before else once.create(**fields)
            role = await asked
            withheld = {"permissions"} if role.permissions is None else ()
            if others := [field for field in differing(role, after) if field not in withheld]:
                fault = f"the answer has a different {' and '.join(others)}"
                raise errors.InvalidResponseError(fault)
            return change if before else attr.evolve(change, created_id=role.id)
        except RolesError as error:
            # The role is gone, whoever deleted it.
            if after is None and isinstance(error.__cause__ or error, errors.NotFoundError):
                return change
            # A gateway's 4xx says nothing about the change; the client looked after its 5xx.
            is_gateways = isinstance(error, errors.StatusError) and not error.from_service
            is_sure = isinstance(error, errors.ServerError | errors.RateLimitError)
            is_unknown = isinstance(error, errors.OutcomeUnknownError | errors.InvalidResponseError)
            self._is_open = was_open or is_unknown or (is_gateways and not is_sure)
            # An earlier attempt, or another run, may have made the role that has the name.
            is_taken = before is None and isinstance(error, errors.ConflictError)
            if is_taken and (made := await self._find(roles, change)):
                return made
            raise
        finally:
            self.is_sending = False


def _drift(before: Role | DeclaredRole | None, now: Role) -> str:
    fields = differing(before, now)
    gained, lost = (", ".join(only_in(*each)) for each in ((now, before), (before, now)))
    drift = (
        f"its name is {quote(now.name)}" if "name" in fields else "",
        f"it gained {gained}" if gained else "",
        f"it lost {lost}" if lost else "",
        f"its description is {quote(now.description or '')}" if "description" in fields else "",
    )
    return ", ".join(filter(None, drift))


def _function_flaw(called: object) -> str | None:
    called_by = called.__call__ if callable(called) else called
    is_async = iscoroutinefunction(called) or iscoroutinefunction(called_by)
    is_fit = called is None or (callable(called) and not is_async)
    return None if is_fit else "must be a function, and not async"


def _removals_flaw(limit: object) -> str | None:
    is_fit = limit is None or re.fullmatch("[0-9]{1,9}%?", str(limit))
    return None if is_fit else f"must be a number, or a share such as '30%', not {quoted(limit)}"


def check_plan(planned: Plan, expected: Plan | str | None, limit: int | str | None) -> None:
    """Raise if a plan is not the expected one, or removes too much where none is expected."""
    check(("max_removals", _removals_flaw(limit)))
    there, removed = planned.custom_roles, len(planned.removals)
    text = str((_MOST_REMOVALS if there >= _FEW_ROLES else "100%") if limit is None else limit)
    allowed = int(text[:-1]) * there / 100 if text.endswith("%") else int(text)
    error: StalePlanError | TooManyRemovalsError
    if expected is not None:
        checksum = expected.checksum if isinstance(expected, Plan) else expected
        if checksum == planned.checksum:
            return
        why = "the plan differs from the expected one"
        is_checksum = re.fullmatch("([0-9]+-)?[0-9a-f]{64}", checksum)
        if is_checksum and not checksum.startswith(CHECKSUM_FORMAT):
            why = f"another version than {__version__} made the expected checksum, so plan again"
        now = f"the plan's checksum is now {planned.checksum}"
        error = StalePlanError(f"nothing was changed: {why}; {now}")
    elif removed > allowed:
        error = TooManyRemovalsError(
            f"nothing was changed: {removed} of {there} custom roles would be deleted or lose "
            f"permissions, and the limit is {text}; expect a reviewed plan, or raise max_removals"
        )
    else:
        return
    error.plan = planned
    raise error
