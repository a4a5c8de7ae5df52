"""Readable labels of users and resources, and the IDs that stand for them.

An ID holds its label: base64 of `User:` and the label of a user, of a space's label, or of a
project's label with the service's own word for a project, `Model`. So a label has one ID in every
account, and no table is needed.
"""

import base64
import contextlib
import re
from typing import Final

from arize_roles_async._role_bindings.models import RoleBindingResourceType
from arize_roles_async._role_bindings.requests import RESOURCE_KINDS
from arize_roles_async._values.requests import id_flaw, id_kind
from arize_roles_async._values.text import quoted
from arize_roles_fake._service.store import encode_id

_RESOURCE: Final = "(?s)(Space|Project):(.+)"
_TYPES: Final = {
    kind: RoleBindingResourceType(name) for name, kinds in RESOURCE_KINDS.items() for kind in kinds
}
"""The type of the resource that an ID of each kind is of."""


def user_id(user: str) -> str:
    """Return the ID of a user, given the ID or a label.

    Raises:
        ValueError: It is no text, or too long.
    """
    flaw = id_flaw(user)
    if flaw is None and id_kind(user) != "User":
        user = encode_id(f"User:{user}")
        flaw = id_flaw(user)
    if flaw is not None:
        raise ValueError(f"user {flaw}")
    return user


def resource_id(resource: str) -> str:
    """Return the ID of a space or project, given the ID or a label such as `Space:1`.

    Raises:
        ValueError: It is neither.
    """
    if id_flaw(resource) is None:
        if id_kind(resource) in _TYPES:
            return resource
        if found := re.fullmatch(_RESOURCE, resource):
            return encode_id(f"{'Model' if found[1] == 'Project' else 'Space'}:{found[2]}")
    raise ValueError(
        "resource must be a space or a project, such as 'Space:1' or 'Project:1', not "
        f"{quoted(resource)}"
    )


def resource_type(id: str) -> RoleBindingResourceType:
    """Return the type of the resource with an ID of `resource_id`."""
    return _TYPES[id_kind(id) or ""]


def label(id: str) -> str:
    """Return the label of the user, space or project with an ID; of any other text, the text."""
    kind = id_kind(id)
    if kind not in {"User", *_TYPES}:
        return id
    text = base64.b64decode(id).decode().partition(":")[2]
    if kind == "User":
        return text
    return f"{'Space' if kind == 'Space' else 'Project'}:{text}"


def in_file(id: str) -> str:
    """Return the label of an ID, or the ID itself where the label stands for another one."""
    text = label(id)
    with contextlib.suppress(ValueError):
        if (user_id if id_kind(id) == "User" else resource_id)(text) == id:
            return text
    return id
