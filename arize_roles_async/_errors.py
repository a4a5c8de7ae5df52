"""Every exception that leaves this library, in one tree under `RolesError`.

All of them copy and pickle: whatever they carry beside their message has a default and lives in
their `__dict__`.
"""

from typing import Final, Literal

import msgspec

from arize_roles_async._text import one_line

_MAX_VIOLATIONS: Final = 10


class AlphaWarning(FutureWarning):
    """The roles methods are ALPHA and may change without notice; each says so once a process."""


class Violation(msgspec.Struct, frozen=True):
    """One rule that an argument breaks."""

    field: str
    """The argument, or the field of a request body."""
    message: str
    """The rule, and what was given instead."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a failure, a problem document (RFC 9457)."""

    title: str | None = None
    status: int | None = None
    type: str | None = None
    detail: str | None = None
    instance: str | None = None
    entitlement: str | None = None
    """On a 403: what the account's plan does not hold, or not enough of."""
    limit: int | None = None
    """On a 403: how many the plan allows."""
    current_count: int | None = None
    """On a 403: how many there are."""
    required_plan: str | None = None
    """On a 403: the plan that would allow it, `PRO` or `ENTERPRISE`."""


class RolesError(Exception):
    """The base of every exception that this library raises on purpose.

    Its message is one line of at most 1,500 characters, whatever it quotes: what a terminal would
    obey is replaced, and what is longer is cut.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class ValidationError(RolesError, ValueError):
    """The arguments break a rule of the service; nothing was sent.

    Attributes:
        violations: Every broken rule, not only the first, with the field that breaks it. The
            message tells the first ten; of data that was converted, these are the first few.
    """

    def __init__(self, message: str = "", *, violations: tuple[Violation, ...] = ()) -> None:
        super().__init__(message or _join(violations))
        self.violations = violations


def _join(violations: tuple[Violation, ...]) -> str:
    first = "; ".join(map(str, violations[:_MAX_VIOLATIONS]))
    rest = len(violations) - _MAX_VIOLATIONS
    return f"{first}; and {rest} more" if rest > 0 else first


class ConfigurationError(RolesError):
    """The client cannot be set up as asked: an argument or environment variable is at fault."""


class MissingExtraError(RolesError, ImportError):
    """A conversion needs an optional package that is not installed; the message says how to."""


class ClientStateError(RolesError, RuntimeError):
    """The client is closed, or is used from an event loop that is not its own."""


class StatusError(RolesError):
    """The service answered, and not with success; subclasses name the documented statuses.

    Attributes:
        status: The HTTP status.
        problem: The parsed problem document; None where the body was none.
        method: The HTTP method of the request.
        path: Its path, without host.
        request_id: The service's id for the request, from `X-Request-Id`, where it sent one.
        retry_after: Seconds after which the service asks to be tried again, where it said so.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 0,
        problem: Problem | None = None,
        method: str = "",
        path: str = "",
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem
        self.method = method
        self.path = path
        self.request_id = request_id
        self.retry_after = retry_after


class BadRequestError(StatusError):
    """400: the service found the request invalid."""


class AuthenticationError(StatusError):
    """401: the API key is missing, wrong or revoked."""


class ForbiddenError(StatusError):
    """403: the key lacks a permission, the role is predefined, or the plan does not allow it."""


class NotFoundError(StatusError):
    """404: there is no such role. Also raised, with status 404, for a name that no role has.

    Attributes:
        name: The name that was looked for; None where an ID was.
        closest: The few names of existing roles that are nearest to it.
    """

    name: str | None = None
    closest: tuple[str, ...] = ()


class ConflictError(StatusError):
    """409: the name is taken by another role of the account."""


class UnprocessableEntityError(StatusError):
    """422: the service understood the request and cannot carry it out."""


class RateLimitError(StatusError):
    """429: too many requests; `retry_after` says for how many seconds to wait."""


class ServerError(StatusError):
    """5xx: the service, or a gateway in front of it, failed.

    To a change, any but the service's own 503 leaves open whether it was made, and is then an
    `OutcomeUnknownServerError` too. A 503 that is no problem document is a gateway's, and leaves
    it open.
    """


class RolesConnectionError(RolesError):
    """No whole response came: no connection, or one that broke.

    For a change this means that nothing happened; where that is not certain, an
    `OutcomeUnknownError` is raised instead.

    Attributes:
        sent: Whether any of the request may have reached the service.
        certificate: Whether the server's certificate was what failed; never tried again.
    """

    def __init__(self, message: str = "", *, sent: bool = False, certificate: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
        self.certificate = certificate


Limit = Literal["total", "connect", "read"]


class RolesTimeoutError(RolesError, TimeoutError):
    """A time limit ran out.

    Attributes:
        limit: Which one: `total` for the whole call, `connect` for making a connection, `read`
            for silence on it.
        seconds: How long it was.
        attempts: How many attempts had been started, over every request of the call.
        sent: Whether any of the last request may have reached the service.
    """

    def __init__(
        self,
        message: str = "",
        *,
        limit: Limit = "total",
        seconds: float = 0.0,
        attempts: int = 1,
        sent: bool = False,
    ) -> None:
        super().__init__(message)
        self.limit: Limit = limit
        self.seconds = seconds
        self.attempts = attempts
        self.sent = sent

    def __str__(self) -> str:
        tries = f"{self.attempts} attempt{'' if self.attempts == 1 else 's'}"
        return f"{self.args[0]} ({self.limit} limit of {self.seconds:g} s, {tries})"


class OutcomeUnknownError(RolesError):
    """A change was sent, and whether the service made it is not known.

    No whole answer came, or one that does not tell: see `ServerError`. Look before trying again.
    The cause is the last failure; where that is a time limit or an answer, the error is an
    `OutcomeUnknownTimeoutError` or an `OutcomeUnknownServerError`.

    Attributes:
        operation: `create`, `update` or `delete`.
        attempts: How many attempts had been started, over every request of the call.
    """

    operation: str = ""
    attempts: int = 1


class OutcomeUnknownTimeoutError(OutcomeUnknownError, RolesTimeoutError):
    """An `OutcomeUnknownError` because a time limit ran out; also a `TimeoutError`."""


class OutcomeUnknownServerError(OutcomeUnknownError, ServerError):
    """An `OutcomeUnknownError` because of an answer that does not tell; also a `ServerError`."""


class InvalidResponseError(RolesError):
    """The service's answer is not what its reference says: no JSON, a field missing, too long.

    Attributes:
        status: The HTTP status of the answer. After a 2xx to a change, the change was made.
        method: The HTTP method of the request.
        path: Its path, without host.
        excerpt: The beginning of the body, made safe to print.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 0,
        method: str = "",
        path: str = "",
        excerpt: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.method = method
        self.path = path
        self.excerpt = excerpt


STATUS_ERRORS: dict[int, type[StatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error_class(status: int) -> type[StatusError]:
    """Return the class for an HTTP status: its own, `ServerError` for 5xx, else `StatusError`."""
    if status >= 500:  # noqa: PLR2004 - the statuses of RFC 9110
        return ServerError
    return STATUS_ERRORS.get(status, StatusError)
