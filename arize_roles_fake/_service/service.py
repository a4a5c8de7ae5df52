"""The rules of the service that need the account's state.

Where the reference is silent, `Assumptions` decides.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import Final, TypeVar

import attrs
from msgspec import UNSET
from msgspec.structs import asdict

from arize_roles_async._values.errors import ValidationError
from arize_roles_async._values.models import Role
from arize_roles_async._values.permissions import Permission
from arize_roles_async._values.requests import CreateRole, ListRoles, UpdateRole, id_kind
from arize_roles_async._wire.request import ROLES_PATH, Request
from arize_roles_async._wire.response import Response
from arize_roles_fake._service.assumptions import Assumptions
from arize_roles_fake._service.store import Position, RoleStore
from arize_roles_fake._service.wire import (
    InvalidBodyError,
    decode_body,
    decode_list,
    page_response,
    parse_role_id,
    problem_response,
    role_response,
)

_B = TypeVar("_B", CreateRole, UpdateRole)

_SIGNATURE: Final = 12  # Bytes: too many to guess.
_COLLECTION_OPS: Final = {"GET": "list", "POST": "create"}
_SINGLE_ROLE_OPS: Final = {"GET": "get", "PATCH": "update", "DELETE": "delete"}

# The reference does not publish the entitlement for roles.
_ENTITLEMENT: Final = "CUSTOM_ROLES"


@attrs.frozen
class Key:
    """The grants of an API key; None grants everything."""

    grants: frozenset[str] | None = None

    def may(self, permission: Permission) -> bool:
        """Return whether the key grants a permission."""
        return self.grants is None or permission in self.grants


_NORMALIZERS: Final[dict[str, Callable[[str], str]]] = {
    "exact": str,
    "case-insensitive": str.casefold,
    "trimmed": str.strip,
}


class Service:
    """Answers requests from a store of roles."""

    store: RoleStore
    """The roles; set by the maker of the service."""

    def __init__(self, now: Callable[[], datetime], assumptions: Assumptions) -> None:
        self.assumptions = assumptions
        self.max_custom_roles: int | None = None
        """The limit on custom roles in the plan; None is no limit."""
        self.extra_permissions: frozenset[str] = frozenset()
        """Permissions of the account that are newer than this version of the library."""
        self.page_sizes: list[int] = []
        """Limits on the roles of each of the next pages, besides the limit of its request."""
        self._now = now
        self._cursor_secret = secrets.token_bytes(16)

    def new_store(self) -> RoleStore:
        """Return an empty store that compares names as the assumptions say."""
        return RoleStore(_NORMALIZERS[self.assumptions.name_comparison])

    def answer(self, operation: str, key: Key, request: Request) -> Response:
        """Return the answer to a request with a known key; a failure is a problem document."""
        handler = self._handlers.get(operation)
        if handler is None:
            return _no_such_operation(request)
        try:
            return handler(self, key, request)
        except InvalidBodyError as error:
            return problem_response(self.assumptions.invalid_body, str(error))
        except ValidationError as error:
            return problem_response(400, str(error))
        except _RefusedError as error:
            return error.response

    def _list(self, key: Key, request: Request) -> Response:
        _require(key, Permission.ROLE_READ)
        asked = decode_list(request.target.partition("?")[2])
        position, offset = self._position(asked)
        size = min(asked.limit, self.page_sizes.pop(0)) if self.page_sizes else asked.limit
        by_position = self.assumptions.paging == "by-position"
        found = self.store.iter_after(
            position if by_position else None,
            is_predefined=asked.is_predefined,
            newest_first=self.assumptions.list_order == "newest-first",
        )
        skipped = 0 if by_position else offset
        page = list(islice(found, skipped, skipped + size + 1))
        cursor = None
        if len(page) > size:
            # An empty page ends where the one before it did; the salt makes its cursor a new one.
            last, salt = (page[size - 1][0], "") if size else (position, secrets.token_hex(8))
            cursor = self._cursor(asked, last, offset + size, salt)
        return page_response([role for _, role in page[:size]], cursor)

    def _create(self, key: Key, request: Request) -> Response:
        _require(key, Permission.ROLE_CREATE)
        new = self._body(request, CreateRole)
        name = self._kept_as(new.name)
        self._require_free(name)
        custom = self.store.count(is_predefined=False)
        if self.max_custom_roles is not None and custom >= self.max_custom_roles:
            raise _RefusedError(
                403,
                "the account's plan allows no more custom roles",
                entitlement=_ENTITLEMENT,
                limit=self.max_custom_roles,
                current_count=custom,
                required_plan="ENTERPRISE",
            )
        now = self._now()
        role = Role(
            id=self.store.next_id(),
            name=name,
            description=None if new.description is UNSET else new.description or None,
            permissions=new.permissions,
            is_predefined=False,
            created_at=now,
            updated_at=now,
        )
        self.store.add(role)
        return _role_answer(201, role, key)

    def _get(self, key: Key, request: Request) -> Response:
        _require(key, Permission.ROLE_READ)
        return _role_answer(200, self._existing(request), key)

    def _update(self, key: Key, request: Request) -> Response:
        _require(key, Permission.ROLE_UPDATE)
        changes = self._body(request, UpdateRole)
        role = self._custom(request, "updated")
        given = {field: value for field, value in asdict(changes).items() if value is not UNSET}
        if changes.name is not UNSET:
            given["name"] = name = self._kept_as(changes.name)
            if name != role.name:
                self._require_free(name, but_for=role)
            elif self.assumptions.rename_to_own_name != 200:  # noqa: PLR2004 - that it succeeds
                raise _RefusedError(
                    self.assumptions.rename_to_own_name, f"the role is already named {name!r}"
                )
        if "description" in given:
            given["description"] = given["description"] or None
        changed = attrs.evolve(role, **given, updated_at=self._now())
        self.store.replace(role, changed)
        return _role_answer(200, changed, key)

    def _delete(self, key: Key, request: Request) -> Response:
        _require(key, Permission.ROLE_DELETE)
        role = self._custom(request, "deleted")
        bindings = len(self.store.bindings(role.id))
        if bindings:
            counted = f"{bindings} role binding{'' if bindings == 1 else 's'}"
            raise _RefusedError(409, f"{role.name!r} cannot be deleted: it still has {counted}")
        self.store.remove(role)
        if self.assumptions.deleted_name == "kept":
            self.store.keep_name(role.name)
        return Response(status=204, headers={}, body=b"")

    def _body(self, request: Request, model: type[_B]) -> _B:
        self._check_content_type(request)
        return decode_body(
            model,
            request.body or b"",
            self.extra_permissions,
            duplicates=self.assumptions.duplicate_permissions == "kept-once",
        )

    def _check_content_type(self, request: Request) -> None:
        status = self.assumptions.other_content_type
        # A request in process has none: the aiohttp transport adds it.
        content_type = request.headers.get("Content-Type")
        if content_type is None or status == "ignored":
            return
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise _RefusedError(
                status, f"the body must be application/json, not {media_type[:80]!r}"
            )

    def _kept_as(self, name: str) -> str:
        """Return a name as the service stores it."""
        if self.assumptions.name_comparison != "trimmed":
            return name
        trimmed = name.strip()
        if not trimmed:
            raise _RefusedError(self.assumptions.invalid_body, "name: must not be only spaces")
        return trimmed

    def _require_free(self, name: str, *, but_for: Role | None = None) -> None:
        taken = self.store.by_name(name)
        if taken is not None and taken is not but_for:
            raise _RefusedError(409, f"a role is already named {taken.name!r}")
        if self.store.is_kept(name):
            raise _RefusedError(409, f"{name!r} was the name of a deleted role")

    def _existing(self, request: Request) -> Role:
        role_id = parse_role_id(request.path)
        role = self.store.by_id(role_id)
        if role is None:
            raise self._no_role(role_id)
        return role

    def _no_role(self, role_id: str) -> "_RefusedError":
        kind = id_kind(role_id)
        if kind is None:
            status = self.assumptions.malformed_id
            return _RefusedError(status, f"{role_id[:80]!a} is not a role ID")
        if kind != "Role":
            status = self.assumptions.other_kind_id
            return _RefusedError(
                status, f"{role_id[:80]!r} was read as an ID, but is not the ID of a role"
            )
        status = self.assumptions.unknown_id
        return _RefusedError(status, f"no role has the ID {role_id[:80]!r}")

    def _custom(self, request: Request, done: str) -> Role:
        role = self._existing(request)
        if role.is_predefined:
            status = self.assumptions.predefined_refusal
            raise _RefusedError(status, f"{role.name!r} is a predefined role and cannot be {done}")
        return role

    # A cursor holds where a page ended, and its filter. It is signed, so that a made-up one is
    # refused.

    def _cursor(self, asked: ListRoles, position: Position | None, offset: int, salt: str) -> str:
        where = None if position is None else (position[0].isoformat(), position[1])
        text = json.dumps([asked.is_predefined, where, offset, salt]).encode()
        return base64.b64encode(self._signature(text) + text).decode()

    def _position(self, asked: ListRoles) -> tuple[Position | None, int]:
        if asked.cursor is None:
            return None, 0
        status = self.assumptions.foreign_cursor
        try:
            raw = base64.b64decode(asked.cursor, validate=True)
        except ValueError:
            raw = b""
        signature, text = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if secrets.compare_digest(signature, self._signature(text)):
            is_predefined, where, offset, _ = json.loads(text)
            if is_predefined == asked.is_predefined:
                position = None if where is None else (datetime.fromisoformat(where[0]), where[1])
                return position, offset
            flaw = "was issued for another is_predefined"
        else:
            flaw = "was not issued by this account"
        if status == "ignored":
            return None, 0
        raise _RefusedError(status, f"cursor: {flaw}")

    def _signature(self, text: bytes) -> bytes:
        return hashlib.blake2b(text, key=self._cursor_secret, digest_size=_SIGNATURE).digest()

    _handlers: Final = {
        "list": _list,
        "create": _create,
        "get": _get,
        "update": _update,
        "delete": _delete,
    }


class _RefusedError(Exception):
    """Carries a problem document out of a handler."""

    def __init__(self, status: int, detail: str, **members: object) -> None:
        super().__init__(detail)
        self.response = problem_response(status, detail, members=members)


def operation_of(request: Request) -> str:
    """Return the operation that a request asks for; if there is none, its method and path."""
    return _operations_at(request.path).get(request.method, f"{request.method} {request.path}")


def _operations_at(path: str) -> dict[str, str]:
    """Return the operations that a path has, by their HTTP methods."""
    if path == ROLES_PATH:
        return _COLLECTION_OPS
    collection, _, segment = path.rpartition("/")
    return _SINGLE_ROLE_OPS if collection == ROLES_PATH and segment else {}


def _no_such_operation(request: Request) -> Response:
    allowed = _operations_at(request.path)
    if not allowed:
        return problem_response(404, f"there is nothing at {request.path[:80]}")
    return problem_response(
        405, f"{request.method} is not allowed here", {"Allow": ", ".join(allowed)}
    )


def _require(key: Key, permission: Permission) -> None:
    if not key.may(permission):
        raise _RefusedError(403, f"the API key lacks {permission}")


def _role_answer(status: int, role: Role, key: Key) -> Response:
    return role_response(status, role, with_permissions=key.may(Permission.ROLE_READ))
