"""Details of errors, and of the fields of a response.

Kept apart because most programs need none of it, and attrs classes take long to define.
"""

from collections.abc import Mapping

import attr

from arize_roles_async._values.public import public


@public("arize_roles_async")
@attr.frozen
class Violation:
    """One rule that an argument breaks."""

    field: str
    """The argument, or the field of a request body."""
    message: str
    """The rule, and the value that breaks it."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


@public("arize_roles_async")
@attr.frozen(kw_only=True)
class ProblemDetails:
    """The body of a failure, a problem document (RFC 9457). An absent member is None."""

    title: str | None = None
    status: int | None = None
    type: str | None = None
    detail: str | None = None
    instance: str | None = None
    entitlement: str | None = None
    """On a 403: the entitlement that the account's plan lacks or has used up."""
    limit: int | None = None
    """On a 403: the number that the plan allows."""
    current_count: int | None = None
    """On a 403: the number that exists."""
    required_plan: str | None = None
    """On a 403: the plan that would allow it, `PRO` or `ENTERPRISE`."""
    extra: Mapping[str, object] = attr.field(factory=dict[str, object], hash=False)
    """Other members, such as `error_code` and `request_id`."""


@public("arize_roles_async")
@attr.frozen(kw_only=True)
class FieldInfo:
    """One field of a response class, for introspection."""

    name: str
    type: str
    required: bool
    """True if the service always sends it."""
    doc: str
