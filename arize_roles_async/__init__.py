"""Async client for Arize's roles API."""

from typing import TYPE_CHECKING

from arize_roles_async._errors import (
    AlphaWarning,
    AuthenticationError,
    BadRequestError,
    ClientStateError,
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    InvalidResponseError,
    NotFoundError,
    OutcomeUnknownError,
    OutcomeUnknownServerError,
    OutcomeUnknownTimeoutError,
    Problem,
    RateLimitError,
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
from arize_roles_async._permissions import AnyPermission, Permission, UnknownPermission
from arize_roles_async._protocol import RolesClient
from arize_roles_async._requests import UNSET, ListRoles, Unset
from arize_roles_async._version import __version__

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
    "ListRoles",
    "ListRolesResponse",
    "NotFoundError",
    "OutcomeUnknownError",
    "OutcomeUnknownServerError",
    "OutcomeUnknownTimeoutError",
    "PaginationMetadata",
    "Permission",
    "Problem",
    "RateLimitError",
    "RetryPolicy",
    "Role",
    "RolePages",
    "RolesClient",
    "RolesConnectionError",
    "RolesError",
    "RolesTimeoutError",
    "ServerError",
    "StatusError",
    "Timeouts",
    "UnknownPermission",
    "UnprocessableEntityError",
    "Unset",
    "ValidationError",
    "Violation",
    "__version__",
]


def __getattr__(name: str) -> object:
    # The fake needs everything here but aiohttp, which takes longest to import.
    if name == "AiohttpRolesClient":
        from arize_roles_async._aiohttp import AiohttpRolesClient

        return AiohttpRolesClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
