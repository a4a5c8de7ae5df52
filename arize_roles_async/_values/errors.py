"""Every exception that leaves this library; the base of all is `RolesError`.

All of them can be copied and pickled: everything beside the message has a default and is in their
`__dict__`.
"""

from typing import TYPE_CHECKING, Any, Literal

from arize_roles_async._values.base_errors import MissingExtraError, RolesError, ValidationError
from arize_roles_async._values.text import appended

if TYPE_CHECKING:
    from arize_roles_async._values.problem_details import ProblemDetails
else:
    # For `typing.get_type_hints`, as are those of other modules.
    ProblemDetails = Any

__all__ = [
    "AlphaWarning",
    "AmbiguousNameError",
    "AuthenticationError",
    "BadRequestError",
    "BetaWarning",
    "ClientStateError",
    "ConfigurationError",
    "ConflictError",
    "ForbiddenError",
    "InsecureWarning",
    "InvalidResponseError",
    "MissingExtraError",
    "NotFoundError",
    "OutcomeUnknownError",
    "RateLimitError",
    "RolesConnectionError",
    "RolesError",
    "RolesTimeoutError",
    "ServerError",
    "StatusError",
    "UnprocessableEntityError",
    "ValidationError",
]


class AlphaWarning(FutureWarning):
    """Warns once per process and method that the roles methods may change without notice.

    They are ALPHA; Arize's newest clients call them BETA. The message begins with the method, such
    as `roles.list`, so `ignore:roles.` silences it in `python -W` and `PYTHONWARNINGS`, where the
    class of a package cannot be named.
    """


class BetaWarning(FutureWarning):
    """Warns once per process and method that the methods of role bindings may change.

    Arize calls them BETA. The message begins with the method, such as `role_bindings.list`.
    """


class InsecureWarning(UserWarning):
    """Warns once per process that `ARIZE_REQUEST_VERIFY` turns the check of certificates off.

    It comes as a client of another machine is made, but not for `verify=False`.
    """


class ConfigurationError(RolesError):
    """The client cannot be set up: an argument or environment variable is invalid."""


class ClientStateError(RolesError, RuntimeError):
    """The client is closed, or is used from an event loop that is not its own."""


class StatusError(RolesError):
    """The answer was a failure; subclasses name the documented statuses.

    An answer counts as the service's own if its body is a problem document with a `title` and
    the `status` of the answer. Every other answer came from a proxy or gateway, and its status says
    nothing about the request, the API key or a role: it is a plain `StatusError`, unless it is a
    429 (`RateLimitError`) or a 5xx (`ServerError`), which mean the same from everybody. After a
    change, it leaves open whether the change was made.

    Attributes:
        status: The HTTP status. An error that you make yourself has its class's, unless you give
            one.
        problem: The parsed problem document; None if the body was not one.
        from_service: Whether the answer is the service's own and not a gateway's.
        method: The HTTP method of the request.
        path: Its path, without host.
        retry_after: Seconds that the service asks to wait before a retry; None if it does not.
    """

    status: int = 0

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        problem: "ProblemDetails | None" = None,
        from_service: bool = False,
        method: str = "",
        path: str = "",
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status
        self.problem = problem
        self.from_service = from_service
        self.method = method
        self.path = path
        self.request_id = request_id
        self.retry_after = retry_after


class BadRequestError(StatusError):
    """400: the service found the request invalid."""

    status = 400


class AuthenticationError(StatusError):
    """401: the API key is missing, wrong or revoked."""

    status = 401


class ForbiddenError(StatusError):
    """403: the key lacks a permission, the role is predefined, or the plan does not allow it."""

    status = 403


class NotFoundError(StatusError):
    """404: there is no such item. Also raised, with status 404, for a name that nothing has.

    A name is looked up in a list. If nothing there has it, no answer was a 404, and `from_service`
    is False.

    Attributes:
        name: The name that was looked up; None for an ID.
        closest: A few names of existing roles, spaces or projects that are most like it.
    """

    status = 404

    def __init__(
        self,
        message: str = "",
        *,
        name: str | None = None,
        closest: tuple[str, ...] = (),
        **answer: Any,  # noqa: ANN401 - as `StatusError` takes it
    ) -> None:
        super().__init__(message, **answer)
        self.name = name
        self.closest = closest


class ConflictError(StatusError):
    """409: the name is taken by another role, or a role to delete still has role bindings."""

    status = 409


class UnprocessableEntityError(StatusError):
    """422: the service understood the request and cannot carry it out."""

    status = 422


class RateLimitError(StatusError):
    """429: too many requests; `retry_after` says for how many seconds to wait.

    A call that waits under a rate limit until its time is up has the last 429 of its request as
    `__cause__`, and that answer's `problem`, `from_service` and `request_id`; none if it was not
    sent.
    """

    status = 429


class ServerError(StatusError):
    """5xx: the service, or a gateway in front of it, failed.

    A change raises it only after a 503 of the service itself, which says that nothing was done,
    although a service may be wrong about that; or for the list that looks up a name, before
    anything was changed. After any other 5xx the change may have been made, so an
    `OutcomeUnknownError` with the `ServerError` as its cause is raised instead.
    """

    status = 500


class RolesConnectionError(RolesError):
    """No complete response arrived: no connection, or one that broke.

    A change raises it only if nothing was changed. Where that is uncertain, an
    `OutcomeUnknownError` is raised instead.

    Attributes:
        sent: Whether any part of the request may have reached the service.
        certificate: Whether the cause is a certificate: the server's is not trusted, or the server
            requires a client certificate. Never retried.
        credentials: Whether the proxy refused the user and password of its URL, or the URL has none
            (407). Never retried, since failed logins can lock an account.
    """

    def __init__(
        self,
        message: str = "",
        *,
        sent: bool = False,
        certificate: bool = False,
        credentials: bool = False,
    ) -> None:
        super().__init__(message)
        self.sent = sent
        self.certificate = certificate
        self.credentials = credentials


Limit = Literal["total", "connect", "read"]


class RolesTimeoutError(RolesError, TimeoutError):
    """A time limit ran out.

    A change raises it only if nothing was changed. Otherwise an `OutcomeUnknownError` is raised,
    with the `RolesTimeoutError` as its cause.

    Attributes:
        limit: `total` for the whole call, `connect` for making a connection, `read` for silence
            on it.
        seconds: The limit.
        attempts: Attempts that were started, over every request of the call.
        sent: Whether any part of the last request may have reached the service.
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
        return appended(self.args[0], f" ({self.limit} limit of {self.seconds:g} s, {tries})")


class OutcomeUnknownError(RolesError):
    """A change was sent, and may have been made.

    No complete response arrived, or one that does not show the outcome. Check whether the change
    was applied before you retry. `__cause__` is the last failure: a `RolesTimeoutError`,
    `RolesConnectionError`, `StatusError` or `InvalidResponseError`; or a `ClientStateError` if the
    client was closed before the next attempt.

    Attributes:
        operation: `create`, `update` or `delete`, for a role binding `role_bindings.create` and
            so on.
        attempts: Attempts that were started, over every request of the call.
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str = "",
        attempts: int = 1,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.attempts = attempts
        self.request_id = request_id


class AmbiguousNameError(RolesError):
    """Several users, spaces or projects have the name or address that was looked up.

    Nothing was changed. The message lists their IDs: give one of them instead.

    Attributes:
        name: The name or address.
        ids: The IDs of all that have it.
    """

    def __init__(self, message: str = "", *, name: str = "", ids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.ids = ids


class InvalidResponseError(RolesError):
    """The response is not as documented: not JSON, too long, or without a required field.

    Reads raise it. A change with such a response raises an `OutcomeUnknownError`, unless the
    account shows whether the change was made.

    Attributes:
        status: The HTTP status of the answer.
        method: The HTTP method of the request.
        path: Its path, without host.
        excerpt: The beginning of the body, on one line and without the API key.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 0,
        method: str = "",
        path: str = "",
        excerpt: str = "",
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.method = method
        self.path = path
        self.excerpt = excerpt
        self.request_id = request_id


STATUS_ERRORS = {each.status: each for each in StatusError.__subclasses__()}
"""The class of each documented status; that of 500 stands for every 5xx."""

_FROM_EVERYBODY = (RateLimitError, ServerError)
"""Those that mean the same from the service and from a gateway."""


def status_error_class(status: int, *, from_service: bool) -> type[StatusError]:
    """Return the class for an HTTP status: its own, `ServerError` for 5xx, else `StatusError`."""
    of_status = ServerError if status >= 500 else STATUS_ERRORS.get(status, StatusError)  # noqa: PLR2004 - the statuses of RFC 9110
    return of_status if from_service or of_status in _FROM_EVERYBODY else StatusError
