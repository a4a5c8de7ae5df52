"""The resources of the service, and the operations on them."""

from typing import Final, Literal, get_args

from arize_roles_async._directory.operations import PROJECTS, SPACES, USERS, DirectoryOperation
from arize_roles_async._role_bindings.operations import ROLE_BINDINGS, BindingOperation
from arize_roles_async._roles.operations import ROLES, RoleOperation

Operation = Literal[RoleOperation, BindingOperation, DirectoryOperation]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
RESOURCES: Final = (ROLES, ROLE_BINDINGS, USERS, SPACES, PROJECTS)

METHODS: Final = {
    "list": "GET",
    "create": "POST",
    "get": "GET",
    "update": "PATCH",
    "delete": "DELETE",
}
"""The HTTP method of an operation, by its verb."""
_ON_AN_ITEM: Final = frozenset({"get", "update", "delete"})


def verb(operation: str) -> str:
    """Return the part of an operation's name that every resource shares, such as `list`."""
    return operation.rpartition(".")[2]


BY_ID: Final = {
    operation: each.id_argument
    for each in RESOURCES
    for operation in each.operations
    if verb(operation) in _ON_AN_ITEM
}
"""The operations on one thing, and the argument with its ID."""
