"""Behind programs that other people wrote, what the client tells its callers is so."""

import pytest

from tests.infrastructure.scenarios import SCENARIOS, Scenario, run
from tests.support.proxies import missing
from tests.support.sizes import sized

pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.mark.asyncio
@pytest.mark.parametrize("scenario", sized(SCENARIOS[::2], SCENARIOS), ids=str)
async def test_told(scenario: Scenario) -> None:
    """What each call returned or raised is what the journal says, and nothing else is wrong."""
    if reason := missing(*scenario.needs):
        pytest.skip(reason)

    outcome = await run(scenario)

    assert outcome.complaints == []
