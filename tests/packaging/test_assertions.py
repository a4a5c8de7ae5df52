"""What the contracts' rules assert and do is needed by a broken client of the tests."""

import re
import subprocess
import sys

import pytest

from tests.support.documentation import ROOT
from tests.support.processes import ran

pytestmark = [pytest.mark.usefixtures("unmeasured"), pytest.mark.full]


UNSEEN = 190
"""What a rule does that no broken client needs, such as a wait for a coarse clock."""


def run(before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, in which it loads the contracts anew."""
    code = f"import sys\nfrom tests.tools import assertions\n{before}\nsys.exit(assertions.main())"
    return ran(sys.executable, "-c", code, cwd=ROOT, timeout=None)


def test_none_unseen() -> None:
    """No assertion can be deleted with every test green, and few calls, arguments and elements."""
    done = run()
    last = done.stdout.splitlines()[-1]
    assertions, others = map(int, re.findall(r"\d+", last))
    assert assertions == done.returncode == 0, done.stdout + done.stderr
    assert others <= UNSEEN, done.stdout


def test_found() -> None:
    """Without the faults of a rule, its assertions and calls are listed."""
    done = run(
        """
sys.argv += ["--rule", "RolesContract.test_delete$"]
assertions.judge().listed["RolesContract"]["test_delete"].clear()
"""
    )
    lines = done.stdout.splitlines()
    assert {line.partition(": ")[2] for line in lines} >= {
        'assert await Call(roles, "delete", role_id=role.id)() is None',
        "await roles.get(role_id=role.id)",
        "with pytest.raises(NotFoundError):",
    }
    assert done.returncode == 1


def test_searched() -> None:
    """`--write` finds a fault for what no fault needs yet."""
    found = 'assertions.judge().search("DirectoryContract", "test_unknown_id", set())'
    assert run(f"print(next({found}))").stdout.splitlines()[0].endswith(": no error")
