"""Plants faults in both packages, one at a time, and tells which ones the tests let through.

`python -m tests.tools.planted` draws faults from the syntax of the modules, `--by-hand` takes
those of planted_by_hand.py. Each is planted in a scratch copy and meets first the contract and
golden tests, then the rest; of both first the quick ones that run its line. What catches it is a
test that fails, a module that cannot be imported, or a run that takes too long. Exits with 1 where
a fault survives.
"""

import argparse
import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal, NoReturn

import attrs

from tests.support.reach import RECORD, Reach, sources
from tests.tools.planted_by_hand import by_hand
from tests.tools.scratch import OutOfTimeError, Scratch
from tests.tools.syntax_faults import Fault, faults, is_another_program, lines_of_statement

ROOT: Final = Path(__file__).parents[2]
FIRST: Final = ("tests/contract/", "tests/client/test_golden.py")
# A suite of tests. What a weaker one lets through, tests/contract/test_broken_clients.py tells.
JUDGES: Final = {"arize_roles_fake/contract.py"}
# Seconds of a test that is run before the others.
QUICK: Final = 0.5
# How long a run may take before it counts as caught.
ALLOWANCE: Final = 30.0
SLOWER: Final = 5

Verdict = Literal["contract, golden", "the rest", "too late", "survived", "not judged"]
COLUMNS: Final[tuple[Verdict, ...]] = (
    "contract, golden",
    "the rest",
    "too late",
    "survived",
    "not judged",
)


@attrs.frozen
class Judgement:
    """What became of a fault, and the test that caught it, where pytest names one."""

    fault: Fault
    verdict: Verdict
    test: str = ""

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


def stages(fault: Fault, source: bytes, reach: Reach) -> Iterator[list[str]]:
    """Yield the tests in the order in which a fault meets them: the likely and quick ones first."""
    lines, at_import = lines_of_statement(source, fault.line)
    near = reach.tests_of_file(fault.file) if at_import else reach.tests(fault.file, lines)
    by_time = sorted(reach.seconds, key=lambda test: reach.seconds[test])
    # The contract's tests are inherited by many classes: first each of them once.
    names: set[str] = set()
    first: list[str] = []
    rest: list[str] = []
    for test in by_time:
        if test not in near or reach.seconds[test] > QUICK:
            continue
        if not test.startswith(FIRST):
            rest.append(test)
        elif (name := test.rpartition("::")[2]) not in names:
            names.add(name)
            first.append(test)
    quick = [*first, *rest]
    slow = [test for test in by_time if test in near.difference(quick)]
    far = [test for test in by_time if test not in near]
    yield from filter(None, (quick, slow, far))


def judge(fault: Fault, scratch: Scratch, reach: Reach, allowance: float = ALLOWANCE) -> Judgement:
    """Plant a fault and run the tests until one fails."""
    source = (scratch.root / fault.file).read_bytes()
    try:
        with scratch.planted(fault):
            for tests in stages(fault, source, reach):
                limit = allowance + SLOWER * sum(reach.seconds[test] for test in tests)
                failure = scratch.run(tests, seconds=limit)
                if failure is not None and reach.seconds.get(failure.test, 0.0) > QUICK:
                    # A slow test may fail because the machine is busy, but not twice.
                    at = tests.index(failure.test)
                    failure = scratch.run(tests[at:], seconds=limit)
                if failure is None:
                    continue
                if failure.is_late:
                    return Judgement(fault, "too late")
                is_first = (failure.test or tests[0]).startswith(FIRST)
                return Judgement(
                    fault, "contract, golden" if is_first else "the rest", failure.test
                )
    except OutOfTimeError:
        return Judgement(fault, "not judged")
    return Judgement(fault, "survived")


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
    """Judge faults, several at a time, each in a scratch copy.

    Args:
        root: The project.
        planted: The faults.
        reach: Which tests there are and what they run.
        jobs: How many scratch copies there are.
        seconds: After how many it ends; faults that are not judged by then are told as such.
        allowance: How many seconds a run may take longer than the tests in it take.
        report: Is told of each as it is judged.
    """
    until = time.monotonic() + seconds
    waiting: queue.SimpleQueue[Fault] = queue.SimpleQueue()
    for fault in planted:
        waiting.put(fault)
    judgements: list[Judgement] = []

    def work(scratch: Scratch) -> None:
        try:
            scratch.collect(reach.seconds)
        except OutOfTimeError:
            return
        while time.monotonic() < until:
            try:
                fault = waiting.get_nowait()
            except queue.Empty:
                return
            judgement = judge(fault, scratch, reach, allowance)
            judgements.append(judgement)
            report(judgement)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        scratches: list[Scratch] = []
        for number in range(jobs):
            own = Path(folder, str(number))
            own.mkdir()
            scratches.append(Scratch(root, own, until=until))
        try:
            for done in [pool.submit(work, scratch) for scratch in scratches]:
                done.result()
        finally:
            for scratch in scratches:
                scratch.stop()
    while not waiting.empty():
        judgements.append(Judgement(waiting.get(), "not judged"))
    return judgements


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
    survivors = [str(each.fault) for each in judgements if each.verdict == "survived"]
    judged = sum(each.verdict != "not judged" for each in judgements)
    share = f", {1 - len(survivors) / judged:.1%}" if judged else ""
    caught = f"{judged - len(survivors)} of {judged} caught{share}"
    return "\n".join([*rows, "", caught, *(f"survived: {each}" for each in sorted(survivors))])


def recorded(root: Path) -> Reach:
    """Return which test runs which line, recorded anew where the code has changed."""
    reach = Reach.load(root)
    if reach is None:
        print("Records which test runs which line: the whole suite, with coverage.")
        coverage = (sys.executable, "-m", "coverage")
        environment = {**os.environ, RECORD: "1"}
        subprocess.run(  # noqa: S603 - our own suite
            [*coverage, "run", "-m", "pytest", "-q"], cwd=root, env=environment, check=False
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
    return int(any(each.verdict == "survived" for each in judgements))


if __name__ == "__main__":
    sys.exit(main())
