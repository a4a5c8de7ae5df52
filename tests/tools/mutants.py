"""Changes the code in small ways, and shows which changes the tests let through.

    python -m tests.tools.mutants                       # a sample of cosmic-ray's mutants
    python -m tests.tools.mutants --by-hand             # the faults of tests/data/faults.toml
    python -m tests.tools.mutants --only call.py --count 50

Each change is judged in a copy of the project by the tests that tests/data/judges.toml names for
its module; these have to pass without one. Exits with 1 where a change survives.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from fnmatch import fnmatch
from importlib import import_module
from itertools import islice
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any, Final

import attrs

from tests.support.processes import ROOT, ran

# It has no types.
_ast: Any = import_module("cosmic_ray.ast")
_mutating: Any = import_module("cosmic_ray.mutating")
_plugins: Any = import_module("cosmic_ray.plugins")

JUDGES: Final = "tests/data/judges.toml"
UNIONS: Final = "core/ReplaceBinaryOperator_BitOr_"
"""Operators that mostly change annotations, which no test runs."""
SUITE: Final = "arize_roles_fake/contract/"
SUITE_DATA: Final = ("core/NumberReplacer", "core/ReplaceBinaryOperator_", "core/ReplaceUnary")
"""Operators that only change what a suite asks with, such as how many roles it makes."""
TIMEOUT: Final = 60.0
"""Seconds after which the tests count as failed; a mutant may run for ever."""


@attrs.frozen
class Change:
    file: str
    what: str
    source: str | None
    """The source of the module with the change, or None where it does not fit."""

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def by_hand(root: Path) -> Iterator[Change]:
    """Yield the faults that somebody thought of: a text that stands once in a module."""
    faults: dict[str, dict[str, tuple[str, str]]] = tomllib.loads(
        (root / "tests/data/faults.toml").read_text("utf-8")
    )
    for file, by_promise in faults.items():
        source = (root / file).read_text("utf-8")
        for breaks, (before, after) in by_promise.items():
            changed = source.replace(before, after) if source.count(before) == 1 else None
            yield Change(file, breaks, changed)


def drawn(root: Path, files: Sequence[str], seed: int) -> Iterator[Change]:
    """Yield mutants at random, each of another line, since cosmic-ray offers dozens for some."""
    generator = random.Random(seed)  # noqa: S311 - a sample, no secret
    by_line: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for file in files:
        nodes = list(_ast.ast_nodes(_ast.get_ast_from_path(root / file)))
        for name in _plugins.operator_names():
            operator = _plugins.get_operator(name)
            is_data = file.startswith(SUITE) and name.startswith(SUITE_DATA)
            if not (operator.arguments() or name.startswith(UNIONS) or is_data):
                places = (
                    start for node in nodes for start, _ in operator().mutation_positions(node)
                )
                for occurrence, (line, _) in enumerate(places):
                    by_line.setdefault((file, line), []).append((name, occurrence))
    for file, line in generator.sample([*by_line], len(by_line)):
        name, occurrence = generator.choice(by_line[file, line])
        source = (root / file).read_text("utf-8")
        # Every test would catch what is no Python; cosmic-ray fails on an `except` with a dot.
        with suppress(SyntaxError, AttributeError):
            mutated = _mutating.mutate_code(source, _plugins.get_operator(name)(), occurrence)
            compile(str(mutated), file, "exec")
            yield Change(file, f"line {line}: {name} ({occurrence})", mutated)


def modules(root: Path) -> list[str]:
    """Return the paths of the modules of both packages."""
    return sorted(str(path.relative_to(root)) for path in root.glob("arize_roles_*/**/*.py"))


def judges(root: Path, file: str) -> list[str]:
    """Return the paths of the tests that judge a module; none is a `LookupError`."""
    named: dict[str, list[str]] = tomllib.loads((root / JUDGES).read_text("utf-8"))
    for pattern, tests in named.items():
        if fnmatch(file, pattern):
            return tests
    raise LookupError(f"{JUDGES} names no tests for {file}")


def _pass(folder: Path, *arguments: str) -> bool:
    """Return whether tests pass in a copy of the project."""
    # Coverage is not measured in the copies.
    environment = {k: v for k, v in os.environ.items() if k != "COVERAGE_PROCESS_CONFIG"}
    command = (sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider")
    with suppress(TimeoutExpired):
        done = ran(*command, *arguments, cwd=folder, env=environment, timeout=TIMEOUT)
        return done.returncode == 0
    return False


def _survives(root: Path, change: Change) -> bool:
    if change.source is None:
        return True
    with tempfile.TemporaryDirectory() as folder:
        ignored = shutil.ignore_patterns(".*", "__pycache__")
        shutil.copytree(root, folder, ignore=ignored, dirs_exist_ok=True)
        Path(folder, change.file).write_text(change.source, "utf-8")
        return _pass(Path(folder), *judges(root, change.file))


def judge(root: Path, changes: Sequence[Change], *, jobs: int = 1) -> int:
    """Judge changes, print what becomes of each, and return the number of survivors.

    It is a `RuntimeError` if the tests cannot be collected.
    """
    if not _pass(root, "--collect-only", *{x for each in changes for x in judges(root, each.file)}):
        raise RuntimeError("the tests cannot be collected without a change")
    with ThreadPoolExecutor(jobs) as pool:
        judged = {pool.submit(_survives, root, change): change for change in changes}
        for done in as_completed(judged):
            fits = "" if judged[done].source else " does not fit the source"
            print(f"{'SURVIVES' if done.result() else 'caught':9} {judged[done]}{fits}", flush=True)
    survivors = sum(done.result() for done in judged)
    print(f"{len(changes) - survivors} of {len(changes)} caught")
    return survivors


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.tools.mutants", description=__doc__)
    parser.add_argument("--by-hand", action="store_true", help="judge the faults of faults.toml")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--count", type=int, default=100, help="how many to draw")
    parser.add_argument("--only", default="", metavar="NAME", help="modules whose path ends so")
    parser.add_argument("--jobs", type=int, default=2, help="how many to judge at a time")
    chosen = parser.parse_args()
    if chosen.by_hand:
        changes = [fault for fault in by_hand(ROOT) if fault.file.endswith(chosen.only)]
    else:
        print(f"--seed {chosen.seed} --count {chosen.count}")
        files = [file for file in modules(ROOT) if file.endswith(chosen.only)]
        changes = [*islice(drawn(ROOT, files, chosen.seed), chosen.count)]
    return int(judge(ROOT, changes, jobs=chosen.jobs) > 0)


if __name__ == "__main__":
    sys.exit(main())
