"""The account as a web page that keeps itself up to date."""

import base64
import hashlib
import html
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Final, TypeVar

from arize_roles_async._roles.models import Role
from arize_roles_async._values.permissions import AnyPermission, Permission
from arize_roles_async._values.text import one_line
from arize_roles_fake._account.account import FakeAccount, entries_of, keys_of
from arize_roles_fake._testing.call_log import LoggedCall, describe

_Item = TypeVar("_Item")


_SHOWN: Final = 100
"""Limit on the rows of a table, and on the columns of the matrix."""

_STYLE: Final = Path(__file__).with_name("page.css").read_text("utf-8")
_SCRIPT: Final = Path(__file__).with_name("page.js").read_text("utf-8")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; "
        "connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def escape(text: str) -> str:
    """Return a text as HTML: on one line, and without marks that reverse its direction."""
    return html.escape(one_line(text))


def web_page(account: FakeAccount) -> str:
    """Return the account as HTML that loads nothing but itself, without an API key."""
    # The longest first: another key may be its beginning, and would leave its rest behind.
    keys = sorted(keys_of(account), key=len, reverse=True)

    def mask(text: str) -> str:
        for key in keys:
            text = text.replace(key, "[API key]")
        return text

    def text(plain: str | None) -> str:
        return escape(mask(plain or ""))

    roles, bindings, calls = account.roles, account.bindings()[::-1], account.calls[::-1]
    users, spaces, projects = entries_of(account)
    names = {role.id: role.name for role in roles}
    columns = sorted(roles, key=lambda role: role.is_predefined)[:_SHOWN]
    predefined = sum(role.is_predefined for role in roles)
    held = Counter(each.role_id for each in bindings)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<title>Fake Arize account</title><style>{_STYLE}</style></head><body>"
        f"<h1>Fake Arize account</h1><p>Its time is {account.now():%Y-%m-%d %H:%M:%S} UTC.</p>"
        '<p id="gone" class="failed" hidden>The server does not answer. '
        "The page shows what it said last.</p>"
        '<div class="panels first">'
        f"{_table('Last calls', calls, 'Time Outcome Call', lambda each: _call(each, mask))}"
        + _table(
            "Role bindings",
            bindings,
            "User Role Resource",
            lambda each: _cells(
                text(account.label(each.user_id)),
                text(names.get(each.role_id)),
                text(account.label(each.resource_id)),
            ),
        )
        + '</div><div class="panels">'
        + _table(
            "Users", users, "Email Name", lambda each: _cells(text(each.email), text(each.name))
        )
        + _table("Spaces", spaces, "Name ID", lambda each: _cells(text(each.name), text(each.id)))
        + _table(
            "Projects",
            projects,
            "Name Space",
            lambda each: _cells(text(each.name), text(account.label(each.space_id))),
        )
        + f"</div>{_title('Roles by permission', roles, f', {predefined} predefined')}"
        '<p><input id="role" class="filter" type="search" placeholder="Filter roles" '
        'aria-label="Filter roles"><input id="permission" class="filter" type="search" '
        'placeholder="Filter permissions" aria-label="Filter permissions">'
        '<label><input id="all" type="checkbox"> also permissions that none has</label></p>'
        f"{_matrix(columns, held, text)}<script>{_SCRIPT}</script></body></html>"
    )


def _title(title: str, items: Sequence[object], more: str = "") -> str:
    if len(items) > _SHOWN:
        more += f"; the newest {_SHOWN} are shown"
    return f"<h2>{title} <small>{len(items):,}{more}</small></h2>"


def _table(title: str, items: Sequence[_Item], heads: str, row: Callable[[_Item], str]) -> str:
    head = "".join(f"<th>{each}</th>" for each in heads.split())
    rows = "".join(f"<tr>{row(each)}</tr>" for each in items[:_SHOWN])
    return (
        f"<section>{_title(title, items)}"
        f'<div class="box"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _cells(*texts: str) -> str:
    return "".join(f"<td>{each}</td>" for each in texts)


def _call(call: LoggedCall, mask: Callable[[str], str]) -> str:
    text, _, outcome = describe(call, mask).rpartition(" -> ")
    failed = not isinstance(call.outcome, int) or call.outcome >= 400  # noqa: PLR2004
    kind = "outcome failed" if failed else "outcome"
    return (
        f'<td>{call.at:%H:%M:%S.%f}</td><td class="{kind}">{escape(outcome)}</td>'
        f'<td class="call">{escape(text)}</td>'
    )


def _matrix(roles: list[Role], bindings: Mapping[str, int], text: Callable[[str], str]) -> str:
    columns = [frozenset(role.permissions or ()) for role in roles]
    every: set[AnyPermission] = {*Permission, *chain.from_iterable(columns)}
    rows = sorted(every, key=lambda permission: (permission.resource, permission.action))
    heads = "".join(_column(role, bindings[role.id], text) for role in roles)
    groups = (
        "<tbody>" + "".join(_row(each, columns, text(each)) for each in permissions) + "</tbody>"
        for _, permissions in groupby(rows, key=lambda permission: permission.resource)
    )
    return (
        '<div class="box"><table class="roles"><thead><tr><th class="permission">Permission</th>'
        f"{heads}</tr></thead>{''.join(groups)}</table></div>"
    )


def _column(role: Role, bindings: int, text: Callable[[str], str]) -> str:
    kind = "role predefined" if role.is_predefined else "role"
    title = text(" - ".join(filter(None, (role.name, role.description, role.id))))
    name, bound = text(role.name), f" ({bindings} bound)" if bindings else ""
    return (
        f'<th class="{kind}" scope="col" title="{title}" data-name="{name}">'
        f"<div>{name}{bound}</div></th>"
    )


def _row(permission: AnyPermission, columns: list[frozenset[AnyPermission]], name: str) -> str:
    marks = ["●" if permission in each else "" for each in columns]
    kind = "" if any(marks) else ' class="unused"'
    cells = "".join(f'<td class="granted">{each}</td>' for each in marks)
    return (
        f'<tr data-permission="{name}"{kind}>'
        f'<th class="permission" scope="row">{name}</th>{cells}</tr>'
    )
