"""The contract holds whichever the service turns out to be, and says where it is another."""

import functools
import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from importlib.resources import files
from itertools import permutations, product
from random import Random
from typing import Any, Final

import pytest

from arize_roles_async import Permission
from arize_roles_fake import Assumptions, FakeAccount
from arize_roles_fake.contract import OnFakeAccount
from tests.contract.suites import (
    FakeBindingsSuite,
    FakeDirectorySuite,
    FakeSuite,
    SocketBindingsSuite,
    SocketDirectorySuite,
    SocketSuite,
    contract_tests,
    failure,
)
from tests.support import sizes
from tests.support.serving import Served, serving

CHOICES: Final[dict[str, tuple[Any, ...]]] = dict(Assumptions.choices())
OPPOSITE: Final = Assumptions(**{name: values[-1] for name, values in CHOICES.items()})
EACH: Final = [
    Assumptions(**{name: values[row] for name, values in CHOICES.items() if row < len(values) - 1})
    for row in range(1, max(map(len, CHOICES.values())) - 1)
]
"""Every value but the defaults, on which other suites run, and the opposites."""
_DRAWN: Final = Random(0)  # noqa: S311 - no secret
ANY: Final = [
    Assumptions(**{name: _DRAWN.choice(values) for name, values in CHOICES.items()})
    for _ in range(60)
]
ROWS: Final = sizes.sized([*EACH, OPPOSITE], [*EACH, OPPOSITE, *ANY])


class TestEach(FakeSuite):
    """The fake client, on those values; with `--full`, also on sixty draws of all."""

    @pytest.fixture(params=ROWS, ids=range(len(ROWS)), autouse=True)
    def assume(self, request: pytest.FixtureRequest) -> None:
        self.assumptions = request.param


class TestOppositeOfBindings(FakeBindingsSuite):
    """The fake client of bindings, on the opposite of every assumption."""

    assumptions = OPPOSITE


class OnServed(OnFakeAccount):
    """The account of the command `serve`, of which `account` is the twin with the same IDs."""

    served: Served

    @functools.cached_property
    def url(self) -> str:
        return self.served.url

    def other_key(
        self,
        *,
        grants: Iterable[Permission] | None = None,
        on: Mapping[str, Iterable[Permission]] | None = None,
    ) -> str:
        key = super().other_key(grants=grants, on=on)
        grants_on = json.loads(self.account.dump())["keys"][key]
        assert self.served.ask("POST", "/-/keys", {"key": key, **grants_on})[0] == 204
        return key

    async def post_role(self, body: Mapping[str, object]) -> int:
        status, _ = self.served.ask("POST", "/v2/roles", body)
        return int(status)


class ServedRoles(OnServed, SocketSuite): ...


class ServedBindings(OnServed, SocketBindingsSuite): ...


class ServedDirectory(OnServed, SocketDirectorySuite): ...


IN_PROCESS: Final[dict[type, type]] = {
    ServedRoles: FakeSuite,
    ServedBindings: FakeBindingsSuite,
    ServedDirectory: FakeDirectorySuite,
}


def named_in(text: str) -> dict[str, list[str]]:
    """Return the rules that the text names as those of each assumption."""
    rows = re.findall(r"^\|.*\| assumed: `(\w+)=\S+` \|.*\| (`test_.*) \|$", text, re.MULTILINE)
    return {name: re.findall(r"\w+", rules) for name, rules in rows}


PARTS: Final = re.split(
    "\n## Role bindings|\n## Users, spaces and projects",
    files("arize_roles_fake").joinpath("FIDELITY.md").read_text("utf-8"),
)
NAMED: Final = {suite: named_in(text) for suite, text in zip(IN_PROCESS, PARTS, strict=True)}
OTHERS: Final[list[tuple[type, str, Any]]] = [
    (suite, name, value)
    for suite, named in NAMED.items()
    for name in named
    for value in CHOICES[name][1:]
]
"""Each other value of an assumption, and the suite with the rules that state it."""
UNSERVED: Final = {"test_plan_used_up", "test_rate_limited", "test_undecodable"}
"""Rules that set up the twin, and not the account that is served."""


def test_all_stated() -> None:
    """Every assumption is stated by a rule of a contract."""
    assert {name for _, name, _ in OTHERS} == CHOICES.keys()


@pytest.fixture(scope="module")
def served() -> Generator[Served]:
    with serving("--control") as (url, _):
        yield Served(url)


@pytest.mark.parametrize(("suite", "name", "value"), OTHERS)
def test_other_service(suite: Any, name: str, value: Any, served: Served) -> None:  # noqa: ANN401
    """On a service of another kind, rules fail that name what it is not; the others hold.

    Where the suite assumes that kind, all hold.
    """
    turned = Assumptions(**{name: value})
    account = FakeAccount(
        assumptions=turned,
        api_key=f"key-of-{name}-{value}",
        users=("ada@example.com", "eve@example.com"),
        resources=("Space:ML", "Space:Ops", "Project:ML/churn"),
    )
    served = Served(served.url, account.api_key)
    assert Served(served.url).ask("POST", "/-/accounts", json.loads(account.dump()))[0] == 201
    rules = sizes.sized(NAMED[suite][name], [*{*contract_tests(suite)} - UNSERVED])

    def failures(assumptions: Assumptions) -> list[BaseException]:
        found: list[BaseException] = []
        for rule in rules:
            made = suite()
            made.account, made.served, made.assumptions = account, served, assumptions
            if error := failure(made, rule):
                found.append(error)
        return found

    assert failures(turned) == []
    different = failures(Assumptions())
    assert different
    for error in different:
        assert f"{name}={CHOICES[name][0]}" in error.__notes__[-1]


def on_other_service(suite: Any, service: Assumptions, assumed: Assumptions) -> Any:  # noqa: ANN401
    """Return a suite on a service that is not what it assumes."""
    other = suite()
    other.assumptions = service
    assert other.account
    other.assumptions = assumed
    return other


def failing() -> Iterator[tuple[Callable[[], object], str]]:
    """Yield suites on services that are not as assumed, with the tests that fail."""
    for suite, name, value in OTHERS:
        turned = Assumptions(**{name: value})
        for rule, pair in product(NAMED[suite][name], permutations((turned, Assumptions()))):
            yield functools.partial(on_other_service, IN_PROCESS[suite], *pair), rule
