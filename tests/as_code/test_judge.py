"""A short run of the judge of `arize-roles apply`; its tool makes long ones."""

import pytest

from arize_roles_async.as_code.apply import Run
from tests.support.sizes import sized
from tests.tools.judge_as_code import Case, wrong_cases

pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.mark.parametrize("seed", range(sized(40, 400)))
def test_case(seed: int) -> None:
    """Whatever happens during a run, it says what it did, and the next one ends it."""
    assert Case(seed).judge() == []


def test_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds a run that does not read a role again before it changes it."""

    async def find(*_: object) -> None:
        pass

    monkeypatch.setattr(Run, "_find", find)
    _, wrong = next(wrong_cases(40, 0))
    assert wrong[0].endswith(" was made without a look")
