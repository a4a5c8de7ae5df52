"""Answers of a service that is newer than the library, decoded in one step."""

import pickle
import sys

import cattrs
import pytest

from arize_roles_async import Permission, Request, Response, Role, UnknownPermission
from arize_roles_async._wire.decode import decode

REQUEST = Request(method="GET", target="/v2/roles/x")
ROLE = (
    '{"id": "Um9sZToxOmFCY0Q=", "name": "Admin", "permissions": [%s], "is_predefined": true, '
    '"created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z", "new": 1}'
)


def response(*permissions: str) -> Response:
    quoted = ", ".join(f'"{permission}"' for permission in permissions)
    return Response(status=200, headers={}, body=(ROLE % quoted).encode())


def test_permissions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known identifiers are members, each other one is unknown; none needs the slow way."""
    monkeypatch.setitem(sys.modules, "arize_roles_async._values.convert", None)
    role = decode(Role, REQUEST, response("PROJECT_READ", "PROJECT_TELEPORT", "ROLE_READ"))

    assert role.permissions == (
        Permission.PROJECT_READ,
        UnknownPermission("PROJECT_TELEPORT"),
        Permission.ROLE_READ,
    )
    assert [type(permission) for permission in role.permissions or ()] == [
        Permission,
        UnknownPermission,
        Permission,
    ]


def test_by_hand() -> None:
    """An identifier that is no member stays a ValueError where a member is asked for by hand."""
    with pytest.raises(ValueError, match=r"."):
        Permission("PROJECT_TELEPORT")
    with pytest.raises(ValueError, match=r"."):
        cattrs.Converter().structure("PROJECT_TELEPORT", Permission)
    pickled = pickle.dumps(Permission.PROJECT_READ, protocol=2)
    # Python up to 3.11.3 pickles the name of a member, and later the value.
    with pytest.raises((AttributeError, ValueError), match=r"."):
        pickle.loads(pickled.replace(b"PROJECT_READ", b"PROJECT_TELE"))  # noqa: S301 - from above
