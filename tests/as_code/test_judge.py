"""A short run of the judge of `arize-roles apply`; its tool makes long ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from arize_roles_async import __main__ as command
from arize_roles_async import as_code
from arize_roles_async.as_code import files, planning
from arize_roles_async.as_code.apply import Run, check_plan
from arize_roles_async.as_code.formatting import formatted
from arize_roles_async.as_code.planning import in_order
from arize_roles_async.as_code.toml import parsed
from tests.support.sizes import sized
from tests.tools.judge_as_code import Case, wrong_cases

pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.mark.parametrize("seed", range(sized(40, 400)))
def test_case(seed: int) -> None:
    """Whatever happens during a run, it says what it did, and the next one ends it."""
    assert Case(seed).judge() == []


to_dict = as_code.Change.to_dict


async def never_made(*_: object) -> None:
    """Find no change that is made already."""


def again(text: str, known: Any) -> str:  # noqa: ANN401 - as it comes
    return f"{formatted(text, known)}\n# again\n"


def twice(changes: Sequence[as_code.Change]) -> tuple[tuple[as_code.Change, ...], list[str]]:
    ordered, circles = in_order(changes)
    return ordered, circles * 2


def one_account(name: str, text: str) -> dict[str, Any]:
    data = parsed(name, text)
    return {} if name.endswith("2.toml") else data


def every_file(path: str) -> list[Path]:
    return sorted(Path(path).iterdir())


def nameless(change: as_code.Change) -> dict[str, Any]:
    return {**to_dict(change), "id": change.before and change.before.id}


def check(*arguments: Any) -> None:  # noqa: ANN401 - as they come
    try:
        check_plan(*arguments)
    except as_code.StalePlanError as error:
        error.plan = None
        raise


BREAKS: Final[list[tuple[object, str, object, str]]] = [
    (Run, "_find", never_made, " was made without a look"),
    (files, "formatted", again, "it was formatted to "),
    (planning, "max", min, " looks like "),
    (files, "parsed", one_account, "it was not refused"),
    (files, "found", every_file, "it was refused"),
    (planning, "in_order", twice, "a note stands twice"),
    (as_code.Change, "to_dict", nameless, "a created role has the ID None"),
    (command, "check_plan", check, "a refusal has no checksum"),
]


@pytest.mark.parametrize(("owner", "name", "broken", "found"), BREAKS, ids=[b[1] for b in BREAKS])
def test_says_no(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, broken: object, found: str
) -> None:
    """It finds each fault that was ever found here by hand."""
    monkeypatch.setattr(owner, name, broken, raising=False)
    assert any(found in text for _, wrong in wrong_cases(200, 0) for text in wrong)
