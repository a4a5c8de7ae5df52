"""The operations on roles, and what the service's refusals of them mean."""

from typing import Final, Literal, get_args
from urllib.parse import unquote

from arize_roles_async._calls.call import Collection
from arize_roles_async._values.requests import id_kind
from arize_roles_async._values.text import quoted
from arize_roles_async._wire.request import Request

RoleOperation = Literal["list", "get", "create", "update", "delete"]

# The reference does not say which of the two answers a request about a role that is gone.
NO_SUCH_ROLE: Final = frozenset({400, 404})
_CONFLICT: Final = 409


class _Roles(Collection, frozen=True):
    def hint(self, request: Request, status: int) -> str:
        role_id = unquote(request.path.removeprefix(self.path)[1:])
        if role_id and status == _CONFLICT and request.method == "DELETE":
            return f"; role_bindings.find(role_id={quoted(role_id)}) shows who has it"
        kind = id_kind(role_id)
        if not role_id or status not in NO_SUCH_ROLE or kind == "Role":
            return ""
        # An ID may have been meant as a name.
        if kind is None:
            return "; role_id= takes only an ID, role= takes an ID or a name"
        return (
            f"; {quoted(role_id)} was read as an ID, as it is base64 of a text with a colon: to "
            "reach a role of that name, find it in list() and pass its ID as role_id="
        )


ROLES: Final = _Roles(
    path="/v2/roles",
    operations=get_args(RoleOperation),
    id_argument="role_id",
    verdicts={
        ("delete", 404): True,
        # A role that cannot be deleted, such as one that users hold, is there.
        ("delete", 409): False,
    },
)
