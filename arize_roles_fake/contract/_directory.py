"""The contract of `Directory`."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final

import pytest

from arize_roles_async import (
    UNSET,
    Directory,
    ForbiddenError,
    NotFoundError,
    Permission,
    Project,
    Space,
)
from arize_roles_fake._client import FakeRolesClient
from arize_roles_fake.contract._any_client import PlacesSuite
from arize_roles_fake.contract._any_order import Calls
from arize_roles_fake.contract._suite import Call, walk, with_client

# IDs of nothing: "User:0:none" and so on, in strict base64.
_NO_USER: Final = "VXNlcjowOm5vbmU="
_NO_SPACE: Final = "U3BhY2U6MDpub25l"
_NO_PROJECT: Final = "TW9kZWw6MDpub25l"
_NO_ADDRESS: Final = "nobody@nowhere.invalid"
_NO_NAME: Final = "Nothing has this name"
_SAME_IN_UNICODE: Final = (("k", "\u212a"), ("s", "\u017f"))


class DirectoryContract(PlacesSuite, is_contract=True):
    """Subclass this, define its abstract methods, and name the subclass `Test...`."""

    _protocol = Directory

    @abstractmethod
    def open_client(self) -> AbstractAsyncContextManager[Directory]:
        """Return a new client for each call, which is closed at the end of the block.

        Within one test, all clients see the same account, and the client's key grants everything.
        """

    def _calls(self, directory: Directory) -> list[Call]:
        return [
            Call(directory, "users"),
            Call(directory.users(), "all"),
            Call(directory.spaces(), "all"),
            Call(directory.projects(), "all"),
            Call(directory.projects(in_space=_NO_NAME), "all"),
            Call(directory, "get_user", user=_NO_ADDRESS),
            Call(directory, "get_user", user=_NO_USER),
            Call(directory, "get_space", space=_NO_NAME),
            Call(directory, "get_space", space=_NO_SPACE),
            Call(directory, "get_project", project=_NO_NAME),
            Call(directory, "get_project", project=_NO_PROJECT),
            Call(directory, "get_project", project=_NO_NAME, in_space=_NO_NAME),
        ]

    async def _named(self, directory: Directory) -> list[tuple[str, Any, str]]:
        """Return a user, a space and the project, each with its kind and its address or name."""
        user = await directory.get_user(user=self.user_ids()[0])
        if not user.email:
            raise LookupError("the first of user_ids must have an address")
        space = await directory.get_space(space=self.space_ids()[0])
        project = await directory.get_project(project=self.project_ids()[0])
        named = [("space", space, space.name), ("project", project, project.name)]
        return [("user", user, user.email), *named]

    async def _items(self, directory: Directory) -> list[Any]:
        return [item for _, item, _ in await self._named(directory)]

    def _reads(self, directory: Directory, item: Any) -> list[Call]:  # noqa: ANN401 - of any kind
        kind = type(item).__name__.lower()
        named, name = ("email", item.email) if kind == "user" else ("name", item.name)
        reads = [Call(directory, f"get_{kind}", **{kind: given}) for given in (item.id, name)]
        reads += [Call(directory, f"{kind}s", **filters) for filters in ({}, {named: name})]
        if kind == "project":
            reads.append(Call(directory, "projects", in_space=item.space_id))
            reads.append(Call(directory, "get_project", project=name, in_space=item.space_id))
        return reads

    def _of(self, roles: FakeRolesClient) -> Directory:
        return roles.directory

    async def _drawn(
        self, _: Directory, items: Sequence[Any], __: list[str]
    ) -> tuple[Calls, Calls, Calls]:
        user, space, project = items
        limit = [..., 1, 2]
        in_space = [..., UNSET, [*self.space_ids(), space.name, space.name.upper(), _NO_NAME]]
        names = [project.name, project.name.upper(), project.id, _NO_NAME]
        users = [user.email, user.email.upper(), self.user_ids()[1], user.id, _NO_ADDRESS]
        reads: list[tuple[str, Any]] = [
            ("users", {"email": [..., UNSET, user.email, "example"], "limit": limit}),
            ("spaces", {"name": [..., UNSET, space.name], "limit": limit}),
            ("projects", {"name": [..., project.name], "in_space": in_space, "limit": limit}),
            ("get_user", {"user": users}),
            ("get_space", {"space": in_space[2]}),
            ("get_project", {"project": names, "in_space": in_space}),
        ]
        addresses = {"email": [user.email, _NO_ADDRESS], "id": [..., "Somebody"]}
        of_account = [
            ("add_user", {**addresses, "status": ["ACTIVE", "INVITED"]}),
            ("block_user", {"user": [user.id, "Somebody"]}),
            ("add_space", {"name": [space.name, _NO_NAME], "id": [..., space.id]}),
            ("add_project", {"name": [project.name, _NO_NAME], "space": [*self.space_ids()]}),
        ]
        return reads, (), of_account

    async def _in_space(self, directory: Directory) -> tuple[Project, Space, str]:
        """Return the project, the space that it is in, and the ID of another space."""
        project = await directory.get_project(project=self.project_ids()[0])
        around = await directory.get_space(space=project.space_id)
        return project, around, next(each for each in self.space_ids() if each != around.id)

    # The methods, the rules for their arguments, and what every client promises

    @with_client
    async def test_keywords_only(self, directory: Directory) -> None:
        """No method takes a positional argument."""
        names = ("users", "spaces", "projects", "get_user", "get_space", "get_project")
        await self._all_raise(TypeError, [Call(directory, each, _NO_NAME) for each in names])

    @with_client
    async def test_arguments(self, directory: Directory) -> None:
        """One `ValidationError` names every bad argument, before anything is sent."""
        page = {"limit": 0, "cursor": ""}
        given: list[tuple[str, dict[str, Any]]] = [
            ("users", {"email": "a" * 256, **page}),
            ("spaces", {"name": "", **page}),
            ("projects", {"name": 5, "in_space": 5, **page}),
            ("projects", {"in_space": _NO_USER}),
            ("get_user", {"user": "no address"}),
            ("get_user", {"user": _NO_SPACE}),
            ("get_space", {"space": _NO_PROJECT}),
            ("get_space", {"space": "a" * 256}),
            ("get_project", {"project": _NO_USER, "in_space": 5}),
        ]
        for method, arguments in given:
            await self._all_invalid([Call(directory, method, **arguments)], *arguments)

    # One user, space or project, by its name or its ID

    @with_client
    async def test_address(self, directory: Directory) -> None:
        """An address is found in any case of its ASCII letters; a part finds and names nobody.

        Nor does one with other letters that Unicode's rules of case take for the same.
        """
        (_, user, address), *_ = await self._named(directory)
        for given in self._each((address, address.swapcase())):
            assert await directory.get_user(user=given) == user
        others = [address[1:], address[:-1], f"x{address}", _NO_ADDRESS]
        for each in await directory.users(limit=10):
            for letters in _SAME_IN_UNICODE:
                if each.email and letters[0] in each.email:
                    assert (await directory.get_user(user=each.email)).email == each.email
                    others.append(each.email.replace(*letters))
        for given in self._each(others):
            with pytest.raises(NotFoundError) as caught:
                await directory.get_user(user=given)
            assert (caught.value.name, caught.value.closest) == (given, ())

    @with_client
    async def test_other_name(self, directory: Directory) -> None:
        """A name is found exactly; then a part of it, or one in other case, is not."""
        _, *places = await self._named(directory)
        for kind, item, name in places:
            assert await Call(directory, f"get_{kind}", **{kind: name})() == item
            for given in self._each({name[:-1], name.swapcase(), _NO_NAME} - {"", name}):
                with pytest.raises(NotFoundError) as caught:
                    await Call(directory, f"get_{kind}", **{kind: given})()
                assert caught.value.name == given

    @with_client
    async def test_unknown_id(self, directory: Directory) -> None:
        """The ID of nothing is a 404."""
        ids = {"user": _NO_USER, "space": _NO_SPACE, "project": _NO_PROJECT}
        calls = [Call(directory, f"get_{kind}", **{kind: given}) for kind, given in ids.items()]
        await self._all_raise(NotFoundError, calls)

    # Lists, their filters, and their pages

    @with_client
    async def test_list(self, directory: Directory) -> None:
        """A list is filtered by a part of the address or the name, whatever the case."""
        ids = {"user": self.user_ids(), "space": self.space_ids(), "project": self.project_ids()}
        for kind, item, name in await self._named(directory):
            listing: Any = getattr(directory, f"{kind}s")
            named = "email" if kind == "user" else "name"
            assert {each.id for each in await walk(listing())} >= {*ids[kind]}
            for part in self._each((name, name[1:].swapcase() or name, name[:-1] or name)):
                assert item in await walk(listing(**{named: part}))
            assert await walk(listing(**{named: _NO_ADDRESS})) == []

    @with_client
    async def test_in_space(self, directory: Directory) -> None:
        """A project is found and listed in its space, given by its ID or its name, and in no other.

        In a space that there is not, it is a 404; by the ID of such a space, the list may be empty.
        """
        project, around, other = await self._in_space(directory)
        get = partial(Call, directory, "get_project", project=project.name)
        for given in self._each((around.id, around.name)):
            assert await get(in_space=given)() == project
            for name in (UNSET, project.name):
                assert project in await walk(directory.projects(name=name, in_space=given))
        assert project not in await walk(directory.projects(in_space=other))
        nowhere = Call(directory, "projects", in_space=_NO_NAME)
        await self._all_raise(NotFoundError, [get(in_space=other), get(in_space=_NO_NAME), nowhere])
        with self._refused_if("unknown_space", 404):
            assert await walk(directory.projects(in_space=_NO_SPACE)) == []

    @with_client
    async def test_pages(self, directory: Directory) -> None:
        """Pages hold `limit` of the items that a filter finds, and a walk sees each once."""
        ours = {*self.user_ids(), *self.space_ids(), *self.project_ids()}
        for method, named in (("users", "email"), ("spaces", "name"), ("projects", "name")):
            listing: Any = getattr(directory, method)
            listed = await walk(listing())
            pages = await walk(listing(limit=1).pages())
            assert [[*each] for each in pages] == [[each] for each in listed]
            assert pages[-1].pagination.next_cursor is None
            for item in self._each(each for each in listed if each.id in ours):
                assert len(await listing(limit=1, **{named: getattr(item, named)})) == 1

    @with_client
    async def test_cursor_other_list(self, directory: Directory) -> None:
        """A cursor of another list is a 400, or else is ignored."""
        page = await directory.users(limit=1)
        continued = directory.users(email=_NO_ADDRESS, cursor=page.pagination.next_cursor)
        with self._refused_if("foreign_cursor", 400):
            assert await walk(continued) == []

    # The rights of a key; they run if the suite has `other_key`

    @with_client
    async def test_without_user_read(self, directory: Directory) -> None:
        """Without `USER_READ` the list of users is a 403, and a user's ID a 404."""
        (_, user, address), *_ = await self._named(directory)
        key = self.other_key(grants=(Permission.SPACE_READ,))
        limited = directory.with_options(api_key=key)
        with pytest.raises(ForbiddenError):
            await limited.users()
        with pytest.raises(ForbiddenError, match="its ID needs no right to list users"):
            await limited.get_user(user=address)
        with pytest.raises(NotFoundError):
            await limited.get_user(user=user.id)
        assert {each.id for each in await walk(limited.spaces())} >= {*self.space_ids()}

    @with_client
    async def test_hidden_places(self, directory: Directory) -> None:
        """Spaces and projects that the key may not see are left out of lists, and are a 404."""
        _, *places = await self._named(directory)
        _, space, _ = places[0]
        on = {space.id: (Permission.SPACE_READ,)}
        there = directory.with_options(api_key=self.other_key(grants=(), on=on))
        assert await walk(there.spaces()) == [space]
