"""The judge of the scenarios can say no, to clients that lie."""

import attrs
import pytest

from tests.infrastructure import liars
from tests.infrastructure.load import MakeCall
from tests.infrastructure.scenarios import SCENARIOS, Scenario, run
from tests.support.proxies import missing
from tests.support.upstream import Behaviour

pytestmark = pytest.mark.usefixtures("unmeasured")


def scenario(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


# Every answer is lost, and each request is sent once.
LOST = attrs.evolve(
    scenario("answers lost"), behaviour=Behaviour(lose_every=1), attempts=1, calls=24
)


@pytest.mark.full
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("scenario", "liar", "column"),
    [
        (scenario("pages: 503, 503, 503"), liars.claimer, "wrong"),
        (LOST, liars.denier, "wrong"),
        (scenario("413"), liars.evader, "wrong"),
        (scenario("413"), liars.guesser, "wrong"),
        (scenario("nothing there"), liars.blurter, "foreign"),
        (scenario("nothing there"), liars.blurter, "secrets"),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
async def test_liar(scenario: Scenario, liar: MakeCall, column: str) -> None:
    """A client that lies is caught; `test_scenarios` makes the same calls without it."""
    if reason := missing(*scenario.needs):
        pytest.skip(reason)

    outcome = await run(scenario, make_call=liar)

    assert getattr(outcome.verdict, column) != ()
