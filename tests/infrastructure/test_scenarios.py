"""The client reports true outcomes behind programs that other people wrote; a liar is caught."""

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
from tests.support.sizes import sized
from tests.support.upstream import Behaviour

pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.mark.parametrize("scenario", sized(SCENARIOS[::4], SCENARIOS), ids=str)
async def test_reported(scenario: Scenario) -> None:
    """Each call returned or raised what the account shows, and nothing else is wrong."""
    _, complaints = await run(scenario, times=sized(1, 3))

    assert complaints == []


NONE = "Um9sZTowOm5vbmU="


def claimed(call: Call) -> object:
    """Return what a change returns that was made."""
    if call.kind == "delete":
        return None
    return make_role(name=call.name, permissions=[], id=call.role_id or NONE, description=call.mark)


SCENARIO = {scenario.name: scenario for scenario in SCENARIOS}
# Every answer is lost, and each request is sent once.
LOST = attrs.evolve(
    SCENARIO["answers lost"], behaviour=Behaviour(lose_every=1), attempts=1, calls=24
)


@pytest.mark.full
@pytest.mark.parametrize(
    ("scenario", "error", "lie", "complaint"),
    [
        (SCENARIO["413"], RolesError, None, "the account says otherwise"),
        (LOST, OutcomeUnknownError, RolesConnectionError, "says that nothing happened, and it did"),
        (SCENARIO["413"], RolesError, OutcomeUnknownError, "all is known"),
        (SCENARIO["413"], RolesError, ConflictError, "nothing was in its way"),
        (SCENARIO["nothing there"], RolesError, NotFoundError, "the role was there"),
        (SCENARIO["nothing there"], RolesError, OSError, "foreign: "),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
async def test_liar(
    scenario: Scenario, error: type[RolesError], lie: type[Exception] | None, complaint: str
) -> None:
    """A client that says another error, or that a failed change was made, is caught."""

    async def make_call(client: RolesClient, call: Call) -> object:
        try:
            return await make(client, call)
        except error as caught:
            if lie is None:
                return claimed(call)
            raise lie from caught

    _, complaints = await run(scenario, make_call=make_call)

    assert complaint in "\n".join(complaints)
