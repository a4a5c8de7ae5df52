"""FIDELITY.md says neither more nor less than the contract suite and the service of the fake."""

import re
from importlib.resources import files

from arize_roles_fake import contract

PACKAGE = files("arize_roles_fake")
FIDELITY = PACKAGE.joinpath("FIDELITY.md").read_text("utf-8")
SERVICE = PACKAGE.joinpath("_service.py").read_text("utf-8")


def test_it_names_every_contract_test_and_no_other() -> None:
    there = [name for name in dir(contract.RolesContract) if name.startswith("test_")]
    assert sorted(re.findall(r"`(test_\w+)`", FIDELITY)) == sorted(there)


def test_it_lists_every_assumption_of_the_service_and_no_other() -> None:
    comments = re.findall(r"# ASSUMED: (.*(?:\n +# (?!ASSUMED).*)*)", SERVICE)
    assumed = {re.sub(r"\s+# ", " ", comment).rstrip(".") for comment in comments}
    assert len(assumed) == 10
    assert set(re.findall(r"\| assumed: (.*?) \|", FIDELITY)) == assumed
