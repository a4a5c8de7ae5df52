"""FIDELITY.md says neither more nor less than the contract suite and the assumptions."""

import re
from importlib.resources import files

import attrs

import arize_roles_fake
from arize_roles_fake import Assumptions, contract
from tests.support.modules import modules_of

FIDELITY = files("arize_roles_fake").joinpath("FIDELITY.md").read_text("utf-8")


def test_contract_tests() -> None:
    """It names every test of each contract, and no other."""
    before, _, rest = FIDELITY.partition("\n## Role bindings\n")
    of_any = before.partition("\n## Any client\n")[2]
    of_bindings, _, of_directory = rest.partition("\n## Users, spaces and projects\n")
    for text, suite in (
        (before, contract.RolesContract),
        (of_any + of_bindings, contract.RoleBindingsContract),
        (of_any + of_directory, contract.DirectoryContract),
    ):
        there = [name for name in dir(suite) if name.startswith("test_")]
        assert {*re.findall(r"`(test_\w+)`", text)} == {*there}


def test_assumptions() -> None:
    """It names every assumption with its default, and no other."""
    assumed = re.findall(r"\| assumed: `(\w+)=([\w-]+)` \|", FIDELITY)
    assert len(assumed) == 18
    assert dict(assumed) == {
        name: str(value) for name, value in attrs.asdict(Assumptions()).items()
    }


def test_code() -> None:
    """The code that it names as the place of a rule is there."""
    named: dict[str, object] = {}
    for module in modules_of(arize_roles_fake):
        named |= {module.__name__.rpartition(".")[2]: module, **vars(module)}
    rows = re.findall(r"^\|[^|]+\|[^|]+\|([^|]+)\|", FIDELITY, re.MULTILINE)
    places = [place for row in rows for place in re.findall(r"`([\w.]+)`", row)]
    assert len(places) > 20
    for place in places:
        found: object = None
        for name in place.split("."):
            found = named[name] if found is None else getattr(found, name)
