"""How responses print: on one line in a repr, as a table in a notebook."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from arize_roles_async._values.text import one_line, quoted

if TYPE_CHECKING:
    from arize_roles_async._values.models import Permissions, Role

_MAX_NAMES: Final = 3
_MAX_TEXT: Final = 40
_MAX_ROWS: Final = 100
_MAX_CELL: Final = 1_000


def shorten(text: str | None) -> str:
    """Return the repr of a text, or of the beginning of a long one."""
    return quoted(text, _MAX_TEXT)


def shorten_permissions(permissions: "Permissions | None") -> str:
    """Return the first few permissions and how many more there are."""
    if permissions is None:
        return "None"
    # A permission that this version does not know may be any text.
    first = [p.value if p.is_known else shorten(p.value) for p in permissions[:_MAX_NAMES]]
    return f"({_with_rest(first, len(permissions))})"


def shorten_roles(roles: "Sequence[Role]") -> str:
    """Return the names of the first few roles and how many more there are."""
    first = [shorten(role.name) for role in roles[:_MAX_NAMES]]
    return f"[{_with_rest(first, len(roles))}]"


def object_html(members: Mapping[str, Any]) -> str:
    """Return an HTML table with a row for each member of an object."""
    return _table(_row(name, _cell(value)) for name, value in members.items())


def roles_html(columns: Sequence[str], roles: "Sequence[Role]") -> str:
    """Return an HTML table with a row for each role.

    Args:
        columns: The names of the fields to show.
        roles: The roles; the first 100 are shown.
    """
    rows = [_row(*columns, tag="th")]
    for role in roles[:_MAX_ROWS]:
        members = role.to_dict()
        held: Sequence[str] = members.get("permissions", ())
        members["permissions"] = _with_rest(held[:_MAX_NAMES], len(held))
        rows.append(_row(*(_cell(members.get(column)) for column in columns)))
    if len(roles) > _MAX_ROWS:
        rows.append(_row(f"… {len(roles) - _MAX_ROWS} more"))
    return _table(rows)


def _with_rest(first: Sequence[str], count: int) -> str:
    rest = count - len(first)
    return ", ".join([*first, f"… {rest} more"] if rest else first)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case list():
            return ", ".join(map(str, cast("list[object]", value)))
        case _:
            return str(value)


def _row(*cells: str, tag: str = "td") -> str:
    from html import escape

    return f"<tr>{''.join(f'<{tag}>{escape(one_line(c, _MAX_CELL))}</{tag}>' for c in cells)}</tr>"


def _table(rows: Iterable[str]) -> str:
    return f"<table>{''.join(rows)}</table>"
