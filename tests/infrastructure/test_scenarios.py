"""The client reports true outcomes behind programs that other people wrote; a liar is caught."""

from typing import Any

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
from tests.infrastructure.judge import Call, made
from tests.infrastructure.scenarios import SCENARIOS, Scenario, run
from tests.support.sizes import sized

pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.mark.parametrize("scenario", sized(SCENARIOS[::4], SCENARIOS), ids=str)
async def test_reported(scenario: Scenario) -> None:
    """Each call returned or raised what the account shows, and nothing else is wrong."""
    assert await run(scenario, times=sized(1, 3)) == []


SCENARIO = {scenario.name: scenario for scenario in SCENARIOS}
LOST = attrs.evolve(SCENARIO["answers lost"], every=1, calls=24)
LIES: list[tuple[type[Exception] | None, str]] = [
    (None, "the account says otherwise"),
    (RolesConnectionError, "it says that nothing happened, and it did"),
    (OutcomeUnknownError, "all is known"),
    (ConflictError, "no role was missing, or in its way"),
    (NotFoundError, "no role was missing, or in its way"),
    (OSError, "not ours"),
]


@pytest.mark.full
@pytest.mark.parametrize(("lie", "complaint"), LIES)
async def test_liar(lie: type[Exception] | None, complaint: str) -> None:
    """A client that says another error, or that a failed change was made, is caught."""
    scenario = LOST if lie is RolesConnectionError else SCENARIO["413"]

    async def make_call(client: RolesClient, call: Call) -> Any:  # noqa: ANN401 - of any method
        try:
            return await made(client, call)
        except RolesError as caught:
            if lie is None:
                return make_role(name=call.name, description=call.mark)
            raise lie from caught

    assert complaint in "\n".join(await run(scenario, make_call=make_call))
