"""Calls of role bindings: their rules, what a lost answer leads to, `ensure` and `remove`."""

import asyncio
from contextlib import nullcontext
from typing import Any, cast

import pytest

from arize_roles_async import (
    ConflictError,
    NotFoundError,
    OutcomeUnknownError,
    RoleBinding,
    RoleBindingsClient,
    StatusError,
    ValidationError,
)
from arize_roles_fake import Assumptions, FakeAccount, FakeRolesClient
from tests.support.clients import ONCE, Act, account_at_noon, answer, meddled

USER = "VXNlcjphZGE="  # User:ada
SPACE = "U3BhY2U6MQ=="  # Space:1
OTHER_SPACE = "U3BhY2U6Mg=="  # Space:2
PROJECT = "TW9kZWw6MQ=="  # Model:1
ANALYST = "Um9sZToxMA=="  # Role:10
EDITOR = "Um9sZToyMA=="  # Role:20
TARGET: dict[str, Any] = {"user_id": USER, "resource_type": "SPACE", "resource_id": SPACE}


def with_roles(account: FakeAccount) -> FakeAccount:
    account.add_role("Analyst", id=ANALYST)
    account.add_role("Editor", id=EDITOR)
    return account


@pytest.fixture
def account() -> FakeAccount:
    return with_roles(account_at_noon())


@pytest.fixture
def bindings(account: FakeAccount) -> RoleBindingsClient:
    return FakeRolesClient(account).role_bindings


def before(method: str, act: Act, **options: Any) -> FakeAccount:  # noqa: ANN401
    """Return an account that somebody else changes right before requests with a method."""
    return with_roles(meddled("before", method, act, **options))


def bind(account: FakeAccount) -> RoleBinding:
    return account.bind("Analyst", user=USER, resource=SPACE)


def unbind(account: FakeAccount) -> None:
    account.unbind("Analyst", user=USER, resource=SPACE)


def rebind(account: FakeAccount) -> None:
    unbind(account)
    bind(account)


def give(account: FakeAccount) -> None:
    """Have somebody else give every binding the role of an analyst."""
    account.advance(1)
    for each in account.bindings():
        line, body = f"PATCH /v2/role-bindings/{each.id}", {"role_id": ANALYST}
        assert answer(account, line, body)[0] == 200


def asked(account: FakeAccount) -> list[str]:
    """Return the operations of the requests so far."""
    return [call.operation.removeprefix("role_bindings.") for call in account.calls]


async def test_refused(account: FakeAccount, bindings: Any) -> None:  # noqa: ANN401
    """One error names every argument that breaks a rule, and nothing is sent."""
    with pytest.raises(ValidationError) as caught:
        await bindings.create(user_id="", role_id=5, resource_type="space", resource_id=USER)
    assert str(caught.value) == (
        "role_id: must be a string, not int; user_id: must not be empty; "
        "resource_type: must be SPACE or PROJECT, not 'space'; did you mean SPACE?; "
        "resource_id: 'VXNlcjphZGE=' is the ID of a User, not of a space or project"
    )
    assert account.calls == ()


class TestEnsure:
    """`ensure` gives a user a role, whatever is there; `remove` takes it."""

    async def test_requests(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """A user gets the role in two requests, and keeps it in one; other bindings stay."""
        account.bind("Analyst", user=USER, resource=OTHER_SPACE)
        made = await bindings.ensure(**TARGET, role_id=ANALYST)
        assert await bindings.ensure(**TARGET, role_id=made.role_id) == made
        assert (await bindings.ensure(**TARGET, role_id=EDITOR)).id == made.id
        account.assert_bindings({(USER, SPACE): "Editor", (USER, OTHER_SPACE): "Analyst"})
        assert asked(account) == ["list", "create", "list", "list", "update"]

    @pytest.mark.parametrize(
        ("method", "grant", "kind", "why"),
        [
            ("ensure", "ROLE_BINDING_CREATE", ConflictError, r"lack ROLE_BINDING_READ on the reso"),
            ("ensure", "ROLE_BINDING_READ", NotFoundError, "no such role, or the key may lack "),
            ("remove", "ROLE_BINDING_READ", NotFoundError, r"ROLE_BINDING_DELETE on the resource$"),
        ],
    )
    async def test_rights(
        self, account: FakeAccount, method: str, grant: str, kind: type[StatusError], why: str
    ) -> None:
        """The error for a binding that the key may not see, or change, names the right."""
        bind(account)
        account.add_key("other", grants=[grant])
        other = FakeRolesClient(account, api_key="other").role_bindings
        role = {"role_id": EDITOR} if method == "ensure" else {}
        with pytest.raises(kind, match=why):
            await getattr(other, method)(**TARGET, **role)

    @pytest.mark.parametrize("failure", [None, 404, 409])
    async def test_other_refusal(
        self, account: FakeAccount, bindings: RoleBindingsClient, failure: int | None
    ) -> None:
        """The error for a role that is not there, or a conflict of an update, names no right."""
        if failure:
            bind(account)
        if failure == 409:
            account.fail("role_bindings.update", failure)
        role_id = EDITOR if failure == 409 else "Um9sZTowOm5vbmU="
        with pytest.raises(ConflictError if failure == 409 else NotFoundError) as caught:
            await bindings.ensure(**TARGET, role_id=role_id)
        assert "ROLE_BINDING" not in str(caught.value)
        assert asked(account) == (["list", "update", "list"] if failure else ["list", "create"])

    @pytest.mark.parametrize(
        ("act", "requests"),
        [(rebind, ["list", "update"] * 3), (unbind, ["list", "update", "list", "create"])],
    )
    async def test_changed_meanwhile(self, act: Act, requests: list[str]) -> None:
        """A binding that somebody removes is made anew; three rounds are tried."""
        account = before("PATCH", act)
        bind(account)
        bindings = FakeRolesClient(account).role_bindings
        with pytest.raises(NotFoundError) if act is rebind else nullcontext():
            await bindings.ensure(**TARGET, role_id=EDITOR)
        assert asked(account) == requests

    @pytest.mark.parametrize("times", Assumptions.choices()["binding_updated_at"])
    async def test_changed_since(self, times: Any) -> None:  # noqa: ANN401 - a choice
        """A binding that somebody changed since this call made it gets the role again."""
        assumptions = Assumptions(binding_updated_at=times)
        account = before("POST", give, assumptions=assumptions)
        account.fail("role_bindings.create", "lost", when="after")
        bindings = FakeRolesClient(account).role_bindings
        made = await bindings.ensure(**TARGET, role_id=EDITOR)
        assert account.bindings("Editor") == (made,)
        assert asked(account) == ["list", "create", "update", "create", "list", "update"]
        account.fail("role_bindings.update", "lost", times=None, skip=1)
        account.unbind("Editor", user=USER, resource=SPACE)
        account.fail("role_bindings.create", "lost", when="after")
        with pytest.raises(OutcomeUnknownError) as caught:
            await bindings.ensure(**TARGET, role_id=EDITOR)
        assert caught.value.operation == "role_bindings.update"

    @pytest.mark.parametrize("ends", [[200, 200], [200, 200, 200], [200, 403]])
    async def test_changed_in_answer(
        self, account: FakeAccount, bindings: RoleBindingsClient, ends: list[Any]
    ) -> None:
        """A role that the answer to a change shows in place of the given one is changed again."""
        json = {"Content-Type": "application/json"}
        stale: dict[str, Any] = {"body": bind(account).to_json(), "headers": json}
        for status in ends:
            account.fail("role_bindings.update", status, **(stale if status == 200 else {}))
        unknown = pytest.raises(OutcomeUnknownError, match=r"of role_bindings\.update is unknown")
        with nullcontext() if ends == [200, 200] else unknown:
            made = await bindings.ensure(**TARGET, role_id=EDITOR)
            assert account.bindings("Editor") == (made,)

    @pytest.mark.parametrize("act", [unbind, rebind])
    async def test_removed_meanwhile(self, act: Act) -> None:
        """`remove` returns False if somebody else removed the binding at the same moment."""
        account = before("DELETE", act)
        bind(account)
        assert not await FakeRolesClient(account).role_bindings.remove(**TARGET)

    @pytest.mark.parametrize(("failure", "is_own"), [("lost", True), (503, False)])
    async def test_removed_late(self, failure: Any, *, is_own: bool) -> None:  # noqa: ANN401
        """A binding that is removed after a refusal may be so by a lost request, and by no 503."""

        def arrive(account: FakeAccount) -> None:
            if account.calls[-1].operation == "role_bindings.get":
                unbind(account)

        account = with_roles(meddled("after", "GET", arrive))
        bind(account)
        account.fail("role_bindings.delete", failure)
        account.fail("role_bindings.delete", 404)
        assert await FakeRolesClient(account).role_bindings.remove(**TARGET) is is_own


@pytest.mark.parametrize(
    ("resource", "lists"),
    [
        (SPACE, ["SPACE"]),
        (PROJECT, ["PROJECT"]),
        ("UHJvamVjdDox", ["PROJECT"]),  # Project:1, which is another one.
        ("no base64", ["SPACE", "PROJECT"]),
    ],
)
async def test_find(
    account: FakeAccount, bindings: RoleBindingsClient, resource: str, lists: list[str]
) -> None:
    """The ID of a resource says its type, and only bindings of this type are read."""
    made = [account.bind("Analyst", user=USER, resource=each) for each in (SPACE, PROJECT)]
    found = [each async for each in bindings.find(resource_id=resource, user_id=USER)]
    assert found == [each for each in made if each.resource_id == resource]
    given = {"limit": 100, "user_id": USER}
    assert [call.arguments for call in account.calls] == [
        {"resource_type": each, **given} for each in lists
    ]


async def test_padding(account: FakeAccount) -> None:
    """An ID without its padding is the same ID, also of what a lost request may have made."""
    bindings, made = FakeRolesClient(account, retry=ONCE).role_bindings, bind(account)
    bare = {"role_id": ANALYST.rstrip("="), "resource_id": SPACE.rstrip("=")}
    assert [each async for each in bindings.find(**bare)] == [made]
    for operation in ("role_bindings.create", "role_bindings.update"):
        account.fail(cast("Any", operation), "lost")
    found = await asyncio.gather(
        bindings.create(**{**TARGET, **bare}),
        bindings.update(binding_id=made.id.rstrip("="), role_id=bare["role_id"]),
        bindings.ensure(**{**TARGET, **bare}),
    )
    assert {*found} == {made}
    assert await bindings.remove(**{**TARGET, "resource_id": bare["resource_id"]})


async def test_refused_since() -> None:
    """If somebody changed a binding since, a 503 that was wrong may have come before that."""
    account = before("GET", give)
    made = bind(account)
    for status in (503, 403):
        account.fail("role_bindings.update", status)
    with pytest.raises(OutcomeUnknownError):
        await FakeRolesClient(account).role_bindings.update(binding_id=made.id, role_id=EDITOR)
