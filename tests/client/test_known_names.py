"""Names of roles that a client has seen: one request, and never another answer than a walk's."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import attrs
import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from arize_roles_async import ForbiddenError, NotFoundError, Request, Role, RoleRenamedError
from arize_roles_async._calls import lookup as _lookup
from arize_roles_async._calls.lookup import KnownRoles
from arize_roles_async._values.requests import UpdateRole
from arize_roles_async._wire.encode import delete_request, update_request
from arize_roles_fake import Assumptions, FakeAccount, FakeRolesClient
from arize_roles_fake._account import Reply

T = TypeVar("T")


def account_of(number: int) -> FakeAccount:
    account = FakeAccount(predefined=False)
    for index in range(number):
        account.add_role(name=f"Role {index}", permissions=["PROJECT_READ"])
    return account


def operations(account: FakeAccount) -> list[str]:
    return [call.operation for call in account.calls]


@pytest.mark.asyncio
class TestRequests:
    async def walked(self) -> tuple[FakeAccount, FakeRolesClient]:
        """Return a client that has walked over 5,000 roles."""
        account = account_of(5000)
        roles = FakeRolesClient(account)
        await roles.list().all()
        account.clear_calls()
        return account, roles

    async def test_get(self) -> None:
        """`get` by a known name is one request."""
        account, roles = await self.walked()

        assert (await roles.get(role="Role 17")).name == "Role 17"

        assert operations(account) == ["get"]

    async def test_change(self) -> None:
        """`update` and `delete` by a known name are two requests each."""
        account, roles = await self.walked()

        await roles.update(role="Role 17", description="Changed.")
        await roles.delete(role="Role 18")

        assert operations(account) == ["get", "update", "get", "delete"]

    async def test_answers(self) -> None:
        """What `create` and `update` answered with is known as well, to every copy."""
        account = account_of(5000)
        roles = FakeRolesClient(account)

        made = await roles.create(name="Made", permissions=["PROJECT_READ"])
        assert await roles.with_options(timeout=5.0).get(role="Made") == made
        renamed = await roles.update(role_id=made.id, name="Renamed")
        assert await roles.get(role="Renamed") == renamed

        assert operations(account) == ["create", "get", "update", "get"]

    async def test_got(self) -> None:
        """What `get` by an ID answered with is known, too."""
        account = FakeAccount(predefined=False)
        role = account.add_role("Role", ["PROJECT_READ"])
        roles = FakeRolesClient(account)

        await roles.get(role_id=role.id)
        assert await roles.get(role="Role") == role

        assert operations(account) == ["get", "get"]

    async def test_looked_up(self) -> None:
        """A name that was looked up once is known from then on."""
        account = account_of(250)
        roles = FakeRolesClient(account)
        await roles.get(role="Role 3")
        account.clear_calls()

        await roles.get(role="Role 3")

        assert operations(account) == ["get"]

    async def test_many(self) -> None:
        """A hundred known names at one moment share a walk, which has fewer pages."""
        account, roles = await self.walked()

        found = await asyncio.gather(*(roles.get(role=f"Role {index}") for index in range(100)))

        assert [role.name for role in found] == [f"Role {index}" for index in range(100)]
        assert len(account.calls) <= 60

    async def test_few_known(self) -> None:
        """Where only some roles were seen, a walk may be long: each is asked for by its ID."""
        account = account_of(5000)
        roles = FakeRolesClient(account)
        for role in (account.roles[17], account.roles[4000]):
            await roles.get(role_id=role.id)
        account.clear_calls()

        names = [account.roles[17].name, account.roles[4000].name]
        await asyncio.gather(*(roles.get(role=name) for name in names))

        assert operations(account) == ["get", "get"]

    async def test_more_than_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So it is where there are more roles than names are kept."""
        monkeypatch.setattr(_lookup, "_MAX_PARTS", 2)
        account, roles = await self.walked()

        await asyncio.gather(*(roles.get(role=f"Role {index}") for index in range(4)))

        assert operations(account) == ["get"] * 4

    async def test_filtered(self) -> None:
        """The end of the predefined roles alone does not show how long a walk is."""
        account = account_of(250)
        roles = FakeRolesClient(account)
        await roles.list(is_predefined=False, limit=100)
        await roles.list(is_predefined=True)
        account.clear_calls()

        await asyncio.gather(*(roles.get(role=f"Role {249 - index}") for index in range(4)))

        assert operations(account) == ["get"] * 4

    async def test_from_cursor(self) -> None:
        """Nor does a last page that was read from a cursor."""
        account = account_of(5000)
        reader, roles = FakeRolesClient(account), FakeRolesClient(account)
        pages = [page async for page in reader.list().pages()]
        last = await roles.list(cursor=pages[48].pagination.next_cursor, limit=100)
        account.clear_calls()

        await asyncio.gather(*(roles.get(role=role.name) for role in last.roles[:2]))

        assert not last.pagination.has_more
        assert operations(account) == ["get", "get"]

    async def test_some(self) -> None:
        """Ten known names at one moment are ten requests."""
        account, roles = await self.walked()

        await asyncio.gather(*(roles.get(role=f"Role {index}") for index in range(10)))

        assert operations(account) == ["get"] * 10

    async def test_cold(self) -> None:
        """A hundred names at one moment that are not known take half a request each."""
        account = account_of(5000)
        roles = FakeRolesClient(account)

        await asyncio.gather(*(roles.get(role=f"Role {50 * index}") for index in range(100)))

        assert len(account.calls) <= 60

    @pytest.mark.parametrize("status", [400, 404])
    async def test_gone(self, status: Literal[400, 404]) -> None:
        """A known role that is gone is looked for in the listing, and its ID is forgotten."""
        account = FakeAccount(predefined=False, assumptions=Assumptions(unknown_id=status))
        role = account.add_role("Gone", ["PROJECT_READ"])
        roles = FakeRolesClient(account)
        assert await roles.get(role="Gone") == role
        async with FakeRolesClient(account) as other:
            await other.delete(role_id=role.id)
        account.clear_calls()

        with pytest.raises(NotFoundError) as caught:
            await roles.get(role="Gone")

        assert caught.value.name == "Gone"
        assert operations(account) == ["get", "list"]
        with pytest.raises(NotFoundError):
            await roles.get(role="Gone")
        assert operations(account) == ["get", "list", "list"]

    async def test_failure(self) -> None:
        """A failure that says nothing about the role is the call's."""
        account, roles = await self.walked()
        account.fail("get", 403, times=1)

        with pytest.raises(ForbiddenError):
            await roles.get(role="Role 17")

        assert operations(account) == ["get"]


class TestMemory:
    def page(self, first: int, number: int) -> tuple[Role, ...]:
        account = FakeAccount(predefined=False)
        for index in range(first, first + number):
            account.add_role(name=f"Role {index}", permissions=["PROJECT_READ"])
        return account.roles

    def test_bounded(self) -> None:
        """What was seen longest ago is forgotten, a page at a time."""
        known = KnownRoles()
        roles = self.page(0, 10_100)
        pages = [roles[first : first + 100] for first in range(0, 10_100, 100)]

        for page in pages:
            known.learn_page(page)

        assert known.find(pages[0][0].name) is None
        assert known.find(pages[1][0].name) == pages[1][0].id
        assert known.pages == 100

    def test_same_page(self) -> None:
        """A page that is asked for again and again takes no other page's place."""
        known = KnownRoles()
        other, page = self.page(0, 100), self.page(100, 101)[:100]
        known.learn_page(other)

        for _ in range(200):
            known.learn_page(page)

        assert known.find(other[0].name) == other[0].id
        assert known.pages == 2

    def test_between_pages(self) -> None:
        """Roles that were seen alone stay together, whatever pages come between them."""
        known = KnownRoles()
        roles = self.page(0, 303)

        for first in (0, 101, 202):
            known.learn(roles[first])
            known.learn_page(roles[first + 1 : first + 101])

        assert known.pages == 4
        assert known.find(roles[0].name) == roles[0].id

    def test_page_after_role(self) -> None:
        """A page that shows another ID for a name than an answer before it counts."""
        known = KnownRoles()
        known.learn(*self.page(7, 1))
        page = self.page(0, 100)

        known.learn_page(page)

        assert known.find("Role 7") == page[-8].id

    def test_other_roles(self) -> None:
        """A page that begins as the one before it, and goes on otherwise, is learned."""
        known = KnownRoles()
        first, *rest = self.page(0, 100)
        others = self.page(200, 99)

        known.learn_page([first, *rest])
        known.learn_page([first, *others])

        assert known.find(others[40].name) == others[40].id

    def test_replaced(self) -> None:
        """A name that is no longer on a short page, which came again, is forgotten."""
        known = KnownRoles()
        first, gone, new = self.page(0, 3)

        known.learn_page([first, gone])
        known.learn_page([first, new])

        assert known.find(gone.name) is None
        assert known.find(new.name) == new.id

    def test_last_page(self) -> None:
        """A name of the last page is forgotten as well."""
        known = KnownRoles()
        page = self.page(0, 2)
        known.learn_page(page)

        known.forget("Role 1")

        assert known.find("Role 1") is None
        assert known.find("Role 0") == page[1].id

    def test_shorter(self) -> None:
        """A shorter page with the same first role takes no name from a longer one."""
        known = KnownRoles()
        page = self.page(0, 100)

        known.learn_page(page)
        known.learn_page(page[:1])

        assert known.find(page[40].name) == page[40].id

    def test_short_pages(self) -> None:
        """Short pages are kept together until they are a hundred roles."""
        known = KnownRoles()
        roles = self.page(0, 180)

        for first in (0, 60, 120):
            known.learn_page(roles[first : first + 60])

        assert known.pages == 2

    def test_again(self) -> None:
        """A page that is asked for again is the newest."""
        known = KnownRoles()
        one = self.page(0, 100)
        other = [attrs.evolve(role, id=f"other {index}") for index, role in enumerate(one)]
        known.learn_page(one)
        known.learn_page(other)
        assert known.find("Role 7") == "other 92"

        known.learn_page(one)

        assert known.find("Role 7") == one[-8].id

    def test_hundred(self) -> None:
        """A hundred roles that were seen alone are a page."""
        known = KnownRoles()
        for role in self.page(0, 101):
            known.learn(role)

        assert known.pages == 2

    def test_one_by_one(self) -> None:
        """Roles that were seen alone count like those of a page."""
        known = KnownRoles()
        roles = self.page(0, 250)

        for role in roles:
            known.learn(role)

        assert known.find(roles[0].name) == roles[0].id
        assert known.pages == 3

    def test_long_name(self) -> None:
        """A name that is longer than any role's is not kept, so that no answer fills the memory."""
        known = KnownRoles()
        long = attrs.evolve(self.page(0, 1)[0], name="x" * 256)

        known.learn(long)
        assert known.pages == 0
        known.learn_page([long])

        assert known.pages == 0

    def test_newest(self) -> None:
        """The newest of two IDs for a name counts, and both are forgotten together."""
        known = KnownRoles()
        (old,) = self.page(7, 1)
        known.learn_page([old, *self.page(1000, 99)])
        known.learn(attrs.evolve(old, id="new"))

        assert known.find("Role 7") == "new"
        known.forget("Role 7")
        assert known.find("Role 7") is None


NAMES = [f"Name {index}" for index in range(2)]
Change = tuple[str, str, str]
changes = st.tuples(
    st.sampled_from(["make", "delete", "rename"]), st.sampled_from(NAMES), st.sampled_from(NAMES)
)


class SharedAccount(FakeAccount):
    """An account that somebody else changes between the requests of a call."""

    during: dict[int, Change]
    asked = 0

    def handle(self, request: Request) -> Reply:
        self.change(*self.during.pop(self.asked, ("nothing", "", "")))
        self.asked += 1
        return super().handle(request)

    def change(self, what: str, name: str, other: str) -> None:
        """Make a change of somebody else's, if it can be made."""
        role = self.role(name)
        if what == "make" and role is None:
            self.add_role(name=name, permissions=["PROJECT_READ"])
        elif what == "delete" and role is not None:
            self.send(delete_request(role.id))
        elif what == "rename" and role is not None and self.role(other) is None:
            self.send(update_request(role.id, UpdateRole(name=other)))
        self.history.append(self.truth())

    def send(self, request: Request) -> None:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        super().handle(msgspec.structs.replace(request, headers=headers))

    def truth(self) -> dict[str, str]:
        """Return the IDs of the roles by their names."""
        return {role.name: role.id for role in self.roles}

    def begin(self, during: dict[int, Change]) -> None:
        """Begin a call, before whose requests of these numbers somebody makes a change."""
        self.during, self.asked, self.history = dict(during), 0, [self.truth()]


class Truth(RuleBasedStateMachine):
    """Calls by name, by a client that knows names or by one that walks: the same truth holds."""

    def __init__(self) -> None:
        super().__init__()
        self.account = SharedAccount(predefined=False)
        # So that a walk has two pages.
        for index in range(110):
            self.account.add_role(name=f"Other {index}", permissions=["PROJECT_READ"])
        self.account.begin({})
        self.knowing = FakeRolesClient(self.account)

    def client(self, knows: bool) -> FakeRolesClient:  # noqa: FBT001
        return self.knowing if knows else FakeRolesClient(self.account)

    def call(
        self, call: Callable[[], Awaitable[Role | None]], name: str, during: dict[int, Change]
    ) -> tuple[Role | NotFoundError | RoleRenamedError | None, set[str | None]]:
        """Return what came of a call, and the IDs that the name had meanwhile."""
        self.account.begin(during)
        result: Role | NotFoundError | RoleRenamedError | None
        try:
            result = asyncio.run(run(call))
        except (NotFoundError, RoleRenamedError) as error:
            result = error
        return result, {moment.get(name) for moment in self.account.history}

    @rule(change=changes)
    def change(self, change: Change) -> None:
        self.account.change(*change)

    @rule()
    def list(self) -> None:
        self.account.begin({})
        asyncio.run(run(self.knowing.list().all))

    @rule(
        knows=st.booleans(),
        name=st.sampled_from(NAMES),
        during=st.dictionaries(st.integers(0, 3), changes, max_size=2),
    )
    def get(self, *, knows: bool, name: str, during: dict[int, Change]) -> None:
        result, ids = self.call(lambda: self.client(knows).get(role=name), name, during)

        if isinstance(result, Role):
            assert result.name == name
            assert result.id in ids
        else:
            assert isinstance(result, NotFoundError)
            assert None in ids

    @rule(
        knows=st.booleans(),
        name=st.sampled_from(NAMES),
        during=st.dictionaries(st.integers(0, 3), changes, max_size=2),
    )
    def update(self, *, knows: bool, name: str, during: dict[int, Change]) -> None:
        result, ids = self.call(
            lambda: self.client(knows).update(role=name, description="x"), name, during
        )

        match result:
            case Role():
                assert result.id in ids
                assert result.name == name
            case RoleRenamedError():
                assert result.role_id in ids
            case _:
                assert None in ids

    @rule(
        knows=st.booleans(),
        name=st.sampled_from(NAMES),
        during=st.dictionaries(st.integers(0, 3), changes, max_size=2),
    )
    def delete(self, *, knows: bool, name: str, during: dict[int, Change]) -> None:
        result, ids = self.call(lambda: self.client(knows).delete(role=name), name, during)

        if result is None:
            assert ids - {None} - set(self.account.truth().values())
        else:
            assert isinstance(result, NotFoundError)
            assert None in ids


async def run(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


TestTruth = Truth.TestCase
TestTruth.settings = settings(max_examples=20, stateful_step_count=25)
