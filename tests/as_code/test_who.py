"""The command `arize-roles who`: who has which role where, by names."""

import json

import pytest

from tests.as_code.shell import Shell


@pytest.fixture
def bound(shell: Shell) -> Shell:
    """Return a shell on an account with three role bindings."""
    shell.account.add_role("Data Analyst")
    shell.account.add_role("Temp")
    shell.account.bind("Data Analyst", user="ada@example.com", resource="Space:ML")
    shell.account.bind("Temp", user="eve@example.com", resource="Space:ML")
    shell.account.bind("Temp", user="ada@example.com", resource="Project:ML/churn")
    return shell


MOMENT = "2026-01-01T12:00:00+00:00"
EVE = "eve@example.com  Temp          space 'ML'"
ADA = "ada@example.com  Data Analyst  space 'ML'"
EVE_ALONE = "eve@example.com  Temp  space 'ML'"
CHURN_ALONE = "ada@example.com  Temp  project 'churn' in space 'ML'"
CHURN = "ada@example.com  Temp          project 'churn' in space 'ML'"


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ("", [EVE, ADA, CHURN]),
        ("--role Temp --space ML", [EVE_ALONE]),
        ("--user EVE@example.com", [EVE_ALONE]),
        ("--project churn --in-space ML", [CHURN_ALONE]),
        ("--project churn --user eve@example.com", [""]),
    ],
)
def test_text(bound: Shell, options: str, lines: list[str]) -> None:
    """It prints a line for each role binding that matches, in columns."""
    status, output, errors = bound(f"who {options}")
    assert (status, output.splitlines()) == (0, lines)
    count = len([line for line in lines if line])
    none = "; it sees none without ROLE_BINDING_READ" if not count else ""
    seen = f"{count} role bindings; those that the key may not see are left out{none}"
    assert errors == f"note: {seen}\n"


def test_json(bound: Shell) -> None:
    """`--format json` prints the bindings with their names."""
    _, output, _ = bound("who --role 'Data Analyst' --format json")
    (found,) = json.loads(output)["role_bindings"]
    assert (found["user"], found["resource"]) == ("ada@example.com", "ML")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("a, b - c = d; e", '"a, b - c = d; e"'),
        *((name, f"'{name}") for name in ("=1", "+1", "-1", "@SUM(A1)", " =1", "\uff1d1")),
        *(("x;=1", "x;'=1"), ("x; =1", "x;' =1")),
    ],
)
def test_csv(bound: Shell, name: str, field: str) -> None:
    """Every field is a column; an apostrophe is before what a spreadsheet would run."""
    bound.account.add_space(name, id=bound.account.id("Space:ML"))
    (binding,) = bound.account.bindings("Data Analyst")
    ids = f"{binding.id},{binding.role_id},{binding.user_id},SPACE,{binding.resource_id}"
    _, output, _ = bound("who --role 'Data Analyst' --format csv")
    heading, row = output.splitlines()
    assert heading.endswith(",created_at,updated_at,user,role,resource,in_space")
    assert row == f"{ids},{MOMENT},{MOMENT},ada@example.com,Data Analyst,{field},"


def test_error(bound: Shell) -> None:
    """A name that nothing has ends it with 2."""
    status, output, errors = bound("who --role Anlyst")
    assert (status, output) == (2, "")
    assert errors.startswith("error: no role is named 'Anlyst'")
