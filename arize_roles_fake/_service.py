"""What the service decides by its own state: the rules behind the door of a fake account.

What is assumed where the service's reference is silent is in this file, each point under the word
ASSUMED; FIDELITY.md, beside it, lists them with everything else.
"""

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import Final

import attrs
from msgspec.structs import asdict

from arize_roles_async._errors import ValidationError
from arize_roles_async._models import Role
from arize_roles_async._permissions import Permission
from arize_roles_async._requests import UNSET, ListRoles
from arize_roles_async._wire import ROLES_PATH, Request, Response
from arize_roles_fake._store import Place, RoleStore
from arize_roles_fake._wire import (
    decode_create,
    decode_list,
    decode_update,
    page_response,
    problem_response,
    role_id_of,
    role_response,
)

_SIGNATURE: Final = 12  # Bytes: too many to hit by guessing.
_ON_ALL: Final = {"GET": "list", "POST": "create"}
_ON_ONE: Final = {"GET": "get", "PATCH": "update", "DELETE": "delete"}


@attrs.frozen
class Key:
    """What an API key may do; None grants everything."""

    grants: frozenset[str] | None = None

    def may(self, permission: Permission) -> bool:
        """Whether the key grants a permission."""
        return self.grants is None or permission in self.grants


class Service:
    """Answers requests over a store of roles.

    Args:
        store: The roles.
        now: Tells the time, timezone-aware.
        max_custom_roles: How many custom roles the plan allows; None is any number.
    """

    def __init__(
        self, store: RoleStore, now: Callable[[], datetime], max_custom_roles: int | None
    ) -> None:
        self.store = store
        self.max_custom_roles = max_custom_roles
        self.newer: frozenset[str] = frozenset()
        """Permissions that the account knows and this version of the library does not."""
        self._now = now
        self._cursor_secret = secrets.token_bytes(16)

    def answer(self, operation: str, key: Key, request: Request) -> Response:
        """Return the answer to a request of a known caller; a failure is a problem document."""
        steps = self._steps.get(operation)
        if steps is None:
            return _no_such_operation(request)
        try:
            return steps(self, key, request)
        except ValidationError as error:
            # ASSUMED: everything wrong with a body or a parameter, taken alone, is 400.
            return problem_response(400, str(error))
        except _Refused as refused:
            return refused.response

    def _list(self, key: Key, request: Request) -> Response:
        asked = decode_list(request.target.partition("?")[2])
        # ASSUMED: newest first; predefined roles are as old as the account.
        # ASSUMED: a walk goes on from where the page before ended, by age: roles that exist from
        # its start to its end are seen exactly once, whatever is made or deleted meanwhile.
        place = None if asked.cursor is None else self._place(asked)
        found = self.store.older_than(place, is_predefined=asked.is_predefined)
        page = list(islice(found, asked.limit + 1))
        more = len(page) > asked.limit
        cursor = self._cursor(asked, page[asked.limit - 1][0]) if more else None
        roles = [role for _, role in page[: asked.limit]]
        return page_response(roles, cursor, with_permissions=key.may(Permission.ROLE_READ))

    def _create(self, key: Key, request: Request) -> Response:
        _require(key, Permission.ROLE_CREATE)
        # ASSUMED: a permission that a body names twice is kept once, in its first place.
        new = decode_create(request.body or b"", self.newer)
        # ASSUMED: names are compared exactly; others by case or outer spaces are different names.
        if self.store.named(new.name) is not None:
            raise _Refused(409, f"there is a role named {new.name!r} already")
        custom = self.store.count(is_predefined=False)
        if self.max_custom_roles is not None and custom >= self.max_custom_roles:
            raise _Refused(
                403,
                "the account's plan allows no more custom roles",
                entitlement="custom_roles",
                limit=self.max_custom_roles,
                current_count=custom,
                required_plan="ENTERPRISE",
            )
        now = self._now()
        role = Role(
            id=self.store.next_id(),
            name=new.name,
            description=None if new.description is UNSET else new.description or None,
            permissions=new.permissions,
            is_predefined=False,
            created_at=now,
            updated_at=now,
        )
        self.store.add(role)
        return self._shown(201, role, key)

    def _get(self, key: Key, request: Request) -> Response:
        return self._shown(200, self._existing(request), key)

    def _update(self, key: Key, request: Request) -> Response:
        _require(key, Permission.ROLE_UPDATE)
        changes = decode_update(request.body or b"", self.newer)
        role = self._custom(request, "updated")
        name = role.name if changes.name is UNSET else changes.name
        # ASSUMED: renaming a role to its own name succeeds.
        if (self.store.named(name) or role).id != role.id:
            raise _Refused(409, f"there is a role named {name!r} already")
        given = {field: value for field, value in asdict(changes).items() if value is not UNSET}
        if "description" in given:
            given["description"] = given["description"] or None
        changed = attrs.evolve(role, **given, updated_at=self._now())
        self.store.replace(role, changed)
        return self._shown(200, changed, key)

    def _delete(self, key: Key, request: Request) -> Response:
        _require(key, Permission.ROLE_DELETE)
        # ASSUMED: a deleted role's name is free again.
        self.store.remove(self._custom(request, "deleted"))
        return Response(status=204, headers={}, body=b"")

    def _shown(self, status: int, role: Role, key: Key) -> Response:
        return role_response(status, role, with_permissions=key.may(Permission.ROLE_READ))

    def _existing(self, request: Request) -> Role:
        role_id = role_id_of(request.path)
        role = self.store.with_id(role_id)
        if role is None:
            # ASSUMED: an id that is no role's, or is no id at all, is 404.
            raise _Refused(404, f"there is no role with the ID {role_id[:80]!r}")
        return role

    def _custom(self, request: Request, done: str) -> Role:
        role = self._existing(request)
        if role.is_predefined:
            # ASSUMED: updating or deleting a predefined role is 403, with a detail that says why.
            raise _Refused(403, f"{role.name!r} is a predefined role and cannot be {done}")
        return role

    # Cursors: where a page ended and of which filter, signed so that no other is taken for one.

    def _cursor(self, asked: ListRoles, place: Place) -> str:
        made, number = place
        said = json.dumps([asked.is_predefined, made.isoformat(), number]).encode()
        return base64.b64encode(self._signature(said) + said).decode()

    def _place(self, asked: ListRoles) -> Place:
        # ASSUMED: a cursor that the account did not issue, or issued for another filter, is 400.
        try:
            raw = base64.b64decode(asked.cursor or "", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        signature, said = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if not secrets.compare_digest(signature, self._signature(said)):
            raise _Refused(400, "cursor: was not issued by this account")
        is_predefined, made, number = json.loads(said)
        if is_predefined != asked.is_predefined:
            raise _Refused(400, "cursor: was issued for another is_predefined")
        return datetime.fromisoformat(made), number

    def _signature(self, said: bytes) -> bytes:
        return hashlib.blake2b(said, key=self._cursor_secret, digest_size=_SIGNATURE).digest()

    _steps: Final = {
        "list": _list,
        "create": _create,
        "get": _get,
        "update": _update,
        "delete": _delete,
    }


class _Refused(Exception):  # noqa: N818 - a way out, and no error of the account's
    """Carries a problem document out of an operation."""

    def __init__(self, status: int, detail: str, **members: object) -> None:
        super().__init__(detail)
        self.response = problem_response(status, detail, members=members)


def operation_of(request: Request) -> str:
    """Return which operation a request asks for; of none, its method and path."""
    return _operations_at(request.path).get(request.method, f"{request.method} {request.path}")


def _operations_at(path: str) -> dict[str, str]:
    """Return the operations that a path has, by their HTTP methods."""
    if path == ROLES_PATH:
        return _ON_ALL
    collection, _, segment = path.rpartition("/")
    return _ON_ONE if collection == ROLES_PATH and segment else {}


def _no_such_operation(request: Request) -> Response:
    allowed = _operations_at(request.path)
    if not allowed:
        return problem_response(404, f"there is nothing at {request.path[:80]}")
    return problem_response(
        405, f"{request.method} is not allowed here", {"Allow": ", ".join(allowed)}
    )


def _require(key: Key, permission: Permission) -> None:
    if not key.may(permission):
        raise _Refused(403, f"the API key lacks {permission}")
