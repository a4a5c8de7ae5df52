"""A short run of the judge of `arize-roles apply`; its tool makes long ones."""

# ruff: noqa: ANN401 - a fault replaces what has any type

from collections.abc import Callable
from contextlib import suppress
from pkgutil import resolve_name
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


# Each fault gets what it replaces, and what that is called with.


async def never(*_: object, **__: object) -> bool:
    return False


async def always(*_: object, **__: object) -> bool:
    return True


async def at_once(_: object, parts: Any, __: object) -> bool:
    parts.tried = getattr(parts, "tried", 0) + 1
    return bool(parts.tried < 3)


async def if_missing(_: object, __: object, ___: object, error: object) -> bool:
    return isinstance(error, NotFoundError)


async def uncompared(real: Any, *given: object) -> bool:
    with suppress(as_code.StalePlanError):
        return bool(await real(*given))
    return False


async def by_name(real: Any, step: Any, client: Any) -> None:
    now = {role.name: role.id async for role in client.list()}
    role_id = now.get(step.change.after, step.change.role_id)
    await real(attrs.evolve(step, change=attrs.evolve(step.change, role_id=role_id)), client)


def in_text(_: object, changes: object) -> object:
    return changes


def nothing(*_: object) -> tuple[()]:
    return ()


def always_known(real: Any, comparison: object, user: str) -> str:
    return real(comparison, user) or user


def without_notes(real: Any, *given: object) -> tuple[Any, list[str]]:
    return real(*given)[0], []


def first(_: object, __: object, ___: object, name: str, items: Any) -> Any:
    return next((each for each in items if name in {each.id, each.name}), None)


def shorter(real: Any, *given: object) -> dict[str, Any]:
    return {team: users[1:] for team, users in real(*given).items()}


def another(real: Any, roles: object, changes: Any) -> Any:
    updates = [each for each in changes if each.before and each.after]
    renamed = [each for each in updates if each.before.name != each.after.name]
    rest = [each for each in changes if each not in renamed]
    return real(roles, [*rest, *(attrs.evolve(each, before=None) for each in renamed)])


FAULTS: Final[dict[str, tuple[str, Callable[..., Any], str]]] = {
    "no look": ("steps.Step.is_made", never, "was made without a look"),
    "no look at a binding": ("steps.BindingStep.is_made", never, "was made without a look"),
    "a look that compares nothing": ("steps.BindingStep.is_made", uncompared, "was made of"),
    "a failure that counts as made": ("steps.Step._is_settled", always, "is reported as made"),
    "a take that the key may not make": ("steps.Step._is_settled", if_missing, "reported as made"),
    "a role that has the name now": ("steps.BindingStep.send", by_name, " made None to "),
    "no order": ("planning._in_run", in_text, " gave "),
    "nothing depends": ("apply.needs", nothing, " gave "),
    "a bot user's role is taken": ("places._Comparison._email", always_known, "it told of"),
    "nobody is left": ("places._Comparison._check_binders", nothing, "was not refused"),
    "a typing error takes": ("places._Comparison._wanted", without_notes, "it told of"),
    "the first of two spaces": ("places._Comparison._only", first, "was not refused"),
    "a team without its first member": ("files._named", shorter, "it told of"),
    "a renamed role is another one": ("planning._after", another, "it told of"),
    "no wait": ("client.Parts.wait_to_retry", at_once, "did not wait"),
}
"""What is replaced by what, and what the judge says."""


@pytest.mark.parametrize("fault", FAULTS)
def test_planted(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """It finds each fault within 90 cases."""
    place, planted, wrong = FAULTS[fault]
    package = "_clients" if place.startswith("client.") else "as_code"
    above, _, name = f"arize_roles_async.{package}.{place}".rpartition(".")
    owner = resolve_name(above)
    real = getattr(owner, name)

    def faulty(*given: Any, **more: Any) -> Any:
        return planted(real, *given, **more)

    monkeypatch.setattr(owner, name, faulty)
    assert any(wrong in text for seed in range(110, 200) for text in Case(seed).judge())
