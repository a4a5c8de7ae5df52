"""The IDs of an account, and the readable labels of users and resources, which IDs hold.

Every ID of an account differs from those of another one by the account's tenant: the letters of a
role's ID are made from it, and that of a user, space or project ends in it. So a label has one ID
in an account, and no table is needed.
"""

import base64
import contextlib
import hashlib
import re
import zlib
from typing import Final

from arize_roles_async._role_bindings.models import RoleBindingResourceType
from arize_roles_async._role_bindings.requests import RESOURCE_KINDS
from arize_roles_async._values.requests import id_flaw, id_kind
from arize_roles_async._values.text import quoted

_RESOURCE: Final = "(?s)(Space|Project):(.+)"
_TENANT: Final = "[A-Za-z0-9-]{0,32}"
_MADE_HERE: Final = "(?s).*:fake-[A-Za-z0-9-]+"
_TYPES: Final = {
    kind: RoleBindingResourceType(name) for name, kinds in RESOURCE_KINDS.items() for kind in kinds
}
"""The type of the resource that an ID of each kind is of."""


def encode_id(text: str) -> str:
    """Return the ID that holds a text, such as `User:12345`."""
    return base64.b64encode(text.encode()).decode()


def tenant_of(text: str) -> str:
    """Return the tenant of an account that is made from a text, such as its key."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return _letters(digest)


def _letters(numbers: bytes) -> str:
    return "".join(chr(ord("a") + number % 26) for number in numbers)


class Ids:
    """The IDs of an account, which differ from those of others by its tenant.

    An empty tenant gives the IDs of version 0.4, which were the same in every account.
    """

    def __init__(self, tenant: str) -> None:
        if not re.fullmatch(_TENANT, tenant):
            raise ValueError("tenant must be at most 32 letters, digits and hyphens")
        self.tenant: str = tenant
        self._end = f":fake-{tenant}" if tenant else ""

    def numbered(self, kind: str, number: int) -> str:
        """Return the ID of the record with a kind and a number."""
        letters = _letters(zlib.crc32(f"{self.tenant}{number}".encode()).to_bytes(4))
        return encode_id(f"{kind}:{number}:{letters}")

    def of_label(self, label: str) -> str:
        """Return the ID of a space or project, given a label such as `Space:1`, else of a user."""
        if id_kind(label) in {"User", *_TYPES}:
            return label
        is_resource = re.fullmatch(_RESOURCE, label)
        return self.of_resource(label) if is_resource else self.of("User", label)

    def of(self, kind: str, text: str) -> str:
        """Return the ID of a user, space or organization, given the ID or its label or name."""
        if id_flaw(text) is None and id_kind(text) is None:
            text = encode_id(f"{kind}:{text}{self._end}")
        flaw = id_flaw(text)
        if flaw is None and id_kind(text) != kind:
            flaw = f"must not be the ID of a {id_kind(text)}"
        if flaw is not None:
            raise ValueError(f"{kind.lower()} {flaw}")
        return text

    def of_resource(self, resource: str) -> str:
        """Return the ID of a space or project, given the ID or a label such as `Space:1`."""
        chosen = resource
        if id_flaw(resource) is None and (found := re.fullmatch(_RESOURCE, resource)):
            # The service's own word for a project.
            kind = "Model" if found[1] == "Project" else "Space"
            chosen = encode_id(f"{kind}:{found[2]}{self._end}")
        if id_flaw(chosen) is None and id_kind(chosen) in _TYPES:
            return chosen
        raise ValueError(
            "resource must be a space or a project, such as 'Space:1' or 'Project:1', not "
            f"{quoted(resource)}"
        )

    def label(self, id: str) -> str:
        """Return the label of the user, space or project with an ID; of another text, the text."""
        kind = id_kind(id)
        if kind not in {"User", *_TYPES}:
            return id
        text = base64.b64decode(id).decode().partition(":")[2].removesuffix(self._end)
        if kind == "User":
            return text
        return f"{'Space' if kind == 'Space' else 'Project'}:{text}"

    def label_or_id(self, id: str) -> str:
        """Return the label of an ID, or the ID itself where the label stands for another one."""
        text = self.label(id)
        with contextlib.suppress(ValueError):
            if self.of_label(text) == id:
                return text
        return id

    def is_foreign(self, id: str) -> bool:
        """Return whether another account made the ID of a user, space or project."""
        text = base64.b64decode(id).decode()
        is_own = self._end and text.endswith(self._end)
        return not is_own and re.fullmatch(_MADE_HERE, text) is not None


def resource_type(id: str) -> RoleBindingResourceType:
    """Return the type of the resource with an ID of `Ids.of_resource`."""
    return _TYPES[id_kind(id) or ""]
