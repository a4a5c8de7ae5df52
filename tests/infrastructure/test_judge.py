"""The judge of the scenarios can say no, to clients that report another outcome than they had."""

from collections.abc import Callable

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
from tests.infrastructure.calls import Call, make
from tests.infrastructure.scenarios import SCENARIOS, Scenario, run
from tests.support.processes import missing
from tests.support.upstream import Behaviour

pytestmark = [pytest.mark.usefixtures("unmeasured"), pytest.mark.full]


NONE = "Um9sZTowOm5vbmU="


def claim(call: Call, _: RolesError) -> object:
    """Say that a change was made."""
    if call.kind == "delete":
        return None
    return make_role(name=call.name, permissions=[], id=call.role_id or NONE, description=call.mark)


def deny(_: Call, error: RolesError) -> object:
    """Say that a change was not made."""
    raise RolesConnectionError(str(error)) from error


def evade(_: Call, error: RolesError) -> object:
    """Say that the outcome is unknown."""
    raise OutcomeUnknownError(str(error)) from error


def guess(call: Call, error: RolesError) -> object:
    """Say that the role is not there, or that another is in its way."""
    raise (ConflictError if call.kind == "create" else NotFoundError)(str(error)) from error


def blurt(_: Call, error: RolesError) -> object:
    """Raise what is none of the library's."""
    raise OSError("Broken pipe") from error


SCENARIO = {scenario.name: scenario for scenario in SCENARIOS}
# Every answer is lost, and each request is sent once.
LOST = attrs.evolve(
    SCENARIO["answers lost"], behaviour=Behaviour(lose_every=1), attempts=1, calls=24
)


@pytest.mark.parametrize(
    ("scenario", "error", "lie", "complaint"),
    [
        (SCENARIO["413"], RolesError, claim, "the account says otherwise"),
        (LOST, OutcomeUnknownError, deny, "it says that nothing happened, and it did"),
        (SCENARIO["413"], RolesError, evade, "all is known"),
        (SCENARIO["413"], RolesError, guess, "nothing was in its way"),
        (SCENARIO["nothing there"], RolesError, blurt, "foreign: "),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
async def test_liar(
    scenario: Scenario,
    error: type[RolesError],
    lie: Callable[[Call, RolesError], object],
    complaint: str,
) -> None:
    """A client that lies is caught; `test_scenarios` makes the same calls without it."""
    if reason := missing(*scenario.needs):
        pytest.skip(reason)

    async def make_call(client: RolesClient, call: Call) -> object:
        try:
            return await make(client, call)
        except error as caught:
            return lie(call, caught)

    _, complaints = await run(scenario, make_call=make_call)

    assert complaint in "\n".join(complaints)
