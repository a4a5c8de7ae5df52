"""Prints the pickle of every public value and error, a line each, to keep for later versions.

    python -m tests.tools.pickles >tests/data/pickles-0.4.txt

`packaging/test_pickles.py` loads those of each release.
"""

import base64
import pickle
import sys
from datetime import UTC, datetime
from typing import Any, Final

from arize_roles_async import (
    AlphaWarning,
    AuthenticationError,
    BadRequestError,
    BetaWarning,
    ClientStateError,
    ConfigurationError,
    ConflictError,
    FieldInfo,
    ForbiddenError,
    InsecureWarning,
    InvalidResponseError,
    ListRoleBindingsResponse,
    ListRolesResponse,
    MissingExtraError,
    NotFoundError,
    OutcomeUnknownError,
    PaginationMetadata,
    Permission,
    ProblemDetails,
    RateLimitError,
    Request,
    Response,
    RetryPolicy,
    Role,
    RoleBinding,
    RoleBindingResourceType,
    RoleRenamedError,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    ServerError,
    StatusError,
    Timeouts,
    UnknownPermission,
    UnprocessableEntityError,
    ValidationError,
    Violation,
)
from arize_roles_async.as_code import (
    ApplyError,
    ApplyResult,
    Change,
    Declaration,
    DeclaredRole,
    Export,
    FileViolation,
    Plan,
    PlanError,
    StalePlanError,
    TooManyRemovalsError,
)
from arize_roles_async.transport import CreateRole, ListRoles, UpdateRole
from arize_roles_fake import (
    Assumptions,
    LoggedCall,
    Reply,
    SuspiciousPermissionWarning,
)

NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROLE: Final = Role(
    id="Um9sZToxOmFCY0Q=",
    name="AI Engineer",
    description="Looks at projects.",
    permissions=(Permission.PROJECT_READ, UnknownPermission("MOON_READ")),
    is_predefined=False,
    created_at=NOON,
    updated_at=NOON,
)
BINDING: Final = RoleBinding(
    id="Um9sZUJpbmRpbmc6MTphQmNE",
    role_id="Um9sZToxOmFCY0Q=",
    user_id="VXNlcjoxOmFCY0Q=",
    resource_type=RoleBindingResourceType.SPACE,
    resource_id="U3BhY2U6MTphQmNE",
    created_at=NOON,
    updated_at=NOON,
)
ANSWERED: Final[dict[str, Any]] = {
    "problem": ProblemDetails(title="A title", status=403, limit=5, extra={"error_code": 7}),
    "from_service": True,
    "method": "GET",
    "path": "/v2/roles",
    "request_id": "req-1",
    "retry_after": 1.5,
}
CHANGE: Final = Change(
    before=ROLE, after=DeclaredRole(name="AI Engineer", permissions=["ROLE_READ"]), note="A note."
)
PLAN: Final = Plan(changes=(CHANGE,), unchanged=(ROLE,), undeclared=(), account="staging")
DECLARATION: Final = Declaration(
    roles=[
        DeclaredRole(name="B", permissions=["ROLE_READ"], description="d", previously=["A"]),
    ],
    absent=["C"],
    account="staging",
)
REQUEST: Final = Request(method="GET", target="/v2/roles?limit=1", headers={"X": "y"})
APPLY_ERROR: Final = ApplyError("made: 1 of 1")
APPLY_ERROR.result = ApplyResult(plan=PLAN, made=(CHANGE,), failed=CHANGE, reason="A reason.")


VALUES: Final[tuple[object, ...]] = (
    *(ROLE, ListRolesResponse(roles=(ROLE,), pagination=PaginationMetadata(has_more=False))),
    PaginationMetadata(has_more=True, next_cursor="a"),
    *(BINDING, BINDING.resource_type),
    ListRoleBindingsResponse(
        role_bindings=(BINDING,), pagination=PaginationMetadata(has_more=False)
    ),
    *(Permission.PROJECT_READ, UnknownPermission("MOON_READ")),
    *(ANSWERED["problem"], Violation("name", "must be a string")),
    FileViolation("roles", "must be a table", "roles.toml", 3),
    FieldInfo(name="id", type="str", required=True, doc="Opaque."),
    *(
        RetryPolicy(attempts=5, backoff=0.1, max_retry_after=20.0),
        Timeouts(total=None, connect=1.0, read=2.0),
    ),
    *(REQUEST, Response(status=200, headers={"X": "y"}, body=b"{}")),
    CreateRole(name="A", permissions=(Permission.ROLE_READ,)),
    *(UpdateRole(description=None), ListRoles(limit=5, cursor="a", is_predefined=True)),
    *(CHANGE, PLAN, DECLARATION, *DECLARATION.roles, Export(declaration=DECLARATION)),
    APPLY_ERROR.result,
    Assumptions(unknown_id=400, list_order="oldest-first"),
    LoggedCall(
        operation="get",
        role="AI Engineer",
        api_key="fake-api-key",
        outcome="lost",
        duration=0.5,
        attempt=2,
        at=NOON,
        request=REQUEST,
    ),
    Reply(status=200, headers={"X": "y"}, body=b"{}"),
)

ERRORS: Final[tuple[Exception, ...]] = (
    *(
        AlphaWarning("roles.list"),
        BetaWarning("role_bindings.list"),
        InsecureWarning("m"),
        SuspiciousPermissionWarning("PROJEKT_READ"),
    ),
    *(RolesError("m"), ConfigurationError("m"), MissingExtraError("m"), ClientStateError("m")),
    ValidationError(violations=(Violation("name", "must be a string"),)),
    *(
        of("m", **ANSWERED)
        for of in (AuthenticationError, BadRequestError, ConflictError, ForbiddenError)
    ),
    *(of("m", **ANSWERED) for of in (RateLimitError, ServerError, UnprocessableEntityError)),
    StatusError("m", status=418, **ANSWERED),
    NotFoundError("m", name="A", closest=("B",), **ANSWERED),
    RolesConnectionError("m", sent=True, certificate=True, credentials=True),
    RolesTimeoutError("m", limit="read", seconds=10.0, attempts=3, sent=True),
    OutcomeUnknownError("m", operation="delete", attempts=2, request_id="req-1"),
    RoleRenamedError("m", name="A", renamed_to="B", role_id="C", request_id="req-1"),
    InvalidResponseError(
        "m", status=200, method="GET", path="/v2/roles", excerpt="<html>", request_id="req-1"
    ),
    APPLY_ERROR,
    PlanError(violations=(Violation("roles", "must be a table"),)),
    *(StalePlanError("m"), TooManyRemovalsError("m")),
)


def main() -> None:
    for each in (*VALUES, *ERRORS):
        data = base64.b64encode(pickle.dumps(each)).decode()
        sys.stdout.write(f"{type(each).__name__} {data}\n")


if __name__ == "__main__":
    main()
