"""Plants faults in both packages, one at a time, and tells which ones the tests let through.

`python -m tests.tools.planted` draws faults from the syntax of the modules, `--by-hand` takes
those of planted_by_hand.py. In a scratch copy, each meets the tests that run its line: the quick
ones first, and of these those of the contract and the golden ones. What they let through is
planted together at the end, and meets the tests that are left. What catches a fault is a test
that fails or takes too long, twice with the fault and never without it. Exits with 1 where a
fault survives.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import accumulate, chain, takewhile
from pathlib import Path
from typing import Final, Literal, NoReturn

import attrs

from tests.support.reach import RECORD, Reach, sources
from tests.tools.planted_by_hand import by_hand
from tests.tools.scratch import Failure, OutOfTimeError, Scratch
from tests.tools.syntax_faults import Fault, faults, is_another_program, lines_of_statement

ROOT: Final = Path(__file__).parents[2]
FIRST: Final = ("tests/contract/", "tests/client/test_golden.py")
# A suite of tests. What a weaker one lets through, tests/contract/test_broken_clients.py tells.
JUDGES: Final = {"arize_roles_fake/contract.py"}
# Its tests compare the modules' text with the faults by hand, which any fault makes differ.
NO_JUDGE: Final = "tests/packaging/test_planted.py"
# Seconds of a test that is run before slower ones.
QUICK: Final = 0.5
# Seconds of the tests that a fault meets alone, in all.
ALONE: Final = 40.0
# How long a test may take before it counts as failed: this, and so many times what it takes.
ALLOWANCE: Final = 30.0
SLOWER: Final = 5

Verdict = Literal[
    "contract, golden", "the rest", "too late", "survived", "survived so far", "not judged"
]
COLUMNS: Final[tuple[Verdict, ...]] = (
    "contract, golden",
    "the rest",
    "too late",
    "survived",
    "survived so far",
    "not judged",
)


@attrs.frozen
class Judgement:
    """What became of a fault, and the test that caught it, where pytest names one."""

    fault: Fault
    verdict: Verdict
    test: str = ""

    @property
    def is_survivor(self) -> bool:
        """Whether all tests that ran let it through."""
        return self.verdict in {"survived", "survived so far"}

    def __str__(self) -> str:
        return f"{self.verdict:>16}  {self.fault}" + (f"  by {self.test}" if self.test else "")


def draw(root: Path, generator: random.Random, *, count: int, only: str | None) -> list[Fault]:
    """Draw faults at random from all that the modules offer.

    Raises:
        ValueError: No module has the name.
    """
    texts = {path.relative_to(root).as_posix(): path.read_bytes() for path in sources(root)}
    texts = {file: text for file, text in texts.items() if file not in JUDGES}
    if only is not None:
        texts = {file: text for file, text in texts.items() if file.endswith(only)}
        if not texts:
            raise ValueError(f"no module is named {only!r}")
    offered = [fault for file, text in texts.items() for fault in faults(file, text)]
    generator.shuffle(offered)
    drawn = (fault for fault in offered if is_another_program(fault, texts[fault.file]))
    return [fault for fault, _ in zip(drawn, range(count), strict=False)]


def likely(fault: Fault, source: bytes, reach: Reach) -> list[str]:
    """Return the tests that run a fault's line, in the order in which it meets them."""
    lines, at_import = lines_of_statement(source, fault.line)
    near = reach.tests_of_file(fault.file) if at_import else reach.tests(fault.file, lines)
    # The contract's tests are inherited by many classes: first each of them once.
    names: set[str] = set()
    order: list[tuple[int, float, str]] = []
    for test in sorted(near, key=lambda test: reach.seconds[test]):
        name = test.rpartition("::")[2]
        is_first = test.startswith(FIRST) and name not in names
        if is_first:
            names.add(name)
        seconds = reach.seconds[test]
        order.append((2 if seconds > QUICK else int(not is_first), seconds, test))
    tests = [test for _, _, test in sorted(order)]
    taken = accumulate(reach.seconds[test] for test in tests)
    return [test for test, seconds in zip(tests, taken, strict=True) if seconds <= ALONE]


def left_over(near: Sequence[Sequence[str]], reach: Reach) -> list[str]:
    """Return the tests that not every one of some faults has met, the quick ones first."""
    met = set(reach.seconds).intersection(*near)
    judges = {test for test in reach.seconds if not test.startswith(NO_JUDGE)}
    left = sorted(judges - met, key=lambda test: reach.seconds[test])
    return sorted(left, key=lambda test: not test.startswith(FIRST))


def apart(planted: Iterable[Fault]) -> list[list[Fault]]:
    """Return faults in groups that can be planted together, for no two are at the same line."""
    groups: list[dict[tuple[str, int], Fault]] = []
    for fault in planted:
        lines = range(fault.line, fault.line + 1 + fault.before.count("\n"))
        places = {(fault.file, line): fault for line in lines}
        group = next((group for group in groups if group.keys().isdisjoint(places)), None)
        if group is None:
            groups.append(group := {})
        group.update(places)
    return [list(dict.fromkeys(group.values())) for group in groups]


class Judge:
    """Plants faults in a scratch copy and runs tests.

    Args:
        scratch: The copy.
        reach: Which tests there are and what they run.
        allowance: How many seconds a test may take longer than it takes.
    """

    def __init__(self, scratch: Scratch, reach: Reach, allowance: float = ALLOWANCE) -> None:
        self._scratch = scratch
        self._reach = reach
        self._allowance = allowance
        self._passing: set[str] = set()

    def caught(self, group: Sequence[Fault], tests: Sequence[str]) -> Iterator[Judgement]:
        """Plant faults together, run tests, and yield those faults that are caught.

        Raises:
            OutOfTimeError: The time for everything is over.
        """
        left = [*group]
        while left and tests and (failure := self._run(left, tests)):
            # Where a module cannot be imported, pytest names no test of it.
            named = next((test for test in tests if failure.is_of(test)), None)
            test = named or tests[0]
            # Of a run that ended without a word, any test may be the one.
            passed = failure.started if named else ()
            tests = [each for each in tests if each != test and each not in passed]
            if not self._passes(test):
                continue
            verdict: Verdict = "contract, golden" if test.startswith(FIRST) else "the rest"
            for fault in self._culprits(left, test):
                left.remove(fault)
                yield Judgement(fault, "too late" if failure.is_late else verdict, test)

    def _passes(self, test: str) -> bool:
        if test in self._passing:
            return True
        if self._run([], [test]):
            print(f"Left out, since it fails without a fault: {test}")
            return False
        self._passing.add(test)
        return True

    def _culprits(self, group: Sequence[Fault], test: str) -> list[Fault]:
        if not self._run(group, [test]):
            return []
        if len(group) == 1:
            return [*group]
        half = len(group) // 2
        return [*self._culprits(group[:half], test), *self._culprits(group[half:], test)]

    def _run(self, group: Sequence[Fault], tests: Sequence[str]) -> Failure | None:
        with ExitStack() as stack:
            # From the last to the first, so that each stands where it stood.
            for fault in sorted(group, key=lambda fault: -fault.start):
                stack.enter_context(self._scratch.planted(fault))
            return self._scratch.run(tests, allowed=self._allowed)

    def _allowed(self, test: str) -> float:
        if not test:
            return SLOWER * self._allowance
        return self._allowance + SLOWER * self._reach.seconds.get(test, 0.0)


class Trial:
    """What is known of some faults, while several judge them.

    Attributes:
        judgements: The judgement on each so far.
    """

    def __init__(
        self,
        root: Path,
        planted: Sequence[Fault],
        reach: Reach,
        report: Callable[[Judgement], None],
    ) -> None:
        self.judgements = {fault: Judgement(fault, "not judged") for fault in planted}
        self._near = {
            fault: likely(fault, (root / fault.file).read_bytes(), reach) for fault in planted
        }
        self._waiting = deque(self.judgements)
        self._reach = reach
        self._report = report

    def alone(self, judge: Judge) -> None:
        """Let each fault that waits meet the tests that run its line."""
        with suppress(OutOfTimeError, IndexError):
            while True:
                fault = self._waiting.popleft()
                near = self._near[fault]
                # Two runs, since most of what catches a fault is in the few modules of the first.
                count = sum(1 for _ in takewhile(lambda test: test.startswith(FIRST), near))
                caught = chain.from_iterable(
                    judge.caught([fault], tests) for tests in (near[:count], near[count:])
                )
                self._note(next(caught, Judgement(fault, "survived so far")))

    def groups(self) -> list[list[Fault]]:
        """Return the survivors so far, in groups that can be planted together."""
        return apart(fault for fault, each in self.judgements.items() if each.is_survivor)

    def shares(self, group: Sequence[Fault], count: int) -> list[list[str]]:
        """Return the tests that some of a group have not met, in several lists."""
        tests = left_over([self._near[fault] for fault in group], self._reach)
        return [tests[number::count] for number in range(count)]

    def together(self, judge: Judge, group: Sequence[Fault], tests: Sequence[str]) -> bool:
        """Let a group meet tests, and return whether it has met them all."""
        with suppress(OutOfTimeError):
            for judgement in judge.caught(group, tests):
                self._note(judgement)
            return True
        return False

    def conclude(self, group: Sequence[Fault]) -> None:
        """Note what a group has survived."""
        for fault in group:
            if self.judgements[fault].is_survivor:
                self._note(Judgement(fault, "survived"))

    def _note(self, judgement: Judgement) -> None:
        self.judgements[judgement.fault] = judgement
        self._report(judgement)


def judge_all(
    root: Path,
    planted: Sequence[Fault],
    reach: Reach,
    *,
    jobs: int = 1,
    seconds: float = float("inf"),
    allowance: float = ALLOWANCE,
    report: Callable[[Judgement], None] = print,
) -> list[Judgement]:
    """Judge faults in scratch copies.

    Args:
        root: The project.
        planted: The faults.
        reach: Which tests there are and what they run.
        jobs: How many scratch copies there are, each with a run at a time.
        seconds: After how many it ends; faults that are not judged by then are told as such.
        allowance: How many seconds a test may take longer than it takes.
        report: Is told of each as it is judged, of survivors so far and once more at the end.
    """
    until = time.monotonic() + seconds
    trial = Trial(root, planted, reach, report)
    with (
        tempfile.TemporaryDirectory() as folder,
        ExitStack() as afterwards,
        ThreadPoolExecutor(jobs) as pool,
        ExitStack() as before,
    ):
        # squid runs as a user of its own, who has to reach what the tests write.
        Path(folder).chmod(0o755)
        scratches = [
            Scratch(root, Path(folder, str(number)), until=until) for number in range(jobs)
        ]
        for scratch in scratches:
            afterwards.callback(scratch.close)
            before.callback(scratch.stop)
        judges = [Judge(scratch, reach, allowance) for scratch in scratches]
        with suppress(OutOfTimeError):
            for done in [pool.submit(scratch.collect, reach.seconds) for scratch in scratches]:
                done.result()
        for done in [pool.submit(trial.alone, judge) for judge in judges]:
            done.result()
        for group in trial.groups():
            shares = zip(judges, trial.shares(group, jobs), strict=True)
            met = [pool.submit(trial.together, judge, group, tests) for judge, tests in shares]
            if all([each.result() for each in met]):  # noqa: C419 - wait for all
                trial.conclude(group)
    return [*trial.judgements.values()]


def table(judgements: Sequence[Judgement]) -> str:
    """Return how many faults of each file were caught by what, and the survivors."""
    files = sorted({each.fault.file for each in judgements})
    width = max(map(len, [*files, "together"]))
    counts = Counter((each.fault.file, each.verdict) for each in judgements)
    counts.update(("together", each.verdict) for each in judgements)
    rows = ["  ".join([" " * width, *COLUMNS])]
    for file in [*files, "together"]:
        cells = (f"{counts[file, verdict]:{len(verdict)}}" for verdict in COLUMNS)
        rows.append("  ".join([file.ljust(width), *cells]))
    survivors = [each for each in judgements if each.is_survivor]
    judged = sum(each.verdict != "not judged" for each in judgements)
    share = f", {1 - len(survivors) / judged:.1%}" if judged else ""
    caught = f"{judged - len(survivors)} of {judged} caught{share}"
    shown = sorted(f"{each.verdict}: {each.fault}" for each in survivors)
    return "\n".join([*rows, "", caught, *shown])


def recorded(root: Path) -> Reach:
    """Return which test runs which line, recorded anew where the code has changed."""
    reach = Reach.load(root)
    if reach is None:
        print("Records which test runs which line: the whole suite, with coverage.")
        coverage = (sys.executable, "-m", "coverage")
        environment = {**os.environ, RECORD: "1"}
        subprocess.run(  # noqa: S603 - our own suite
            [*coverage, "run", "-m", "pytest", "-q", "-n", "auto"],
            cwd=root,
            env=environment,
            check=False,
        )
        subprocess.run([*coverage, "combine", "-q"], cwd=root, check=True)  # noqa: S603
        reach = Reach.load(root)
        if reach is None:
            raise SystemExit("The tests did not run to their end.")
    for test in sorted(reach.failed):
        print(f"Left out, since it fails without a fault: {test}")
    return reach


def _exit(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser("python -m tests.tools.planted", description=__doc__)
    parser.add_argument("--by-hand", action="store_true", help="plant those of planted_by_hand.py")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--count", type=int, default=100, help="how many to draw")
    parser.add_argument("--only", metavar="FILE", help="plant in the modules of this name alone")
    parser.add_argument("--jobs", type=int, default=1, help="how many to judge at a time")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="when to stop")
    chosen = parser.parse_args()
    # So that what runs is ended, too.
    signal.signal(signal.SIGTERM, _exit)
    try:
        if chosen.by_hand:
            planted = [each for each in by_hand(ROOT) if each.file.endswith(chosen.only or "")]
        else:
            print(f"--seed {chosen.seed} --count {chosen.count}")
            generator = random.Random(chosen.seed)  # noqa: S311 - a sample, no secret
            planted = draw(ROOT, generator, count=chosen.count, only=chosen.only)
    except ValueError as error:
        parser.error(str(error))
    judgements = judge_all(ROOT, planted, recorded(ROOT), jobs=chosen.jobs, seconds=chosen.seconds)
    print(table(judgements))
    return int(any(each.is_survivor for each in judgements))


if __name__ == "__main__":
    sys.exit(main())
