"""Text that people read: one line, bounded, and nothing in it that a terminal obeys."""

import copy
import pickle
import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import arize_roles_async
from arize_roles_async import RolesError, RolesTimeoutError, ValidationError, Violation
from arize_roles_async._values.text import nearest, one_line, printable, quoted
from tests.support.sizes import sized

HOSTILE = (
    "\x1b[31mred\x1b[0m",  # a terminal's colours
    "\x1b]0;title\x07",
    "first\r\nsecond",
    "first\u2028second",
    "abc\u202edef",  # the direction of writing turned round
    "\x00\x08\x7f\x9b2J",
    "\ud800",
    "zero\u200bwidth",
)
texts = st.text(st.characters(exclude_categories=())) | st.sampled_from(HOSTILE)


def error_classes() -> Iterator[type[RolesError]]:
    """Yield every class of error that the client can raise."""
    for name in arize_roles_async.__all__:
        value = getattr(arize_roles_async, name)
        if isinstance(value, type) and issubclass(value, RolesError):
            yield value


ERRORS = list(error_classes())


class TestOneLine:
    """`one_line`."""

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("plain  text", "plain  text"),
            ("two\r\nlines\tand\u2028more", "two lines and more"),
            ("\x1b[31mred\x07", "�[31mred�"),
            ("abc\u202edef", "abc�def"),
            ("\ud800", "�"),
            ("größe 日本 😀", "größe 日本 😀"),
        ],
    )
    def test_shown(self, text: str, shown: str) -> None:
        """Characters that a terminal would obey are replaced, and all others stay."""
        assert one_line(text) == shown

    def test_cut(self) -> None:
        """A long text is cut, and ends in an ellipsis."""
        assert one_line("a" * 10, 10) == "a" * 10
        assert one_line("a" * 11, 10) == "a" * 9 + "…"

    @given(texts, st.integers(1, 30))
    def test_bounds(self, text: str, limit: int) -> None:
        """Any text becomes printable and no longer than the limit, and stays so."""
        shown = one_line(text, limit)
        assert shown.isprintable()
        assert len(shown) <= limit
        assert one_line(shown, limit) == shown


class TestQuoted:
    """`quoted`."""

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("AI Engineer", "'AI Engineer'"),
            ("a\x1b\n", r"'a\x1b\n'"),
            ("a" * 60, f"'{'a' * 60}'"),
            ("a" * 61, f"'{'a' * 59}…'"),
            (None, "None"),
            ([1] * 1000, f"[{'1, ' * 39}1…"),
            (arize_roles_async.Permission.ROLE_READ, "'ROLE_READ'"),
        ],
    )
    def test_shown(self, value: object, shown: str) -> None:
        """A value is shown as its repr, a long one by its beginning."""
        assert quoted(value) == shown

    def test_many_digits(self) -> None:
        """An integer that Python refuses to write is named by its type."""
        assert quoted(10**5000) == "a value of type int"

    @given(texts)
    def test_bounds(self, text: str) -> None:
        """Of any text at most 60 characters are quoted, each by at most ten."""
        assert quoted(text * 100).isprintable()
        assert len(quoted(text * 100)) <= 602


class TestPrintable:
    """`printable`."""

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("two\nlines: größe", "two\nlines: größe"),
            ("\x1b[31mred\r\x9b2J\u2028", "�[31mred��2J�"),
            ("x ##[add-mask]y", r"x #\u0023[add-mask]y"),
            ("###[group]", r"##\u0023[group]"),
            ("##vso[task.x]##VSO[", r"#\u0023vso[task.x]#\u0023VSO["),
            ("a\n  ::stop-commands::x", "a\n  \\u003a:stop-commands::x"),
            ("a ::b:: # [c] ##", "a ::b:: # [c] ##"),
        ],
    )
    def test_shown(self, text: str, shown: str) -> None:
        """Neither a terminal nor the log of a CI service finds a command, and lines stay lines."""
        assert printable(text) == shown

    @given(st.lists(st.sampled_from(["#", "[", "vso", ":", "\n", " ", "\x1b", "\\"])).map("".join))
    def test_nothing_left(self, text: str) -> None:
        """Of any text nothing is left that a runner takes for a command, and it stays so."""
        shown = printable(text)
        assert not re.search(r"##(vso)?\[|(?m:^\s*::)", shown)
        assert printable(shown) == shown


class TestNearest:
    """`nearest`."""

    def test_case(self) -> None:
        """Case and outer spaces do not count."""
        assert nearest(" role_raed", ["ROLE_CREATE", "ROLE_READ"]) == "ROLE_READ"

    def test_beginning(self) -> None:
        """Of a text, 64 characters are compared."""
        known = ["A" * 63, "A" * 63 + "B", "A" * 63 + "BC"]
        assert nearest("A" * 63 + "BCD", known) == "A" * 63 + "B"

    def test_megabytes(self) -> None:
        """Of a long text the beginning counts."""
        assert nearest("ROLE_READ" + "x" * 10_000_000, ["ROLE_CREATE", "ROLE_READ"]) == "ROLE_READ"


class TestErrors:
    """Every error is one line, of less than 2,000 characters, whatever it quotes."""

    def test_of_nothing(self) -> None:
        """An error can be made of nothing, and says nothing then."""
        assert {error_class().args for error_class in ERRORS} == {("",)}

    @pytest.mark.parametrize("error_class", [RolesError, ValidationError])
    def test_longest(self, error_class: type[RolesError]) -> None:
        """A message has at most 1,500 characters."""
        assert str(error_class("m" * 1500)) == "m" * 1500
        assert str(error_class("m" * 1501)) == "m" * 1499 + "…"

    def test_time_limit(self) -> None:
        """The limit that ran out follows any message."""
        error = RolesTimeoutError("m" * 1501, seconds=5.0, attempts=2)
        assert len(str(error)) == 1500
        assert str(error).endswith("mmm… (total limit of 5 s, 2 attempts)")

    @pytest.mark.parametrize("error_class", ERRORS)
    @settings(max_examples=sized(5, 50))
    @given(message=texts, times=st.sampled_from([1, 2000]))
    @example(message="\x1b\n", times=1_000_000)
    def test_message(self, error_class: type[RolesError], message: str, times: int) -> None:
        """The message is printable and bounded, and the same in a copy and out of a pickle."""
        error = error_class(message * times)
        assert str(error).isprintable()
        assert len(str(error)) <= 1500
        for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own
            assert str(other) == str(error)

    def test_violations(self) -> None:
        """Of many violations the message has the first ten, and the number of the others."""
        violations = tuple(Violation(f"field{n}", "is required") for n in range(1, 100_001))
        error = ValidationError(violations=violations)
        assert str(error).startswith("field1: is required; field2: is required; ")
        assert str(error).endswith("; field10: is required; and 99990 more")
        assert error.violations == violations

    def test_few_violations(self) -> None:
        """Of ten violations it has each and no number; an eleventh is one more."""
        violations = tuple(Violation(f"field{n}", "is required") for n in range(1, 12))
        first = "; ".join(f"field{n}: is required" for n in range(1, 11))
        assert str(ValidationError(violations=violations[:10])) == first
        assert str(ValidationError(violations=violations)) == f"{first}; and 1 more"
