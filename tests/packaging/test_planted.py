"""Planted faults: what the syntax offers, and what becomes of a fault in a small project."""

import random
import sys
from pathlib import Path

import pytest

from tests.support.reach import Reach
from tests.tools.planted import ROOT, Judgement, apart, draw, judge_all, left_over, likely, table
from tests.tools.planted_by_hand import ByHand, by_hand
from tests.tools.syntax_faults import Fault, faults, is_another_program, lines_of_statement


def offered(source: str) -> list[str]:
    """Return what the syntax of a module offers, as modules."""
    text = source.encode()
    found = faults("m.py", text)
    return [each.planted(text).decode() for each in found if is_another_program(each, text)]


class TestOffers:
    @pytest.mark.parametrize(
        ("source", "planted"),
        [
            ("a < b", ["a <= b"]),
            ("a is not b", ["a is b"]),
            ("a not in b", ["a in b"]),
            ("a < b == c", ["a <= b == c", "a < b != c"]),
            ("a and b", ["a or b"]),
            ("a + b", ["a - b"]),
            ("not a", ["a"]),
            ("-a", ["a"]),
            ("x = 1", ["x = 0", "x = 2"]),
            ("x = True", ["x = False"]),
            ("x = 1.5", ["x = 2.5"]),
            ("x = 'abc'", ["x = 'ac'"]),
            ("x = b''", ["x = b'~'"]),
            ("x = f'{a}'", ["x = '~'"]),
            ("x = min(a)", ["x = max(a)"]),
            ("x = a if b else c", ["x = a if (not (b)) else c"]),
            ("[a for a in b if a]", ["[a for a in b if (not (a))]"]),
            ("x = {a: b, c: d}", ["x = {a: d, c: d}", "x = {a: b, c: b}"]),
            ("x = f(a, b=c)", ["x = f(a)"]),
            ("x = f(b=c, d=e)", ["x = f( d=e)", "x = f(b=c)"]),
            ("f(a)", ["pass"]),
            ("a.b = c", ["pass"]),
            ("a += b", ["pass", "a -= b"]),
            ("del a[b]", ["pass"]),
            ("raise a", ["pass"]),
            ("if a:\n    b", ["if (not (a)):\n    b"]),
            ("if not a:\n    b", ["if a:\n    b"]),
            ("while a:\n    break", ["while (not (a)):\n    break", "while a:\n    pass"]),
            ("with a:\n    b", ["if True:\n    b"]),
            ("@a\ndef f(): b", ["\ndef f(): b"]),
            ("def f(a, b=1): b", ["def f(a, b=0): b", "def f(a, b=2): b"]),
            ("def f(): return a", ["def f(): return None"]),
            ("async def f():\n    await a", ["async def f():\n    pass"]),
            (
                "try: a\nexcept (B, C): d",
                ["try: a\nexcept (C): d", "try: a\nexcept (B): d"],
            ),
        ],
    )
    def test_each_kind(self, source: str, planted: list[str]) -> None:
        assert sorted(offered(source)) == sorted(planted)

    @pytest.mark.parametrize(
        "source",
        [
            '"""Text."""',
            "def f():\n    '''Text.'''",
            "x: Literal['a']",
            "def f(a: 'B') -> 'C': ...",
            "x = Literal['a']",
            "T = TypeVar('T', bound=a)",
            "if TYPE_CHECKING:\n    x = 1",
            "@overload\ndef f(a=1): ...",
            "@abstractmethod\ndef f(a=1): ...",
            "@override\ndef f(): b",
            "class A(Protocol):\n    def f(self, a=1): ...",
            "__all__ = ['a']",
            "class A(StrEnum):\n    B = 'B'",
            "from a import b",
        ],
    )
    def test_no_fault_offered(self, source: str) -> None:
        """Nothing is planted in what no program runs."""
        assert offered(source) == []

    def test_lines_stay(self) -> None:
        """A fault in several lines leaves the lines after it where they are."""
        source = "f(\n    a,  # not and\n    b and c,\n)\nd = e\n"
        assert offered(source) == [
            "pass\n\n\n\nd = e\n",
            "f(\n    a,  # not and\n    b or c,\n)\nd = e\n",
        ]

    def test_beyond_ascii(self) -> None:
        assert offered("x = 'é' + (a < b)  # ü") == [
            "x = '~' + (a < b)  # ü",
            "x = 'é' + (a <= b)  # ü",
        ]


@pytest.mark.parametrize(
    ("line", "lines", "at_import"),
    [
        (1, range(1, 3), True),
        (2, range(1, 3), True),
        (3, range(3, 5), False),
        (4, range(3, 5), False),
        (5, range(5, 6), False),
        (6, range(6, 7), True),
    ],
)
def test_lines_of_statement(line: int, lines: range, at_import: bool) -> None:  # noqa: FBT001
    """A line belongs to the smallest statement, a block's head being one."""
    source = b"@a\ndef f(b=1):\n    if (c\n            or d):\n        e\nx = 1\n"
    assert lines_of_statement(source, line) == (lines, at_import)


PROJECT = {
    "small.py": "def double(x):\n    return x * 2\n\n\ndef unused(x):\n    return x * 2\n",
    "checks/test_other.py": "def test_nothing():\n    pass\n",
    "checks/test_small.py": (
        "from small import double\n\n\ndef test_double():\n    assert double(3) == 6\n"
    ),
}
NOTHING, DOUBLE = "checks/test_other.py::test_nothing", "checks/test_small.py::test_double"
REACH = Reach({NOTHING: 0.1, DOUBLE: 0.2}, {"small.py": {2: frozenset({DOUBLE})}})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    root = tmp_path / "given"
    for name, text in PROJECT.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root


def in_line(line: int, after: str) -> Fault:
    source = PROJECT["small.py"].encode()
    start = source.index(b"return x * 2", source.index(b"double" if line == 2 else b"unused"))
    return Fault.between("small.py", source, start, start + len("return x * 2"), after=after)


class TestJudgement:
    def test_each_verdict(self, project: Path) -> None:
        """A fault is caught by a test that fails or a run that hangs; one in dead code survives."""
        caught, hanging, dead = (
            in_line(2, "return x + 2"),
            in_line(2, "while x: pass"),
            in_line(6, "return x + 2"),
        )
        reports: list[Judgement] = []
        judgements = judge_all(
            project, [caught, hanging, dead], REACH, allowance=4, report=reports.append
        )
        assert judgements == [
            Judgement(caught, "the rest", DOUBLE),
            Judgement(hanging, "too late", DOUBLE),
            Judgement(dead, "survived"),
        ]
        assert reports == [*judgements[:2], Judgement(dead, "survived so far"), judgements[2]]
        assert {name: (project / name).read_text("utf-8") for name in PROJECT} == PROJECT

    def test_together(self, project: Path) -> None:
        """What is not known to run a fault's line meets it, too, and tells which fault it is."""
        wrong, dead = in_line(2, "return x + 2"), in_line(6, "return x + 2")
        reach = Reach(REACH.seconds, {})
        judgements = judge_all(project, [dead, wrong], reach, jobs=2)
        assert judgements == [Judgement(dead, "survived"), Judgement(wrong, "the rest", DOUBLE)]

    def test_other_order(self, project: Path) -> None:
        """A test that pytest puts after one that fails still meets the faults that are left."""
        tests = (
            "import pytest\n\nfrom small import double, unused\n\n\n"
            "@pytest.fixture(scope='module', params=[3])\n"
            "def three(request):\n    return request.param\n\n\n"
            "def test_three(three):\n    assert three\n\n\n"
            "def test_unused():\n    assert unused(3) == 6\n\n\n"
            "def test_double(three):\n    assert double(three) == 6\n"
        )
        (project / "checks/test_small.py").write_text(tests, "utf-8")
        three, unused = (f"checks/test_small.py::test_{name}" for name in ("three", "unused"))
        one, other = in_line(2, "return x + 2"), in_line(6, "return x + 2")
        judgements = judge_all(project, [one, other], Reach({three: 1, unused: 2, DOUBLE: 3}, {}))
        assert judgements == [
            Judgement(one, "the rest", DOUBLE),
            Judgement(other, "the rest", unused),
        ]

    @pytest.mark.parametrize("times", [1, 2])
    def test_flaky_test(self, project: Path, times: int) -> None:
        """A test that fails for another reason than the fault catches nothing."""
        flaky = (
            "from pathlib import Path\n\n\ndef test_nothing():\n"
            "    count = Path('count')\n"
            "    count.write_text(f\"{count.exists() and count.read_text() or ''}1\")\n"
            f"    assert len(count.read_text()) > {times}\n"
        )
        (project / "checks/test_other.py").write_text(flaky, "utf-8")
        reach = Reach(REACH.seconds, {"small.py": {6: frozenset({NOTHING})}})
        dead = in_line(6, "return x + 2")
        assert judge_all(project, [dead], reach) == [Judgement(dead, "survived")]

    def test_broken_module(self, project: Path) -> None:
        """A module that cannot be imported is caught by the tests that import it."""
        broken = in_line(2, "return x *")
        judgements = judge_all(project, [broken], REACH)
        assert judgements == [Judgement(broken, "the rest", DOUBLE)]

    def test_time_for_all_ends(self, project: Path) -> None:
        hanging = in_line(2, "while x: pass")
        dead = in_line(6, "while x: pass")
        judgements = judge_all(project, [dead, hanging], REACH, seconds=3)
        assert [each.verdict for each in judgements] == ["survived so far", "not judged"]

    def test_missing_tests(self, project: Path) -> None:
        """A test that pytest does not find catches nothing."""
        reach = Reach({"checks/test_gone.py::test_it": 1.0}, {})
        with pytest.raises(RuntimeError, match="does not find the tests"):
            judge_all(project, [in_line(2, "pass")], reach)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_recording(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """A recording tells what each test runs, also in a process, and which tests fail."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest("""
        from tests.support.reach import Recorder

        def pytest_configure(config):
            config.pluginmanager.register(Recorder(config.rootpath))
    """)
    pytester.mkpydir("arize_roles_async").joinpath("small.py").write_text(PROJECT["small.py"])
    pytester.makepyfile(
        test_it="""
        import runpy, subprocess, sys

        def test_line():
            assert runpy.run_path("arize_roles_async/small.py")["double"](2) == 4

        def test_process():
            code = "import runpy; runpy.run_path('arize_roles_async/small.py')['unused'](2)"
            subprocess.run([sys.executable, "-c", code], check=True)

        def test_wrong():
            assert runpy.run_path("arize_roles_async/small.py")["double"](2) == 5
        """
    )
    settings = "[run]\nparallel = true\npatch = subprocess\n"
    pytester.path.joinpath(".coveragerc").write_text(settings, "utf-8")
    coverage = (sys.executable, "-m", "coverage")
    pytester.run(*coverage, "run", "-m", "pytest", "-p", "no:cacheprovider", "-n", workers)
    pytester.run(*coverage, "combine")
    reach = Reach.load(pytester.path)
    assert reach is not None
    assert sorted(reach.seconds) == ["test_it.py::test_line", "test_it.py::test_process"]
    assert reach.failed == {"test_it.py::test_wrong"}
    file = "arize_roles_async/small.py"
    assert reach.tests(file, [2]) == {"test_it.py::test_line"}
    assert reach.tests(file, [6]) == {"test_it.py::test_process"}
    (pytester.path / file).write_text("")
    assert Reach.load(pytester.path) is None


def test_order() -> None:
    """A fault meets the contract's and golden tests first, slow ones last, its own list never."""
    quick, slow = "tests/fake/test_a.py::test_quick", "tests/fake/test_a.py::test_slow"
    golden, other = "tests/client/test_golden.py::test_it", "tests/contract/test_b.py::test_other"
    once, again = "tests/contract/test_b.py::One::test_b", "tests/contract/test_b.py::Two::test_b"
    endless = "tests/fake/test_a.py::test_endless"
    of_text = "tests/packaging/test_planted.py::TestByHand::test_list_is_current"
    seconds = {slow: 2.0, quick: 0.1, golden: 0.3, other: 0.1, once: 0.2, again: 0.4}
    reach = Reach(
        {**seconds, endless: 60.0, of_text: 0.1},
        {"small.py": {2: frozenset({golden, quick, once, again, slow, endless})}},
    )
    source = PROJECT["small.py"].encode()
    near = likely(in_line(2, "pass"), source, reach)
    assert near == [once, golden, quick, again, slow]
    assert left_over([near, [*near, other]], reach) == [other, endless]


def test_apart() -> None:
    """Faults at the same line are not planted together."""
    head, line, later = (
        Fault("a.py", 0, "x\ny", "z", 3),
        *(Fault("a.py", at, "x", "y", line) for at, line in ((2, 4), (4, 5))),
    )
    elsewhere = Fault("b.py", 0, "x", "y", 3)
    assert apart([head, line, later, elsewhere]) == [[head, later, elsewhere], [line]]


def test_table_counts_by_file() -> None:
    one, two, three = (
        Fault(file, 0, "x", "y", line) for file, line in (("a.py", 3), ("b.py", 4), ("b.py", 5))
    )
    text = table(
        [
            Judgement(one, "the rest", DOUBLE),
            Judgement(one, "contract, golden"),
            Judgement(two, "survived"),
            Judgement(three, "survived so far"),
            Judgement(two, "not judged"),
        ]
    )
    assert text == (
        "          contract, golden  the rest  too late  survived  survived so far  not judged\n"
        "a.py                     1         1         0         0                0           0\n"
        "b.py                     0         0         0         1                1           1\n"
        "together                 1         1         0         1                1           1\n"
        "\n"
        "2 of 4 caught, 50.0%\n"
        "survived so far: b.py:5  x -> y\n"
        "survived: b.py:4  x -> y"
    )


def drawn_by(seed: int, only: str) -> list[Fault]:
    return draw(ROOT, random.Random(seed), count=5, only=only)  # noqa: S311 - a sample


class TestDraw:
    def test_seed_decides(self) -> None:
        drawn = [drawn_by(seed, "store.py") for seed in (1, 1, 2)]
        assert drawn[0] == drawn[1] != drawn[2]
        assert {each.file for each in drawn[0]} == {"arize_roles_fake/_service/store.py"}
        assert len(drawn[0]) == 5

    def test_no_such_module(self) -> None:
        with pytest.raises(ValueError, match="no module is named"):
            drawn_by(1, "_shop.py")


class TestByHand:
    def test_list_is_current(self) -> None:
        """Every fault of the list can be planted, and makes another program."""
        for fault in by_hand(ROOT):
            assert is_another_program(fault, (ROOT / fault.file).read_bytes()), fault

    @pytest.mark.parametrize(("before", "places"), [("return 5", 0), ("return x * 2", 2)])
    def test_text_that_moved(self, project: Path, before: str, places: int) -> None:
        listed = [ByHand("doubles", "small.py", before, "pass")]
        with pytest.raises(ValueError, match=f"has {places} places for the fault"):
            by_hand(project, listed)
