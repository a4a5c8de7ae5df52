"""The client reports true outcomes behind programs that other people wrote."""

import pytest

from tests.infrastructure.scenarios import SCENARIOS, Scenario, run
from tests.support.processes import missing
from tests.support.sizes import sized

pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.mark.parametrize("scenario", sized(SCENARIOS[::4], SCENARIOS), ids=str)
async def test_reported(scenario: Scenario) -> None:
    """Each call returned or raised what the account shows, and nothing else is wrong."""
    if reason := missing(*scenario.needs):
        pytest.skip(reason)

    _, complaints = await run(scenario, times=sized(1, 3))

    assert complaints == []
