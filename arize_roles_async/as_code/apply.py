"""Applying: the changes of a plan are made one after another, and the result lists them."""

import re
from collections.abc import Callable, Iterator
from inspect import iscoroutinefunction
from typing import Any, Final

import attr

from arize_roles_async import RolesClient, RolesError, __version__
from arize_roles_async._clients.client import one_call
from arize_roles_async._values import errors
from arize_roles_async._values.options import RetryPolicy
from arize_roles_async._values.requests import check
from arize_roles_async._values.text import quoted
from arize_roles_async.as_code import planning
from arize_roles_async.as_code.declaration import Declaration
from arize_roles_async.as_code.places import BindingChange, in_run
from arize_roles_async.as_code.planning import AnyChange, Plan, PlanError, needs, provides
from arize_roles_async.as_code.steps import BindingStep, StalePlanError, Step

_MOST_REMOVALS, _FEW_ROLES = "30%", 10
"""The limit unless one is given, as octoDNS has it, and of how many roles or bindings, or more."""
_REFUSALS: Final = {400, 403, 404, 409, 422}
"""The statuses that stop one change; other failures may meet every change, and end the run."""
_ONCE: Final = RetryPolicy(attempts=1)


@attr.frozen(kw_only=True)
class Refusal:
    """A change that was refused; it stopped no other one but those that depend on it."""

    change: AnyChange
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
    made: tuple[AnyChange, ...] = ()
    """The changes that were made, or that somebody else had made already."""
    refused: tuple[Refusal, ...] = ()
    """The changes that the service refused, or whose role is not as the plan saw it."""
    failed: AnyChange | None = None
    """The change at which the run ended early."""
    may_have_been_made: bool = False
    """True if `failed` may have been made nevertheless, perhaps with another result than asked."""
    reason: str | None = None
    """Why the run ended early; None if it did not."""

    @property
    def not_reached(self) -> tuple[AnyChange, ...]:
        """The changes that were not begun; if the run did not end early, they depend on others."""
        refused = [each.change for each in self.refused]
        begun = {*map(str, [*self.made, *refused, self.failed])}
        return tuple(each for each in self.plan.all_changes if str(each) not in begun)

    def __str__(self) -> str:
        return "; ".join(self.lines())

    @property
    def errors(self) -> list[str]:
        """What was refused, and why the run ended early; empty if every change was made."""
        outcome = "may have been" if self.may_have_been_made else "was not"
        why = f"{self.failed} {outcome} made: {self.reason}" if self.failed else self.reason
        return [*map(str, self.refused), *filter(None, [why])]

    def lines(self) -> list[str]:
        """Return the counts, the errors, and what was not reached."""
        left = self.not_reached
        counts = f"made: {len(self.made)} of {len(self.plan.all_changes)}, not reached: {len(left)}"
        return [counts, *self.errors, *(f"not reached: {each}" for each in left)]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "format_version": planning.FORMAT_VERSION,
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


class TooManyRemovalsError(PlanError):
    """The plan deletes, or takes permissions from, more roles than allowed; nothing was changed."""

    plan: Plan | None = None
    """The plan, whose `removals` are too many; None in an error that was made by hand."""


class ApplyError(RolesError):
    """A change was not made; its cause is the first error. Applying again makes what is missing."""

    result: ApplyResult = ApplyResult(plan=Plan(changes=(), unchanged=(), undeclared=()))


class StoppedError(RolesError):
    """The run is to stop, so that nothing more is sent."""


async def apply(
    roles: RolesClient,
    declaration: Declaration,
    *,
    expected: Plan | str | None = None,
    max_removals: int | str | None = None,
    on_change: Callable[[AnyChange], object] | None = None,
) -> ApplyResult:
    """Plan again and make the changes, one after another.

    Each role is read again before each attempt to update or delete it. If it differs from the plan,
    it stays; only a change between that reading and our own request is not noticed. What is already
    as declared counts as made. Each change has the time of one call of the client, and its
    `RetryPolicy`: three attempts unless given, or 20 that a rate limit refuses.

    A change that is refused (400, 403, 404, 409, 422) stops no other one but those that need it.
    Any other failure ends the run, such as no connection, or a change that may have been made. A
    cancellation has no result: `on_change` got what was made. If the client is closed, its grace is
    for the change under way, and the run ends after it.

    Args:
        roles: A client of the account.
        declaration: The roles that the account should have, and who should have them where.
        expected: The plan that was reviewed, or its checksum; None applies any plan.
        max_removals: The most custom roles that may be deleted or lose permissions, and the most
            role bindings on declared places that may be taken: a number, or a share such as
            `"50%"`. Unless given, it is 30 % of ten or more, and no limit for fewer. An expected
            plan has no limit.
        on_change: Called with each change after it was made.

    Returns:
        The result: every change of the plan was made.

    Raises:
        ValidationError: An argument is of another type, or the function is async.
        StalePlanError: The plan is not the expected one.
        TooManyRemovalsError: The plan deletes or takes from more roles than `max_removals`.
        ApplyError: A change was refused or failed, or its answer differs from what was asked.
        RolesError: As from `plan`; nothing was changed.
    """
    is_valid = on_change is None or (callable(on_change) and not iscoroutinefunction(on_change))
    check(
        ("on_change", None if is_valid else "must be a function, and not async"),
        ("max_removals", _removals_flaw(max_removals)),
    )
    planned = await planning.read_plan(roles, declaration)
    check_plan(planned, expected, max_removals)
    return await Run(roles, planned).finish(on_change)


class Run:
    """The run of a plan; `permit` is called before each request, and may raise `StoppedError`.

    The guide promises that a role is read again before each attempt to change it. So an attempt is
    a call that tries once; the reading before it tries again and waits as any call of the client.
    """

    def __init__(
        self, client: RolesClient, planned: Plan, permit: Callable[[], object] = lambda: None
    ) -> None:
        self.result: ApplyResult = ApplyResult(plan=planned)
        """How far the run came; the whole of it once `finish` has ended in whatever way."""
        self.step: Step = Step()
        """The change under way, if any."""
        self.waits_for: str | None = None
        """The change that the run makes, and why it has to be tried again."""
        self._client, self._permit = client, permit

    async def finish(self, on_change: Callable[[AnyChange], object] | None = None) -> ApplyResult:
        """Make every change and return the result; raises as `apply` does."""
        ended_by: BaseException | None = None
        withheld: set[str] = set()
        """What changes that were not made should have provided."""
        created: dict[str, str] = {}
        try:
            for change in self.result.plan.all_changes:
                if withheld.isdisjoint(needs(change)):
                    kind = BindingStep if isinstance(change, BindingChange) else Step
                    self.step = kind(change, created)
                    refusal = await self._try(self.step, on_change)
                    ended_by = ended_by or refusal
                    if refusal is None:
                        continue
                withheld.update(provides(change))
        except BaseException as error:
            is_error = isinstance(error, RolesError)
            has_failed = self.step.is_tried or (is_error and not isinstance(error, StoppedError))
            self.result = attr.evolve(
                self.result,
                failed=self.step.change if has_failed else None,
                may_have_been_made=self.step.is_open,
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
        self, step: Step, on_change: Callable[[AnyChange], object] | None
    ) -> RolesError | None:
        """Make a change, unless somebody else made it; return the error if it was refused."""
        change, result = step.change, self.result
        try:
            await self._make(step)
        except RolesError as error:
            is_refusal = getattr(error, "status", None) in _REFUSALS
            if step.is_open or not (is_refusal or isinstance(error, StalePlanError)):
                raise
            is_delete = change.action == "delete" and step.is_tried
            is_blocked = is_delete and isinstance(error, errors.ConflictError)
            refusal = Refusal(change=change, reason=str(error), is_blocked=is_blocked)
            self.result = attr.evolve(result, refused=(*result.refused, refusal))
            return error
        finally:
            self.waits_for = None
        self.result, self.step = attr.evolve(result, made=(*result.made, change)), Step()
        if on_change is not None:
            on_change(change)
        return None

    async def _make(self, step: Step) -> None:
        # Its calls have the time of one together, and all the grace of a client that closes.
        async with one_call(self._client, "apply") as parts:
            client = parts.of(self._client)
        once = client.with_options(retry=_ONCE)
        while True:
            self._permit()
            if step.looks_first or step.is_tried:
                if await step.is_made(client):
                    return
                self._permit()
            if (failure := await step.attempt(client, once)) is None:
                return
            self.waits_for = f"{step.change}: {failure}"
            if not await parts.wait_to_retry(failure):
                raise failure


def _removals_flaw(limit: object) -> str | None:
    is_valid = limit is None or re.fullmatch("[0-9]{1,9}%?", str(limit))
    return None if is_valid else f"must be a number, or a share such as '30%', not {quoted(limit)}"


def removed(planned: Plan) -> Iterator[tuple[int, int, str]]:
    """Yield how much of each kind a plan removes, of how much, and what would happen to it."""
    roles = "custom roles would be deleted or lose permissions"
    yield len(planned.removals), planned.custom_roles, roles
    bindings = "role bindings on declared places would be taken"
    taken = sum(each.action == "take" for each in in_run(planned.places))
    yield taken, sum(place.bindings for place in planned.places), bindings


def check_plan(planned: Plan, expected: Plan | str | None, limit: int | str | None) -> None:
    """Raise if a plan is not the expected one, or removes too much where none is expected."""
    check(("max_removals", _removals_flaw(limit)))
    if expected is not None:
        checksum = expected.checksum if isinstance(expected, Plan) else expected
        if checksum == planned.checksum:
            return
        form = re.fullmatch("([0-9]+-)?[0-9a-f]{64}", str(checksum))
        why = "the plan differs from the expected one"
        if form and form[1] != planning.CHECKSUM_FORMAT:
            why = f"another version than {__version__} made the expected checksum, so plan again"
        now = f"the plan's checksum is now {planned.checksum}"
        stale = StalePlanError(f"nothing was changed: {why}; {now}")
        stale.plan = planned
        raise stale
    for count, there, what in removed(planned):
        text = str((_MOST_REMOVALS if there >= _FEW_ROLES else "100%") if limit is None else limit)
        if count > (int(text[:-1]) * there / 100 if text.endswith("%") else int(text)):
            error = TooManyRemovalsError(
                f"nothing was changed: {count} of {there} {what}, and the limit is {text}; "
                "expect a reviewed plan, or raise max_removals"
            )
            error.plan = planned
            raise error
