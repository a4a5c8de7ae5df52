"""Async client for Arize's roles API.

Quickstart
==========

The API key is read from `ARIZE_API_KEY`, and the address from the variables that Arize's own
clients read, unless `AiohttpRolesClient` is given them as arguments:

    async with AiohttpRolesClient() as roles:
        role = await roles.create(name="AI Engineer", permissions=[Permission.PROJECT_READ])
        role = await roles.get(role="AI Engineer")  # a name or an ID; role_id= takes IDs only
        role = await roles.update(role_id=role.id, description="Looks at projects.")
        await roles.delete(role_id=role.id)

Type against `RolesClient`, which the real client and `arize_roles_fake.FakeRolesClient` both are,
and a function takes either:

    async def count_custom(roles: RolesClient) -> int:
        return len(await roles.list(is_predefined=False).all())

Permissions are given as members or as their identifiers, and can be chosen by what they are about
or what they allow:

    reader = await roles.create(name="Reader", permissions=Permission.for_action("READ"))
    assert Permission.DATASET_READ in Permission.for_resource("DATASET")
    assert Permission.DATASET_EXAMPLE_READ.resource == "DATASET_EXAMPLE"

The service adds permissions every few weeks. One that this version does not know arrives as an
`UnknownPermission`, which equals its identifier and can be sent back in an update.

Paging
======

`list` gives one page when it is awaited, and every role when it is iterated:

    page = await roles.list(limit=10)
    if page.pagination.has_more:
        following = await roles.list(limit=10, cursor=page.pagination.next_cursor)

    async for role in roles.list(is_predefined=False):
        print(role.name)

    async for page in roles.list().pages():
        print(len(page), "roles more")

    everything = await roles.list().all()

A walk can be left at any point. Roles that exist from its start to its end are seen exactly once.

Responses
=========

A page is a sequence of its roles, and every response turns into data and back:

    page = await roles.list()
    assert page[0] in page
    assert ListRolesResponse.from_json(page.to_json()) == page
    data = page[0].to_dict()  # JSON-ready; what the service left out is left out

    for role in page:
        match role:
            case Role(is_predefined=True):
                print(role.name, "is the system's own")
            case Role(permissions=None):
                print(role.name, "came without permissions: the key lacks ROLE_READ")
            case _:
                print(role.name, "was made by", role.created_at.isoformat())

`Role.model_fields` tells each field's type and meaning. Frames need an extra,
`pip install "arize-roles-async[pandas]"` or `[polars]`:

    everything = await roles.list().all()
    frame = everything.to_df(exclude_none=False)
    matrix = everything.permission_matrix()  # True where a role holds a permission
    print(matrix.index[matrix["DATASET_DELETE"]])  # who may delete datasets

    table = everything.to_polars()

Errors and retries
==================

Every error that leaves the client is a `RolesError`. What is wrong with the arguments is found
before anything is sent, all of it at once:

    try:
        await roles.create(name="", permissions=["PROJECT_RAED"])
    except ValidationError as error:
        for violation in error.violations:
            print(violation.field, violation.message)

What the service refuses has a class for each status, under `StatusError`:

    try:
        await roles.get(role="AI Enginer")
    except NotFoundError as error:
        print(error.status, error.closest)

Failed connections, attempts that timed out, the statuses 429, 502, 503 and 504, and for reads 500
are tried again, after the service's `Retry-After` or a random wait that grows. How often and how
long is a client's to set, and a call's:

    async with AiohttpRolesClient(timeout=10.0, retry=RetryPolicy(attempts=5)) as client:
        hasty = client.with_options(timeout=1.0, retry=RetryPolicy(attempts=1))
        await hasty.list()

Trying a change again is safe: when an attempt's answer never came, the client finds out what that
attempt did. Where that stays open it says so, and it is yours to look:

    try:
        await roles.delete(role="AI Engineer")
    except OutcomeUnknownError:
        print("perhaps deleted")
    except (RolesConnectionError, RolesTimeoutError):
        print("not deleted")
    except NotFoundError:
        print("there was none")

The methods are ALPHA, as in Arize's clients, and the first use of each says so with an
`AlphaWarning`. Silence it with `"ignore::arize_roles_async.AlphaWarning"` in a suite's
`filterwarnings`, or in an application:

    import warnings

    warnings.simplefilter("ignore", AlphaWarning)

The logger `arize_roles_async` tells every attempt at DEBUG and every retry at INFO.

FastAPI
=======

One client for the application's lifespan, handed out by a dependency:

    from collections.abc import AsyncIterator
    from contextlib import asynccontextmanager
    from typing import Annotated

    from fastapi import Depends, FastAPI, HTTPException, Request


    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AiohttpRolesClient() as client:
            app.state.roles = client
            yield


    def get_roles(request: Request) -> RolesClient:
        return request.app.state.roles


    app = FastAPI(lifespan=lifespan)


    @app.get("/roles/{name}")
    async def show(
        name: str, roles: Annotated[RolesClient, Depends(get_roles)]
    ) -> dict[str, object]:
        try:
            return (await roles.get(role=name)).to_dict()
        except NotFoundError as error:
            raise HTTPException(404, str(error)) from error

The same application with the fake swapped in, in a test:

    import httpx

    from arize_roles_fake import FakeRolesClient

    fake = FakeRolesClient()
    fake.account.add_role("AI Engineer", ["PROJECT_READ"])
    app.dependency_overrides[get_roles] = lambda: fake

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as http:
        assert (await http.get("/roles/AI Engineer")).json()["permissions"] == ["PROJECT_READ"]
        assert (await http.get("/roles/AI Enginer")).status_code == 404

Migrating from Arize's synchronous client
=========================================

| `arize.ArizeClient`                         | here                                             |
| ------------------------------------------- | ------------------------------------------------ |
| `client = ArizeClient(api_key=...)`         | `AiohttpRolesClient(api_key)`                    |
| `region=Region.EU_WEST_1A`                  | `region="eu-west-1a"`                            |
| `client.roles.list(limit=50)`               | `await roles.list(limit=50)`                     |
| a loop over `pagination.next_cursor`        | `async for role in roles.list()`                 |
| `response.roles`, `response.pagination`     | the same; the response is a sequence too         |
| `client.roles.get(role=...)`                | `await roles.get(role=...)`, or `role_id=`       |
| `client.roles.create(name=..., ...)`        | `await roles.create(name=..., ...)`              |
| `client.roles.update(role=..., ...)`        | `await roles.update(role=..., ...)`, `role_id=`  |
| `client.roles.delete(role=...)`             | `await roles.delete(role=...)`, or `role_id=`    |
| `from arize.roles.types import Permission`  | `from arize_roles_async import Permission`       |
| `role.permissions`, a list                  | a tuple, with `UnknownPermission` for newer ones |
| `response.to_dict()`, `response.to_json()`  | the same; timestamps are ISO 8601 text           |
| `response.to_df(exclude_none=..., ...)`     | the same; also `to_polars`, `permission_matrix`  |
| `ApiException`, with `status`               | `StatusError`, with `status`; a class each       |
| `arize.NotFoundError`, for a name           | `NotFoundError`, with the closest names          |
| `ValueError`, nothing to update             | `ValidationError`, which is a `ValueError`       |

Testing
=======

See `python -m pydoc arize_roles_fake`.
"""

from typing import TYPE_CHECKING

from msgspec import UNSET

from arize_roles_async._errors import (
    AlphaWarning,
    AuthenticationError,
    BadRequestError,
    ClientStateError,
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    InvalidResponseError,
    MissingExtraError,
    NotFoundError,
    OutcomeUnknownError,
    ProblemDetails,
    RateLimitError,
    RoleRenamedError,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    ServerError,
    StatusError,
    UnprocessableEntityError,
    ValidationError,
    Violation,
)
from arize_roles_async._models import FieldInfo, ListRolesResponse, PaginationMetadata, Role
from arize_roles_async._options import RetryPolicy, Timeouts
from arize_roles_async._paging import RolePages
from arize_roles_async._permissions import (
    AnyPermission,
    Permission,
    PermissionsArgument,
    UnknownPermission,
)
from arize_roles_async._protocol import RolesClient
from arize_roles_async._version import __version__
from arize_roles_async._wire import Request, Response

if TYPE_CHECKING:
    from arize_roles_async._aiohttp import AiohttpRolesClient

__all__ = [
    "UNSET",
    "AiohttpRolesClient",
    "AlphaWarning",
    "AnyPermission",
    "AuthenticationError",
    "BadRequestError",
    "ClientStateError",
    "ConfigurationError",
    "ConflictError",
    "FieldInfo",
    "ForbiddenError",
    "InvalidResponseError",
    "ListRolesResponse",
    "MissingExtraError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PaginationMetadata",
    "Permission",
    "PermissionsArgument",
    "ProblemDetails",
    "RateLimitError",
    "Request",
    "Response",
    "RetryPolicy",
    "Role",
    "RolePages",
    "RoleRenamedError",
    "RolesClient",
    "RolesConnectionError",
    "RolesError",
    "RolesTimeoutError",
    "ServerError",
    "StatusError",
    "Timeouts",
    "UnknownPermission",
    "UnprocessableEntityError",
    "ValidationError",
    "Violation",
    "__version__",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    # The fake needs everything here but aiohttp, which takes longest to import.
    if name == "AiohttpRolesClient":
        from arize_roles_async._aiohttp import AiohttpRolesClient

        return AiohttpRolesClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
