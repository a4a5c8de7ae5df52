"""A short run of the judge of `arize-roles apply`; its tool makes long ones."""

from contextlib import suppress
from importlib import import_module
from typing import Any, Final

import attrs
import pytest

from arize_roles_async import NotFoundError, as_code
from tests.support.sizes import sized
from tests.tools.judge_as_code import Case

pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.mark.parametrize("seed", range(sized(60, 1000)))
def test_case(seed: int) -> None:
    """Whatever happens, a run says what it did, nobody has too much, and the next one ends it."""
    assert Case(seed).judge() == []


def answering(value: object) -> Any:  # noqa: ANN401
    async def method(*_: object, **__: object) -> object:
        return value

    return lambda _: method


def at_once(_: object) -> object:
    async def wait(*_: object, attempt: int) -> bool:
        return attempt < 3

    return wait


def if_missing(_: object) -> object:
    async def is_settled(_: object, __: object, error: object) -> bool:
        return isinstance(error, NotFoundError)

    return is_settled


def lenient(is_made: Any) -> object:  # noqa: ANN401
    async def is_made_by_nobody_else(*given: object) -> bool:
        with suppress(as_code.StalePlanError):
            return bool(await is_made(*given))
        return False

    return is_made_by_nobody_else


def by_name(send: Any) -> object:  # noqa: ANN401
    async def send_now(step: Any, client: Any) -> None:  # noqa: ANN401
        now = {role.name: role.id async for role in client.list()}
        change = attrs.evolve(step.change, role_id=now.get(step.change.after, step.change.role_id))
        await send(attrs.evolve(step, change=change), client)

    return send_now


FAULTS: Final[dict[str, tuple[str, Any, str]]] = {
    "no look": ("steps.Step.is_made", answering(False), "was made without a look"),
    "no look at a binding": ("steps.BindingStep.is_made", answering(False), "without a look"),
    "a look that compares nothing": ("steps.BindingStep.is_made", lenient, "was made of"),
    "a failure that counts as made": ("steps.Step.is_settled", answering(True), "as made"),
    "a take that the key may not make": ("steps.Step.is_settled", if_missing, "as made"),
    "a role that has the name meanwhile": ("steps.BindingStep.send", by_name, " made None to "),
    "no order": ("planning._in_run", lambda _: iter, " gave "),
    "nothing depends": ("apply.needs", lambda _: lambda _: iter(()), " gave "),
    "a bot user's role is taken": (
        "places._Comparison._is_person",
        lambda _: lambda _, user, known: user not in known,
        "it told of",
    ),
    "nobody is left who may bind": (
        "places._Comparison._check_binders",
        lambda _: lambda *_: None,
        "was not refused",
    ),
    "a typing error takes all roles": (
        "places._Comparison._wanted",
        lambda wanted: lambda comparison: (wanted(comparison)[0], []),
        "it told of",
    ),
    "the first of two spaces": (
        "places._Comparison._only",
        lambda _: (
            lambda _, __, name, items: next(
                (each for each in items if name in {each.id, each.name}), None
            )
        ),
        "was not refused",
    ),
    "a team without its first member": (
        "files._teams",
        lambda teams: lambda *given: {team: users[1:] for team, users in teams(*given).items()},
        "it told of",
    ),
    "a renamed role is another one": (
        "places.RolesAfter.of",
        lambda of: (
            lambda roles, changes: of(
                roles,
                [
                    (before if not (before and after) or before.name == after.name else None, after)
                    for before, after in changes
                ],
            )
        ),
        "it told of",
    ),
}
"""What is replaced by what, and what the judge finds."""


@pytest.mark.parametrize("fault", FAULTS)
def test_planted(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """It finds each fault within 150 cases."""
    name, planted, wrong = FAULTS[fault]
    module, _, path = name.partition(".")
    owner: Any = import_module(f"arize_roles_async.as_code.{module}")
    *above, attribute = path.split(".")
    for each in above:
        owner = getattr(owner, each)
    monkeypatch.setattr(owner, attribute, planted(getattr(owner, attribute)))
    assert any(wrong in text for seed in range(150) for text in Case(seed).judge())
