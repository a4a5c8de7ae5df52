"""Short runs of the judges that answer at random: `tests.tools` has the long ones."""

import pytest

from tests.tools import lent_sessions
from tests.tools.mutated_answers import LOOPS, run, run_planted


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("loop", LOOPS)
def test_mutated(loop: str, *, tls: bool) -> None:
    """Mutated answers, cancellations and closes leave nothing, and surprise nobody."""
    result = run(200, loop=loop, tls=tls, seed=7)
    assert result.calls == 200
    assert dict(result.faults) == {}


@pytest.mark.full
def test_planted() -> None:
    """A planted fault is found."""
    [fault, *_] = run_planted(200).faults
    assert fault == "AttributeError: 'NoneType' object has no attribute '_get_extra_info'"


def test_lent() -> None:
    """Whatever stands between a call and the service in a lent session, no outcome is untrue."""
    assert dict(lent_sessions.run(80, seed=7).faults) == {}


@pytest.mark.full
def test_lent_planted() -> None:
    """A request that leaves a second time, and is not noted, is found."""
    assert lent_sessions.run_planted(80).faults
