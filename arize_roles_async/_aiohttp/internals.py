"""The parts of aiohttp's inside that both packages use: all are read here, and checked."""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, Final, TypeAlias

import aiohttp
from yarl import URL

from arize_roles_async._values.errors import ConfigurationError

Inner: TypeAlias = Any
"""An object of aiohttp's inside, for which it has no types."""

_OLDEST: Final = (3, 14, 1)
_NEXT: Final = (4,)
OF_CLASSES: Final = (
    *("ClientRequest.send", "ClientRequest.session", "ClientResponse._body", "ClientSession.auth"),
    *("TCPConnector._resolve_host", "connector.Connection.protocol"),
    *("client_proto.ResponseHandler.closed", "client_proto.ResponseHandler.should_close"),
)
_OF_A_SESSION: Final = ("_default_proxy", "_default_proxy_auth", "_loop", "_middlewares")
_OF_A_REQUEST: Final = ("_traces", "headers", "proxy", "url")

loop_of: Callable[[aiohttp.ClientSession], asyncio.AbstractEventLoop] = attrgetter("_loop")
middlewares_of: Callable[[aiohttp.ClientSession], Sequence[aiohttp.ClientMiddlewareType]]
middlewares_of = attrgetter("_middlewares")
proxy_of: Callable[[aiohttp.ClientSession], tuple[str | URL | None, object]]
proxy_of = attrgetter("_default_proxy", "_default_proxy_auth")
"""Returns the proxy of a session, and the credentials for it."""
traces_of: Callable[[aiohttp.ClientRequest], list[Inner]] = attrgetter("_traces")
"""Returns the tracers of a request, in the list that its connector reads."""
body_of: Callable[[aiohttp.ClientResponse], bytes | None] = attrgetter("_body")
"""Returns the body of a response if it was read."""
_RESOLVERS: Final = attrgetter("_resolve_host.__module__", "_resolver.__class__.__module__")


def check_aiohttp(lent: aiohttp.ClientSession | None) -> None:
    """Raise `ConfigurationError` if aiohttp, or a lent session, lacks something a client uses."""
    missing = _missing("", aiohttp, OF_CLASSES)
    if not missing:
        # A client may be made where no loop runs; a request only asks it whether it debugs.
        loop: Inner = SimpleNamespace(get_debug=bool)
        request = aiohttp.ClientRequest("GET", URL("http://localhost"), loop=loop)
        missing += _missing("ClientRequest", request, _OF_A_REQUEST)
    if lent is not None:
        missing += _missing("ClientSession", lent, _OF_A_SESSION)
    _refuse(missing)


def _refuse(missing: Sequence[str]) -> None:
    """Raise `ConfigurationError` if this version lacks something, or is not supported."""
    version = tuple(int(part) for part in re.findall(r"\d+", aiohttp.__version__)[:3])
    if missing or not _OLDEST <= version < _NEXT:
        lacking = f", and this one lacks {', '.join(missing)}" if missing else ""
        raise ConfigurationError(
            f"aiohttp {aiohttp.__version__} is installed, but this client needs aiohttp "
            f"{'.'.join(map(str, _OLDEST))} or newer, below {_NEXT[0]}{lacking}"
        )


def resolves_names_itself(connector: aiohttp.BaseConnector | None) -> bool:
    """Return whether a connector asks the system for addresses, and no stand-in for a resolver."""
    if not isinstance(connector, aiohttp.TCPConnector):
        return False
    # Checked only here, since a connector needs an event loop, and only the fake asks.
    _refuse(_missing("TCPConnector", connector, ("_resolver",)))
    return all(module.startswith("aiohttp.") for module in _RESOLVERS(connector))


def _missing(owner: str, found: object, names: Iterable[str]) -> list[str]:
    """Return the names, or paths of names, that something lacks."""
    missing: list[str] = []
    for name in names:
        try:
            attrgetter(name)(found)
        except AttributeError:
            missing.append(f"{owner}.{name}".lstrip("."))
    return missing
