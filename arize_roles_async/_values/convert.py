"""Converts response objects to plain data and back, with errors that name the field.

Kept apart because cattrs takes long to import, and most callers never need it: `_wire` decodes a
response of the usual shape without it. It imports no model: the class is an argument.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar, cast, get_args, get_origin

import attrs
import cattrs
import msgspec
from cattrs.errors import IterableValidationError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn

from arize_roles_async._values.base_errors import validation_error
from arize_roles_async._values.text import type_name

_T = TypeVar("_T")

_MAX_INVALID_ITEMS: Final = 3


def _structure_value(value: object, kind: object) -> object:
    """Return a value that is no object, within the limits of its annotation."""
    if isinstance(value, str) and get_args(kind)[:1] == (datetime,):
        # RFC 3339 allows a leap second, which datetime does not.
        value = re.sub(r"(:\d\d):60", r"\1:59", value)
    return msgspec.convert(value, kind)


def _items_factory(model_tuple: Any, converter: cattrs.Converter) -> Callable[..., Any]:  # noqa: ANN401 - a type
    """Return the hook for a tuple of models: it gives up after the first few invalid ones."""
    model = get_args(model_tuple)[0]
    structure_item = converter.get_structure_hook(model)

    def structure(value: object, _: object) -> tuple[object, ...]:
        if not isinstance(value, list | tuple):
            raise TypeError(f"must be a list, not {type_name(value)}")
        items: list[object] = []
        failures: list[Exception] = []
        for index, item in enumerate(cast("list[object]", value)):
            try:
                items.append(structure_item(item, model))
            except (cattrs.BaseValidationError, TypeError) as failure:
                # `cattrs.transform_error` makes a path of these notes.
                failure.add_note(IterableValidationNote("", index, model))
                failures.append(failure)
                if len(failures) == _MAX_INVALID_ITEMS:
                    break
        if failures:
            raise IterableValidationError(
                "invalid items",
                failures,
                model_tuple,  # pyright: ignore[reportCallIssue]  # ty: ignore[too-many-positional-arguments]
            )
        return tuple(items)

    return structure


def _model_factory(model: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:  # noqa: ANN401 - a type
    """Return the hook for a model; cattrs' own accepts values that are not objects."""
    structure_fields = make_dict_structure_fn(model, converter)

    def structure(value: object, _: object) -> object:
        if not isinstance(value, Mapping):
            raise TypeError(f"must be an object, not {type_name(value)}")
        return structure_fields(cast("Mapping[str, object]", value), model)

    return structure


def _is_tuple_of_models(kind: object) -> bool:
    return get_origin(kind) is tuple and attrs.has(get_args(kind)[0])


def _is_value(kind: object) -> bool:
    # A member of a problem that is not documented may be anything.
    return kind is object or get_origin(kind) is Annotated


_CONVERTER: Final = cattrs.Converter(detailed_validation=True, omit_if_default=True)
# cattrs itself would convert None to "None", and "false" to True.
for _kind in (str, bool, int):
    _CONVERTER.register_structure_hook(_kind, _structure_value)
_CONVERTER.register_structure_hook_func(_is_value, _structure_value)
_CONVERTER.register_structure_hook_factory(attrs.has, _model_factory)
_CONVERTER.register_structure_hook_factory(_is_tuple_of_models, _items_factory)
_CONVERTER.register_unstructure_hook(datetime, datetime.isoformat)
# Also of the items of a list that are no members of its enum.
_CONVERTER.register_unstructure_hook(StrEnum, str)


def to_dict(response: object) -> dict[str, Any]:
    """Return JSON-ready data; absent fields stay out."""
    return cast("dict[str, Any]", _CONVERTER.unstructure(response))


def from_dict(model: type[_T], data: object) -> _T:
    """Return the object of an attrs class that JSON-ready data describes; see `Model.from_dict`."""
    try:
        return _CONVERTER.structure(data, model)
    except TypeError as error:
        raise validation_error(("$", str(error))) from error
    except cattrs.BaseValidationError as error:
        lines = cattrs.transform_error(error, format_exception=_message)
        broken = [line.rpartition(" @ ") for line in lines]
        raise validation_error(*((field, message) for message, _, field in broken)) from error


def from_json(model: type[_T], text: str | bytes) -> _T:
    """Return the object that JSON text describes; see `Model.from_json`."""
    if not isinstance(cast("object", text), str | bytes | bytearray | memoryview):
        raise validation_error(("$", f"must be JSON text, not {type_name(text)}"))
    try:
        data = msgspec.json.decode(text.encode() if isinstance(text, str) else text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise validation_error(("$", f"is not valid JSON: {error}")) from error
    return from_dict(model, data)


def _message(error: BaseException, _: object) -> str:
    # msgspec adds the place of an item in a list of permissions.
    return "is required" if isinstance(error, KeyError) else str(error).partition(" - at ")[0]
