"""Deletes each assertion of the contracts in turn, and lists those that no broken client needs.

    python -m tests.tools.assertions             # on the clients that the tests have
    python -m tests.tools.assertions --write     # adds faults to data/contract.toml, drops others

An assertion is an `assert`, a block of `pytest.raises`, or a call of a helper that expects
something. Its calls are still made if it is deleted. A client needs it if it fails a rule, and
passes the rule without the assertion: then a test is red if somebody deletes the assertion.
Exits with 1 if no client needs one.
"""

import argparse
import ast
import builtins
import functools
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, Final
from unittest import mock

import attrs
import pytest

Seen = AbstractSet[int]

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = "arize_roles_fake.contract"
FOLDER: Final = ROOT / "arize_roles_fake" / "contract"
BLOCKS: Final = ("pytest.raises", "self._refused_if")
HELPERS: Final = (
    *("self._all_raise", "self._all_invalid", "self._all_forbidden", "self._sees"),
    "pytest.fail",
)
MOST: Final = (6, 30)
"""Limits on the calls of a method in which the search for a fault breaks one, the first ones."""


@attrs.frozen
class Assertion:
    """One statement that can fail a rule, in a function of a file."""

    file: str
    function: str
    first: int
    last: int
    text: str

    def __str__(self) -> str:
        return f"{Path(self.file).relative_to(ROOT)}:{self.first}: {self.text}"


class _Deletable(ast.NodeTransformer):
    """Puts each assertion into a block."""

    def __init__(self, file: str, assertions: list[Assertion]) -> None:
        self._file = file
        self._assertions = assertions
        self._function = ""

    def visit(self, node: ast.AST) -> ast.AST:
        outer = self._function
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not outer:
            self._function = node.name
        self.generic_visit(node)
        if isinstance(node, ast.stmt) and is_assertion(node):
            text, last = ast.unparse(node).partition("\n")[0], node.end_lineno or 0
            made = Assertion(self._file, self._function, node.lineno, last, text)
            self._assertions.append(made)
            block = f"with __deletable__({len(self._assertions) - 1}): pass"
            kept: Any = ast.parse(block).body[0]
            for each in ast.walk(kept):
                ast.copy_location(each, node)
            kept.body = [node]
            node = kept
        self._function = outer
        return node


def is_assertion(node: ast.stmt) -> bool:
    match node:
        case ast.Assert():
            return True
        case ast.With(items=[ast.withitem(context_expr=ast.Call(func=called), optional_vars=None)]):
            # Of one that is bound to a name, something is asserted afterwards.
            return ast.unparse(called) in BLOCKS
        case ast.Expr(value=ast.Await(value=ast.Call(func=called)) | ast.Call(func=called)):
            return ast.unparse(called) in HELPERS
        case _:
            return False


def make_deletable(
    assertions: list[Assertion], block: Callable[[int], AbstractContextManager[object]]
) -> None:
    """Put blocks around the assertions in the modules of the contracts that are imported later."""
    real = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, fullname: str) -> CodeType | None:
        if fullname.rpartition(".")[0] != PACKAGE:
            return real(loader, fullname)
        file = str(FOLDER / Path(loader.path).name)
        tree = ast.parse(Path(file).read_text("utf-8"))
        _Deletable(file, assertions).visit(tree)  # It changes the tree in place.
        return compile(tree, file, "exec")

    setattr(builtins, "__deletable__", block)  # noqa: B010 - it has no such name
    mock.patch.object(SourceFileLoader, "get_code", get_code).start()


class Judge:
    """Runs rules on broken clients, with and without an assertion."""

    def __init__(self) -> None:
        self.assertions: list[Assertion] = []
        self._deleted: int | None = None
        make_deletable(self.assertions, self._block)
        # What these import is deletable only now.
        from tests.contract import faulty, test_assumptions, test_broken_clients, test_faults
        from tests.contract.suites import contract_tests

        self._faulty: Any = faulty
        self._by_hand = [*test_broken_clients.failing(), *test_assumptions.failing()]
        self.listed: dict[str, dict[str, list[str]]] = test_faults.FAULTS
        self.contracts: dict[str, type] = {each.__name__: each for each in faulty.SUITES}
        self.rules = [
            (name, rule) for name, of in self.contracts.items() for rule in contract_tests(of)
        ]

    def _block(self, number: int) -> AbstractContextManager[object]:
        """Return a block around an assertion, which cannot fail once it is deleted."""
        if number != self._deleted:
            return nullcontext()
        return suppress(Exception, pytest.fail.Exception)

    def needed_by_hand(self) -> set[int]:
        """Return the assertions that the clients and services need which people wrote."""
        return {each for make, rule in self._by_hand for each in self._needed(make, rule)}

    def needed(self, contract: str, rule: str, fault: str, known: Seen = frozenset()) -> set[int]:
        """Return the assertions that a client with a fault needs, without the known ones."""
        make = functools.partial(self._faulty.suite, self.contracts[contract], fault)
        return self._needed(make, rule, known)

    def search(self, contract: str, rule: str, seen: set[int]) -> Iterator[str]:
        """Yield faults of clients that need assertions of a rule which are not in `seen`.

        These are added to `seen`.
        """
        of = self.contracts[contract]
        # Not that of the class, which is the one from where it is imported.
        module = getattr(of, rule).__module__
        place = (str(FOLDER / f"{module.rpartition('.')[2]}.py"), rule)
        own = {n for n, each in enumerate(self.assertions) if (each.file, each.function) == place}
        for fault in (each for most in MOST for each in self._faulty.faults(of, rule, most)):
            if own <= seen:
                return
            if needed := self.needed(contract, rule, fault, seen):
                seen |= needed
                yield fault

    def _needed(self, make: Callable[[], Any], rule: str, known: Seen = frozenset()) -> set[int]:
        failure = self._faulty.failure(make(), rule)
        if not isinstance(failure, AssertionError | pytest.fail.Exception):
            return set()  # An error of the client is no achievement of an assertion.
        trace = traceback.extract_tb(failure.__traceback__)
        needed: set[int] = set()
        for number, each in enumerate(self.assertions):
            if number not in known and any(
                each.file == frame.filename and each.first <= (frame.lineno or 0) <= each.last
                for frame in trace
            ):
                self._deleted = number
                if self._faulty.failure(make(), rule) is None:
                    needed.add(number)
                self._deleted = None
        return needed


judge: Final = functools.cache(Judge)


def as_toml(rows: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """Return the faults of each rule as the text of data/contract.toml."""
    lines = ["# Faults of clients that each rule has to see; see tests/contract/faulty.py."]
    for contract in judge().contracts:
        lines += ["", f"[{contract}]"]
        for (of, rule), faults in rows.items():
            if of == contract and faults:
                lines.append(f"{rule} = [" + ", ".join(f'"{each}"' for each in faults) + "]")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.tools.assertions", description=__doc__)
    parser.add_argument("--write", action="store_true", help="look for faults, and write them")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    seen = judge().needed_by_hand()
    rows: dict[tuple[str, str], list[str]] = {}
    for contract, rule in judge().rules:
        found = rows[contract, rule] = []
        for fault in judge().listed.get(contract, {}).get(rule, []):
            if needed := judge().needed(contract, rule, fault, seen):
                found.append(fault)
                seen |= needed
    if chosen.write:
        for (contract, rule), found in rows.items():
            found.extend(judge().search(contract, rule, seen))
        (ROOT / "tests" / "data" / "contract.toml").write_text(as_toml(rows), "utf-8")
    left = [each for number, each in enumerate(judge().assertions) if number not in seen]
    for each in left:
        print(each)
    print(f"{len(left)} of {len(judge().assertions)} assertions can be deleted unseen")
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(main())
