"""Deletes each thing that the contracts' rules do, and lists those that no broken client needs.

    python -m tests.tools.assertions                              # with the faults of the tests
    python -m tests.tools.assertions 'RolesContract.test_get$'    # of some rules alone

These things are the assertions: an `assert`, a block of `pytest.raises`, a call of a helper that
expects something. And what is asserted about: each call that is a statement, each argument, each
element of a list and each item of a dictionary. A broken client needs it if the client fails a
rule, and passes the rule without it: then a test is red if somebody deletes it. So is a test if
clients that keep the contract fail without it. A fault in the last call of a rule needs them all.
Exits with 1 if an assertion is unseen.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# A tree has nodes of any kind.

import argparse
import ast
import copy
import inspect
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from types import CodeType, ModuleType
from typing import Any, Final, NoReturn
from unittest import mock

import attrs
import pytest

from arize_roles_fake.contract import _any_client, _directory, _role_bindings, _roles, _suite
from tests.contract import faulty, test_assumptions, test_faults, test_other_clients
from tests.contract.suites import BlockSuite, contract_tests, failure
from tests.support.time_limit import TooLongError

MODULES: Final = (_suite, _any_client, _roles, _role_bindings, _directory)
LISTS: Final = ("_calls", "_calls_on", "_calls_at")
"""The functions besides the rules of which everything is deleted, and not only assertions."""
BLOCKS: Final = ("pytest.raises", "self._refused_if")
HELPERS: Final = ("self._all_raise", "self._all_invalid", "self._all_forbidden")
LONGEST: Final = 10.0
"""Seconds of work after which a rule has failed; what waits has the limit of its suite."""
PASSES: Final = "__import__('contextlib').suppress(Exception, __import__('pytest').fail.Exception)"
"""A block that cannot fail."""

ACHIEVED: Final = (AssertionError, pytest.fail.Exception, faulty.RefusedError)

Make = Callable[[], Any]
"""Makes a suite."""


@attrs.frozen(eq=False)
class Deletion:
    """A thing that a function does, and the function without it."""

    module: ModuleType
    owner: Any
    """The class or module of the function."""
    function: str
    without: CodeType
    line: int
    text: str
    is_assertion: bool

    def __str__(self) -> str:
        return f"{self.owner.__name__}.{self.function}:{self.line}: {self.text}"

    def fails(self, make: Make, rule: str) -> bool:
        """Return whether a rule fails without it."""
        made: dict[str, Any] = {}
        exec(self.without, vars(self.module), made)  # noqa: S102 - our own code
        kept = vars(self.owner)[self.function]
        with ExitStack() as stack:
            for place in {self.owner, *MODULES}:
                if vars(place).get(self.function) is kept:
                    stack.enter_context(
                        mock.patch.object(place, self.function, made[self.function])
                    )
            return ended(make, rule) is not None


def ended(make: Make, rule: str) -> BaseException | None:
    """Return how a rule fails; what hangs fails, too."""

    def stop(*_: object) -> NoReturn:
        raise TooLongError

    handler = signal.signal(signal.SIGPROF, stop)
    timer = signal.setitimer(signal.ITIMER_PROF, LONGEST)
    try:
        return failure(make(), rule)
    except pytest.skip.Exception:
        return None
    except (TooLongError, BaseExceptionGroup) as error:
        return error
    finally:
        signal.setitimer(signal.ITIMER_PROF, *timer)
        signal.signal(signal.SIGPROF, handler)


def functions() -> Iterator[tuple[ModuleType, Any, Any]]:
    """Yield each function of the contracts, with its module and its class or module."""
    for module in MODULES:
        for top in ast.parse(inspect.getsource(module)).body:
            owner = getattr(module, top.name) if isinstance(top, ast.ClassDef) else module
            for node in top.body if isinstance(top, ast.ClassDef) else [top]:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield module, owner, node


def deletions(module: ModuleType, owner: Any, function: Any) -> Iterator[Deletion]:  # noqa: ANN401
    """Yield what a function does, and whether a rule holds without it."""
    does_all = function.name.startswith("test_") or function.name in LISTS
    for number, node in enumerate(parts(function)):
        for name, at, each in children(node):
            if (is_assertion := asserts(each)) or (does_all and acts(node, name, each, at)):
                rest = copy.deepcopy(function)
                delete([*parts(rest)][number], name, at)
                tree = ast.fix_missing_locations(ast.Module([rest], []))
                code = compile(tree, str(module.__file__), "exec")
                text = ast.unparse(each).partition("\n")[0]
                place = (module, owner, function.name, code)
                yield Deletion(*place, each.lineno, text, is_assertion)


def parts(node: Any) -> Iterator[Any]:  # noqa: ANN401 - of any kind
    """Yield a node and all in it, without annotations and what no client asks."""
    yield node
    for name, _, each in children(node):
        if name not in {"annotation", "returns", "decorator_list", "slice"}:
            yield from parts(each)


def children(node: ast.AST) -> Iterator[tuple[str, int, Any]]:
    """Yield the nodes in a node, each with the name of its field and its place there."""
    for name, value in ast.iter_fields(node):
        for at, each in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(each, ast.AST):
                yield name, at, each


def asserts(node: Any) -> bool:  # noqa: ANN401 - of any kind
    match node:
        case ast.Assert():
            return True
        case ast.With(items=[ast.withitem(context_expr=ast.Call(func=called), optional_vars=None)]):
            # Of one that is bound to a name, something is asserted afterwards.
            return ast.unparse(called) in BLOCKS
        case ast.Expr(value=ast.Await(value=ast.Call(func=called)) | ast.Call(func=called)):
            return ast.unparse(called) in (*HELPERS, "pytest.fail")
        case _:
            return False


def acts(node: Any, name: str, each: Any, at: int) -> bool:  # noqa: ANN401 - of any kind
    """Return whether something of a node is a call, an argument, an element or an item."""
    match node, name:
        case ast.Call(), "args":
            return True
        case ast.Call(), "keywords":
            return each.arg not in {None, "strict"}
        case ast.Dict(keys=keys), "values":
            return keys[at] is not None
        case ast.Set() | ast.List(ctx=ast.Load()) | ast.Tuple(ctx=ast.Load()), "elts":
            return True
        case _:
            return isinstance(each, ast.Expr) and not isinstance(each.value, ast.Constant)


def delete(node: Any, name: str, at: int) -> None:  # noqa: ANN401 - of any kind
    """Delete something of a node; what it calls is still called, so that other calls stay alike."""
    among = getattr(node, name)
    if asserts(among[at]):
        among[at] = ast.With([ast.withitem(ast.parse(PASSES, mode="eval").body)], [among[at]])
    elif isinstance(among[at], ast.expr) and name in {"elts", "args"}:
        nothing: Any = ast.parse("*[0][:0],").body[0]
        nothing = nothing.value.elts[0]
        nothing.value.value.elts[:] = [among[at]]
        among[at] = nothing
    else:
        del among[at]
        if isinstance(node, ast.Dict):
            del node.keys[at]
        if name == "body" and not among:
            among.append(ast.Pass())


def judge(of: type, rule: str, left: set[Deletion], faults: Iterable[str]) -> None:
    """Take from `left` what clients with a fault need, or those that keep the contract."""
    others = filter(inspect.isclass, [BlockSuite, *vars(test_other_clients).values()])
    kept: list[Make] = [
        partial(faulty.suite, of, f"{word}; {faulty.NO_FAULT}") for word in faulty.SERVICES
    ]
    for make in kept + [each for each in others if issubclass(each, of) and each is not of]:
        assert ended(make, rule) is None, rule
        left -= {each for each in left if each.fails(make, rule)}
    broken: list[Make] = [make for make, name in test_assumptions.failing() if name == rule]
    broken = [make for make in broken if isinstance(make(), of)]
    broken += [partial(faulty.suite, of, fault) for fault in faults]
    for make in broken:
        # Any other error of the client is no achievement of a rule.
        if left and isinstance(ended(make, rule), ACHIEVED):
            left -= {each for each in left if not each.fails(make, rule)}


def unseen(pattern: str = "") -> list[Deletion]:
    """Return what rules do whose names have a pattern, and no client needs."""
    every = [*functions()]
    left = {
        each
        for module, owner, node in every
        if re.search(pattern, f"{owner.__name__}.{node.name}")
        for each in deletions(module, owner, node)
    }
    words = {node.name: {*re.findall(r"\w+", ast.unparse(node))} for *_, node in every}
    helpers = {name for name in words if not name.startswith("test_")}
    for contract, of in test_faults.CONTRACTS.items():
        owners = {*of.__mro__, *map(inspect.getmodule, of.__mro__)}
        for rule in contract_tests(of):
            names = {rule}
            for _ in range(3):  # A helper may call others.
                names |= helpers & {word for name in names for word in words[name]}
            own = {each for each in left if each.owner in owners and each.function in names}
            left -= own
            if own:
                judge(of, rule, own, test_faults.FAULTS[contract].get(rule, []))
            left |= own
    return sorted(left, key=str)


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.tools.assertions", description=__doc__)
    parser.add_argument("pattern", default="", nargs="?", help="of rules; others are left alone")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    left = unseen(chosen.pattern)
    count = sum(each.is_assertion for each in left)
    print(*left, f"{count} assertions unseen, and {len(left) - count} other things", sep="\n")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
