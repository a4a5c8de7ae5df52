"""The account as a page for a person: who may do what, and what was asked last."""

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from itertools import chain, groupby
from typing import Final
from urllib.parse import urlsplit

from arize_roles_async._config import is_loopback
from arize_roles_async._models import Role
from arize_roles_async._permissions import AnyPermission, Permission
from arize_roles_fake._account import FakeAccount
from arize_roles_fake._call_log import LoggedCall

_ROLES_SHOWN: Final = 100
_CALLS_SHOWN: Final = 100
_FAILED: Final = 400

_STYLE: Final = """
:root { color-scheme: light dark;
  --paper: light-dark(#fff, #16181d); --ink: light-dark(#1c2026, #e4e6ea);
  --faint: light-dark(#667080, #98a1b0); --line: light-dark(#e3e6eb, #2b2f38);
  --band: light-dark(#f5f6f8, #1d2027); --hover: light-dark(#e8effc, #25304a);
  --held: light-dark(#2457c5, #8ab0ff); --bad: light-dark(#b3261e, #ff8f85); }
body { margin: 0; padding: 1rem 1.25rem; background: var(--paper); color: var(--ink);
  font: 13px/1.4 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0; } h2 { font-size: 1rem; margin: 1.25rem 0 .5rem; }
p { margin: .25rem 0; color: var(--faint); }
.box { overflow: auto; border: 1px solid var(--line); border-radius: 6px; width: fit-content;
  max-width: 100%; }
.roles { max-height: 76vh; } .calls { max-height: 50vh; }
table { border-collapse: separate; border-spacing: 0; }
th, td { padding: 2px 6px; text-align: left; font-weight: normal; white-space: nowrap;
  border-bottom: 1px solid var(--line); background: var(--paper); }
thead th { position: sticky; top: 0; z-index: 2; background: var(--band); vertical-align: bottom; }
.roles thead th.role { height: 14rem; padding: 6px 3px; border-left: 1px solid var(--line); }
.roles thead th.role div { writing-mode: vertical-rl; transform: rotate(180deg);
  max-height: 14rem; overflow: hidden; text-overflow: ellipsis; margin: auto; }
.roles th.own div { font-style: italic; color: var(--faint); }
.roles th.resource, .roles th.action { position: sticky; z-index: 1; }
.roles th.resource { left: 0; width: 13rem; min-width: 13rem; max-width: 13rem;
  overflow: hidden; text-overflow: ellipsis; font-weight: 600; }
.roles tbody th.resource { vertical-align: top; }
.roles th.action { left: calc(13rem + 12px); min-width: 6.5rem; color: var(--faint);
  border-right: 2px solid var(--line); }
.roles thead th.resource, .roles thead th.action { z-index: 3; }
.roles td { min-width: 16px; text-align: center; color: var(--held); padding: 2px 3px;
  border-left: 1px solid var(--line); }
.roles tbody:nth-of-type(even) :is(th, td) { background: var(--band); }
.roles tbody tr:hover :is(td, th.action), .calls tbody tr:hover td { background: var(--hover); }
.calls td { vertical-align: top; } .calls td.said { white-space: normal;
  overflow-wrap: anywhere; max-width: 60rem; font-family: ui-monospace, monospace; }
.failed { color: var(--bad); font-weight: 600; }
"""

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def is_local_request(host: str, peer: str | None) -> bool:
    """Whether a request comes from this machine and means it.

    A page from elsewhere can make a browser resolve its own name to this machine (DNS rebinding),
    and is then of the same origin; the name is in the Host header.

    Args:
        host: The Host header.
        peer: The address that the connection comes from.
    """
    return is_loopback(host_name(host)) and is_loopback(peer or "")


def host_name(host: str) -> str:
    """Return the name or address of a Host header; an empty text where it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def page(account: FakeAccount) -> str:
    """Return the account as HTML, without a script, a link or an API key."""
    roles, calls = account.roles, account.calls
    own = sum(role.is_predefined for role in roles)
    shown = sorted(roles, key=lambda role: not role.is_predefined)[:_ROLES_SHOWN]
    more = f"; the first {_ROLES_SHOWN} are shown" if len(roles) > _ROLES_SHOWN else ""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<title>Fake Arize account</title><style>{_STYLE}</style></head><body>"
        "<h1>Fake Arize account</h1>"
        f"<p>{len(roles) - own} custom and {own} predefined roles{more}. "
        f"{len(calls)} calls. Its time is {account.now():%Y-%m-%d %H:%M:%S} UTC.</p>"
        f'<h2>Roles by permission</h2><div class="box roles" tabindex="0">{_matrix(shown)}</div>'
        f'<h2>Last calls</h2><div class="box calls" tabindex="0">{_log(account, calls)}</div>'
        "</body></html>"
    )


def _matrix(roles: list[Role]) -> str:
    held = [frozenset(role.permissions or ()) for role in roles]
    every: set[AnyPermission] = {*Permission, *chain.from_iterable(held)}
    rows = sorted(every, key=lambda permission: (permission.resource, permission.action))
    heads = "".join(map(_column, roles))
    groups = (
        _group(resource, list(permissions), held)
        for resource, permissions in groupby(rows, key=lambda permission: permission.resource)
    )
    return (
        '<table><thead><tr><th class="resource">Resource</th><th class="action">Action</th>'
        f"{heads}</tr></thead>{''.join(groups)}</table>"
    )


def _column(role: Role) -> str:
    kind = "role own" if role.is_predefined else "role"
    said = " - ".join(filter(None, (role.name, role.description, role.id)))
    return (
        f'<th class="{kind}" scope="col" title="{escape(said)}"><div>{escape(role.name)}</div></th>'
    )


def _group(
    resource: str, permissions: list[AnyPermission], held: list[frozenset[AnyPermission]]
) -> str:
    rows = [
        f'<th class="action" scope="row">{escape(permission.action)}</th>'
        + "".join("<td>●</td>" if permission in each else "<td></td>" for each in held)
        for permission in permissions
    ]
    head = (
        f'<th class="resource" scope="rowgroup" rowspan="{len(rows)}" title="{escape(resource)}">'
        f"{escape(resource)}</th>"
    )
    return f"<tbody><tr>{head}{'</tr><tr>'.join(rows)}</tr></tbody>"


def _log(account: FakeAccount, calls: tuple[LoggedCall, ...]) -> str:
    last = calls[: -_CALLS_SHOWN - 1 : -1]
    if not last:
        return "<p>None yet.</p>"
    rows = "".join(f"<tr>{_row(call, account.api_keys)}</tr>" for call in last)
    return (
        "<table><thead><tr><th>Time</th><th>Outcome</th><th>Call</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _row(call: LoggedCall, secrets: Iterable[str]) -> str:
    said, _, outcome = str(call).rpartition(" -> ")
    for secret in secrets:
        said = said.replace(secret, "[API key]")
    failed = not isinstance(call.outcome, int) or call.outcome >= _FAILED
    kind = ' class="failed"' if failed else ""
    return (
        f"<td>{call.at:%H:%M:%S.%f}</td><td{kind}>{escape(outcome)}</td>"
        f'<td class="said">{escape(said)}</td>'
    )
