"""The account as a web page that keeps itself up to date."""

import base64
import hashlib
import html
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, groupby
from typing import Final, TypeVar

from arize_roles_async._roles.models import Role
from arize_roles_async._values.permissions import AnyPermission, Permission
from arize_roles_async._values.text import one_line
from arize_roles_fake._account.account import FakeAccount, entries_of, keys_of
from arize_roles_fake._testing.call_log import LoggedCall, describe

_Item = TypeVar("_Item")

_SHOWN: Final = 100
"""Limit on the rows of a table, and on the columns of the matrix."""

_STYLE: Final = """
:root { color-scheme: light dark;
  --paper: light-dark(#fff, #16181d); --ink: light-dark(#1c2026, #e4e6ea);
  --faint: light-dark(#667080, #98a1b0); --line: light-dark(#e3e6eb, #2b2f38);
  --band: light-dark(#f5f6f8, #1d2027); --hover: light-dark(#e8effc, #25304a);
  --granted: light-dark(#2457c5, #8ab0ff); --bad: light-dark(#b3261e, #ff8f85); }
body { margin: 0; padding: 1rem 1.25rem; background: var(--paper); color: var(--ink);
  font: 13px/1.4 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0; } h2 { font-size: 1rem; margin: 1.25rem 0 .5rem; }
p { margin: .25rem 0; } p, small { color: var(--faint); font-weight: normal; }
[hidden] { display: none !important; }
.panels { display: grid; gap: 0 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.first { grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); }
@media (max-width: 60rem) {
  .first { grid-template-columns: 100%; } td.outcome { white-space: normal; } }
@media (scripting: none) { .filter { display: none; } }
.box { overflow: auto; max-height: 36vh; border: 1px solid var(--line); border-radius: 6px; }
input[type=search] { font: inherit; color: inherit; background: var(--paper); width: 14rem;
  border: 1px solid var(--faint); border-radius: 4px; padding: 4px 8px; margin: 0 .75rem .25rem 0; }
table { border-collapse: separate; border-spacing: 0; min-width: 100%; }
th, td { padding: 3px 8px; text-align: left; font-weight: normal; white-space: nowrap;
  border-bottom: 1px solid var(--line); background: var(--paper); vertical-align: top; }
thead th { position: sticky; top: 0; z-index: 2; background: var(--band); vertical-align: bottom; }
tbody tr:hover :is(td, th) { background: var(--hover) !important; }
td.call { white-space: normal; overflow-wrap: anywhere; min-width: 11rem; width: 100%;
  font-family: ui-monospace, monospace; }
.failed { color: var(--bad); font-weight: 600; }
.first ~ .panels .box { max-height: 22vh; }
.box:has(.roles) { max-height: 90vh; width: fit-content; max-width: 100%; }
.roles :is(th, td) { padding: 2px 6px; }
.roles thead th.role { padding: 6px 3px; border-left: 1px solid var(--line); }
th.role div { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 14rem;
  overflow: hidden; text-overflow: ellipsis; margin: auto; }
th.predefined div { font-style: italic; color: var(--faint); }
th.permission { position: sticky; left: 0; z-index: 1; border-right: 2px solid var(--line); }
thead th.permission { z-index: 3; }
td.granted { min-width: 16px; text-align: center; color: var(--granted);
  border-left: 1px solid var(--line); }
.roles tbody:nth-of-type(even) :is(th, td) { background: var(--band); }
.unused { display: none; } body:has(#all:checked) .unused { display: table-row; }
"""

_SCRIPT: Final = """
const input = id => document.getElementById(id);
const asked = new URLSearchParams(location.hash.slice(1));
const tables = page => [...page.querySelectorAll("h1 + p, h2, table")];
const shown = tables(document).map(each => each.innerHTML);
function filter() {
  const name = input("role").value.trim().toLowerCase();
  const part = input("permission").value.trim().toUpperCase();
  const rows = [...document.querySelectorAll(".roles tbody tr")];
  for (const row of rows) row.hidden = !row.dataset.permission.includes(part);
  const left = rows.filter(row => !row.hidden);
  document.querySelectorAll("th.role").forEach((head, index) => {
    const holds = !part || left.some(row => row.cells[index + 1].textContent);
    const hidden = !holds || !head.dataset.name.toLowerCase().includes(name);
    head.hidden = hidden;
    for (const row of rows) row.cells[index + 1].hidden = hidden;
  });
}
async function update() {
  const answer = await fetch("/");
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = tables(page), texts = fresh.map(each => each.innerHTML);
  tables(document).forEach((old, index) => {
    if (texts[index] !== shown[index]) old.replaceChildren(...fresh[index].childNodes);
  });
  shown.splice(0, shown.length, ...texts);
  filter();
}
async function watch() {
  await new Promise(wait => setTimeout(wait, 1000));
  if (!document.hidden)
    await update().then(() => false, () => true).then(gone => input("gone").hidden = !gone);
  watch();
}
for (const id of ["role", "permission"]) {
  input(id).value = asked.get(id) || input(id).value;
  input(id).oninput = filter;
}
filter();
watch();
"""


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
