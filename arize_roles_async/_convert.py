"""Response objects to plain data and back, with errors that name the field.

Kept apart because cattrs takes longer to import than most callers need: a response of the usual
shape is decoded in `_wire` without it.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar, cast

import attrs
import cattrs
import msgspec
from cattrs.gen import make_dict_unstructure_fn

from arize_roles_async._errors import ValidationError, Violation
from arize_roles_async._models import ListRolesResponse, PaginationMetadata, Role
from arize_roles_async._permissions import AnyPermission, Permission, any_permission

_T = TypeVar("_T")


def _exactly(kind: type[_T]) -> Any:  # noqa: ANN401 - what cattrs takes as a hook
    def hook(value: object, _: object) -> _T:
        # As it comes, cattrs would make "None" of None and True of "false".
        if not isinstance(value, kind):
            raise TypeError(f"must be of type {kind.__name__}, not {type(value).__name__}")
        return value

    return hook


def _identifier(value: object, _: object) -> str:
    if type(value) is not str:
        raise TypeError(f"must be of type str, not {type(value).__name__}")
    if not value:
        raise ValueError("must not be empty")
    return value


def _moment(value: object, _: object) -> datetime:
    if not isinstance(value, str):
        raise TypeError(f"must be an RFC 3339 date-time, not {type(value).__name__}")
    # RFC 3339 allows a leap second, which datetime does not.
    moment = msgspec.convert(re.sub(r"(:\d\d):60", r"\1:59", value), datetime)
    if moment.tzinfo is None:
        raise ValueError("must carry an offset from UTC")
    return moment


def _permissions(value: object, _: object) -> tuple[AnyPermission, ...]:
    each = cast("list[object] | tuple[object, ...]", value)
    if not isinstance(value, list | tuple) or not all(isinstance(p, str) for p in each):
        raise TypeError("must be a list of strings")
    return tuple(any_permission(str(p)) for p in each)


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True)
    for kind in (str, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    role = attrs.fields(Role)
    converter.register_structure_hook_func(lambda t: t == role.id.type, _identifier)
    converter.register_structure_hook_func(lambda t: t == role.created_at.type, _moment)
    converter.register_structure_hook_func(lambda t: t == tuple[Permission, ...], _permissions)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_unstructure_hook_func(
        lambda t: t == role.permissions.type, lambda ps: None if ps is None else list(map(str, ps))
    )
    for model in (Role, PaginationMetadata, ListRolesResponse):
        converter.register_unstructure_hook(
            model, make_dict_unstructure_fn(model, converter, _cattrs_omit_if_default=True)
        )
    return converter


_CONVERTER = _converter()


def to_dict(response: object) -> dict[str, Any]:
    """Return JSON-ready data; absent fields stay out."""
    return cast("dict[str, Any]", _CONVERTER.unstructure(response))


def from_dict(model: type[_T], data: Mapping[str, Any]) -> _T:
    """Return the object that `data` describes; raises `ValidationError` naming each bad field."""
    if not isinstance(data, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValidationError(violations=(Violation("$", "must be an object"),))
    try:
        return _CONVERTER.structure(data, model)
    except cattrs.BaseValidationError as error:
        raise ValidationError(
            violations=tuple(map(_violation, cattrs.transform_error(error, format_exception=_said)))
        ) from error


def from_json(model: type[_T], text: str | bytes) -> _T:
    """Return the object that JSON text describes; raises `ValidationError` as `from_dict` does."""
    try:
        data = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValidationError(violations=(Violation("$", f"is no JSON: {error}"),)) from error
    return from_dict(model, data)


def _said(error: BaseException, _: object) -> str:
    return "is required" if isinstance(error, KeyError) else str(error)


def _violation(line: str) -> Violation:
    message, _, field = line.rpartition(" @ ")
    return Violation(field, message)
