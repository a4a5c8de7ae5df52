"""The operations of the service, each answered by the rules of its resource."""

from typing import Final, Literal, get_args

from arize_roles_async._directory.requests import PROJECTS, SPACES, USERS, DirectoryOperation
from arize_roles_async._role_bindings.requests import ROLE_BINDINGS, BindingOperation
from arize_roles_async._roles.requests import ROLES, RoleOperation
from arize_roles_async._values.errors import ValidationError
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_fake._service import directory, role_bindings, roles
from arize_roles_fake._service.state import Grants, RefusedError, State
from arize_roles_fake._service.wire import InvalidBodyError, ParsedRequest, problem_response

Operation = Literal[RoleOperation, BindingOperation, DirectoryOperation]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
_RESOURCES: Final = (ROLES, ROLE_BINDINGS, USERS, SPACES, PROJECTS)

METHODS: Final = {
    "list": "GET",
    "create": "POST",
    "get": "GET",
    "update": "PATCH",
    "delete": "DELETE",
}
"""The HTTP method of an operation, by its verb."""


def verb(operation: str) -> str:
    """Return the part of an operation's name that every resource shares, such as `list`."""
    return operation.rpartition(".")[2]


BY_ID: Final = {
    operation: each.id_argument
    for each in _RESOURCES
    for operation in each.operations
    if verb(operation) in {"get", "update", "delete"}
}
"""The operations on one record, and the argument with its ID."""

_HANDLERS: Final = {**roles.HANDLERS, **role_bindings.HANDLERS, **directory.HANDLERS}
_ROUTES: Final = {
    each.path: tuple(
        {METHODS[verb(name)]: name for name in each.operations if (name in BY_ID) is on_an_item}
        for on_an_item in (False, True)
    )
    for each in _RESOURCES
}
"""The operations on each collection, and on one of its items, by their HTTP methods."""


def operation_of(request: Request) -> str:
    """Return the operation that a request asks for; if there is none, its method and path."""
    return _operations_at(request.path).get(request.method, f"{request.method} {request.path}")


def _operations_at(path: str) -> dict[str, str]:
    """Return the operations that a path has, by their HTTP methods."""
    if path in _ROUTES:
        return _ROUTES[path][0]
    collection, _, segment = path.rpartition("/")
    return _ROUTES[collection][1] if collection in _ROUTES and segment else {}


def answer(state: State, grants: Grants, request: ParsedRequest) -> Response:
    """Return the answer to a request with a known key; a failure is a problem document."""
    if request.operation not in _HANDLERS:
        asked = request.request
        allowed = _operations_at(asked.path)
        if not allowed:
            return problem_response(404, f"there is nothing at {asked.path[:80]}")
        detail = f"{asked.method} is not allowed here"
        return problem_response(405, detail, {"Allow": ", ".join(allowed)})
    try:
        return _HANDLERS[request.operation](state, grants, request)
    except InvalidBodyError as error:
        return problem_response(state.assumptions.invalid_body, str(error))
    except ValidationError as error:
        return problem_response(400, str(error))
    except RefusedError as error:
        return error.response
