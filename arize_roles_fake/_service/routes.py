"""The operation that a request asks for, by its method and path."""

from typing import Final

from arize_roles_async._wire.request import BINDINGS_PATH, ROLES_PATH, Request

_ROUTES: Final = {
    ROLES_PATH: (
        {"GET": "list", "POST": "create"},
        {"GET": "get", "PATCH": "update", "DELETE": "delete"},
    ),
    BINDINGS_PATH: (
        {"GET": "role_bindings.list", "POST": "role_bindings.create"},
        {
            "GET": "role_bindings.get",
            "PATCH": "role_bindings.update",
            "DELETE": "role_bindings.delete",
        },
    ),
}
"""The operations on each collection, and on one of its items, by their HTTP methods."""


def operation_of(request: Request) -> str:
    """Return the operation that a request asks for; if there is none, its method and path."""
    return operations_at(request.path).get(request.method, f"{request.method} {request.path}")


def operations_at(path: str) -> dict[str, str]:
    """Return the operations that a path has, by their HTTP methods."""
    if path in _ROUTES:
        return _ROUTES[path][0]
    collection, _, segment = path.rpartition("/")
    return _ROUTES[collection][1] if collection in _ROUTES and segment else {}
