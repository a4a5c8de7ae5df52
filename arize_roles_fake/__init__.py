"""The fake of Arize's roles API, for test suites."""

from typing import TYPE_CHECKING

from arize_roles_fake._account import DEFAULT_API_KEY, FakeAccount, Snapshot
from arize_roles_fake._client import FakeRolesClient
from arize_roles_fake._faults import Call, Fault, Reply

if TYPE_CHECKING:
    from arize_roles_fake._server import serve

__all__ = [
    "DEFAULT_API_KEY",
    "Call",
    "FakeAccount",
    "FakeRolesClient",
    "Fault",
    "Reply",
    "Snapshot",
    "serve",
]


def __getattr__(name: str) -> object:
    # Only the server needs aiohttp, which takes longest to import.
    if name == "serve":
        from arize_roles_fake._server import serve

        return serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
