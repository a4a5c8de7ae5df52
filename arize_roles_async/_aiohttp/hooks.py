"""The four hooks by which a test steers the clients that the code under test makes.

Only `arize_roles_fake` uses them, to lead calls to an account and to keep requests on this machine:
`redirect` and `before_sending` here, `redirected` of an `AiohttpShared`, and `mocked_in` of an
`AiohttpTransport`.
"""

from collections.abc import Callable
from weakref import WeakSet

import aiohttp

from arize_roles_async._calls.api_key import KeySource
from arize_roles_async._calls.driver import Driver, Shared
from arize_roles_async._calls.transport import Transport
from arize_roles_async._roles.lookup import NameLookup

redirect: Callable[["AiohttpShared", KeySource], Driver[NameLookup]] | None = None
"""Returns the driver of each call as it begins, in place of the client's own."""
before_sending: Callable[[aiohttp.ClientRequest], object] | None = None
"""Looks at each request behind all that may answer it; what it raises is not sent."""


class AiohttpShared(Shared[NameLookup]):
    """What a client shares with its copies, and in a test the transports in place of its own."""

    def __init__(self, transport: Transport, max_concurrency: int) -> None:
        super().__init__(transport, max_concurrency, NameLookup)
        self.redirected: WeakSet[Transport] = WeakSet()
        """The transports of calls that were led elsewhere, which are closed with its own."""

    def driver_now(self, own: Driver[NameLookup]) -> Driver[NameLookup]:
        return own if redirect is None else redirect(self, own.key_source)

    async def aclose(self, grace: float) -> None:
        await super().aclose(grace)
        for each in [*self.redirected]:
            await each.aclose(grace)
