"""Clients that report wrong outcomes, for the judge to catch.

Each makes a call, and reports another outcome.
"""

from datetime import UTC, datetime

from arize_roles_async import (
    ConflictError,
    NotFoundError,
    OutcomeUnknownError,
    Role,
    RolesClient,
    RolesConnectionError,
    RolesError,
)
from tests.infrastructure.load import Planned, make
from tests.support.upstream import KEY


async def claimer(client: RolesClient, planned: Planned) -> object:
    """Say that a change of unknown outcome was made."""
    try:
        return await make(client, planned)
    except OutcomeUnknownError:
        return None if planned.operation == "delete" else _made_up(planned)


async def denier(client: RolesClient, planned: Planned) -> object:
    """Say that a change of unknown outcome was not made."""
    try:
        return await make(client, planned)
    except OutcomeUnknownError as error:
        raise RolesConnectionError(str(error)) from error


async def evader(client: RolesClient, planned: Planned) -> object:
    """Say of every failure that the outcome is unknown."""
    try:
        return await make(client, planned)
    except RolesError as error:
        raise OutcomeUnknownError(str(error)) from error


async def guesser(client: RolesClient, planned: Planned) -> object:
    """Say of every failure that the role is not there, or that another is in its way."""
    try:
        return await make(client, planned)
    except RolesError as error:
        kind = ConflictError if planned.operation == "create" else NotFoundError
        raise kind(str(error)) from error


async def blurter(client: RolesClient, planned: Planned) -> object:
    """Raise what is none of the library's, with the API key in it."""
    try:
        return await make(client, planned)
    except RolesError as error:
        raise OSError(f"Authorization: Bearer {KEY}") from error


def _made_up(planned: Planned) -> Role:
    return Role(
        id=planned.role_id or "Um9sZTowOm5vbmU=",
        name=planned.name,
        description=planned.mark,
        permissions=(),
        is_predefined=False,
        created_at=datetime.now(UTC),
        updated_at=datetime.now(UTC),
    )
