"""Values and errors come out of a pickle as they went in, as caches and other processes need it."""

import copy
import pickle
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest

import arize_roles_async as roles
import arize_roles_fake as fake
from arize_roles_async import Permission, as_code, transport

NOT_KEPT: Final = {"Fault"}
"""What a test holds while it scripts an account: nobody keeps it."""
BARE: Final = (
    *("RolesError", "ConfigurationError", "MissingExtraError", "ClientStateError"),
    "InsecureWarning",
)
OF_A_STATUS: Final = (
    *("AuthenticationError", "BadRequestError", "ConflictError", "ForbiddenError"),
    *("RateLimitError", "ServerError", "UnprocessableEntityError"),
)
NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
END: Final = roles.PaginationMetadata(has_more=False)
ROLE: Final = roles.Role(
    id="Um9sZToxOmFCY0Q=",
    name="AI Engineer",
    description="Looks at projects.",
    permissions=(Permission.PROJECT_READ, roles.UnknownPermission("MOON_READ")),
    is_predefined=False,
    created_at=NOON,
    updated_at=NOON,
)
BINDING: Final = roles.RoleBinding(
    id="Um9sZUJpbmRpbmc6MTphQmNE",
    role_id="Um9sZToxOmFCY0Q=",
    user_id="VXNlcjoxOmFCY0Q=",
    resource_type=roles.RoleBindingResourceType.SPACE,
    resource_id="U3BhY2U6MTphQmNE",
    created_at=NOON,
    updated_at=NOON,
)
ACCOUNT_ROLE: Final = roles.AccountRole(type="CUSTOM", name="AI Engineer", id="Um9sZToxOmFCY0Q=")
USER: Final = roles.User(id="VXNlcjoxOmFCY0Q=", email="ada@example.com", role=ACCOUNT_ROLE)
SPACE: Final = roles.Space(id="U3BhY2U6MTphQmNE", name="ML", created_at=NOON)
PROJECT: Final = roles.Project(id="TW9kZWw6MTphQmNE", name="churn", space_id=SPACE.id)
NAMED: Final = roles.NamedBinding.from_dict(
    {**BINDING.to_dict(), "user": "ada@example.com", "role": "AI Engineer", "resource": "ML"}
)
ANSWERED: Final[dict[str, Any]] = {
    "problem": roles.ProblemDetails(title="A title", status=403, limit=5, extra={"error_code": 7}),
    "from_service": True,
    "method": "GET",
    "path": "/v2/roles",
    "request_id": "req-1",
    "retry_after": 1.5,
}
CHANGE: Final = as_code.Change(
    before=ROLE,
    after=as_code.DeclaredRole(name="AI Engineer", permissions=["ROLE_READ"]),
    note="A note.",
)
PLAN: Final = as_code.Plan(changes=(CHANGE,), unchanged=(ROLE,), undeclared=(), account="staging")
DECLARATION: Final = as_code.Declaration(
    roles=[
        as_code.DeclaredRole(name="B", permissions=["ROLE_READ"], description="d", previously=["A"])
    ],
    absent=["C"],
    account="staging",
)
REQUEST: Final = roles.Request(method="GET", target="/v2/roles?limit=1", headers={"X": "y"})
APPLY_ERROR: Final = as_code.ApplyError("made: 1 of 1")
APPLY_ERROR.result = as_code.ApplyResult(
    plan=PLAN, made=(CHANGE,), failed=CHANGE, reason="A reason."
)
REFUSAL: Final = as_code.Refusal(change=CHANGE, reason="A reason.")


VALUES: Final[tuple[object, ...]] = (
    *(ROLE, BINDING, BINDING.resource_type),
    roles.ListRolesResponse(roles=(ROLE,), pagination=END),
    roles.ListRoleBindingsResponse(role_bindings=(BINDING,), pagination=END),
    roles.PaginationMetadata(has_more=True, next_cursor="a"),
    *(ACCOUNT_ROLE, USER, SPACE, PROJECT, NAMED),
    roles.ListUsersResponse(users=(USER,), pagination=END),
    roles.ListSpacesResponse(spaces=(SPACE,), pagination=END),
    roles.ListProjectsResponse(projects=(PROJECT,), pagination=END),
    roles.NamedBindings.of((NAMED,)),
    *(Permission.PROJECT_READ, roles.UnknownPermission("MOON_READ")),
    *(ANSWERED["problem"], roles.Violation("name", "must be a string")),
    as_code.FileViolation("roles", "must be a table", "roles.toml", 3),
    roles.FieldInfo(name="id", type="str", required=True, doc="Opaque."),
    roles.RetryPolicy(attempts=5, backoff=0.1, max_retry_after=20.0),
    roles.Timeouts(total=None, connect=1.0, read=2.0),
    *(REQUEST, roles.Response(status=200, headers={"X": "y"}, body=b"{}")),
    transport.CreateRole(name="A", permissions=(Permission.ROLE_READ,)),
    transport.UpdateRole(description=None),
    transport.ListRoles(limit=5, cursor="a", is_predefined=True),
    *(CHANGE, PLAN, REFUSAL, DECLARATION, *DECLARATION.roles),
    APPLY_ERROR.result,
    fake.Assumptions(unknown_id=400, list_order="oldest-first"),
    fake.LoggedCall(
        operation="get",
        role="AI Engineer",
        api_key="fake-api-key",
        outcome="lost",
        duration=0.5,
        attempt=2,
        at=NOON,
        request=REQUEST,
    ),
)

ERRORS: Final[tuple[Exception, ...]] = (
    roles.AlphaWarning("roles.list"),
    roles.BetaWarning("role_bindings.list"),
    fake.SuspiciousPermissionWarning("PROJEKT_READ"),
    *(getattr(roles, name)("m") for name in BARE),
    roles.ValidationError(violations=(roles.Violation("name", "must be a string"),)),
    *(getattr(roles, name)("m", **ANSWERED) for name in OF_A_STATUS),
    roles.StatusError("m", status=418, **ANSWERED),
    roles.NotFoundError("m", name="A", closest=("B",), **ANSWERED),
    roles.RolesConnectionError("m", sent=True, certificate=True, credentials=True),
    roles.RolesTimeoutError("m", limit="read", seconds=10.0, attempts=3, sent=True),
    roles.OutcomeUnknownError("m", operation="delete", attempts=2, request_id="req-1"),
    roles.RoleRenamedError("m", name="A", renamed_to="B", role_id="C", request_id="req-1"),
    roles.AmbiguousNameError("m", name="ML", ids=("a", "b")),
    roles.InvalidResponseError(
        "m", status=200, method="GET", path="/v2/roles", excerpt="<html>", request_id="req-1"
    ),
    APPLY_ERROR,
    as_code.PlanError(violations=(roles.Violation("roles", "must be a table"),)),
    *(as_code.StalePlanError("m"), as_code.TooManyRemovalsError("m")),
)


@pytest.mark.parametrize("value", [*VALUES, *ERRORS], ids=lambda value: type(value).__name__)
def test_round_trip(value: Any) -> None:  # noqa: ANN401 - any public value
    """A value is equal to its pickle and its copies; an error has the same fields."""
    loaded: Any = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own
    for other in (loaded, copy.copy(loaded)):
        assert type(other) is type(value)
        if isinstance(value, Exception):
            assert (other.args, vars(other)) == (value.args, vars(value))
        else:
            assert other == value


def is_kept(of: Any) -> bool:  # noqa: ANN401 - any public name
    """Return whether something is a class of values or errors."""
    of_attrs = hasattr(of, "__attrs_attrs__")
    bases = (Exception, msgspec.Struct, str)
    return isinstance(of, type) and (of_attrs or issubclass(of, bases))


def test_each_class() -> None:
    """Every public class of values and errors is among them."""
    public = {
        name
        for module in (roles, as_code, transport, fake)
        for name in module.__all__
        if is_kept(getattr(module, name))
    }

    assert {type(each).__name__ for each in (*VALUES, *ERRORS)} >= public - NOT_KEPT
