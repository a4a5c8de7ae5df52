"""Changes the code in small ways, and shows which changes the tests let through.

    python -m tests.tools.mutants                       # a sample of cosmic-ray's mutants
    python -m tests.tools.mutants --by-hand             # the faults of tests/data/faults.toml
    python -m tests.tools.mutants --only call.py --count 50

Each mutant is judged in a copy of the project by the tests that tests/data/judges.toml names for
its module; these have to pass without one. Exits with 1 where a mutant survives.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import chdir
from fnmatch import fnmatch
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final

import attrs

from tests.support.processes import ROOT

# It has no types.
_ast: Any = import_module("cosmic_ray.ast")
_mutating: Any = import_module("cosmic_ray.mutating")
_plugins: Any = import_module("cosmic_ray.plugins")
_testing: Any = import_module("cosmic_ray.testing")

PACKAGES: Final = ("arize_roles_async", "arize_roles_fake")
JUDGES: Final = "tests/data/judges.toml"
SUITE: Final = "arize_roles_fake/contract/"
SUITE_DATA: Final = ("core/NumberReplacer", "core/ReplaceBinaryOperator_", "core/ReplaceUnary")
"""Operators that only change what a suite asks with, such as how many roles it makes."""
UNIONS: Final = "core/ReplaceBinaryOperator_BitOr_"
"""Operators that mostly change annotations, which no test runs."""
TIMEOUT: Final = 60.0
"""Seconds after which the tests count as failed; a mutant may run for ever."""


@attrs.frozen
class Fault:
    """A fault that somebody thought of: a text that stands once in a module, and another one."""

    breaks: str
    """The promise that no longer holds."""
    file: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.file}: {self.breaks}"

    def into(self, source: str) -> str | None:
        """Return the source of the module with the fault, or None where it does not fit."""
        return source.replace(self.before, self.after) if source.count(self.before) == 1 else None


@attrs.frozen
class Mutant:
    """A change of a line that an operator of cosmic-ray offers."""

    file: str
    operator: str
    occurrence: int
    """Its place among the changes that the operator offers there."""
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.operator} ({self.occurrence})"

    def into(self, source: str) -> str | None:
        """Return the source of the module with the change, or None where it does not fit."""
        operator = _plugins.get_operator(self.operator)()
        mutated: str | None = _mutating.mutate_code(source, operator, self.occurrence)
        return mutated


def modules(root: Path) -> list[str]:
    """Return the paths of the modules of both packages."""
    paths = (path for package in PACKAGES for path in (root / package).rglob("*.py"))
    return sorted(path.relative_to(root).as_posix() for path in paths)


def compiles(root: Path, mutant: Mutant) -> bool:
    """Return whether a mutant is Python; another is no fault, and every test would catch it."""
    try:
        mutated = mutant.into((root / mutant.file).read_text("utf-8"))
        compile(str(mutated), mutant.file, "exec")
    except (SyntaxError, AttributeError):
        # cosmic-ray itself fails on an `except` of a name with a dot.
        return False
    return True


def mutants(root: Path, file: str) -> Iterator[Mutant]:
    """Yield every change that cosmic-ray offers in a module."""
    nodes = list(_ast.ast_nodes(_ast.get_ast_from_path(root / file)))
    for name in _plugins.operator_names():
        operator = _plugins.get_operator(name)
        is_data = file.startswith(SUITE) and name.startswith(SUITE_DATA)
        if operator.arguments() or name.startswith(UNIONS) or is_data:
            continue
        places = (start for node in nodes for start, _ in operator().mutation_positions(node))
        for occurrence, (line, _) in enumerate(places):
            yield Mutant(file, name, occurrence, line)


def draw(root: Path, files: Sequence[str], count: int, generator: random.Random) -> list[Mutant]:
    """Draw mutants that compile at random, each of another line, since some lines offer dozens."""
    by_line: dict[tuple[str, int], list[Mutant]] = {}
    for file in files:
        for mutant in mutants(root, file):
            by_line.setdefault((file, mutant.line), []).append(mutant)
    lines = generator.sample([*by_line], len(by_line))
    drawn = (generator.choice(by_line[line]) for line in lines)
    return list(islice((mutant for mutant in drawn if compiles(root, mutant)), count))


def by_hand(root: Path) -> list[Fault]:
    data = tomllib.loads((root / "tests/data/faults.toml").read_text("utf-8"))
    return [Fault(**fault) for fault in data["fault"]]


def judges(root: Path, file: str) -> list[str]:
    """Return the paths of the tests that judge a module; none is a `LookupError`."""
    named: dict[str, list[str]] = tomllib.loads((root / JUDGES).read_text("utf-8"))
    for pattern, tests in named.items():
        if fnmatch(file, pattern):
            return tests
    raise LookupError(f"{JUDGES} names no tests for {file}")


def _run(tests: Sequence[str], folder: str | Path, seconds: float) -> tuple[bool, str]:
    """Return whether tests pass in a copy of the project, and the end of what they print."""
    # Coverage is not measured in the copies.
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    command = f"{sys.executable} -m pytest -x -q --tb=no -p no:cacheprovider {' '.join(tests)}"
    with chdir(folder):
        outcome, output = _testing.run_tests(command, seconds)
    return outcome.value == "survived", output.strip().rpartition("\n")[2]


def _judge(root: Path, change: Fault | Mutant, until: float) -> tuple[bool, str]:
    """Return whether a change survives in a copy of the project, and what the tests said.

    When the time is over, it ends; nobody waits for the result then.
    """
    with tempfile.TemporaryDirectory() as folder:
        ignored = shutil.ignore_patterns(".*", "__pycache__")
        shutil.copytree(root, folder, ignore=ignored, dirs_exist_ok=True)
        module = Path(folder, change.file)
        changed = change.into(module.read_text("utf-8"))
        if changed is None:
            return True, "it does not fit the source"
        module.write_text(changed, "utf-8")
        seconds = min(TIMEOUT, max(0.1, until - time.monotonic()))
        return _run(judges(root, change.file), folder, seconds)


def judge_all(
    root: Path, changes: Sequence[Fault | Mutant], *, jobs: int = 1, seconds: float = 3600.0
) -> int:
    """Judge changes until the time is over, print what becomes of each, and return the survivors.

    It is a `RuntimeError` if the tests cannot be collected.
    """
    until = time.monotonic() + seconds
    survivors = judged = 0
    with ProcessPoolExecutor(jobs) as pool:
        named = sorted({test for change in changes for test in judges(root, change.file)})
        passed, said = pool.submit(_run, ["--collect-only", *named], root, TIMEOUT).result()
        if not passed:
            raise RuntimeError(f"the tests cannot be collected without a change: {said}")
        waiting = {pool.submit(_judge, root, change, until): change for change in changes}
        try:
            for done in as_completed(waiting, timeout=max(0.0, until - time.monotonic())):
                survives, said = done.result()
                judged, survivors = judged + 1, survivors + survives
                print(f"{'SURVIVES' if survives else 'caught':9} {waiting[done]}  {said}")
        except TimeoutError:
            pool.shutdown(cancel_futures=True)
    print(f"{judged - survivors} of {judged} caught, {len(changes) - judged} not judged")
    return survivors


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.tools.mutants", description=__doc__)
    parser.add_argument("--by-hand", action="store_true", help="judge the faults of faults.toml")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--count", type=int, default=100, help="how many to draw")
    parser.add_argument("--only", default="", metavar="NAME", help="modules whose path ends so")
    parser.add_argument("--jobs", type=int, default=2, help="how many to judge at a time")
    parser.add_argument("--seconds", type=float, default=3600.0, help="when to stop")
    chosen = parser.parse_args()
    changes: list[Fault | Mutant]
    if chosen.by_hand:
        changes = [fault for fault in by_hand(ROOT) if fault.file.endswith(chosen.only)]
    else:
        print(f"--seed {chosen.seed} --count {chosen.count}")
        files = [file for file in modules(ROOT) if file.endswith(chosen.only)]
        generator = random.Random(chosen.seed)  # noqa: S311 - a sample, no secret
        changes = [*draw(ROOT, files, chosen.count, generator)]
    return int(judge_all(ROOT, changes, jobs=chosen.jobs, seconds=chosen.seconds) > 0)


if __name__ == "__main__":
    sys.exit(main())
