"""Text that people read: one line, bounded, and nothing in it that a terminal obeys."""

import re
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arize_roles_async import (
    AccountRole,
    NamedBinding,
    Permission,
    ProblemDetails,
    RolesError,
    User,
    Violation,
)
from arize_roles_async._values.text import nearest, one_line, printable, quoted
from arize_roles_async.as_code import loads
from arize_roles_async.as_code.planning import compare
from arize_roles_fake import make_role


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain  text", "plain  text"),
        ("two\r\nlines\tand\u2028more", "two lines and more"),
        ("\x1b[31mred\x07", "�[31mred�"),
        ("abc\u202edef", "abc�def"),
        ("\ud800", "�"),
        ("größe 日本 😀", "größe 日本 😀"),
        ("a" * 20, "a" * 20),
        ("a" * 21, "a" * 19 + "…"),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    """Characters that a terminal would obey are replaced, and a long text is cut."""
    assert one_line(text, 20) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("AI Engineer", "'AI Engineer'"),
        ("a\x1b\n", r"'a\x1b\n'"),
        ("a" * 60, f"'{'a' * 60}'"),
        ("a" * 61, f"'{'a' * 59}…'"),
        (None, "None"),
        ([1] * 1000, f"[{'1, ' * 39}1…"),
        (Permission.ROLE_READ, "'ROLE_READ'"),
        ((10**4999, 10**5000), "a value of type tuple"),
    ],
)
def test_quoted(value: object, shown: str) -> None:
    """A value is shown as its repr, a long one by its beginning."""
    assert quoted(value) == shown


HOSTILE = "::error::\x1b[2J\n::x\u202e##[group]\x9b##vso[y]##teamcity[z]"
COMMAND = r"##\w*\[|(?m:^\s*::)"
ROLES_FILE = '[roles]\nA = {permissions = ["ROLE_READ"]}'
SHOWN: dict[str, Callable[[str], object]] = {
    "AccountRole": lambda text: AccountRole(type=text),
    "NamedBinding": lambda text: named(text, None),
    "NamedBinding, with names": lambda text: named(text, text),
    "User": lambda text: User(id=text, email=text, name=text),
    "Role": lambda text: make_role(name=text, description=text),
    "Violation": lambda text: Violation(text, text),
    "ProblemDetails": lambda text: ProblemDetails(title=text, detail=text, extra={text: text}),
    "RolesError": RolesError,
    "Plan": lambda text: compare(
        [make_role(name="A", description=text, permissions=[cast("Any", text)])], loads(ROLES_FILE)
    ),
}


def named(text: str, name: str | None) -> NamedBinding:
    ids = dict.fromkeys(("id", "role_id", "user_id", "resource_id"), text)
    names = dict.fromkeys(("user", "role", "resource", "in_space"), name)
    at = make_role().created_at
    return NamedBinding(**ids, **names, resource_type=text, created_at=at, updated_at=at)


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
            ("##teamcity[setParameter]", r"#\u0023teamcity[setParameter]"),
            ("a\n  ::stop-commands::x", "a\n  \\u003a:stop-commands::x"),
            ("a ::b:: # [c] ## d[e] ##", "a ::b:: # [c] ## d[e] ##"),
        ],
    )
    def test_shown(self, text: str, shown: str) -> None:
        """Neither a terminal nor the log of a CI service finds a command, and lines stay lines."""
        assert printable(text) == shown

    @pytest.mark.parametrize("form", [str, repr])
    @pytest.mark.parametrize("name", [*SHOWN])
    def test_everything(self, name: str, form: Callable[[object], str]) -> None:
        """So is every text of ours that shows what others wrote; that of a plan has lines."""
        text = form(SHOWN[name](HOSTILE))
        assert text.replace("\n", "").isprintable()
        assert (form, name) == (repr, "Violation") or not re.search(COMMAND, text)
        assert name == "Plan" or "\n" not in text

    @given(st.lists(st.sampled_from(["#", "[", "vso", ":", "\n", " ", "\x1b", "\\"])).map("".join))
    def test_nothing_left(self, text: str) -> None:
        """Of any text nothing is left that a runner takes for a command, and it stays so."""
        shown = printable(text)
        assert not re.search(COMMAND, shown)
        assert printable(shown) == shown


@pytest.mark.parametrize(
    ("text", "known", "found"),
    [
        (" role_raed", ["ROLE_CREATE", "ROLE_READ"], "ROLE_READ"),
        ("A" * 39 + "BCD", ["A" * 39, "A" * 39 + "B"], "A" * 39 + "B"),
        ("ROLE_READ" + "x" * 10_000_000, ["ROLE_CREATE", "ROLE_READ"], "ROLE_READ"),
        ("ROLE_READ", [*(f"{n:03}" for n in range(200)), "ROLE_READ"], "199"),
    ],
    ids=["case", "40 characters", "megabytes", "200 texts"],
)
def test_nearest(text: str, known: list[str], found: str) -> None:
    """Case and outer spaces do not count, and nothing after 40 characters."""
    assert nearest(text, known) == found
