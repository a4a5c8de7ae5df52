"""Answers requests from the state of an account, by the rules of each resource."""

from typing import Final

from arize_roles_async._values.errors import ValidationError
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_fake._service import role_bindings, roles
from arize_roles_fake._service.grants import Grants
from arize_roles_fake._service.routes import operations_at
from arize_roles_fake._service.state import RefusedError, State
from arize_roles_fake._service.wire import InvalidBodyError, problem_response

_HANDLERS: Final = {**roles.HANDLERS, **role_bindings.HANDLERS}


def answer(state: State, operation: str, grants: Grants, request: Request) -> Response:
    """Return the answer to a request with a known key; a failure is a problem document."""
    handler = _HANDLERS.get(operation)
    if handler is None:
        return _no_such_operation(request)
    try:
        return handler(state, grants, request)
    except InvalidBodyError as error:
        return problem_response(state.assumptions.invalid_body, str(error))
    except ValidationError as error:
        return problem_response(400, str(error))
    except RefusedError as error:
        return error.response


def _no_such_operation(request: Request) -> Response:
    allowed = operations_at(request.path)
    if not allowed:
        return problem_response(404, f"there is nothing at {request.path[:80]}")
    return problem_response(
        405, f"{request.method} is not allowed here", {"Allow": ", ".join(allowed)}
    )
