"""What an HTML page says to a person."""

import pytest

from arize_roles_async._gateway_page import page_text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (
            b"<html><title>Down\n for  maintenance</title><p>Later.</p></html>",
            "Down for maintenance",
        ),
        (b"<h1>502 Bad Gateway</h1><hr>nginx", "502 Bad Gateway nginx"),
        (b"<style>p {}</style><script>run()</script><p>Hello</p></b>", "Hello"),
        (b"<head><meta><title></title></head>Later", "Later"),
        (b"404 page not found", ""),
        (b"", ""),
    ],
)
def test_text(page: bytes, text: str) -> None:
    """The title, or else what a browser would show; nothing of what is not HTML."""
    assert page_text(page) == text
