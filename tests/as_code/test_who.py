"""The command `arize-roles who`: who has which role where, by names."""

import json
from typing import Any

import pytest

from arize_roles_async import NamedBinding
from arize_roles_async.__main__ import to_columns, to_csv
from tests.as_code.shell import Shell
from tests.support.clients import START


@pytest.fixture
def bound(shell: Shell) -> Shell:
    """Return a shell on an account with three role bindings."""
    shell.account.add_role("Data Analyst")
    shell.account.add_role("Temp")
    shell.account.bind("Data Analyst", user="ada@example.com", resource="Space:ML")
    shell.account.bind("Temp", user="eve@example.com", resource="Space:ML")
    shell.account.bind("Temp", user="ada@example.com", resource="Project:ML/churn")
    return shell


EVE = "eve@example.com  Temp          space 'ML'"
ADA = "ada@example.com  Data Analyst  space 'ML'"
CHURN = "ada@example.com  Temp          project 'churn' in space 'ML'"


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ("", [EVE, ADA, CHURN]),
        ("--role 'Data Analyst' --space ML", [ADA]),
        ("--user EVE@example.com", ["eve@example.com  Temp  space 'ML'"]),
        ("--project churn --in-space ML", ["ada@example.com  Temp  project 'churn' in space 'ML'"]),
        ("--project churn --user eve@example.com", [""]),
    ],
)
def test_text(bound: Shell, options: str, lines: list[str]) -> None:
    """It prints a line for each role binding that matches, in columns."""
    status, output, errors = bound(f"who {options}")
    assert (status, output.splitlines()) == (0, lines)
    count = len([line for line in lines if line])
    assert errors == f"note: {count} role bindings; those that the key may not see are left out\n"


def test_format(bound: Shell) -> None:
    """`--format` prints JSON, or CSV with a heading."""
    _, output, _ = bound("who --role 'Data Analyst' --format json")
    (found,) = json.loads(output)["role_bindings"]
    assert (found["user"], found["resource"]) == ("ada@example.com", "ML")
    _, output, _ = bound("who --project churn --format csv")
    assert output.startswith("id,role_id,user_id,")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("--role Anlyst", "error: no role is named 'Anlyst'"),
        ("--in-space ML", "error: in_space: goes with project, which is not given"),
    ],
)
def test_error(bound: Shell, options: str, error: str) -> None:
    """A name that nothing has, or arguments that do not fit, end it with 2."""
    status, output, errors = bound(f"who {options}")
    assert (status, output) == (2, "")
    assert errors.startswith(error)


def test_advised(bound: Shell) -> None:
    """The command that a blocked delete advises shows who has the role."""
    bound.write("roles.toml", 'absent = ["Data Analyst"]\n')
    _, _, errors = bound("apply --yes --max-removals 100% roles.toml")
    (advised,) = [line for line in errors.splitlines() if "for who has it: " in line]
    _, output, _ = bound(advised.partition("arize-roles ")[2])
    assert output == f"{ADA}\n"


NAMED = {"user": "ada@example.com", "role": "Analyst"}


def make(**names: Any) -> NamedBinding:  # noqa: ANN401 - of any field
    given: dict[str, Any] = {"id": "b", "user_id": "u1", "role_id": "r1", "resource_id": "x1"}
    given |= {"resource_type": "SPACE", "created_at": START, "updated_at": START}
    return NamedBinding(**given | names)


def test_columns() -> None:
    """Columns are padded, an ID stands where there is no name, and a name stays in its line."""
    churn = {"resource_type": "PROJECT", "resource": "a\nb\x1b[0m", "in_space": "ML"}
    bindings = [make(**NAMED, resource="ML"), make(user="e@x.org", role="Te\nmp", **churn), make()]
    assert to_columns(bindings) == (
        "ada@example.com  Analyst  space 'ML'\n"
        "e@x.org          Te mp    project 'a\\nb\\x1b[0m' in space 'ML'\n"
        "u1               r1       space 'x1'"
    )


def test_csv() -> None:
    """Every field is a column; what has no name has an empty one."""
    assert to_csv([make(**NAMED, resource="a, b"), make()]) == (
        "id,role_id,user_id,resource_type,resource_id,created_at,updated_at,"
        "user,role,resource,in_space\n"
        "b,r1,u1,SPACE,x1,2026-01-01T12:00:00+00:00,2026-01-01T12:00:00+00:00,"
        'ada@example.com,Analyst,"a, b",\n'
        "b,r1,u1,SPACE,x1,2026-01-01T12:00:00+00:00,2026-01-01T12:00:00+00:00,,,,"
    )


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_formula(name: str) -> None:
    """A text that a spreadsheet would run is no formula any more."""
    assert f"'{name}" in to_csv([make(role=name)])
