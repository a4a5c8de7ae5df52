"""Calls of role bindings: their rules, what a lost answer leads to, `ensure` and `remove`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from arize_roles_async import (
    ArizeClient,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    OutcomeUnknownError,
    Request,
    Response,
    RetryPolicy,
    RoleBinding,
    RoleBindingsClient,
    RolesClient,
    ServerError,
    StatusError,
    ValidationError,
)
from arize_roles_fake import Assumptions, FakeAccount, FakeRolesClient
from tests.support.clients import Act, account_at_noon, answer, meddled
from tests.support.documentation import definitions

USER = "VXNlcjphZGE="  # User:ada
SPACE = "U3BhY2U6MQ=="  # Space:1
OTHER_SPACE = "U3BhY2U6Mg=="  # Space:2
PROJECT = "TW9kZWw6MQ=="  # Model:1
ANALYST = "Um9sZToxMA=="  # Role:10
EDITOR = "Um9sZToyMA=="  # Role:20
Fault = tuple[Any, dict[str, Any]]
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


class LateAnswers(FakeAccount):
    """Answers the first changes of a role with the binding after somebody else changed it again."""

    def __init__(self, others: int) -> None:
        super().__init__(api_key="fake-api-key", predefined=False)
        self.others = others
        with_roles(self)
        bind(self)

    def handle(self, request: Request) -> Response:
        reply = super().handle(request)
        if request.method != "PATCH" or not self.others:
            return reply
        left, self.others = self.others - 1, 0
        give(self)
        self.others = left
        return super().handle(msgspec.structs.replace(request, method="GET", body=None))


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


BROKEN: list[tuple[Callable[[Any], Any], str]] = [
    (
        lambda b: b.create(user_id="", role_id=5, resource_type="space", resource_id="x"),
        (
            "role_id: must be a string, not int; user_id: must not be empty; "
            "resource_type: must be SPACE or PROJECT, not 'space'; did you mean SPACE?"
        ),
    ),
    (
        lambda b: b.ensure(**{**TARGET, "role_id": "r", "resource_type": "PROJECT"}),
        "resource_id: 'U3BhY2U6MQ==' is the ID of a Space, not of a project",
    ),
    (
        lambda b: b.remove(**{**TARGET, "resource_id": USER}),
        "resource_id: 'VXNlcjphZGE=' is the ID of a User, not of a space",
    ),
    (
        lambda b: b.list(resource_type=1, user_id="", limit=0, cursor=""),
        (
            "resource_type: must be a string, not int; user_id: must not be empty; "
            "limit: must be 1 to 100, not 0; cursor: must not be empty"
        ),
    ),
    (
        lambda b: b.find(resource_id=USER),
        "resource_id: 'VXNlcjphZGE=' is the ID of a User, not of a space or project",
    ),
]


class TestRules:
    """Arguments are checked before anything is sent."""

    @pytest.mark.parametrize(("call", "message"), BROKEN)
    async def test_refused(
        self,
        account: FakeAccount,
        bindings: RoleBindingsClient,
        call: Callable[[Any], Awaitable[object]],
        message: str,
    ) -> None:
        """One error names every argument that breaks a rule."""
        with pytest.raises(ValidationError) as caught:
            await call(bindings)
        assert str(caught.value) == message
        assert account.calls == ()

    @pytest.mark.parametrize("resource", ["UHJvamVjdDox", "TW9kZWw6MQ=="])
    async def test_project(
        self, account: FakeAccount, bindings: RoleBindingsClient, resource: str
    ) -> None:
        """The ID of a project says Model or Project."""
        place = {**TARGET, "resource_type": "PROJECT", "resource_id": resource}
        made = await bindings.create(**place, role_id=ANALYST)
        assert account.bindings() == (made,)

    async def test_no_id(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """A text that is plainly of no kind is the service's to refuse."""
        with pytest.raises(BadRequestError):
            await bindings.ensure(**{**TARGET, "role_id": "r", "resource_id": "no base64"})
        assert asked(account) == ["list", "create"]


LOST: Fault = ("lost", {})
LOST_AFTER: Fault = ("lost", {"when": "after"})
DOWN: Fault = (503, {})
DOWN_AFTER: Fault = (503, {"when": "after"})
REFUSED: Fault = (401, {})


class TestLost:
    """A change whose answer was lost is looked up, and is never called made without a sign."""

    @pytest.mark.parametrize(
        ("method", "faults", "attempts", "end", "requests"),
        [
            # What a lost attempt did is found.
            ("create", [LOST_AFTER], 3, RoleBinding, "create create list"),
            ("update", [LOST], 3, RoleBinding, "update update"),
            ("update", [LOST_AFTER], 3, RoleBinding, "update update"),
            ("update", [LOST_AFTER], 1, RoleBinding, "update get"),
            # `remove` has seen the binding, so one that is gone counts as removed.
            ("remove", [LOST_AFTER], 3, bool, "list delete delete get"),
            # After a 503 of the service, it may be somebody else who has removed it.
            ("remove", [DOWN_AFTER], 3, OutcomeUnknownError, "list delete delete get"),
            ("delete", [DOWN_AFTER], 3, OutcomeUnknownError, "delete delete get"),
            # A delete by an ID cannot tell a removed binding from one that it never saw.
            ("delete", [LOST_AFTER], 3, OutcomeUnknownError, "delete delete get"),
            # A request that was lost may still arrive, so an unchanged account proves nothing.
            ("create", [LOST], 1, OutcomeUnknownError, "create list"),
            ("create again", [LOST], 1, OutcomeUnknownError, "create list"),
            ("update", [LOST], 1, OutcomeUnknownError, "update get"),
            ("delete", [LOST], 1, OutcomeUnknownError, "delete get"),
            # A binding that is older than the call is somebody else's.
            ("create again", [LOST], 3, ConflictError, "create create list"),
            # After a 503 of the service, the account shows that a refused change was not made.
            ("update", [DOWN, REFUSED], 3, AuthenticationError, "update update get"),
            ("delete", [DOWN, REFUSED], 3, AuthenticationError, "delete delete get"),
            ("create", [DOWN], 1, ServerError, "create"),
        ],
    )
    async def test_end(
        self,
        account: FakeAccount,
        method: str,
        faults: list[Fault],
        *,
        attempts: int,
        end: type,
        requests: str,
    ) -> None:
        """Each change ends in what the account shows."""
        ended = await self.end_of(account, method, faults, attempts)
        assert type(ended) is end
        if isinstance(ended, RoleBinding):
            assert ended in account.bindings("Editor")
        assert asked(account) == requests.split()

    @pytest.mark.parametrize(
        ("method", "faults", "grant", "end"),
        [
            ("create", [LOST_AFTER], "ROLE_BINDING_CREATE", OutcomeUnknownError),
            ("update", [LOST], "ROLE_BINDING_READ", OutcomeUnknownError),
            # A binding that is there after a 404 was not deleted.
            ("delete", [LOST], "ROLE_BINDING_READ", NotFoundError),
        ],
    )
    async def test_rights(
        self, account: FakeAccount, method: str, faults: list[Fault], grant: str, end: type
    ) -> None:
        """A key that may not see or change everything is shown no more than that."""
        account.add_key("other", grants=[grant])
        assert type(await self.end_of(account, method, faults, api_key="other")) is end

    async def end_of(
        self,
        account: FakeAccount,
        method: str,
        faults: list[Fault],
        attempts: int = 3,
        api_key: str | None = None,
    ) -> object:
        """Return what a change ends in that meets these failures, a minute after a binding."""
        binding = bind(account)
        account.advance(60)
        elsewhere = {**TARGET, "resource_id": OTHER_SPACE}
        retry = RetryPolicy(attempts=attempts)
        roles = FakeRolesClient(account, api_key=api_key, retry=retry).role_bindings
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "create": lambda: roles.create(**elsewhere, role_id=EDITOR),
            "create again": lambda: roles.create(**TARGET, role_id=ANALYST),
            "update": lambda: roles.update(binding_id=binding.id, role_id=EDITOR),
            "delete": lambda: roles.delete(binding_id=binding.id),
            "remove": lambda: roles.remove(**TARGET),
        }
        operation: Any = {"create again": "create", "remove": "delete"}.get(method, method)
        for failure, options in faults:
            account.fail(f"role_bindings.{operation}", failure, **options)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        (ended,) = await asyncio.gather(calls[method](), return_exceptions=True)
        return ended

    async def test_changed_since(self) -> None:
        """A binding that somebody changed since a 503 may have been changed by this call first."""
        account = before("GET", give)
        first = bind(account)
        account.advance(60)
        account.fail("role_bindings.update", 503, when="after")
        account.fail("role_bindings.update", 401)
        bindings = FakeRolesClient(account).role_bindings
        with pytest.raises(OutcomeUnknownError):
            await bindings.update(binding_id=first.id, role_id=EDITOR)
        account.assert_bindings({(USER, SPACE): "Analyst"})


async def test_update_answer() -> None:
    """An update whose answer shows another role than was given is no result."""
    account = LateAnswers(others=1)
    (binding,) = account.bindings()
    bindings = FakeRolesClient(account).role_bindings
    with pytest.raises(OutcomeUnknownError, match="holds a binding of another role"):
        await bindings.update(binding_id=binding.id, role_id=EDITOR)


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

    @pytest.mark.parametrize(
        ("is_bound", "requests"), [(False, "list create"), (True, "list update list")]
    )
    async def test_no_role(
        self, account: FakeAccount, bindings: RoleBindingsClient, *, is_bound: bool, requests: str
    ) -> None:
        """The error for a role that is not there names no right."""
        if is_bound:
            bind(account)
        with pytest.raises(NotFoundError) as caught:
            await bindings.ensure(**TARGET, role_id="Um9sZTowOm5vbmU=")
        assert "ROLE_BINDING" not in str(caught.value)
        assert asked(account) == requests.split()

    async def test_other_conflict(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """Nor does that for a conflict of an update."""
        bind(account)
        account.fail("role_bindings.update", 409)
        with pytest.raises(ConflictError) as caught:
            await bindings.ensure(**TARGET, role_id=EDITOR)
        assert "ROLE_BINDING" not in str(caught.value)

    async def test_three_rounds(self) -> None:
        """Where others change the binding each time, three rounds are tried."""
        account = before("PATCH", rebind)
        bind(account)
        bindings = FakeRolesClient(account).role_bindings
        with pytest.raises(NotFoundError):
            await bindings.ensure(**TARGET, role_id=EDITOR)
        assert asked(account) == ["list", "update"] * 3

    async def test_gone(self) -> None:
        """A binding that somebody removes meanwhile is made anew."""
        account = before("PATCH", unbind)
        bind(account)
        bindings = FakeRolesClient(account).role_bindings
        await bindings.ensure(**TARGET, role_id=EDITOR)
        account.assert_bindings({(USER, SPACE): "Editor"})

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

    async def test_changed_in_answer(self) -> None:
        """A role that the answer to a change shows in place of the given one is changed again."""
        account = LateAnswers(others=2)
        made = await FakeRolesClient(account).role_bindings.ensure(**TARGET, role_id=EDITOR)
        assert account.bindings("Editor") == (made,)
        account = LateAnswers(others=3)
        with pytest.raises(OutcomeUnknownError, match="holds a binding of another role"):
            await FakeRolesClient(account).role_bindings.ensure(**TARGET, role_id=EDITOR)
        account = LateAnswers(others=1)
        account.fail("role_bindings.update", 403, skip=2)  # neither the first nor somebody else's
        with pytest.raises(OutcomeUnknownError):
            await FakeRolesClient(account).role_bindings.ensure(**TARGET, role_id=EDITOR)

    async def test_gone_again(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """A binding that somebody made and removed again at the same moment is made anew."""
        account.fail("role_bindings.create", 409, times=2)
        made = await bindings.ensure(**TARGET, role_id=EDITOR)
        assert account.bindings("Editor") == (made,)
        assert asked(account) == ["list", "create"] * 3

    async def test_changed_for_good(self) -> None:
        """If that fails, the error does not say that this call has changed nothing."""
        account = before("POST", give)
        account.fail("role_bindings.create", "lost", when="after")
        account.fail("role_bindings.update", 404, skip=1)  # not that of somebody else
        bindings = FakeRolesClient(account).role_bindings
        with pytest.raises(OutcomeUnknownError):
            await bindings.ensure(**TARGET, role_id=EDITOR)

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


class TestFind:
    """`find` reads the bindings of a role, a user or a resource."""

    async def test_padding(self, account: FakeAccount, bindings: RoleBindingsClient) -> None:
        """An ID without its padding is the same ID."""
        made = bind(account)
        bare = {"role_id": ANALYST.rstrip("="), "resource_id": SPACE.rstrip("=")}
        assert [each async for each in bindings.find(**bare)] == [made]
        assert await bindings.remove(**{**TARGET, "resource_id": bare["resource_id"]})

    @pytest.mark.parametrize(
        ("resource", "lists"),
        [("Space:1", ["SPACE"]), ("Project:1", ["PROJECT"]), ("no base64", ["SPACE", "PROJECT"])],
    )
    async def test_resource(
        self, account: FakeAccount, bindings: RoleBindingsClient, resource: str, lists: list[str]
    ) -> None:
        """The ID of a resource says its type, and only bindings of this type are read."""
        ids = {"Space:1": SPACE, "Project:1": PROJECT}
        made = [account.bind("Analyst", user=USER, resource=each) for each in ids.values()]
        resource_id = ids.get(resource, resource)
        found = [each async for each in bindings.find(resource_id=resource_id)]
        assert found == [each for each in made if each.resource_id == resource_id]
        assert [call.arguments["resource_type"] for call in account.calls] == lists


async def test_role_in_use(account: FakeAccount) -> None:
    """The error for a role that users have names the call that finds their bindings."""
    bind(account)
    with pytest.raises(ConflictError) as caught:
        await FakeRolesClient(account).delete(role="Analyst")
    assert str(caught.value).endswith(f"; role_bindings.find(role_id='{ANALYST}') shows who has it")


async def test_protocols() -> None:
    """A client of bindings is none of roles, and one of roles stays one with methods of its own."""

    class OwnClient(FakeRolesClient):
        def find(self) -> None: ...
        def ensure(self) -> None: ...
        def remove(self) -> None: ...

    async with OwnClient() as roles:
        assert isinstance(roles, RolesClient)
        assert isinstance(roles, ArizeClient)
        assert not isinstance(roles.role_bindings, RolesClient)
        assert isinstance(roles.role_bindings, RoleBindingsClient)


async def test_retire() -> None:
    """The guide's function deletes the role that it is given, not the one whose ID is its name."""
    account = account_at_noon(users=[USER], resources=["Space:1"])
    kept = account.add_role("Keep me", ["PROJECT_READ"])
    named = account.add_role(kept.id, ["PROJECT_READ"])
    for role, user in ((kept, "eve@example.com"), (named, "ada@example.com")):
        account.bind(role.id, user=user, resource="Space:1")
    retire = definitions("arize_roles_async/guide/role-bindings.md")["retire"]
    await retire(FakeRolesClient(account), named.id)
    assert [(each.role_id, account.roles) for each in account.bindings()] == [(kept.id, (kept,))]
