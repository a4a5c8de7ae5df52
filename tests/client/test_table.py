"""The columns and the CSV of role bindings with names."""

from typing import Any

import pytest

from arize_roles_async import NamedBinding
from arize_roles_async._directory.table import to_csv, to_text
from tests.support.clients import START


def bound(**names: Any) -> NamedBinding:  # noqa: ANN401 - of any field
    given: dict[str, Any] = {"id": "b", "user_id": "u1", "role_id": "r1", "resource_id": "x1"}
    given |= {"resource_type": "SPACE", "created_at": START, "updated_at": START}
    return NamedBinding(**given | names)


ADA = {"user": "ada@example.com", "role": "Analyst"}


def test_columns() -> None:
    """Columns are padded, and an ID stands where there is no name."""
    churn = {"resource_type": "PROJECT", "resource": "churn", "in_space": "ML"}
    bindings = [bound(**ADA, resource="ML"), bound(user="e@x.org", role="Temp", **churn), bound()]
    assert to_text(bindings) == (
        "ada@example.com  Analyst  space ML\n"
        "e@x.org          Temp     project ML / churn\n"
        "u1               r1       space x1"
    )
    assert to_text([]) == ""


def test_one_line() -> None:
    """A name with a line break stays in its line."""
    assert to_text([bound(resource="a\nb\x1b[0m")]) == "u1  r1  space a b�[0m"


def test_csv() -> None:
    """Every column is there, with names and IDs; a comma is quoted."""
    there = {"resource_type": "PROJECT", "resource": "a, b", "in_space": "ML"}
    assert to_csv([bound(**ADA, **there)]) == (
        "user,user_id,role,role_id,resource_type,resource,resource_id,in_space\n"
        'ada@example.com,u1,Analyst,r1,PROJECT,"a, b",x1,ML'
    )


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_formula(name: str) -> None:
    """A text that a spreadsheet would run is no formula any more."""
    assert f"'{name}" in to_csv([bound(role=name)])
