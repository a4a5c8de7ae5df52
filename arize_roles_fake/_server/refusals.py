"""Requests that the server refuses before an account sees them."""

import re
from collections.abc import Mapping

from aiohttp import web

from arize_roles_async._aiohttp.config import is_loopback
from arize_roles_fake._service.wire import problem_response


def refused(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return the answer to a request that does not reach the account."""
    problem = problem_response(status, detail, headers)
    return web.Response(status=status, headers=problem.headers, body=problem.body)


def is_local_request(host: str, peer: str | None) -> bool:
    """Return whether a request comes from this machine and has a local name in its Host header.

    A web page from elsewhere can make a browser resolve the page's own name to this machine (DNS
    rebinding), and then has the same origin. Its name is in the Host header, `host`.
    """
    return is_loopback(host_name(host)) and is_loopback(peer or "")


def host_name(host: str) -> str:
    """Return the name or address in a Host header; an empty text if it is malformed."""
    # Not `urlsplit`, for which in Python 3.11 `[::1].evil.test` has the name `::1`.
    found = re.fullmatch(r"(?:\[([\da-f:.]+)\]|([\w.-]+))(?::\d*)?", host.lower())
    return "" if found is None else found[1] or found[2]
