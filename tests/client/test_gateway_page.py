"""The title of an HTML page, which says to a person what its first bytes do not."""

import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    InvalidResponseError,
    OutcomeUnknownError,
    Request,
    Response,
)
from arize_roles_async._wire.problems import status_error
from tests.support.raw_http import scripted


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (b"<html><TITLE>Down\n for  maintenance</TITLE><p>Later.", "'Down for maintenance'"),
        (b'<title lang="en">\nDown &amp; out\n</title>', "'Down & out'"),
        (b"<title>Hors service \xe9", "'Hors service \ufffd'"),
        (b"<title>" + b"a" * 600, "'" + "a" * 499 + "\u2026'"),
        (b"<title></title>Later", "'<title></title>Later'"),
        (b"<h1>502 Bad Gateway</h1><hr>nginx", "'<h1>502 Bad Gateway</h1><hr>nginx'"),
        (b"x" * 20_000 + b"<title>Down", "'" + "x" * 199 + "\u2026'"),
        (b"404 page not found", "'404 page not found'"),
    ],
)
def test_text(page: bytes, text: str) -> None:
    """The title, or else the beginning of the page."""
    answer = Response(status=502, headers={}, body=page)
    message = str(status_error(Request(method="GET", target="/v2/roles"), answer))
    assert message.endswith(f"(a proxy or gateway?): {text}")


MAINTENANCE = (
    b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/'
    b'xhtml1-strict.dtd"><html xmlns="http://www.w3.org/1999/xhtml"><head>'
    b'<meta http-equiv="Content-Type" content="text/html; charset=utf-8"/>'
    b"<title>Down for maintenance</title></head><body>Later.</body></html>"
)


@pytest.mark.asyncio
async def test_success() -> None:
    """A page that comes with 200 is named by its title, too, and not by its DOCTYPE."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
    page = head % len(MAINTENANCE) + MAINTENANCE
    async with (
        scripted(page, page, page) as script,
        AiohttpRolesClient("key", base_url=script.url) as roles,
    ):
        with pytest.raises(InvalidResponseError) as read:
            await roles.list()
        with pytest.raises(OutcomeUnknownError) as change:
            await roles.delete(role_id="Um9sZToxOmFCY0Q=")
    assert str(read.value) == (
        "GET /v2/roles answered 200, but not as expected: its type is 'text/html', not JSON; "
        "it is a page titled 'Down for maintenance'"
    )
    assert read.value.excerpt.startswith("'<!DOCTYPE html")
    assert "it is a page titled 'Down for maintenance'" in str(change.value)
