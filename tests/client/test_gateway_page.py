"""What an HTML page says to a person."""

import pytest

from arize_roles_async import AiohttpRolesClient, InvalidResponseError, OutcomeUnknownError
from arize_roles_async._wire.gateway_page import page_text
from tests.support.raw_http import scripted


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (
            b"<html><title>Down\n for  maintenance</title><p>Later.</p></html>",
            "Down for maintenance",
        ),
        (b"<title>Load < 1 & no more</title>", "Load < 1 & no more"),
        (b"<h1>502 Bad Gateway</h1><hr>nginx", "502 Bad Gateway nginx"),
        (b"<p>Hors service \xe9", "Hors service �"),
        (b"<style>p {}</style><script>run()</script><p>Hello</p></b>", "Hello"),
        (b"<head>Hidden<meta><title></title></head>Later", "Later"),
        (b"<noscript>Off</noscript><template>Part</template><p>Hello</p>", "Hello"),
        (b"<p>" + b"a" * 19_997 + b"b", "a" * 19_997),
        (b"404 page not found", ""),
        (b"", ""),
    ],
)
def test_text(page: bytes, text: str) -> None:
    """The title, or else what a browser would show; nothing of what is not HTML."""
    assert page_text(page) == text


MAINTENANCE = (
    b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/'
    b'xhtml1-strict.dtd"><html xmlns="http://www.w3.org/1999/xhtml"><head>'
    b'<meta http-equiv="Content-Type" content="text/html; charset=utf-8"/>'
    b"<title>Down for maintenance</title></head><body>Later.</body></html>"
)


@pytest.mark.asyncio
async def test_success() -> None:
    """A page that comes with 200 is told by what it says too, and not by its DOCTYPE."""
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
        "it is a page that says 'Down for maintenance'"
    )
    assert read.value.excerpt.startswith("'<!DOCTYPE html")
    assert "it is a page that says 'Down for maintenance'" in str(change.value)
