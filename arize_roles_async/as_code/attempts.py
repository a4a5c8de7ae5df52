"""The attempts of one change: the role is read again before each, and the waits can be stopped."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from arize_roles_async import RetryPolicy, Role, RolesClient, RolesError, Timeouts
from arize_roles_async._values import errors
from arize_roles_async.as_code.declaration import DeclaredRole
from arize_roles_async.as_code.plan import Change, Plan, differing, only_in
from arize_roles_async.as_code.toml import quote

# A client that holds a request back for a rate limit would send it long after the role was read.
_AT_ONCE: Final = RetryPolicy(attempts=1, max_retry_after=0.001)
_SHORTEST_HOLD: Final = 1.0
"""Seconds to wait after a 429 that asks for less, as the clients do."""
_STEP: Final = 0.1
"""Seconds of a wait between two questions whether to stop."""


class StalePlanError(RolesError):
    """The account or the declaration has changed since the plan was made.

    Raised by `apply`, before any change, if the plan is not the expected one. As the cause of an
    `ApplyError` it names a role that differs from the plan; that role was not changed.

    Attributes:
        plan: The plan of the account as it is now; None if the error names a role.
    """

    plan: Plan | None = None


class StoppedError(RolesError):
    """The run is to stop, so that nothing more is sent."""


class Attempts:
    """The attempts of one change, as many and as long as those of a call of the client."""

    def __init__(
        self, roles: RolesClient, change: Change, stop: Callable[[], object] | None
    ) -> None:
        self.change: Change = change
        self.may_have_been_made: bool = False
        """A request was sent that may have made the change, and its answer does not show it."""
        self._stop = stop
        at_once = roles.with_options(retry=_AT_ONCE)
        # A client of ours asks again where a request waits for its turn.
        with_permit: Callable[..., RolesClient] | None = getattr(at_once, "_with_permit", None)
        self._roles = at_once if with_permit is None else with_permit(self._permit)
        # A client of ours has options and a clock of its own; any other has the defaults.
        self._retry: RetryPolicy = getattr(roles, "_retry", RetryPolicy())
        total = getattr(roles, "_timeouts", Timeouts()).total
        self._now: Callable[[], float] = getattr(roles, "_now", time.monotonic)
        self._deadline = math.inf if total is None else self._now() + total
        self._sleep: Callable[[float], Awaitable[object]] = getattr(roles, "_sleep", asyncio.sleep)
        self._failed = 0

    async def make(self) -> errors.ConflictError | None:
        """Make the change, unless somebody else made it already.

        Returns:
            The refusal of a delete, since users have the role; None if the change was made.

        Raises:
            StoppedError: `stop` ended the attempts before the change was made.
            StalePlanError: The role is neither as the plan saw it nor as declared.
            RolesError: As from the last attempt.
        """
        while True:
            try:
                self._permit()
                if not await self._is_made():
                    self._permit()
                    await self._send()
            except RolesError as error:
                if isinstance(error, errors.ConflictError) and self.change.after is None:
                    return error
                wait = self._delay(error)
                if wait is None:
                    raise
            else:
                return None
            while wait > 0.0:
                await self._sleep(min(wait, _STEP))
                wait -= _STEP
                self._permit()

    def _permit(self) -> None:
        if self._stop is not None and self._stop():
            raise StoppedError("the run was stopped")

    async def _is_made(self) -> bool:
        before, after = self.change.before, self.change.after
        try:
            now = await self._look()
        except errors.NotFoundError as error:
            if after is None:
                return True
            gone = f"{quote(after.name)} was deleted since the plan was made"
            raise StalePlanError(gone) from error
        if now is None or not differing(before, now):
            return False
        if not differing(after, now):
            return True
        name = before.name if before else now.name
        what = "was changed since the plan was made" if before else "is not as declared"
        raise StalePlanError(f"{quote(name)} {what}: {_drift(before or after, now)}")

    async def _look(self) -> Role | None:
        """Return the role as it is now; None if one that is to be created is not there."""
        before, after = self.change.before, self.change.after
        if before is not None:
            return await self._roles.get(role_id=before.id)
        # Nobody has to look before the first attempt: a name that is taken is refused.
        if after is not None and self.may_have_been_made:
            async for role in self._roles.list():
                if role.name == after.name:
                    return role
        return None

    async def _send(self) -> None:
        was_open, self.may_have_been_made = self.may_have_been_made, True
        try:
            await _make(self._roles, self.change)
        except RolesError as error:
            self.may_have_been_made = was_open or _may_have_been_made(error)
            # The role that an earlier attempt made may be what has the name.
            is_taken = was_open and isinstance(error, errors.ConflictError)
            if not (is_taken and await self._is_made()):
                raise

    def _delay(self, error: RolesError) -> float | None:
        """Return the seconds to wait after a failure; None if it ends the attempts."""
        cause = error.__cause__ if isinstance(error, errors.OutcomeUnknownError) else None
        failure = cause if isinstance(cause, RolesError) else error
        if isinstance(failure, errors.RolesTimeoutError) and failure.limit == "total":
            return None
        is_limited = isinstance(failure, errors.RateLimitError)
        self._failed += not is_limited
        attempt = max(1, self._failed)
        delay = self._retry.delay(failure, attempt=attempt, change=failure is not error)
        if delay is not None and is_limited:
            delay = max(delay, _SHORTEST_HOLD)
        is_late = delay is not None and self._now() + delay >= self._deadline
        return None if is_late else delay


def _drift(before: Role | DeclaredRole | None, now: Role) -> str:
    fields = differing(before, now)
    drift = [f"its name is {quote(now.name)}"] if "name" in fields else []
    for verb, permissions in (("gained", only_in(now, before)), ("lost", only_in(before, now))):
        if permissions:
            drift.append(f"it {verb} {', '.join(permissions)}")
    if "description" in fields:
        drift.append(f"its description is {quote(now.description or '')}")
    return ", ".join(drift)


async def _make(roles: RolesClient, change: Change) -> None:
    role_id, after = change.before.id if change.before else "", change.after
    if after is None:
        try:
            await roles.delete(role_id=role_id)
        except (errors.NotFoundError, errors.OutcomeUnknownError) as error:
            # The role is gone, whoever deleted it.
            if not isinstance(error.__cause__ or error, errors.NotFoundError):
                raise
        return
    fields: dict[str, Any] = {f: getattr(after, f) for f in differing(change.before, after)}
    role = await (roles.update(role_id=role_id, **fields) if role_id else roles.create(**fields))
    withheld = {"permissions"} if role.permissions is None else ()
    if others := [field for field in differing(role, after) if field not in withheld]:
        raise errors.InvalidResponseError(f"the answer has a different {' and '.join(others)}")


def _may_have_been_made(error: RolesError) -> bool:
    """Return True if a change that ended in this error may have been made.

    A refusal by the service itself shows that it was not; so does a 429, whoever sent it. A 5xx
    does not, even the service's own: it may come after the change was made.
    """
    if isinstance(error, errors.StatusError) and not isinstance(error, errors.RateLimitError):
        return isinstance(error, errors.ServerError) or not error.from_service
    return isinstance(error, errors.OutcomeUnknownError | errors.InvalidResponseError)
