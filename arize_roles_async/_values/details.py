"""Details of broken rules, and of the fields of a response.

Kept apart because most programs need none of it, and attrs classes take long to define.
"""

from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

import attr

from arize_roles_async._values.text import one_line


@attr.frozen
class Violation:
    """One rule that an argument breaks."""

    field: str
    """The argument, or the field of a request body."""
    message: str
    """The rule, and the value that breaks it."""

    def __str__(self) -> str:
        return one_line(f"{self.field}: {self.message}")


@attr.frozen(kw_only=True)
class FieldInfo:
    """One field of a response class, for introspection."""

    name: str
    type: str
    required: bool
    """True if the service always sends it."""
    doc: str


def describe(model: type[attr.AttrsInstance]) -> dict[str, FieldInfo]:
    """Return what there is to know of each field of a model."""
    types = get_type_hints(model)
    return {
        field.name: FieldInfo(
            name=field.name,
            type=_type_text(types[field.name]),
            required=field.default is attr.NOTHING,
            doc=field.metadata["doc"],
        )
        for field in attr.fields(model)
    }


def _type_text(kind: Any) -> str:  # noqa: ANN401 - a type
    if get_origin(kind) is tuple:
        return f"tuple[{_type_text(get_args(kind)[0])}, ...]"
    if get_origin(kind) is Mapping:
        return f"Mapping[{', '.join(map(_type_text, get_args(kind)))}]"
    if kinds := get_args(kind):
        return " | ".join(map(_type_text, kinds))
    return "None" if kind is type(None) else str(kind.__name__)
