"""What the contracts' rules assert and do is needed by a broken client of the tests."""

import pytest

from tests.contract import test_faults
from tests.tools import assertions

pytestmark = [
    pytest.mark.usefixtures("unmeasured"),
    pytest.mark.full,
    # A rule without a call may leave a coroutine, or a fault.
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.arize_roles(unused_faults="allow"),
]

UNSEEN = 50
"""What a rule does that no broken client needs, such as a wait for a coarse clock; by turns 49."""


def test_none_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """No assertion can be deleted with every test green, and few calls, arguments and elements."""
    monkeypatch.setattr("tests.contract.suites.OnAccount.rounds", 20)
    left = assertions.unseen()
    assert [str(each) for each in left if each.is_assertion] == []
    assert len(left) <= UNSEEN, "\n".join(map(str, left))


def test_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the faults of a rule, its assertions and calls are listed."""
    monkeypatch.setitem(test_faults.FAULTS["RolesContract"], "test_delete", [])
    left = [each.text for each in assertions.unseen(r"RolesContract\.test_delete$")]
    assert {*left} >= {
        "assert await Call(roles, 'delete', role_id=role.id)() is None",
        "await roles.get(role_id=role.id)",
        "with pytest.raises(NotFoundError):",
    }
