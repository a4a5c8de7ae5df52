"""The script that writes the members of `Permission`."""

import subprocess
import sys
from pathlib import Path

import pytest

from arize_roles_async import Permission
from tests.tools.generate_permissions import END, LIST, MODULE, generate

SOURCE = """class Permission(StrEnum):
    # -- members: python -m tests.tools.generate_permissions --
    OLD_READ = "OLD_READ"
    # -- end of members --

    rest = 1
"""


def test_members_anew() -> None:
    """Members are made anew between the marks."""
    assert generate(SOURCE, "ROLE_READ\nDATASET_EXAMPLE_READ\n") == (
        """class Permission(StrEnum):
    # -- members: python -m tests.tools.generate_permissions --
    DATASET_EXAMPLE_READ = "DATASET_EXAMPLE_READ"
    ROLE_READ = "ROLE_READ"
    # -- end of members --

    rest = 1
"""
    )


def test_order() -> None:
    """The result does not depend on order, spaces or repetition."""
    once = generate(SOURCE, "A_READ\nB_READ\n")
    assert generate(SOURCE, "\n  B_READ \r\nA_READ\n\nB_READ") == once


def test_again() -> None:
    """Generated members stay as they are."""
    once = generate(SOURCE, "A_READ\n")
    assert generate(once, "A_READ\n") == once


@pytest.mark.parametrize("line", ["role_read", "ROLE", "ROLE_", "_READ", "ROLE READ", "1_A", "É_A"])
def test_bad_line(line: str) -> None:
    """A line that is not an identifier is refused."""
    with pytest.raises(ValueError, match=f"not a permission identifier: '{line}'"):
        generate(SOURCE, f"ROLE_READ\n{line}\n")


def test_no_marks() -> None:
    """A source without the marks is refused."""
    with pytest.raises(ValueError, match="unpack"):
        generate("class Permission: ...", "ROLE_READ")


def test_committed_module() -> None:
    """The members of `Permission` are what the list generates."""
    source = MODULE.read_text("utf-8")
    assert generate(source, LIST.read_text("utf-8")) == source, (
        "tests/data/permissions.txt has changed; run: python -m tests.tools.generate_permissions"
    )


def test_members() -> None:
    """The members are those of the list, each named as its identifier."""
    assert sorted(Permission) == sorted(LIST.read_text("utf-8").split())
    assert all(member.name == member.value for member in Permission)


def test_one_more() -> None:
    """A permission more is a line more, in its place."""
    source = MODULE.read_text("utf-8")
    listed = LIST.read_text("utf-8")

    more = generate(source, f"ZEBRA_READ\n{listed}")

    assert more == source.replace(END, '    ZEBRA_READ = "ZEBRA_READ"\n' + END)
    assert generate(more, listed) == source


def test_command(tmp_path: Path) -> None:
    """The command leaves the module as it is where the list is the same."""
    chosen = tmp_path / "permissions.txt"
    chosen.write_text(LIST.read_text("utf-8"), "utf-8")
    before = MODULE.read_bytes()

    command = [sys.executable, "-m", "tests.tools.generate_permissions", str(chosen)]
    subprocess.run(command, check=True)  # noqa: S603 - our own

    assert MODULE.read_bytes() == before
