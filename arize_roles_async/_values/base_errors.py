"""The base of every exception, and those that values themselves raise; `errors` has all."""

from typing import TYPE_CHECKING, Any, Final

from arize_roles_async._values.text import one_line

if TYPE_CHECKING:
    from arize_roles_async._values.details import Violation
else:
    Violation = Any

_MAX_VIOLATIONS: Final = 10


class RolesError(Exception):
    """The base of every exception that this library raises on purpose.

    Its message is one line of at most 1,500 characters, whatever it quotes: control characters are
    replaced, and longer text is cut.

    Attributes:
        request_id: The answer's `X-Request-Id`, the service's ID of the request; None if no answer
            came, or one without it.
    """

    request_id: str | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class ValidationError(RolesError, ValueError):
    """The arguments break a rule of the service; nothing was sent.

    Attributes:
        violations: Every broken rule, not only the first, with the field that breaks it; for data
            that was converted, only the first few. The message has the first ten.
    """

    def __init__(self, message: str = "", *, violations: "tuple[Violation, ...]" = ()) -> None:
        first = "; ".join(map(str, violations[:_MAX_VIOLATIONS]))
        rest = len(violations) - _MAX_VIOLATIONS
        super().__init__(message or (f"{first}; and {rest} more" if rest > 0 else first))
        self.violations = violations


def validation_error(*broken: tuple[str, str]) -> ValidationError:
    """Return the exception for broken rules, each a field and a message."""
    from arize_roles_async._values.details import Violation

    return ValidationError(violations=tuple(Violation(*rule) for rule in broken))


class MissingExtraError(RolesError, ImportError):
    """Something needs an optional package that is not installed; the message names it."""
