"""The parts of aiohttp's inside that this package uses: all are listed here, and checked."""

import re
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from arize_roles_async._values.errors import ConfigurationError

_OLDEST: Final = (3, 14, 1)
_NEXT: Final = (4,)
_OF_CLASSES: Final = (
    (aiohttp.ClientRequest, ("send", "update_expect_continue")),
    (aiohttp.ClientResponse, ("_body",)),
    (aiohttp.ClientSession, ("_retry_connection",)),
    (ResponseHandler, ("closed", "should_close")),
)
_OF_A_SESSION: Final = ("_default_proxy", "_default_proxy_auth", "_loop", "_middlewares")
_OF_A_REQUEST: Final = ("_traces", "headers")


def check_aiohttp(lent: aiohttp.ClientSession | None) -> None:
    """Check that aiohttp has everything inside that a client uses of it.

    Args:
        lent: The session that the client is lent.

    Raises:
        ConfigurationError: It has not.
    """
    version = tuple(int(part) for part in re.findall(r"\d+", aiohttp.__version__)[:3])
    missing = [
        f"{owner.__name__}.{name}"
        for owner, names in _OF_CLASSES
        for name in names
        if name not in {*dir(owner), *getattr(owner, "ATTRS", ())}
    ]
    if lent is not None and not missing:
        loop: Any = getattr(lent, "_loop", None)
        missing += [f"ClientSession.{name}" for name in _OF_A_SESSION if not hasattr(lent, name)]
        request = aiohttp.ClientRequest("GET", URL("http://localhost"), loop=loop)
        missing += [f"ClientRequest.{name}" for name in _OF_A_REQUEST if name not in vars(request)]
    if missing or not _OLDEST <= version < _NEXT:
        lacking = f", and this one lacks {', '.join(missing)}" if missing else ""
        raise ConfigurationError(
            f"aiohttp {aiohttp.__version__} is installed, but this client needs aiohttp "
            f"{'.'.join(map(str, _OLDEST))} or newer, below {_NEXT[0]}{lacking}"
        )
