"""The script that writes the members of `Permission`."""

import pytest

from tests.tools.generate_permissions import LIST, MODULE, generate

SOURCE = """class Permission(StrEnum):
    # -- members: python -m tests.tools.generate_permissions --
    OLD_READ = "OLD_READ"
    # -- end of members --

    rest = 1
"""


def test_members_are_made_anew_between_the_marks() -> None:
    assert generate(SOURCE, "ROLE_READ\nDATASET_EXAMPLE_READ\n") == (
        """class Permission(StrEnum):
    # -- members: python -m tests.tools.generate_permissions --
    DATASET_EXAMPLE_READ = "DATASET_EXAMPLE_READ"
    ROLE_READ = "ROLE_READ"
    # -- end of members --

    rest = 1
"""
    )


def test_result_does_not_depend_on_order_spaces_or_repetition() -> None:
    once = generate(SOURCE, "A_READ\nB_READ\n")
    assert generate(SOURCE, "\n  B_READ \r\nA_READ\n\nB_READ") == once


def test_what_was_generated_stays_as_it_is() -> None:
    once = generate(SOURCE, "A_READ\n")
    assert generate(once, "A_READ\n") == once


@pytest.mark.parametrize("line", ["role_read", "ROLE", "ROLE_", "_READ", "ROLE READ", "1_A", "É_A"])
def test_line_that_is_no_identifier_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=f"not a permission identifier: '{line}'"):
        generate(SOURCE, f"ROLE_READ\n{line}\n")


def test_source_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="unpack"):
        generate("class Permission: ...", "ROLE_READ")


def test_committed_module_is_what_the_committed_list_makes() -> None:
    source = MODULE.read_text("utf-8")
    assert generate(source, LIST.read_text("utf-8")) == source


def test_committed_list_is_of_151_permissions() -> None:
    assert len(set(LIST.read_text("utf-8").split())) == 151
