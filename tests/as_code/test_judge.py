"""A short run of the judge of `arize-roles apply`; its tool makes long ones."""

import pytest

from tests.support.sizes import sized
from tests.tools.judge_as_code import Case

pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.mark.parametrize("seed", range(sized(40, 1000)))
def test_case(seed: int) -> None:
    """Whatever happens during a run, it says what it did, and the next one ends it."""
    assert Case(seed).judge() == []


def test_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds a run that does not look before it changes."""

    async def never_made(*_: object) -> bool:
        return False

    for step in ("_UpdateRole", "_DeleteRole"):
        monkeypatch.setattr(f"arize_roles_async.as_code.steps.{step}.is_made", never_made)
    found = (wrong for seed in range(200) for wrong in Case(seed).judge())
    assert any("was made without a look" in wrong for wrong in found)


def test_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds a run that makes its attempts at once."""

    async def at_once(*_: object, attempt: int) -> bool:
        return attempt < 3

    monkeypatch.setattr("arize_roles_async._calls.client.Parts.wait_to_retry", at_once)
    found = (wrong for seed in range(200) for wrong in Case(seed).judge())
    assert any("did not wait" in wrong for wrong in found)
