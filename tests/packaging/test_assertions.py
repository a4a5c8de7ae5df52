"""Every assertion of the contracts is needed by a broken client of the tests."""

import subprocess
import sys

import pytest

from tests.support.documentation import ROOT
from tests.support.processes import ran

pytestmark = [pytest.mark.usefixtures("unmeasured"), pytest.mark.full]


def run(before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, in which it loads the contracts anew."""
    code = f"import sys\nfrom tests.tools import assertions\n{before}\nsys.exit(assertions.main())"
    return ran(sys.executable, "-c", code, cwd=ROOT, timeout=None)


def test_none_unseen() -> None:
    """No assertion can be deleted with every test green."""
    done = run()
    assert done.stdout.startswith("0 of "), done.stdout + done.stderr
    assert done.returncode == 0


def test_found() -> None:
    """Without the faults of a rule, its assertions are listed."""
    done = run('del assertions.judge().listed["RolesContract"]["test_update"]')
    *lines, last = done.stdout.splitlines()
    assert [line.partition(": ")[2] for line in lines] == [
        "assert changed == attrs.evolve(role, updated_at=changed.updated_at, **asked)",
        "assert changed.updated_at >= role.updated_at",
        "assert await roles.get(role_id=role.id) == await roles.get(role=name) == changed",
        "with pytest.raises(NotFoundError):",
        "assert again.id != role.id",
    ]
    assert last.startswith("5 of ")
    assert done.returncode == 1


def test_searched() -> None:
    """`--write` finds a fault for what no fault needs yet."""
    found = 'assertions.judge().search("DirectoryContract", "test_unknown_id", set())'
    assert run(f"print(*{found})").stdout.splitlines()[0] == "get_user 1: no error"
