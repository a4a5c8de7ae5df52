"""FIDELITY.md says neither more nor less than the contract suite and the assumptions."""

import re
from importlib.resources import files

import attrs

from arize_roles_fake import Assumptions, contract

FIDELITY = files("arize_roles_fake").joinpath("FIDELITY.md").read_text("utf-8")


def test_contract_tests() -> None:
    """It names every contract test, and no other."""
    there = [name for name in dir(contract.RolesContract) if name.startswith("test_")]
    assert sorted(re.findall(r"`(test_\w+)`", FIDELITY)) == sorted(there)


def test_assumptions() -> None:
    """It names every assumption with its default, and no other."""
    assumed = re.findall(r"\| assumed: `(\w+)=([\w-]+)` \|", FIDELITY)
    assert len(assumed) == 13
    assert dict(assumed) == {
        name: str(value) for name, value in attrs.asdict(Assumptions()).items()
    }
