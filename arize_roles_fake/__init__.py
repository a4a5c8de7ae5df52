"""The fake of Arize's roles API, for test suites.

`FakeRolesClient` is a `RolesClient` like the real one, over a `FakeAccount` in memory: the same
checks, the same retries, the same errors; no socket, no waiting, asyncio or trio. Hand it to the
code under test, then inspect the account:

```python
async def onboard(roles: RolesClient) -> None:
    await roles.create(name="AI Engineer", permissions=[Permission.PROJECT_READ])

fake = FakeRolesClient()
await onboard(fake)
fake.account.assert_roles({"AI Engineer": {Permission.PROJECT_READ}})
```

With pytest the fixtures `fake_account`, `fake_roles`, `mocked_arize`, `roles_server` and
`arize_env` are there as soon as the package is installed.

The pages of the guide are Markdown files in the folder `guide` of this package: testing, failures,
serving, control, contract. `FIDELITY.md` lists the rules of the fake, each with its source.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from arize_roles_fake._account.account import FakeAccount
    from arize_roles_fake._client import FakeRolesClient
    from arize_roles_fake._mock import mock_arize
    from arize_roles_fake._server.server import RolesServer
    from arize_roles_fake._service.assumptions import Assumptions
    from arize_roles_fake._testing.call_log import LoggedCall
    from arize_roles_fake._testing.faults import Fault
    from arize_roles_fake._testing.make_role import SuspiciousPermissionWarning, make_role

__all__ = [
    "Assumptions",
    "FakeAccount",
    "FakeRolesClient",
    "Fault",
    "LoggedCall",
    "RolesServer",
    "SuspiciousPermissionWarning",
    "make_role",
    "mock_arize",
]

# Imported on first use: pytest loads this module in every project that has the package installed,
# and only the server needs aiohttp, which takes longest.
_HOMES: Final = {
    "FakeAccount": "_account.account",
    "SuspiciousPermissionWarning": "_testing.make_role",
    "Assumptions": "_service.assumptions",
    "LoggedCall": "_testing.call_log",
    "FakeRolesClient": "_client",
    "Fault": "_testing.faults",
    "make_role": "_testing.make_role",
    "mock_arize": "_mock",
    "RolesServer": "_server.server",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
