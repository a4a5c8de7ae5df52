"""The account over HTTP, for clients that need a socket."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from arize_roles_async._wire import MAX_BODY, Request, problem_response
from arize_roles_fake._account import FakeAccount
from arize_roles_fake._faults import Reply


@asynccontextmanager
async def serve(
    account: FakeAccount, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[str]:
    """Serve an account over HTTP for as long as the block runs.

        async with serve(account) as url:
            ...

    Args:
        account: What answers; the same one may stand behind in-process clients too.
        host: The address to listen on.
        port: The port; 0 is any free one.

    Yields:
        The URL of the server, for `AiohttpRolesClient(base_url=url)`.

    Raises:
        OSError: The address can't be listened on.
    """
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_route("*", "/{tail:.*}", _Door(account).handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound: Any = runner.addresses[0]
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        yield f"http://{shown}:{bound[1]}"
    finally:
        await runner.cleanup()


class _Door:
    def __init__(self, account: FakeAccount) -> None:
        self._account = account

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            refused = problem_response(413, "the body is too long", {"Connection": "close"})
            return web.Response(status=413, headers=refused.headers, body=refused.body)
        reply = self._account.handle(
            Request(
                method=request.method,
                target=request.raw_path,
                headers=request.headers,
                body=body or None,
            )
        )
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.lost or reply.truncated:
            return await _break_off(request, reply)
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body or None)


async def _break_off(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Drop the connection: before the first byte, or in the middle of the body."""
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    if reply.truncated:
        response.content_length = len(reply.body) + 1
        await response.prepare(request)
        await response.write(reply.body[: len(reply.body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response
