"""Async client for Arize's roles API.

The API key is read from `ARIZE_API_KEY`, and the address from the variables that Arize's own
clients read, unless `AiohttpRolesClient` is given them as arguments:

```python
async with AiohttpRolesClient() as roles:
    role = await roles.create(name="AI Engineer", permissions=[Permission.PROJECT_READ])
    role = await roles.get(role="AI Engineer")  # a name or an ID; role_id= takes IDs only
    role = await roles.update(role_id=role.id, description="Looks at projects.")
    async for role in roles.list(is_predefined=False):
        print(role.name, role.permissions)
    await roles.delete(role="AI Engineer")
```

Type against `RolesClient`. The real client and `arize_roles_fake.FakeRolesClient` both are one.

The pages of the guide are Markdown files in the folder `guide` of this package: configuration,
paging, responses, errors-and-retries, role-bindings, api-keys, closing, logging, bulk-work,
roles-as-code, roles-as-code-month, roles-as-code-bindings, roles-as-code-in-ci,
roles-as-code-in-python, fastapi, threads, migrating, performance. Testing with the fake is in the
folder `guide` of `arize_roles_fake`.

A client over another HTTP library is made with `arize_roles_async.transport`.
"""

from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from arize_roles_async._calls.api_key import ApiKey
from arize_roles_async._roles.models import Role
from arize_roles_async._roles.protocol import RolesClient
from arize_roles_async._roles.requests import RolePages
from arize_roles_async._values import errors as _errors
from arize_roles_async._values.errors import *  # noqa: F403
from arize_roles_async._values.models import PaginationMetadata
from arize_roles_async._values.options import RetryPolicy, Timeouts
from arize_roles_async._values.permissions import (
    AnyPermission,
    Permission,
    PermissionsArgument,
    UnknownPermission,
)
from arize_roles_async._version import __version__

if TYPE_CHECKING:
    # Names with `as` are for annotations alone, and not among those of `__all__`.
    # isort: off
    from arize_roles_async._aiohttp.client import AiohttpRolesClient
    from arize_roles_async._arize import ArizeClient
    from arize_roles_async._directory.by_name import ByName, FoundBindings as FoundBindings
    from arize_roles_async._directory.models import AccountRole as AccountRole
    from arize_roles_async._directory.models import ListProjectsResponse as ListProjectsResponse
    from arize_roles_async._directory.models import ListSpacesResponse as ListSpacesResponse
    from arize_roles_async._directory.models import ListUsersResponse as ListUsersResponse
    from arize_roles_async._directory.models import NamedBinding, NamedBindings as NamedBindings
    from arize_roles_async._directory.models import Project, Space, User
    from arize_roles_async._directory.requests import ProjectPages as ProjectPages
    from arize_roles_async._directory.requests import SpacePages as SpacePages
    from arize_roles_async._directory.requests import UserPages as UserPages
    from arize_roles_async._directory.protocol import Directory
    from arize_roles_async._role_bindings.models import (
        ListRoleBindingsResponse as ListRoleBindingsResponse,
    )
    from arize_roles_async._role_bindings.models import RoleBinding, RoleBindingResourceType
    from arize_roles_async._role_bindings.requests import RoleBindingPages as RoleBindingPages
    from arize_roles_async._role_bindings.protocol import RoleBindingsClient
    from arize_roles_async._roles.models import ListRolesResponse as ListRolesResponse
    from arize_roles_async._values.details import FieldInfo as FieldInfo, Violation
    from arize_roles_async._values.problem_details import ProblemDetails
    from arize_roles_async._wire.request import Request as Request
    from arize_roles_async._wire.response import Response as Response

__all__: list[str] = [
    "UNSET",
    "AiohttpRolesClient",
    "AnyPermission",
    "ApiKey",
    "ArizeClient",
    "ByName",
    "Directory",
    "NamedBinding",
    "PaginationMetadata",
    "Permission",
    "PermissionsArgument",
    "ProblemDetails",
    "Project",
    "RetryPolicy",
    "Role",
    "RoleBinding",
    "RoleBindingResourceType",
    "RoleBindingsClient",
    "RolePages",
    "RolesClient",
    "Space",
    "Timeouts",
    "UnknownPermission",
    "UnsetType",
    "User",
    "Violation",
    "__version__",
]
__all__ += _errors.__all__


def __dir__() -> list[str]:
    return __all__


# Imported when asked for. aiohttp takes longest, and the fake does without it. Most programs need
# none of the others.
_ON_DEMAND = {
    "_aiohttp.client": "AiohttpRolesClient",
    "_arize": "ArizeClient",
    "_directory.by_name": "ByName FoundBindings",
    "_directory.models": "AccountRole ListProjectsResponse ListSpacesResponse ListUsersResponse "
    "NamedBinding NamedBindings Project Space User",
    "_directory.requests": "ProjectPages SpacePages UserPages",
    "_directory.protocol": "Directory",
    "_role_bindings.models": "ListRoleBindingsResponse RoleBinding RoleBindingResourceType",
    "_role_bindings.requests": "RoleBindingPages",
    "_role_bindings.protocol": "RoleBindingsClient",
    "_roles.models": "ListRolesResponse",
    "_values.details": "FieldInfo Violation",
    "_values.problem_details": "ProblemDetails",
    "_wire.request": "Request",
    "_wire.response": "Response",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    for module, names in _ON_DEMAND.items():
        if name in names.split():
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
