"""Role bindings of an account: users and resources that it declares, and keys for some of them."""

from urllib.parse import quote

import pytest

from arize_roles_fake import FakeAccount
from tests.support.clients import answer, request_binding


class TestBind:
    """Role bindings as a test sets them up and inspects them."""

    def test_order(self) -> None:
        """They are there in the order in which they were made."""
        account = FakeAccount()
        one = account.bind("Admin", user="ada", resource="Space:1")
        two = account.bind(account.roles[0], user="bob", resource="Project:1")
        assert account.bindings() == (one, two)
        assert account.bindings("Admin") == (one,)
        assert account.bindings("Member") == ()
        assert one.role_id == account.roles[-1].id
        assert (account.label(one.user_id), account.label(one.resource_id)) == ("ada", "Space:1")

    def test_free_again(self) -> None:
        """Once a binding is gone, by itself or with its role, the user may have another there."""
        account = FakeAccount(predefined=False)
        account.add_role("A")
        account.add_role("B")
        before = account.snapshot()
        account.bind("A", user="ada", resource="Space:1")
        account.bind("A", user="ada", resource="Project:1")
        account.unbind("A", user="ada", resource="Space:1")
        account.bind("B", user="ada", resource="Space:1")
        account.restore(before)
        account.bind("B", user="ada", resource="Project:1")
        assert len(account.bindings("B")) == 1

    def test_assert_bindings(self) -> None:
        """A difference is shown by labels, or by an ID whose label stands for another one."""
        account = FakeAccount()
        account.bind("Admin", user="ada", resource="Space:1")
        account.bind("Admin", user="bob", resource="Project:1")
        account.assert_bindings({("ada", "Space:1"): "Admin", ("bob", "Project:1"): "Admin"})
        account.bind("Admin", user="bob", resource="UHJvamVjdDox")  # base64 of Project:1
        with pytest.raises(AssertionError) as caught:
            account.assert_bindings({("ada", "Space:1"): "Member", ("eve", "Space:1"): "Admin"})
        assert str(caught.value) == (
            "the role bindings are not as expected:\n"
            "  - 'ada' on 'Space:1': 'Member'        expected, but missing\n"
            "  + 'ada' on 'Space:1': 'Admin'         not expected\n"
            "  + 'bob' on 'Project:1': 'Admin'       not expected\n"
            "  + 'bob' on 'UHJvamVjdDox': 'Admin'    not expected\n"
            "  - 'eve' on 'Space:1': 'Admin'         expected, but missing"
        )


@pytest.mark.parametrize("loaded", [False, True])
def test_undeclared(loaded: bool) -> None:  # noqa: FBT001
    """Users and resources that are not declared are unknown, also once a file is loaded."""
    account = FakeAccount(users=["ada", "VXNlcjpldmU="], resources=["Space:1"])
    if loaded:
        account = FakeAccount.load(account.dump())
    for user, place, status in (
        *(("ada", "Space:1", 201), ("VXNlcjpldmU=", "Space:1", 201)),
        *(("bob", "Space:1", 404), ("eve", "Space:1", 404)),
        *(("ada", "Space:2", 403), ("bob", "Space:2", 403)),
    ):
        assert request_binding(account, user, place) == status


def test_nobody() -> None:
    """An account that declares no users has none, also in a file."""
    account = FakeAccount.load(FakeAccount(users=(), resources=()).dump())
    of_ada = f"resource_type=SPACE&user_id={quote(account.id('ada'))}"
    assert answer(account, f"GET /v2/role-bindings?{of_ada}")[0] == 404
