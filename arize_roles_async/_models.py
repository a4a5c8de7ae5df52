"""What the service answers with: roles, and pages of them."""

import html
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self, cast, overload

import attrs
import msgspec

from arize_roles_async._permissions import AnyPermission, Permission

if TYPE_CHECKING:
    Permissions = tuple[AnyPermission, ...]
else:
    # msgspec decodes enum members in C, and no union of an enum and a str subclass. A response
    # with a permission that is no member takes the second path in _wire, which knows both.
    Permissions = tuple[Permission, ...]

_Id = Annotated[str, msgspec.Meta(min_length=1)]
_Aware = Annotated[datetime, msgspec.Meta(tz=True)]


@attrs.frozen(kw_only=True)
class FieldInfo:
    """One field of a response class, for introspection."""

    name: str
    type: str
    required: bool
    """Whether the service always sends it."""
    doc: str


class _ModelFields:
    """`Role.model_fields`, as on a pydantic model: readable on the class itself."""

    def __get__(self, instance: object, owner: "type[Model]") -> Mapping[str, FieldInfo]:
        return {field.name: field for field in owner.fields()}


class Model:
    """What every response object can do: turn into plain data and back, and tell its fields."""

    __slots__ = ()

    model_fields = _ModelFields()
    """The fields by name: a read-only view of `fields()`."""

    def to_dict(self) -> dict[str, Any]:
        """Return the object as JSON-ready data.

        Returns:
            Strings, lists, booleans and ISO 8601 timestamps; a field that the service left out
            stays out.
        """
        from arize_roles_async import _convert

        return _convert.to_dict(self)

    def to_json(self) -> str:
        """Return `to_dict()` as JSON text, on one line."""
        return msgspec.json.encode(self.to_dict()).decode()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the object that `to_dict()` made `data` of.

        Args:
            data: JSON-ready data; keys that are no field are ignored, as the service adds some.

        Returns:
            An object equal to the one that was converted.

        Raises:
            ValidationError: `data` lacks a field or holds one of the wrong type; it names each.
        """
        from arize_roles_async import _convert

        return _convert.from_dict(cls, data)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the object that `to_json()` made `text` of.

        Args:
            text: JSON, as text or as UTF-8 bytes.

        Returns:
            An object equal to the one that was converted.

        Raises:
            ValidationError: `text` is no JSON, or not what `from_dict` takes.
        """
        from arize_roles_async import _convert

        return _convert.from_json(cls, text)

    @classmethod
    def fields(cls) -> tuple[FieldInfo, ...]:
        """Return each field's name, type, meaning and whether it is always there."""
        return tuple(
            FieldInfo(
                name=field.name,
                type=field.metadata["type"],
                required=field.default is attrs.NOTHING,
                doc=field.metadata["doc"],
            )
            for field in attrs.fields(cast("type[attrs.AttrsInstance]", cls))
        )

    def _repr_html_(self) -> str:
        """Return a table of the fields, which notebooks show in place of the repr."""
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(_cell(value))}</td></tr>"
            for name, value in self.to_dict().items()
        )
        return f"<table>{rows}</table>"


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, cast("list[object]", value)))
    return str(value)


def _shortened(text: str | None) -> str:
    limit = 40
    return repr(text if text is None or len(text) <= limit else text[: limit - 1] + "…")


def _first_few(permissions: "Permissions | None") -> str:
    if permissions is None:
        return "None"
    shown = 3
    more = len(permissions) - shown
    names = [*permissions[:shown], *([f"… {more} more"] if more > 0 else [])]
    return f"({', '.join(names)})"


@attrs.frozen(kw_only=True)
class Role(Model):
    """A named set of permissions, as the service holds it.

    Frozen and hashable; two roles are equal when every field is. Field names and limits are the
    service's own, from its REST reference.
    """

    id: _Id = attrs.field(
        repr=_shortened,
        metadata={"type": "str", "doc": "Opaque; base64 of a text with a colon in it."},
    )
    name: str = attrs.field(
        repr=_shortened,
        metadata={"type": "str", "doc": "Unique within the account, 1 to 255 characters."},
    )
    description: str | None = attrs.field(
        default=None,
        repr=_shortened,
        metadata={"type": "str | None", "doc": "At most 1000 characters; None if there is none."},
    )
    permissions: Permissions | None = attrs.field(
        default=None,
        repr=_first_few,
        metadata={
            "type": "tuple[Permission | UnknownPermission, ...] | None",
            "doc": "None where the service withheld them: the caller lacks ROLE_READ.",
        },
    )
    is_predefined: bool = attrs.field(
        metadata={"type": "bool", "doc": "Whether the role is the system's own, and read-only."},
    )
    created_at: _Aware = attrs.field(
        repr=datetime.isoformat,
        metadata={"type": "datetime", "doc": "When the role was made; timezone-aware."},
    )
    updated_at: _Aware = attrs.field(
        repr=datetime.isoformat,
        metadata={"type": "datetime", "doc": "When it last changed; timezone-aware."},
    )


@attrs.frozen(kw_only=True)
class PaginationMetadata(Model):
    """Where a page stands in its listing."""

    has_more: bool = attrs.field(
        metadata={"type": "bool", "doc": "Whether roles follow this page."},
    )
    next_cursor: str | None = attrs.field(
        default=None,
        metadata={"type": "str | None", "doc": "What asks for the next page; opaque."},
    )


def _role_names(roles: tuple[Role, ...]) -> str:
    shown = 3
    names = [_shortened(role.name) for role in roles[:shown]]
    more = [f"… {len(roles) - shown} more"] if len(roles) > shown else []
    return f"[{', '.join(names + more)}]"


@attrs.frozen(kw_only=True)
class ListRolesResponse(Model, Sequence[Role]):
    """One page of roles, or all of them; also a sequence of its roles."""

    roles: tuple[Role, ...] = attrs.field(
        repr=_role_names,
        metadata={"type": "tuple[Role, ...]", "doc": "Newest first; at most 100 in one page."},
    )
    pagination: PaginationMetadata = attrs.field(
        metadata={"type": "PaginationMetadata", "doc": "Whether more follow, and how to ask."},
    )

    def __len__(self) -> int:
        return len(self.roles)

    def __iter__(self) -> Iterator[Role]:
        return iter(self.roles)

    def __contains__(self, value: object) -> bool:
        return value in self.roles

    @overload
    def __getitem__(self, index: int) -> Role: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Role, ...]: ...
    def __getitem__(self, index: int | slice) -> Role | tuple[Role, ...]:
        return self.roles[index]
