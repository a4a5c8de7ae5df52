"""Deletes each thing that the contracts' rules do, and lists those that no broken client needs.

    python -m tests.tools.assertions             # on the clients that the tests have
    python -m tests.tools.assertions --write     # adds faults to data/contract.toml, drops others

These things are the assertions: an `assert`, a block of `pytest.raises`, a call of a helper that
expects something. And what is asserted about: each call that is a statement, each named argument,
each element of a list and each item of a dictionary. Its value is still computed if it is deleted.
A broken client needs it if the client fails a rule, and passes the rule without it: then a test is
red if somebody deletes it. So is a test if clients that keep the contract fail without it.
Exits with 1 if no client needs one of the assertions.
"""

import argparse
import ast
import builtins
import functools
import json
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, Final, NoReturn
from unittest import mock

import attrs
import pytest

from tests.support.time_limit import TooLongError

Seen = AbstractSet[int]

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = "arize_roles_fake.contract"
FOLDER: Final = ROOT / "arize_roles_fake" / "contract"
BLOCKS: Final = ("pytest.raises", "self._refused_if")
HELPERS: Final = (
    *("self._all_raise", "self._all_invalid", "self._all_forbidden", "self._sees"),
    "pytest.fail",
)
LISTS: Final = ("_calls", "_calls_on", "_calls_at")
"""The functions besides the rules whose lists are the rules' own."""
MOST: Final = (6, 30)
"""Limits on the calls of a method in which the search for a fault breaks one, the first ones."""


_LONGEST: Final = 10.0


@attrs.frozen
class Deletion:
    """A thing that a function of a file does, and that can be deleted."""

    file: str
    function: str
    first: int
    last: int
    text: str
    is_assertion: bool

    def __str__(self) -> str:
        return f"{Path(self.file).relative_to(ROOT)}:{self.first}: {self.text}"


class _Deletable(ast.NodeTransformer):
    """Lets the rules ask at each thing that they do whether it is deleted."""

    def __init__(self, file: str, source: str, deletions: list[Deletion]) -> None:
        self._file = file
        self._source = source
        self._deletions = deletions
        self._function = ""

    def visit(self, node: ast.AST) -> Any:  # noqa: ANN401 - as its base
        seen = super().visit(node)
        if not isinstance(node, ast.stmt) or not self._function:
            return seen
        if is_assertion(node):
            return self._around(node, "with __block__({}): pass", is_assertion=True)
        is_call = isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
        return self._around(node, "if __kept__({}): pass") if is_call and self._is_rule else seen

    @property
    def _is_rule(self) -> bool:
        return self._function.startswith("test_") or self._function in LISTS

    def visit_FunctionDef(self, node: Any) -> Any:  # noqa: ANN401 - as its base
        outer, self._function = self._function, self._function or node.name
        node.body = [self.visit(each) for each in node.body]
        self._function = outer
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - as its base

    def visit_AnnAssign(self, node: Any) -> Any:  # noqa: ANN401 - as its base
        node.value = node.value and self.visit(node.value)
        return node

    def visit_Subscript(self, node: Any) -> Any:  # noqa: ANN401 - as its base
        node.value = self.visit(node.value)
        return node

    def visit_Tuple(self, node: Any) -> Any:  # noqa: ANN401 - as its base
        self.generic_visit(node)
        if self._is_rule and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            node.elts = [self._asked("*__elements__({}, [0])", each, each) for each in node.elts]
        return node

    visit_List = visit_Set = visit_Tuple  # noqa: N815 - as its base

    def visit_Call(self, node: Any) -> Any:  # noqa: ANN401 - as its base
        self.generic_visit(node)
        if self._is_rule and ast.unparse(node.func) != "zip":
            for each in node.keywords:
                if each.arg is not None:
                    call = f"__item__({{}}, {each.arg!r}, 0)"
                    each.arg, each.value = None, self._asked(call, each.value, each)
        return node

    def visit_Dict(self, node: Any) -> Any:  # noqa: ANN401 - as its base
        self.generic_visit(node)
        for number, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
            if self._is_rule and key is not None:
                made = self._asked("__item__({}, 0, 0)", value, key)
                made.args[1] = key
                node.keys[number], node.values[number] = None, made
        return node

    def _number(self, node: Any, *, is_assertion: bool = False) -> int:  # noqa: ANN401
        place = (self._file, self._function, node.lineno, node.end_lineno)
        text = str(ast.get_source_segment(self._source, node)).partition("\n")[0]
        self._deletions.append(Deletion(*place, text, is_assertion))
        return len(self._deletions) - 1

    def _around(self, node: ast.stmt, block: str, *, is_assertion: bool = False) -> ast.stmt:
        number = self._number(node, is_assertion=is_assertion)
        kept: Any = ast.parse(block.format(number)).body[0]
        for each in ast.walk(kept):
            ast.copy_location(each, node)
        kept.body = [node]
        made: ast.stmt = kept
        return made

    def _asked(self, call: str, node: Any, place: ast.AST) -> Any:  # noqa: ANN401 - of any kind
        """Return a call in which the last 0 is an expression."""
        number = self._number(place)
        # In a list, for a star stands in no other place.
        tree: Any = ast.parse(f"[{call.format(number)}]", mode="eval")
        made: Any = tree.body.elts[0]
        for each in ast.walk(made):
            ast.copy_location(each, node)
        inner: Any = made.value if made.__class__ is ast.Starred else made
        if isinstance(inner.args[-1], ast.List):
            inner.args[-1].elts = [node]
        else:
            inner.args[-1] = node
        return made


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


def make_deletable(deletions: list[Deletion], is_deleted: Callable[[int], bool]) -> None:
    """Let the modules of the contracts that are imported later ask what is deleted."""
    real = SourceFileLoader.get_code

    def is_kept(number: int) -> bool:
        return not is_deleted(number)

    def block(number: int) -> AbstractContextManager[object]:
        # It cannot fail once it is deleted; what it calls is still called.
        return nullcontext() if is_kept(number) else suppress(Exception, pytest.fail.Exception)

    def elements(number: int, values: list[object]) -> list[object]:
        return values if is_kept(number) else []

    def item(number: int, name: object, value: object) -> dict[object, object]:
        return {name: value} if is_kept(number) else {}

    asked = {"__kept__": is_kept, "__block__": block, "__elements__": elements, "__item__": item}

    def get_code(loader: SourceFileLoader, fullname: str) -> CodeType | None:
        if fullname.rpartition(".")[0] != PACKAGE:
            return real(loader, fullname)
        file = str(FOLDER / Path(loader.path).name)
        source = Path(file).read_text("utf-8")
        tree = ast.parse(source)
        _Deletable(file, source, deletions).visit(tree)  # It changes the tree in place.
        return compile(ast.fix_missing_locations(tree), file, "exec")

    for name, function in asked.items():
        setattr(builtins, name, function)
    mock.patch.object(SourceFileLoader, "get_code", get_code).start()


def _as_it_is(made: object) -> object:
    return made


def _stop(*_: object) -> NoReturn:
    raise TooLongError


class Judge:
    """Runs rules on broken clients, with and without one thing that the rules do."""

    def __init__(self) -> None:
        signal.signal(signal.SIGALRM, _stop)
        self.deletions: list[Deletion] = []
        self._deleted: int | None = None
        make_deletable(self.deletions, lambda number: number == self._deleted)
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

    def needed_by_hand(self, rules: AbstractSet[str]) -> set[int]:
        """Return what the clients and services need which people wrote."""
        failing = [(make, rule) for make, rule in self._by_hand if rule in rules]
        of = {
            rule: {n for n, each in enumerate(self.deletions) if each.function == rule}
            for _, rule in failing
        }
        return {n for make, rule in failing for n in self._needed(make, rule, own=of[rule])}

    def needed_by_all(self, contract: str, rule: str, known: Seen) -> set[int]:
        """Return what a rule needs to hold for clients that keep the contract."""
        make = self._maker(contract, "")
        done = {n for n in self._own(contract, rule) if not self.deletions[n].is_assertion}
        return {number for number in done - known if self._fails(make, rule, number)}

    def needed(self, contract: str, rule: str, fault: str, known: Seen = frozenset()) -> set[int]:
        """Return what a client with a fault needs, without what is known."""
        return self._needed(self._maker(contract, fault), rule, known, self._own(contract, rule))

    def search(self, contract: str, rule: str, seen: set[int]) -> Iterator[str]:
        """Yield faults of clients that need what a rule does and is not in `seen`.

        It is added to `seen`.
        """
        own = self._own(contract, rule)
        of = self.contracts[contract]
        for number in sorted(own):
            if number not in seen:
                for fault in self._about(contract, rule, number):
                    needed = self.needed(contract, rule, fault, seen)
                    seen |= needed
                    if needed:
                        yield fault
                    if number in seen:
                        break
        asserted = {number for number in own if self.deletions[number].is_assertion}
        for fault in (each for most in MOST for each in self._faulty.faults(of, rule, most)):
            if asserted <= seen:
                return
            if needed := self.needed(contract, rule, fault, seen):
                seen |= needed
                yield fault

    def _about(self, contract: str, rule: str, number: int) -> Iterator[str]:
        """Yield the faults that a client can have in calls that are only made for one thing."""
        calls: list[dict[str, list[str]]] = []
        for deleted in (None, number):
            made = self._maker(contract, "")()
            self._fails(functools.partial(_as_it_is, made), rule, deleted)
            calls.append(made.script.shown)
        whole, without = calls
        yield from (
            f"{name}: {way}" for name in whole if name not in without for way in whole[name]
        )

    def done_by(self, rules: list[tuple[str, str]]) -> set[int]:
        """Return what some rules do; of all rules, with the assertions of what they call."""
        done = {number for each in rules for number in self._own(*each)}
        helpers = {n for n, each in enumerate(self.deletions) if each.is_assertion}
        return done | helpers if rules == self.rules else done

    def _maker(self, contract: str, fault: str) -> Callable[[], Any]:
        return functools.partial(self._faulty.suite, self.contracts[contract], fault)

    def _own(self, contract: str, rule: str) -> set[int]:
        """Return what a rule does itself, and for some rules the lists of its contract."""
        of = self.contracts[contract]
        # Not that of the class, which is the one from where it is imported.
        module = getattr(of, rule).__module__
        places = {(module, rule)}
        if module.endswith("_suite"):
            places |= {(of.__module__, name) for name in LISTS}
        files = {(str(FOLDER / f"{where.rpartition('.')[2]}.py"), name) for where, name in places}
        return {n for n, each in enumerate(self.deletions) if (each.file, each.function) in files}

    def _fails(self, make: Callable[[], Any], rule: str, deleted: int | None) -> bool:
        self._deleted = deleted
        # What hangs fails: every test has a limit.
        signal.setitimer(signal.ITIMER_REAL, _LONGEST)
        try:
            return self._faulty.failure(make(), rule) is not None
        except TooLongError:
            return True
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._deleted = None

    def _needed(
        self, make: Callable[[], Any], rule: str, known: Seen = frozenset(), own: Seen = frozenset()
    ) -> set[int]:
        failure = self._faulty.failure(make(), rule)
        if not isinstance(failure, AssertionError | pytest.fail.Exception):
            return set()  # An error of the client is no achievement of a rule.
        trace = traceback.extract_tb(failure.__traceback__)
        failed = {
            number
            for number, each in enumerate(self.deletions)
            if each.is_assertion
            and any(
                each.file == frame.filename and each.first <= (frame.lineno or 0) <= each.last
                for frame in trace
            )
        }
        done = {number for number in own if not self.deletions[number].is_assertion}
        return {number for number in (failed | done) - known if not self._fails(make, rule, number)}


judge: Final = functools.cache(Judge)


def as_text(fault: str) -> str:
    """Return a fault as a string of TOML."""
    return json.dumps(fault, ensure_ascii=False)


def as_toml(rows: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """Return the faults of each rule as the text of data/contract.toml."""
    lines = ["# Faults of clients that each rule has to see; see tests/contract/faulty.py."]
    for contract in judge().contracts:
        lines += ["", f"[{contract}]"]
        for (of, rule), faults in rows.items():
            if of == contract and faults:
                lines.append(f"{rule} = [" + ", ".join(map(as_text, faults)) + "]")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.tools.assertions", description=__doc__)
    parser.add_argument("--write", action="store_true", help="look for faults, and write them")
    parser.add_argument(
        "--rule", default="", help="a pattern of rules; others are left as they are"
    )
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    rules = [each for each in judge().rules if re.search(chosen.rule, ".".join(each))]
    rows = {each: judge().listed.get(each[0], {}).get(each[1], []) for each in judge().rules}
    seen = judge().needed_by_hand({rule for _, rule in rules})
    for contract, rule in rules:
        found: list[str] = []
        seen |= judge().needed_by_all(contract, rule, seen)
        for fault in rows[contract, rule]:
            if needed := judge().needed(contract, rule, fault, seen):
                found.append(fault)
                seen |= needed
        if chosen.write:
            rows[contract, rule] = [*found, *judge().search(contract, rule, seen)]
            (ROOT / "tests" / "data" / "contract.toml").write_text(as_toml(rows), "utf-8")
    of_rules = judge().done_by(rules)
    left = [judge().deletions[number] for number in sorted(of_rules - seen)]
    for each in left:
        print(each)
    asserts = sum(each.is_assertion for each in left)
    print(f"{asserts} assertions can be deleted unseen, and {len(left) - asserts} other things")
    return int(bool(asserts))


if __name__ == "__main__":
    sys.exit(main())
