"""Every model of the client, with an example made from the types of its fields."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from arize_roles_async._values.models import Model

# By the type of a field: a value, and that as data. Of an enum that may grow, a newer text.
_MOMENT = datetime(2026, 1, 2, 8, 34, 5, tzinfo=timezone(timedelta(hours=5, minutes=30)))
_VALUES: dict[object, tuple[object, object]] = {
    str: ("a", "a"),
    int: (5, 5),
    bool: (True, True),
    datetime: (_MOMENT, "2026-01-02T08:34:05+05:30"),
    Mapping: ({"parts": [1]}, {"parts": [1]}),
}


def example(kind: Any) -> tuple[Any, Any]:  # noqa: ANN401 - a type
    """Return a value of a type, a model's with every field, and that as data."""
    if attrs.has(kind):
        hints = get_type_hints(kind)
        fields = {each.name: example(hints[each.name]) for each in attrs.fields(kind)}
        value, data = ({name: each[of] for name, each in fields.items()} for of in (0, 1))
        return kind(**value), data
    origin, parts = get_origin(kind), get_args(kind)
    if origin in _VALUES or not parts:
        return _VALUES.get(origin or kind, ("NEWER_READ", "NEWER_READ"))
    value, data = example(parts[0])
    return ((value,), [data]) if origin is tuple else (value, data)


def models(of: Any = Model) -> list[Any]:  # noqa: ANN401 - a class
    """Return every model: attrs makes a class with slots anew, and one of both has fields."""
    below = [each for kind in of.__subclasses__() for each in models(kind)]
    return [of, *below] if attrs.has(of) else below
