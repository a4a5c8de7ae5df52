"""The operations on roles, and what the service's refusals of them mean."""

from typing import Final, Literal, get_args
from urllib.parse import unquote

from arize_roles_async._calls.resource import Resource
from arize_roles_async._values.requests import id_kind
from arize_roles_async._values.text import quoted
from arize_roles_async._wire.request import Request

RoleRead = Literal["list", "get"]
RoleChange = Literal["create", "update", "delete"]

_PATH: Final = "/v2/roles"
_ABOUT_AN_ID: Final = frozenset({400, 404})
_CONFLICT: Final = 409


def _hint(request: Request, status: int) -> str:
    """Return the next step after the refusal of a call about one role."""
    segment = request.path.removeprefix(f"{_PATH}/")
    if segment == request.path:
        return ""
    role_id = unquote(segment)
    if status in _ABOUT_AN_ID:
        return _id_hint(role_id)
    if status == _CONFLICT and request.method == "DELETE":
        return f"; role_bindings.find(role_id={quoted(role_id)}) shows who has it"
    return ""


def _id_hint(role_id: str) -> str:
    """Return a hint if an ID may have been meant as a name."""
    kind = id_kind(role_id)
    if kind is None:
        return "; role_id= takes only an ID, role= takes an ID or a name"
    if kind == "Role":
        return ""
    return (
        f"; {quoted(role_id)} was read as an ID, as it is base64 of a text with a colon: to reach "
        "a role of that name, find it in list() and pass its ID as role_id="
    )


ROLES: Final = Resource(
    path=_PATH,
    operations=(*get_args(RoleRead), *get_args(RoleChange)),
    id_argument="role_id",
    settled={
        ("delete", 404): True,
        # A role that cannot be deleted, such as one that users hold, is there.
        ("delete", 409): False,
    },
    hint=_hint,
)
