"""The operations on role bindings."""

from typing import Final, Literal, get_args

from arize_roles_async._calls.call import Collection

BindingOperation = Literal[
    "role_bindings.list",
    "role_bindings.get",
    "role_bindings.create",
    "role_bindings.update",
    "role_bindings.delete",
]

# No refusal shows whether a change was made: the key may have lost the right to see the binding.
ROLE_BINDINGS: Final = Collection(
    path="/v2/role-bindings", operations=get_args(BindingOperation), id_argument="binding_id"
)
