"""The account as a web page: permissions of roles, bindings, and the last calls."""

import base64
import hashlib
import html
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import chain, groupby
from typing import Final

from arize_roles_async._role_bindings.models import RoleBinding
from arize_roles_async._roles.models import Role
from arize_roles_async._values.permissions import AnyPermission, Permission
from arize_roles_async._values.text import one_line
from arize_roles_fake._account.account import FakeAccount, keys_of
from arize_roles_fake._testing.call_log import LoggedCall, describe

_SHOWN: Final = 100
"""Limit on the roles, the bindings and the calls."""

_STYLE: Final = """
:root { color-scheme: light dark;
  --paper: light-dark(#fff, #16181d); --ink: light-dark(#1c2026, #e4e6ea);
  --faint: light-dark(#667080, #98a1b0); --line: light-dark(#e3e6eb, #2b2f38);
  --band: light-dark(#f5f6f8, #1d2027); --hover: light-dark(#e8effc, #25304a);
  --granted: light-dark(#2457c5, #8ab0ff); --bad: light-dark(#b3261e, #ff8f85); }
body { margin: 0; padding: 1rem 1.25rem; background: var(--paper); color: var(--ink);
  font: 13px/1.4 system-ui, sans-serif; width: max-content; min-width: calc(100% - 2.5rem); }
h1 { font-size: 1.25rem; margin: 0; } h2 { font-size: 1rem; margin: 1.25rem 0 .5rem; }
p { margin: .25rem 0; color: var(--faint); }
.text { position: sticky; left: 1.25rem; width: fit-content; max-width: calc(100vw - 2.5rem); }
input { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--faint);
  border-radius: 4px; padding: 4px 8px; width: 16rem; margin-right: .75rem; }
table { border-collapse: separate; border-spacing: 0; }
th, td { padding: 2px 6px; text-align: left; font-weight: normal; white-space: nowrap;
  border-bottom: 1px solid var(--line); background: var(--paper); }
thead th { position: sticky; top: 0; z-index: 2; background: var(--band); vertical-align: bottom; }
thead th.role { padding: 6px 3px; border-left: 1px solid var(--line); }
th.role div { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 14rem;
  overflow: hidden; text-overflow: ellipsis; margin: auto; }
th.predefined div { font-style: italic; color: var(--faint); }
th.permission { position: sticky; left: 0; z-index: 1; border-right: 2px solid var(--line); }
thead th.permission { z-index: 3; }
td.granted { min-width: 16px; text-align: center; color: var(--granted); padding: 2px 3px;
  border-left: 1px solid var(--line); }
.roles tbody:nth-of-type(even) :is(th, td) { background: var(--band); }
tbody tr:hover :is(td, th) { background: var(--hover) !important; }
.calls td { vertical-align: top; } td.call { white-space: normal; overflow-wrap: anywhere;
  max-width: min(60rem, 70vw); font-family: ui-monospace, monospace; }
.failed { color: var(--bad); font-weight: 600; }
"""

_SCRIPT: Final = """
const role = document.getElementById("role"), permission = document.getElementById("permission");
const heads = [...document.querySelectorAll("th.role")];
const rows = [...document.querySelectorAll(".roles tbody tr")];
function filter() {
  const name = role.value.trim().toLowerCase(), part = permission.value.trim().toUpperCase();
  for (const row of rows) row.hidden = !row.dataset.permission.includes(part);
  const shown = rows.filter(row => !row.hidden);
  heads.forEach((head, index) => {
    const holds = !part || shown.some(row => row.cells[index + 1].textContent);
    const hidden = !holds || !head.dataset.name.toLowerCase().includes(name);
    head.hidden = hidden;
    for (const row of rows) row.cells[index + 1].hidden = hidden;
  });
}
const asked = new URLSearchParams(location.hash.slice(1));
role.value = asked.get("role") || role.value;
permission.value = asked.get("permission") || permission.value;
role.oninput = permission.oninput = filter;
filter();
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
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
    """Return the account as HTML that loads nothing, without an API key."""
    roles, calls = account.roles, account.calls
    predefined = sum(role.is_predefined for role in roles)
    first = sorted(roles, key=lambda role: not role.is_predefined)[:_SHOWN]
    more = f"; the first {_SHOWN} are shown" if len(roles) > _SHOWN else ""
    bindings = [(role, binding) for role in first for binding in account.bindings(role)]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<title>Fake Arize account</title><style>{_STYLE}</style></head><body>"
        '<div class="text"><h1>Fake Arize account</h1>'
        f"<p>{len(roles) - predefined} custom and {predefined} predefined roles{more}. "
        f"{len(calls)} calls. Its time is {account.now():%Y-%m-%d %H:%M:%S} UTC.</p>"
        "<h2>Roles by permission</h2>"
        '<p><input id="role" type="search" placeholder="Filter roles" aria-label="Filter roles">'
        '<input id="permission" type="search" placeholder="Filter permissions" '
        'aria-label="Filter permissions"></p></div>'
        f"{_matrix(first, Counter(role.id for role, _ in bindings))}"
        f'<h2 class="text">Role bindings</h2>{_bindings(account, bindings)}'
        f'<h2 class="text">Last calls</h2>{_log(account, calls)}'
        f"<script>{_SCRIPT}</script></body></html>"
    )


def _matrix(roles: list[Role], bindings: Mapping[str, int]) -> str:
    columns = [frozenset(role.permissions or ()) for role in roles]
    every: set[AnyPermission] = {*Permission, *chain.from_iterable(columns)}
    rows = sorted(every, key=lambda permission: (permission.resource, permission.action))
    heads = "".join(_column(role, bindings.get(role.id, 0)) for role in roles)
    groups = (
        "<tbody>" + "".join(_row(permission, columns) for permission in permissions) + "</tbody>"
        for _, permissions in groupby(rows, key=lambda permission: permission.resource)
    )
    return (
        '<table class="roles"><thead><tr><th class="permission">Permission</th>'
        f"{heads}</tr></thead>{''.join(groups)}</table>"
    )


def _column(role: Role, bindings: int) -> str:
    kind = "role predefined" if role.is_predefined else "role"
    title = " - ".join(filter(None, (role.name, role.description, role.id)))
    bound = f" ({bindings} bound)" if bindings else ""
    return (
        f'<th class="{kind}" scope="col" title="{escape(title)}" data-name="{escape(role.name)}">'
        f"<div>{escape(role.name)}{bound}</div></th>"
    )


def _row(permission: AnyPermission, columns: list[frozenset[AnyPermission]]) -> str:
    name = escape(str(permission))
    cells = "".join(
        f'<td class="granted">{"●" if permission in each else ""}</td>' for each in columns
    )
    return (
        f'<tr data-permission="{name}"><th class="permission" scope="row">{name}</th>{cells}</tr>'
    )


def _bindings(account: FakeAccount, bindings: list[tuple[Role, RoleBinding]]) -> str:
    if not bindings:
        return '<p class="text">None.</p>'
    rows = "".join(
        f"<tr><td>{escape(role.name)}</td><td>{escape(account.label(binding.user_id))}</td>"
        f"<td>{escape(account.label(binding.resource_id))}</td></tr>"
        for role, binding in bindings[:_SHOWN]
    )
    more = f"<p>{len(bindings)} in all; the first {_SHOWN} are shown.</p>"
    return (
        "<table><thead><tr><th>Role</th><th>User</th><th>Resource</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{more if len(bindings) > _SHOWN else ''}"
    )


def _log(account: FakeAccount, calls: tuple[LoggedCall, ...]) -> str:
    last = calls[: -_SHOWN - 1 : -1]
    if not last:
        return '<p class="text">None yet.</p>'
    # The longest first: another key may be its beginning, and would leave its rest behind.
    keys = sorted(keys_of(account), key=len, reverse=True)

    def mask(text: str) -> str:
        for key in keys:
            text = text.replace(key, "[API key]")
        return text

    rows = "".join(_call(call, mask) for call in last)
    return (
        '<table class="calls"><thead><tr><th>Time</th><th>Outcome</th><th>Call</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _call(call: LoggedCall, mask: Callable[[str], str]) -> str:
    text, _, outcome = describe(call, mask).rpartition(" -> ")
    failed = not isinstance(call.outcome, int) or call.outcome >= 400  # noqa: PLR2004
    kind = ' class="failed"' if failed else ""
    return (
        f"<tr><td>{call.at:%H:%M:%S.%f}</td><td{kind}>{escape(outcome)}</td>"
        f'<td class="call">{escape(text)}</td></tr>'
    )
