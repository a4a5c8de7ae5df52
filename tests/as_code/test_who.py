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


EVE = "eve@example.com  Temp          space ML"
ADA = "ada@example.com  Data Analyst  space ML"
CHURN = "ada@example.com  Temp          project ML / churn"


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ("", [EVE, ADA, CHURN]),
        ("--role 'Data Analyst' --space ML", [ADA]),
        ("--user EVE@example.com", ["eve@example.com  Temp  space ML"]),
        ("--project churn --in-space ML", ["ada@example.com  Temp  project ML / churn"]),
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
    assert output.startswith("user,user_id,role,role_id,")


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
