"""The columns and the CSV of role bindings with names."""

import pytest

from arize_roles_async import NamedBinding
from arize_roles_async._directory.table import to_csv, to_text
from tests.support.clients import START


def bound(
    user: str | None = "ada@example.com",
    role: str | None = "Analyst",
    kind: str = "SPACE",
    resource: str | None = "ML",
    in_space: str | None = None,
) -> NamedBinding:
    return NamedBinding(
        id="b",
        user_id="u1",
        role_id="r1",
        resource_type=kind,
        resource_id="x1",
        created_at=START,
        updated_at=START,
        user=user,
        role=role,
        resource=resource,
        in_space=in_space,
    )


def test_columns() -> None:
    """Columns are padded, and an ID stands where there is no name."""
    bindings = [
        bound(),
        bound("e@x.org", "Temp", "PROJECT", "churn", "ML"),
        bound(None, None, "SPACE", None),
    ]
    assert to_text(bindings) == (
        "ada@example.com  Analyst  space ML\n"
        "e@x.org          Temp     project ML / churn\n"
        "u1               r1       space x1"
    )
    assert to_text([]) == ""


def test_one_line() -> None:
    """A name with a line break stays in its line."""
    assert to_text([bound(resource="a\nb\x1b[0m")]) == "ada@example.com  Analyst  space a b�[0m"


def test_csv() -> None:
    """Every column is there, with names and IDs; a comma is quoted."""
    assert to_csv([bound(kind="PROJECT", resource="a, b", in_space="ML")]) == (
        "user,user_id,role,role_id,resource_type,resource,resource_id,in_space\n"
        'ada@example.com,u1,Analyst,r1,PROJECT,"a, b",x1,ML'
    )


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_formula(name: str) -> None:
    """A text that a spreadsheet would run is no formula any more."""
    assert f"'{name}" in to_csv([bound(role=name)])
