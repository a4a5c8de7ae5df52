"""A short run of the judge of `arize-roles apply`; its tool makes long ones."""

import pytest

from tests.support.sizes import sized
from tests.tools import judge_places
from tests.tools.judge_as_code import Case

pytestmark = pytest.mark.usefixtures("unmeasured")


async def _never(*_: object) -> bool:
    return False


@pytest.mark.parametrize("seed", range(sized(40, 1000)))
def test_case(seed: int) -> None:
    """Whatever happens during a run, it says what it did, and the next one ends it."""
    assert Case(seed).judge() == []


def test_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds a run that does not look before it changes."""

    monkeypatch.setattr("arize_roles_async.as_code.steps.Step.is_made", _never)
    found = (wrong for seed in range(200) for wrong in Case(seed).judge())
    assert any("was made without a look" in wrong for wrong in found)


def test_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds a run that makes its attempts at once."""

    async def at_once(*_: object, attempt: int) -> bool:
        return attempt < 3

    monkeypatch.setattr("arize_roles_async._calls.client.Parts.wait_to_retry", at_once)
    found = (wrong for seed in range(200) for wrong in Case(seed).judge())
    assert any("did not wait" in wrong for wrong in found)


@pytest.mark.parametrize("seed", range(sized(40, 1000)))
async def test_places(seed: int) -> None:
    """Nobody gets a role that nobody asked for, or loses one, whatever fails."""
    assert await judge_places.Case(seed).judge() == []


async def _settled(*_: object) -> bool:
    return True


def _unnamed(_: object, user: str, known: dict[str, object]) -> bool:
    return user not in known


def _accepted(*_: object) -> None:
    pass


@pytest.mark.parametrize(
    ("method", "planted", "wrong"),
    [
        ("places._Comparison._is_person", _unnamed, "instead of"),
        ("places._Comparison._check_binders", _accepted, "not refused"),
        ("steps.BindingStep.is_made", _never, "was not as the plan saw it"),
        ("steps.Step.is_settled", _settled, "is reported as made"),
    ],
)
async def test_wrong_places(
    monkeypatch: pytest.MonkeyPatch, method: str, planted: object, wrong: str
) -> None:
    """It finds a plan that takes a bot's role or locks all out, and a run that trusts too much."""
    monkeypatch.setattr(f"arize_roles_async.as_code.{method}", planted)
    found = iter(range(200))
    while not any(wrong in text for text in await judge_places.Case(next(found)).judge()):
        pass
