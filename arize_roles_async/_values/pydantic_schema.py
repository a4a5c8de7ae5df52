"""Schemas of the models for pydantic: FastAPI's response models, request bodies and OpenAPI.

Kept apart because only pydantic imports it, which is not a dependency of this package.
"""

import functools
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, NotRequired, cast, get_args, get_origin, get_type_hints

import attrs
from pydantic import Field, GetCoreSchemaHandler, ValidatorFunctionWrapHandler, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

# Before Python 3.12, pydantic takes no other.
from typing_extensions import TypedDict

from arize_roles_async._values.base_errors import ValidationError

# The types are made at run time, where type checkers cannot follow.
_typed_dict: Final = cast("Any", TypedDict)
_not_required: Final = cast("Any", NotRequired)
_TIMESTAMP: Final[Any] = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


def make_schema(model: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - a type
    """Return the schema of a model: checked and serialized as `from_dict` and `to_dict` do."""
    data = handler.generate_schema(_json_form(model))

    def validate(value: object, check: ValidatorFunctionWrapHandler) -> object:
        if isinstance(value, model):
            return value
        try:
            return model.from_dict(check(value))
        except ValidationError as error:
            # FastAPI would write the details of our own error as JSON, which fails.
            raise PydanticCustomError("invalid", "{why}", {"why": str(error)}) from error

    return core_schema.no_info_wrap_validator_function(
        validate,
        data,
        # The inner serializer knows what the application excludes.
        serialization=core_schema.wrap_serializer_function_ser_schema(
            lambda value, serialize: serialize(model.to_dict(value)), schema=data
        ),
    )


@functools.cache
def _json_form(model: Any) -> Any:  # noqa: ANN401 - types
    """Return the type of what `to_dict` returns."""
    fields: dict[str, object] = {}
    kinds = get_type_hints(model)
    for name, field in model.model_fields.items():
        kind: Any = _in_json(kinds[name])
        described: Any = Annotated[kind, Field(description=field.doc)]
        fields[name] = described if field.required else _not_required[described]
    form = _typed_dict(model.__name__, fields)
    form.__doc__ = (model.__doc__ or "").partition("\n")[0]
    form.__module__ = model.__module__
    return form


def _in_json(kind: Any) -> Any:  # noqa: ANN401 - types
    """Return the type of a field in JSON; a union is that of a type and None."""
    if get_origin(kind) is Mapping:
        return dict[str, object]
    if get_origin(kind) is tuple:
        item: Any = _in_json(get_args(kind)[0])
        return list[item]
    if kinds := get_args(kind):
        return _in_json(kinds[0]) | None
    if attrs.has(kind):
        return _json_form(kind)
    if kind is datetime:
        return _TIMESTAMP
    # Members of enums are texts.
    return str if issubclass(kind, str) else kind
