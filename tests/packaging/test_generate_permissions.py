"""The members of `Permission` are those of the list, and the script that writes them."""

import pytest

from tests.tools.generate_permissions import END, LIST, MODULE, generate

SOURCE = MODULE.read_text("utf-8")
LISTED = LIST.read_text("utf-8")


def test_members() -> None:
    """The members are what the list generates, in any order and with any spaces."""
    assert generate(SOURCE, LISTED) == SOURCE, (
        "tests/data/permissions.txt has changed; run: python -m tests.tools.generate_permissions"
    )
    assert generate(SOURCE, "\n\n ".join(reversed(LISTED.split()))) == SOURCE


def test_one_more() -> None:
    """A permission more is a line more, in its place."""
    more = generate(SOURCE, f"ZEBRA_READ\n{LISTED}")

    assert more == SOURCE.replace(END, '    ZEBRA_READ = "ZEBRA_READ"\n' + END)
    assert generate(more, LISTED) == SOURCE


@pytest.mark.parametrize("line", ["role_read", "ROLE", "ROLE_", "_READ", "ROLE READ", "1_A", "É_A"])
def test_bad_line(line: str) -> None:
    """A line that is not an identifier is refused."""
    with pytest.raises(ValueError, match=f"not a permission identifier: '{line}'"):
        generate(SOURCE, f"ROLE_READ\n{line}\n")
