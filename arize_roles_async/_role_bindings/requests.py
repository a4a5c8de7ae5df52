"""Requests about role bindings: their path, their rules, and the listing."""

from typing import Final, Literal, get_args

from msgspec import UNSET, UnsetType

from arize_roles_async._calls.call import Collection
from arize_roles_async._clients.paging import Pages
from arize_roles_async._role_bindings.models import ListRoleBindingsResponse, RoleBinding
from arize_roles_async._values import requests as rules
from arize_roles_async._values.text import nearest, quoted, type_name

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

RESOURCE_KINDS: Final = {"SPACE": rules.ID_KINDS["space"], "PROJECT": rules.ID_KINDS["project"]}
"""The kinds that the ID of a resource may say, by the type of the resource."""


def resource_type_flaw(resource_type: object) -> str | None:
    """Return what is wrong with the type of a resource, or None."""
    if not isinstance(resource_type, str):
        return f"must be a string, not {type_name(resource_type)}"
    if resource_type in RESOURCE_KINDS:
        return None
    near = nearest(resource_type, RESOURCE_KINDS)
    return f"must be SPACE or PROJECT, not {quoted(resource_type)}; did you mean {near}?"


def resource_id_flaw(resource_id: object, resource_type: object) -> str | None:
    """Return what is wrong with the ID of a resource of a type, or None."""
    if isinstance(resource_type, str) and resource_type in RESOURCE_KINDS:
        return rules.id_flaw(resource_id, resource_type.lower())
    return rules.id_flaw(resource_id, "space or project")


class Target(rules.IdRequest, frozen=True, kw_only=True):
    """A user and a resource, on which the user has at most one binding."""

    user_id: str
    resource_type: str
    resource_id: str

    def __post_init__(self) -> None:
        rules.check(*self._target_flaws())

    def _target_flaws(self) -> tuple[tuple[str, str | None], ...]:
        """Return what is wrong with each of its fields, for `check`."""
        return (
            self._id_flaw("user_id"),
            ("resource_type", resource_type_flaw(self.resource_type)),
            ("resource_id", resource_id_flaw(self.resource_id, self.resource_type)),
        )


class CreateRoleBinding(Target, frozen=True, kw_only=True):
    """A binding to make; its fields are the body's."""

    role_id: str

    def __post_init__(self) -> None:
        rules.check(self._id_flaw("role_id"), *self._target_flaws())


class UpdateRoleBinding(rules.IdRequest, frozen=True, kw_only=True):
    """The role that a binding gets; its field is the body's."""

    role_id: str

    def __post_init__(self) -> None:
        rules.check(self._id_flaw("role_id"))


class ListRoleBindings(rules.PageRequest, frozen=True, kw_only=True):
    """One page of role bindings to list."""

    resource_type: str
    user_id: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        kind = ("resource_type", resource_type_flaw(self.resource_type))
        user = rules.flaw_if_given(lambda _: self._id_flaw("user_id")[1], self.user_id)
        self._check(kind, ("user_id", user))


class RoleBindingPages(Pages[ListRoleBindings, ListRoleBindingsResponse, RoleBinding]):
    """A listing of role bindings, made and used as `RolePages` is."""

    _noun = "role bindings"
    _request_type = ListRoleBindings
