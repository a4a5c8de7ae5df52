"""What the responses of the service share: the base classes of a model and of a page.

The rule for records, in both packages: objects that a caller holds are frozen attrs classes;
objects that cross the wire or live for one call (requests, and those of `_wire`) are msgspec
Structs, which are made five times as fast and take less time to define. msgspec reads and writes
JSON; cattrs converts objects that a caller holds, and names the field in every error. An omitted
value is `msgspec.UNSET`. Modules that every program imports write `attr`, the older name of attrs:
aiohttp has imported that already, and the newer one takes six more modules.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self, TypeVar, overload

import attr
import msgspec

from arize_roles_async._values.base_errors import RolesError
from arize_roles_async._values.json import MAX_ID
from arize_roles_async._values.text import quoted

if TYPE_CHECKING:
    from pandas import DataFrame
    from polars import DataFrame as PolarsFrame
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from arize_roles_async._values.details import FieldInfo
else:
    DataFrame = PolarsFrame = GetCoreSchemaHandler = CoreSchema = FieldInfo = Any

_T_co = TypeVar("_T_co", covariant=True)

# A repr is short: in full, a page of 100 roles with every permission has half a megabyte.
_MAX_SHOWN_TEXT: Final = 40
_MAX_SHOWN_ITEMS: Final = 3

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]
Aware = Annotated[datetime, msgspec.Meta(tz=True)]

ID: Final = {"doc": "Opaque; base64 of a text with a colon in it."}
"""The metadata of the field `id` of an item."""
PAGINATION: Final = {"doc": "Whether more follow, and the cursor."}
"""The metadata of the field `pagination` of a page."""


def optional(doc: str, **options: Any) -> Any:  # noqa: ANN401 - a field of any type
    """Return a field that is None where the service omits it."""
    return attr.field(default=None, metadata={"doc": doc}, **options)


def shortened(_: type, fields: "list[attr.Attribute[Any]]") -> "list[attr.Attribute[Any]]":
    """Return the fields of a model, for attrs: its repr shows texts shortened, and ISO 8601."""
    return [each.evolve(repr=_value_repr) if each.repr is True else each for each in fields]


def _value_repr(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return quoted(value, _MAX_SHOWN_TEXT) if isinstance(value, str) else repr(value)


def items_repr(items: Sequence[Any]) -> str:
    """Return the reprs of the first few names, or else IDs, and the number of the others."""
    return f"[{first_reprs([getattr(item, 'name', None) or item.id for item in items])}]"


def first_reprs(texts: Sequence[str]) -> str:
    """Return the reprs of the first few texts, and the number of the others."""
    first = [quoted(text, _MAX_SHOWN_TEXT) for text in texts[:_MAX_SHOWN_ITEMS]]
    more = len(texts) - len(first)
    return ", ".join([*first, f"… {more} more"] if more else first)


class _ModelFields:
    """`Role.model_fields`, as on a pydantic model: readable on the class itself."""

    def __get__(self, instance: object, owner: "type[Model]") -> "Mapping[str, FieldInfo]":
        from arize_roles_async._values.details import describe

        # Tools that visit every class, such as pydoc, ask the base class of all models, too.
        return describe(owner) if attr.has(owner) else {}


class Model:
    """Base of every response object: converts to plain data and back, and describes its fields."""

    __slots__ = ()

    model_fields: ClassVar[_ModelFields] = _ModelFields()
    """Each field's name, type, meaning and whether it is always there, by its name."""

    def to_dict(self) -> dict[str, Any]:
        """Return the object as JSON-ready data; a field that the service omitted is omitted.

        The data are strings, lists, booleans and ISO 8601 timestamps.
        """
        from arize_roles_async._values import convert as _convert

        return _convert.to_dict(self)

    def to_json(self) -> str:
        """Return `to_dict()` as JSON text, on one line.

        Raises:
            RolesError: A text holds surrogates, which no answer of the service does.
        """
        try:
            return msgspec.json.encode(self.to_dict()).decode()
        except UnicodeEncodeError as error:
            raise RolesError(
                f"a text holds surrogates, which UTF-8 cannot carry: {error}"
            ) from error

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return an object equal to the one that `to_dict()` converted to `data`.

        Unknown fields are ignored, as the service may add some.

        Raises:
            ValidationError: `data` lacks a field or holds one of the wrong type; it names the
                first few.
        """
        from arize_roles_async._values import convert as _convert

        return _convert.from_dict(cls, data)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return an object equal to the one that `to_json()` converted to a text, or its UTF-8.

        Raises:
            ValidationError: `text` is not valid JSON, or not what `from_dict` takes.
        """
        from arize_roles_async._values import convert as _convert

        return _convert.from_json(cls, text)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        """Return the schema for pydantic, so that FastAPI accepts a model as a response."""
        del source
        from arize_roles_async._values.pydantic_schema import make_schema

        return make_schema(cls, handler)


@attr.frozen(kw_only=True, field_transformer=shortened)
class PaginationMetadata(Model):
    """The position of a page in its listing."""

    has_more: bool = attr.field(metadata={"doc": "Whether more follow this page."})
    next_cursor: str | None = optional("The cursor of the next page; opaque.")


class ListResponse(Model, Sequence[_T_co]):
    """Base of a page, or of all pages as one: a sequence of its items."""

    __slots__ = ()

    pagination: PaginationMetadata
    _items_field: ClassVar[str]
    """The field with the items."""
    _model: ClassVar[type[Model]]
    """The class of an item."""

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        model: Any = cls
        items = attr.fields(model)[0]
        cls._items_field, cls._model = items.name, items.type.__args__[0]

    @classmethod
    def of(cls, items: Iterable[Any]) -> Self:
        """Return items that no other follows as one response."""
        pagination = PaginationMetadata(has_more=False)
        members: dict[str, object] = {cls._items_field: tuple(items), "pagination": pagination}
        return cls(**members)

    def _items(self) -> tuple[_T_co, ...]:
        items: tuple[_T_co, ...] = getattr(self, self._items_field)
        return items

    def __len__(self) -> int:
        return len(getattr(self, self._items_field))

    def __iter__(self) -> Iterator[_T_co]:
        return iter(self._items())

    @overload
    def __getitem__(self, index: int) -> _T_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[_T_co, ...]: ...
    def __getitem__(self, index: int | slice) -> _T_co | tuple[_T_co, ...]:
        return self._items()[index]

    def to_df(
        self, *, exclude_none: bool | Literal["all", "any"] = True, convert_dtypes: bool = True
    ) -> "DataFrame":
        """Return a pandas frame with one row an item. Needs pandas.

        The options are those of Arize's own client, except for `json_normalize`: no item has
        nested objects to flatten. Timestamps are `datetime64[us, UTC]` whatever
        their offsets were, permissions are lists of identifiers.

        Args:
            exclude_none: True or `"all"` drops the columns that hold nothing in any row, `"any"`
                those that hold nothing in some row, False none. A frame without rows keeps all.
            convert_dtypes: Whether texts and booleans are pandas' nullable `string` and
                `boolean`; else they are `object` (None where there is no text) and `bool`.

        Raises:
            MissingExtraError: pandas is not installed.
            ValidationError: `exclude_none` is another value.
            RolesError: A timestamp is outside of the years 1 to 9999 in UTC.
        """
        from arize_roles_async._values import frames as _frames

        return _frames.to_pandas(
            self._columns(), self._items(), exclude_none=exclude_none, convert_dtypes=convert_dtypes
        )

    def to_polars(self) -> "PolarsFrame":
        """Return a polars frame with one row an item. Needs polars.

        Every column is there for any items, a null where there is no value. Timestamps are
        `Datetime("us", "UTC")`, permissions `List(String)`.

        Raises:
            MissingExtraError: polars is not installed.
            RolesError: A timestamp is outside of the years 1 to 9999 in UTC.
        """
        from arize_roles_async._values import frames as _frames

        return _frames.to_polars(self._columns(), self._items())

    @classmethod
    def _columns(cls) -> dict[str, str]:
        """Return the type of each field of an item."""
        return {name: field.type for name, field in cls._model.model_fields.items()}
