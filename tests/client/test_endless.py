"""Answers without end."""

import logging
from typing import Final

import pytest

from arize_roles_async import AiohttpRolesClient, RolesError
from tests.support.clients import ONCE
from tests.support.raw_http import scripted

MANY: Final = 2**14
OK: Final = b"HTTP/1.1 200 OK\r\n"
CHUNKED: Final = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS: Final[dict[str, bytes]] = {
    "status line": b"HTTP/1.1 200 " + b"O" * MANY,
    "reason of escape sequences": b"HTTP/1.1 502 " + b"\x1b[31m" * 100 + b"\r\n\r\n",
    "headers": OK + b"X-Padding: 1\r\n" * MANY,
    "header": OK + b"X-Padding: " + b"1" * MANY,
    "chunks of a byte": CHUNKED + b"1\r\n[\r\n" * MANY,
    "chunk extension": CHUNKED + b"1;" + b"x=y;" * MANY,
    "trailers": CHUNKED + b"0\r\n" + b"X-Padding: 1\r\n" * MANY,
    "100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n" * MANY,
    "no HTTP": bytes(range(256)) * 99,
}


@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS)
async def test_endless(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Of an answer without end, the error and the log lines are short and printable."""
    caplog.set_level(logging.DEBUG, logger="arize_roles_async")
    async with (
        scripted(answer) as server,
        AiohttpRolesClient("key-1234", base_url=server.url, retry=ONCE) as roles,
    ):
        with pytest.raises(RolesError) as caught:
            await roles.list()
    for line in (str(caught.value), *(record.getMessage() for record in caplog.records)):
        assert line.isprintable()
        assert len(line) <= 2000
