"""The judge of the scenarios can say no, to clients that report another outcome than they had."""

import attrs
import pytest

from arize_roles_async import (
    ConflictError,
    NotFoundError,
    OutcomeUnknownError,
    RolesClient,
    RolesConnectionError,
    RolesError,
)
from arize_roles_fake import make_role
from tests.infrastructure.calls import Call, MakeCall, make
from tests.infrastructure.scenarios import SCENARIOS, Scenario, run
from tests.support.processes import missing
from tests.support.upstream import KEY, Behaviour

pytestmark = [pytest.mark.usefixtures("unmeasured"), pytest.mark.full]


NONE = "Um9sZTowOm5vbmU="


async def claimer(client: RolesClient, call: Call) -> object:
    """Say that a change of unknown outcome was made."""
    try:
        return await make(client, call)
    except OutcomeUnknownError:
        made_up = make_role(
            name=call.name, permissions=[], id=call.role_id or NONE, description=call.mark
        )
        return None if call.kind == "delete" else made_up


async def denier(client: RolesClient, call: Call) -> object:
    """Say that a change of unknown outcome was not made."""
    try:
        return await make(client, call)
    except OutcomeUnknownError as error:
        raise RolesConnectionError(str(error)) from error


async def evader(client: RolesClient, call: Call) -> object:
    """Say of every failure that the outcome is unknown."""
    try:
        return await make(client, call)
    except RolesError as error:
        raise OutcomeUnknownError(str(error)) from error


async def guesser(client: RolesClient, call: Call) -> object:
    """Say of every failure that the role is not there, or that another is in its way."""
    try:
        return await make(client, call)
    except RolesError as error:
        raise (ConflictError if call.kind == "create" else NotFoundError)(str(error)) from error


async def blurter(client: RolesClient, call: Call) -> object:
    """Raise what is none of the library's, with the API key in it."""
    try:
        return await make(client, call)
    except RolesError as error:
        raise OSError(f"Authorization: Bearer {KEY}") from error


SCENARIO = {scenario.name: scenario for scenario in SCENARIOS}
# Every answer is lost, and each request is sent once.
LOST = attrs.evolve(
    SCENARIO["answers lost"], behaviour=Behaviour(lose_every=1), attempts=1, calls=24
)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("scenario", "liar", "complaint"),
    [
        (SCENARIO["pages: 503, 503, 503"], claimer, "it made []"),
        (LOST, denier, "it says that nothing happened, and it did"),
        (SCENARIO["413"], evader, "all is known"),
        (SCENARIO["413"], guesser, "nothing was in its way"),
        (SCENARIO["nothing there"], blurter, "foreign: "),
        (SCENARIO["nothing there"], blurter, "secret: "),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
async def test_liar(scenario: Scenario, liar: MakeCall, complaint: str) -> None:
    """A client that lies is caught; `test_scenarios` makes the same calls without it."""
    if reason := missing(*scenario.needs):
        pytest.skip(reason)

    _, complaints = await run(scenario, make_call=liar)

    assert complaint in "\n".join(complaints)
