"""The body of a failure, kept apart because most programs need none of it."""

from collections.abc import Mapping

import attr

from arize_roles_async._values.models import Model, optional, shortened
from arize_roles_async._values.text import quoted


@attr.frozen(kw_only=True, field_transformer=shortened)
class ProblemDetails(Model):
    """The body of a failure, a problem document (RFC 9457). An absent member is None."""

    title: str | None = optional("What went wrong, in general.")
    status: int | None = optional("The HTTP status.")
    type: str | None = optional("A link to the documentation of the error.")
    detail: str | None = optional("What went wrong this time.")
    instance: str | None = optional("The occurrence of the failure.")
    entitlement: str | None = optional(
        "On a 403: the entitlement that the account's plan lacks or has used up."
    )
    limit: int | None = optional("On a 403: the number that the plan allows.")
    current_count: int | None = optional("On a 403: the number that exists.")
    required_plan: str | None = optional(
        "On a 403: the plan that would allow it, `PRO` or `ENTERPRISE`."
    )
    extra: Mapping[str, object] = attr.field(
        factory=dict[str, object],
        hash=False,
        repr=quoted,
        metadata={"doc": "Other members, such as `error_code` and `request_id`."},
    )
