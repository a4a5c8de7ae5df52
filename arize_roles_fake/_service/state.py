"""The state of an account that its rules are about, and the parts of an answer they share."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final, TypeVar

import attrs
import msgspec
from msgspec import UNSET

from arize_roles_async._directory.models import AccountRole, Project, Space, User
from arize_roles_async._values.permissions import Permission
from arize_roles_async._values.requests import ID_KINDS, PageRequest, id_kind
from arize_roles_async._wire.response import Response
from arize_roles_fake._service.assumptions import Assumptions
from arize_roles_fake._service.cursors import Cursors, Mark
from arize_roles_fake._service.ids import Ids
from arize_roles_fake._service.store import Record, Records, Store
from arize_roles_fake._service.wire import (
    ParsedRequest,
    decode_body,
    page_response,
    problem_response,
)

_B = TypeVar("_B", bound=msgspec.Struct)

_NORMALIZERS: Final[dict[str, Callable[[str], str]]] = {
    "exact": str,
    "case-insensitive": str.casefold,
    "trimmed": str.strip,
}

_PRECISIONS: Final = {"microseconds": 1, "milliseconds": 1_000, "seconds": 1_000_000}
"""The microseconds of which a time that the service writes is a multiple."""

MEMBER: Final = AccountRole(type="PREDEFINED", name="MEMBER")
"""The role of a user in the whole account."""


class RefusedError(Exception):
    """Carries a problem document out of a handler."""

    def __init__(self, status: int, detail: str, **members: object) -> None:
        super().__init__(detail)
        self.response = problem_response(status, detail, members=members)


@attrs.frozen
class Grants:
    """The permissions that an API key grants: on the whole account, and on single resources."""

    everywhere: frozenset[str] | None = None
    """Those on the whole account; None is all of them."""
    on: Mapping[str, frozenset[str]] = attrs.field(factory=dict[str, frozenset[str]])
    """Those on single resources, by the IDs of these."""

    def allow(self, permission: Permission, resource_id: str | None = None) -> bool:
        """Return whether the key grants a permission, on a resource if one is given."""
        if self.everywhere is None or permission in self.everywhere:
            return True
        return resource_id is not None and permission in self.on.get(resource_id, ())

    def reach(self, permission: Permission, *resource_ids: str) -> bool:
        """Return whether the key grants a permission everywhere, or any on one of some resources.

        So a key sees a space or a project on which it may do anything.
        """
        return self.allow(permission) or any(self.on.get(each) for each in resource_ids)


class State:
    """The records of an account, and its answers to open questions."""

    # Set by `clear`.
    ids: Ids
    """Its IDs, and the labels that they hold."""
    records: Records
    keys: dict[str, Grants]
    """The API keys, the account's first one first, each with what it grants."""
    _cursors: Cursors

    def __init__(
        self,
        clock: Callable[[], datetime],
        assumptions: Assumptions,
        next_page_size: Callable[[str], int | None],
    ) -> None:
        self._clock = clock
        self.assumptions = assumptions
        self.max_custom_roles: int | None = None
        """The limit on custom roles in the plan; None is no limit."""
        self.has_every_user: bool = True
        """Whether there is every user that no other account has, and not only those it knows."""
        self.has_every_place: bool = True
        """The same for spaces and projects."""
        self._next_page_size = next_page_size
        """Returns a limit on the items of the next page of a list, besides that of its request."""

    def clear(self, ids: Ids) -> None:
        """Begin without records."""
        self.ids = ids
        self.keys = {}
        self._cursors = Cursors()
        self.records = Records(ids, _NORMALIZERS[self.assumptions.name_comparison])

    def now(self) -> datetime:
        """Return the account's time, as the service writes it."""
        return self.written(self._clock())

    def written(self, moment: datetime) -> datetime:
        """Return a time with the precision that the service writes."""
        finer = moment.microsecond % _PRECISIONS[self.assumptions.timestamps]
        return moment - timedelta(microseconds=finer)

    def has(self, id: str) -> bool:
        """Return whether there is the user, space or project with an ID."""
        if id in self.records.blocked:
            return False
        has_every = self.has_every_user if id_kind(id) == "User" else self.has_every_place
        is_known = self.entries_with(id).by_id(id) is not None
        return is_known or (has_every and not self.ids.is_foreign(id))

    def add_implied(self, *ids: str) -> None:
        """Add users, spaces and projects that are new."""
        for each in ids:
            if self.entries_with(each).by_id(each) is None:
                made = self.entry(each)
                self.entries_with(each).put(made)
                if isinstance(made, Project):
                    self.add_implied(made.space_id)

    def entries_with(self, id: str) -> Store[Any]:
        """Return the users, the spaces or the projects, by the kind that an ID says."""
        kind = id_kind(id)
        others = self.records.spaces if kind == "Space" else self.records.projects
        return self.records.users if kind == "User" else others

    def entry(self, id: str) -> Any:  # noqa: ANN401 - of three kinds
        """Return the user, space or project with an ID, made from the ID's label if it is new."""
        if (known := self.entries_with(id).by_id(id)) is not None:
            return known
        kind, label = id_kind(id), self.ids.label(id)
        new: dict[str, Any] = {"id": id, "created_at": self.now()}
        if kind == "User":
            new["email"] = label if "@" in label else f"{label}@fake.invalid"
            name = label.partition("@")[0]
            return User(**new, name=name, status="ACTIVE", role=MEMBER, is_developer=False)
        text = label.partition(":")[2]
        if kind == "Space":
            new["organization_id"] = self.ids.of("Organization", "default")
            return Space(**new, name=text, description="", is_private=False)
        space, _, name = text.rpartition("/")
        if not (space and name):
            space, name = "default", text
        space_id = self.ids.of_resource(f"Space:{space}")
        return Project(**new, name=name, space_id=space_id, project_type="APPLICATION")

    def body(self, request: ParsedRequest, model: type[_B]) -> _B:
        """Return the body of a request, or refuse it."""
        # A request in process has none: the aiohttp transport adds it.
        content_type = request.request.headers.get("Content-Type", "application/json")
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise RefusedError(415, f"the body must be application/json, not {media_type[:80]!r}")
        return decode_body(
            model,
            request,
            self.records.extra_permissions,
            duplicates=self.assumptions.duplicate_permissions == "kept-once",
        )

    def not_found(self, what: str, given: str, *, unknown: int = 404) -> RefusedError:
        """Return the refusal of an ID that no `what` has, with `unknown` if it says that kind."""
        found = id_kind(given)
        if found is None:
            status = self.assumptions.malformed_id
            return RefusedError(status, f"{given[:80]!a} is not a {what} ID")
        if found not in ID_KINDS[what]:
            return RefusedError(
                self.assumptions.other_kind_id,
                f"{given[:80]!r} was read as an ID, but is not the ID of a {what}",
            )
        return RefusedError(unknown, f"no {what} has the ID {given[:80]!r}")

    def page(
        self,
        collection: str,
        asked: PageRequest,
        store: Store[Record],
        *,
        only: Callable[[Record], bool] = bool,
        newest_first: bool | None = None,
    ) -> Response:
        """Return the answer that holds a page of the records of a store for which `only` is true.

        Without `newest_first`, the order is that of the assumptions.
        """
        filters: dict[str, object] = {"list": collection, **msgspec.structs.asdict(asked)}
        filters = {name: value for name, value in filters.items() if value is not UNSET}
        del filters["limit"], filters["cursor"]
        mark = Mark()
        try:
            if asked.cursor is not None:
                mark = self._cursors.read(asked.cursor, filters)
        except ValueError as error:
            status = self.assumptions.foreign_cursor
            if status != "ignored":
                raise RefusedError(status, f"cursor: {error}") from None
        most = self._next_page_size(collection)
        size = asked.limit if most is None else min(asked.limit, most)
        by_position = self.assumptions.paging == "by-position"
        after = mark.position if by_position else None
        if newest_first is None:
            newest_first = self.assumptions.list_order == "newest-first"
        found = store.after(after, newest_first=newest_first)
        visible = (each for each in found if only(each[1]))
        skipped = 0 if by_position else mark.offset
        page = list(islice(visible, skipped, skipped + size + 1))
        cursor = None
        if len(page) > size:
            end = page[size - 1][0] if size else mark.position
            cursor = self._cursors.make(filters, Mark(end, mark.offset + size, mark.pages + 1))
        return page_response(collection, [record for _, record in page[:size]], cursor)


def require(grants: Grants, permission: Permission) -> None:
    """Refuse a request whose key lacks a permission on the account."""
    if not grants.allow(permission):
        raise RefusedError(403, f"the API key lacks {permission}")
