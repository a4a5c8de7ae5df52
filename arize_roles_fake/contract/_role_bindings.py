"""The contract of `RoleBindingsClient`."""

import itertools
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from typing import Any, Final

import anyio
import attrs
import pytest

from arize_roles_async import (
    UNSET,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    Permission,
    ProblemDetails,
    RoleBinding,
    RoleBindingResourceType,
    RoleBindingsClient,
    RolesClient,
    StatusError,
)
from arize_roles_fake._client import FakeRolesClient
from arize_roles_fake.contract._any_client import PlacesSuite
from arize_roles_fake.contract._any_order import Calls
from arize_roles_fake.contract._suite import LONG_AGO, PAUSES, Call, together, walk, with_client

# IDs of nothing: "RoleBinding:0:none" and so on, in strict base64.
_NO_BINDING: Final = "Um9sZUJpbmRpbmc6MDpub25l"
_NO_ROLE: Final = "Um9sZTowOm5vbmU="
_NO_USER: Final = "VXNlcjowOm5vbmU="
_NO_SPACE: Final = "U3BhY2U6MDpub25l"
_OTHER_KIND: Final = "VGVhbToxOmFCY0Q="
_NO_PLACE: Final[dict[str, Any]] = {
    "user_id": _NO_USER,
    "resource_type": "SPACE",
    "resource_id": _NO_SPACE,
}

_READ: Final = Permission.ROLE_BINDING_READ
_CREATE: Final = Permission.ROLE_BINDING_CREATE
_DELETE: Final = Permission.ROLE_BINDING_DELETE


class RoleBindingsContract(PlacesSuite, is_contract=True):
    """Subclass this, define its abstract methods, and name the subclass `Test...`."""

    _protocol = RoleBindingsClient

    @abstractmethod
    def open_client(self) -> AbstractAsyncContextManager[RoleBindingsClient]:
        """Return a new client for each call, which is closed at the end of the block.

        Within one test, all clients see the same account, and the client's key grants everything.
        A made-up ID is nobody's and nothing's there: a `FakeAccount` declares its `users` and
        `resources`.
        """

    @abstractmethod
    def open_roles(self) -> AbstractAsyncContextManager[RolesClient]:
        """Return a new client of the same account for each call, which makes the tests' roles."""

    def _calls(self, bindings: RoleBindingsClient) -> list[Call]:
        return [
            Call(bindings, "list", resource_type="SPACE"),
            Call(bindings.list(resource_type="SPACE"), "all"),
            Call(aiter(bindings.find(role_id=_NO_ROLE)), "__anext__"),
            *_calls_on(bindings, _NO_BINDING),
            *_calls_at(bindings, _NO_PLACE),
        ]

    async def _items(self, bindings: RoleBindingsClient) -> list[RoleBinding]:
        return [await self._bind(bindings, resource=each) for each in (0, 2)]

    def _reads(self, bindings: RoleBindingsClient, item: RoleBinding) -> list[Call]:
        kind, user_id = item.resource_type, item.user_id
        return [
            Call(bindings, "get", binding_id=item.id),
            Call(bindings, "list", resource_type=kind),
            Call(bindings, "list", resource_type=kind, user_id=user_id),
            Call(bindings, "find", role_id=item.role_id),
            Call(bindings, "find", user_id=user_id, resource_id=item.resource_id),
        ]

    def _of(self, roles: FakeRolesClient) -> RoleBindingsClient:
        return roles.role_bindings

    async def _drawn(
        self, _: RoleBindingsClient, items: Sequence[RoleBinding], ids: list[str]
    ) -> tuple[Calls, Calls, Calls]:
        role_ids, users = [each.role_id for each in items], [*self.user_ids()]
        places = [{**self._place(resource=each), "user_id": users} for each in range(3)]
        by_id = {"binding_id": [ids, _NO_BINDING]}
        page = {
            "resource_type": ["SPACE", "PROJECT"],
            "user_id": [..., UNSET, users],
            "limit": [..., 1, 2],
        }
        resources = [each["resource_id"] for each in places]
        found = {
            "role_id": [..., role_ids],
            "user_id": [..., UNSET, users],
            "resource_id": [..., UNSET, resources],
        }
        reads: list[tuple[str, Any]] = [("list", page), ("find", found), ("get", by_id)]
        changes: list[tuple[str, Any]] = [
            ("update", {**by_id, "role_id": role_ids}),
            ("delete", by_id),
        ]
        for place in places:
            given = {**place, "role_id": role_ids}
            changes += [("create", given), ("ensure", given), ("remove", place)]
        bound = {"role": role_ids, "user": users, "resource": resources}
        return reads, changes, [("bind", bound), ("unbind", bound)]

    def _deleting(self, bindings: RoleBindingsClient, item: RoleBinding) -> list[Call]:
        return [Call(bindings, "delete", binding_id=item.id)]

    async def _races(
        self, clients: tuple[RoleBindingsClient, RoleBindingsClient]
    ) -> AsyncIterator[tuple[Sequence[Call], Sequence[object]]]:
        bindings, role_id, place = clients[0], await self._make_role(), self._place()
        creates, ensures, removes = zip(
            *[_calls_at(each, place, role_id=role_id) for each in clients], strict=True
        )
        yield creates, [RoleBinding, ConflictError]
        yield ensures, [RoleBinding, RoleBinding]
        yield [removes[0]] * 2, [True, False]
        _, _, delete = _calls_on(bindings, (await self._bind(bindings)).id)
        yield [delete] * 2, [type(None), NotFoundError]

    async def _clean_up(self, bindings: RoleBindingsClient) -> None:
        if not self._names:
            return
        for user_id, kind in itertools.product(self.user_ids(), RoleBindingResourceType):
            for binding in await self._bindings_of(bindings, user_id, kind):
                await bindings.delete(binding_id=binding.id)
        async with self.open_roles() as roles:
            await self._delete_roles(roles)

    async def _bindings_of(
        self, bindings: RoleBindingsClient, user_id: str, kind: str
    ) -> list[RoleBinding]:
        """Return a user's bindings on resources of the suite; others may be there besides."""
        ours = {*self.space_ids(), *self.project_ids()}
        listed = await walk(bindings.list(resource_type=kind, user_id=user_id))
        return [each for each in listed if each.resource_id in ours]

    def _place(self, user: int = 0, resource: int = 0) -> dict[str, Any]:
        """Return a user and a space, or with `resource=2` the project, as arguments."""
        resources = [*self.space_ids()[:2], self.project_ids()[0]]
        return {
            "user_id": self.user_ids()[user],
            "resource_type": ("SPACE", "SPACE", "PROJECT")[resource],
            "resource_id": resources[resource],
        }

    async def _make_role(self) -> str:
        async with self.open_roles() as roles:
            return (await self._make(roles)).id

    async def _bind(
        self,
        bindings: RoleBindingsClient,
        user: int = 0,
        resource: int = 0,
        *,
        role_id: str | None = None,
    ) -> RoleBinding:
        """Give a user a role, which is a new one by default."""
        role_id = await self._make_role() if role_id is None else role_id
        return await bindings.create(role_id=role_id, **self._place(user, resource))

    async def _listed(self, bindings: RoleBindingsClient) -> list[RoleBinding]:
        """Return the first user's bindings on spaces, as they are listed."""
        return await self._bindings_of(bindings, self.user_ids()[0], "SPACE")

    # The methods and the rules for their arguments

    @with_client
    async def test_keywords_only(self, bindings: RoleBindingsClient) -> None:
        """No method takes a positional argument."""
        calls = [
            Call(bindings, "list", "SPACE"),
            Call(bindings, "get", _NO_BINDING),
            Call(bindings, "create", *_NO_PLACE.values(), role_id=_NO_ROLE),
            Call(bindings, "update", _NO_BINDING, role_id=_NO_ROLE),
            Call(bindings, "delete", _NO_BINDING),
            Call(bindings, "ensure", *_NO_PLACE.values(), role_id=_NO_ROLE),
            Call(bindings, "remove", *_NO_PLACE.values()),
            Call(bindings, "find", _NO_ROLE),
        ]
        await self._all_raise(TypeError, calls)

    @with_client
    async def test_arguments(self, bindings: RoleBindingsClient) -> None:
        """An ID has 1 to 1000 characters, and one `ValidationError` names every bad argument."""
        place = {"resource_type": "TEAM", "resource_id": b"bytes", "user_id": "a" * 1001}
        given: list[tuple[str, dict[str, Any]]] = [
            ("list", {"resource_type": None, "user_id": "", "limit": 101, "cursor": ""}),
            ("get", {"binding_id": ""}),
            ("create", {**place, "role_id": 5}),
            ("update", {"binding_id": "", "role_id": "a" * 1001}),
            ("delete", {"binding_id": "a" * 1001}),
            ("ensure", {**place, "role_id": ""}),
            ("remove", place),
            ("find", {"role_id": "", "user_id": 5, "resource_id": "a" * 1001}),
        ]
        for method, arguments in given:
            await self._all_invalid([Call(bindings, method, **arguments)], *arguments)

    @with_client
    async def test_resource_kind(self, bindings: RoleBindingsClient) -> None:
        """An ID that is plainly of another kind than `resource_type` says is refused unsent."""
        space, project = (self._place(resource=each)["resource_id"] for each in (0, 2))
        kinds = [("PROJECT", space), ("SPACE", project), ("SPACE", _NO_USER), ("PROJECT", _NO_ROLE)]
        for kind, resource_id in kinds:
            place = {"user_id": _NO_USER, "resource_type": kind, "resource_id": resource_id}
            await self._all_invalid(_calls_at(bindings, place), "resource_id")

    # The bindings that `create` makes, and those that it refuses

    @with_client
    async def test_create(self, bindings: RoleBindingsClient) -> None:
        """`create` answers with the binding, its ID and times, which is then there."""
        role_id, place = await self._make_role(), self._place()
        user, kind, space = place.values()
        made = await bindings.create(
            role_id=role_id, user_id=user, resource_type=kind, resource_id=space
        )
        assert made == attrs.evolve(made, role_id=role_id, **place)
        assert made.resource_type is RoleBindingResourceType.SPACE
        created, updated = made.created_at, made.updated_at
        assert LONG_AGO < created <= updated < created + timedelta(minutes=1)
        assert await bindings.get(binding_id=made.id) == made
        assert await self._listed(bindings) == [made]

    @with_client
    async def test_unknown(self, bindings: RoleBindingsClient) -> None:
        """A binding, user or role that there is not is a 404, a resource that there is not a 403.

        The service also refuses those of another kind, and any ID that is none.
        """
        made = await self._bind(bindings)
        with suppress(NotFoundError):
            await bindings.list(resource_type="SPACE", user_id=_NO_USER)
            raise LookupError("the account must know its users and resources: declare them")
        place = {**self._place(resource=1), "role_id": made.role_id}
        refusals: list[tuple[dict[str, str], type[StatusError]]] = [
            ({"role_id": _NO_ROLE}, NotFoundError),
            ({"user_id": _NO_USER}, NotFoundError),
            ({"resource_id": _NO_SPACE}, ForbiddenError),
            ({"role_id": _OTHER_KIND}, self._refusal("other_kind_id")),
            ({"user_id": _OTHER_KIND}, self._refusal("other_kind_id")),
            ({"role_id": "Analyst"}, self._refusal("malformed_id")),
            ({"user_id": "ada@example.com"}, self._refusal("malformed_id")),
            ({"resource_id": "default"}, self._refusal("invalid_body")),
        ]
        for given, error in refusals:
            await self._all_raise(error, [Call(bindings, "create", **{**place, **given})])
        calls = [
            Call(bindings, "update", binding_id=made.id, role_id=_NO_ROLE),
            Call(bindings, "ensure", **{**self._place(), "role_id": _NO_ROLE}),
            Call(bindings.list(resource_type="SPACE", user_id=_NO_USER), "all"),
        ]
        await self._all_raise(NotFoundError, calls)
        binding_ids: list[tuple[str, type[StatusError]]] = [
            (_NO_BINDING, NotFoundError),
            (_OTHER_KIND, self._refusal("other_kind_id")),
            ("nobody", self._refusal("malformed_id")),
        ]
        for binding_id, error in binding_ids:
            await self._all_raise(error, _calls_on(bindings, binding_id, role_id=made.role_id))
        assert await self._listed(bindings) == [made]

    @with_client
    async def test_pages(self, bindings: RoleBindingsClient) -> None:
        """Pages hold `limit` bindings, by default newest first; a walk sees each once."""
        made = self._in_order(*[await self._bind(bindings, resource=each) for each in range(2)])
        await self._bind(bindings, user=1)  # A filter counts before the limit.
        user: dict[str, Any] = {"resource_type": "SPACE", "user_id": self.user_ids()[0]}
        listed = await walk(bindings.list(**user))
        assert tuple(each for each in listed if each in made) == made
        pages = await walk(bindings.list(**user, limit=1).pages())
        assert [each.role_bindings for each in pages] == [(each,) for each in listed]
        assert pages[-1].pagination.next_cursor is None
        rest = bindings.list(**user, limit=2, cursor=pages[0].pagination.next_cursor)
        assert await walk(rest) == listed[1:]

    # Bindings that change and go, and the calls that look first

    @with_client
    async def test_update(self, bindings: RoleBindingsClient) -> None:
        """Only the role of a binding changes; ID, user, resource and `created_at` stay.

        It may be given the role that it has, unless the service refuses that.
        """
        made, role_id = await self._bind(bindings), await self._make_role()
        changed = await bindings.update(binding_id=made.id, role_id=role_id)
        if self._assumed("binding_updated_at") == "stays":
            assert changed.updated_at == made.updated_at
        else:
            for seconds in PAUSES:
                if changed.updated_at > made.updated_at:
                    break
                await anyio.sleep(seconds)
                await bindings.update(binding_id=made.id, role_id=made.role_id)
                changed = await bindings.update(binding_id=made.id, role_id=role_id)
            assert changed.updated_at > made.updated_at
        assert changed == attrs.evolve(made, role_id=role_id, updated_at=changed.updated_at)
        assert await bindings.get(binding_id=made.id) == changed
        with self._refused_if("rebind_to_own_role", 409):
            await bindings.update(binding_id=made.id, role_id=role_id)
        assert (await bindings.get(binding_id=made.id)).role_id == role_id

    @with_client
    async def test_delete(self, bindings: RoleBindingsClient) -> None:
        """A deleted binding is gone for every call, and the user may have a role there again."""
        made, stays = [await self._bind(bindings, resource=each) for each in range(2)]
        assert await Call(bindings, "delete", binding_id=made.id)() is None
        await self._all_raise(NotFoundError, _calls_on(bindings, made.id, role_id=stays.role_id))
        assert await self._listed(bindings) == [stays]
        assert (await self._bind(bindings)).id != made.id

    @with_client
    async def test_role_in_use(self, bindings: RoleBindingsClient) -> None:
        """A role that a binding has can be changed, but not deleted: 409. Afterwards it is."""
        made = await self._bind(bindings)
        async with self.open_roles() as roles:
            delete = Call(roles, "delete", role_id=made.role_id)
            await self._all_raise(ConflictError, [delete])
            assert await bindings.get(binding_id=made.id) == made
            update = Call(roles, "update", role_id=made.role_id, description="Changed.")
            changed: Any = await update()
            assert changed.description == "Changed."
            await bindings.delete(binding_id=made.id)
            await delete()

    @with_client
    async def test_ensure(self, bindings: RoleBindingsClient) -> None:
        """`ensure` makes a binding, changes its role, or leaves it as it is."""
        first, second = [await self._make_role() for _ in range(2)]
        place = self._place()
        user, kind, space = place.values()
        found: list[RoleBinding] = []

        async def ensure() -> None:
            found.append(
                await bindings.ensure(
                    role_id=first, user_id=user, resource_type=kind, resource_id=space
                )
            )

        await together(ensure, ensure)  # Equal calls do not hinder one another.
        await ensure()
        made = found[0]
        assert found == [attrs.evolve(made, **place)] * 3
        changed = await bindings.ensure(role_id=second, **place)
        assert (changed.id, changed.role_id) == (made.id, second)
        assert await self._listed(bindings) == [changed]

    @with_client
    async def test_remove(self, bindings: RoleBindingsClient) -> None:
        """`remove` deletes whatever binding is there, and returns whether it did."""
        _, *stay = [await self._bind(bindings, *each) for each in ((), (0, 1), (0, 2), (1,))]
        user, kind, space = self._place().values()
        for was_removed in (True, False):
            removed = bindings.remove(user_id=user, resource_type=kind, resource_id=space)
            assert await removed is was_removed
        for each in stay:
            assert await bindings.get(binding_id=each.id) == each

    @with_client
    async def test_find(self, bindings: RoleBindingsClient) -> None:
        """`find` sees spaces and projects, and each filter counts."""
        space = await self._bind(bindings)
        role_id, user_id, space_id = space.role_id, space.user_id, space.resource_id
        project = await self._bind(bindings, resource=2, role_id=role_id)
        other = await self._bind(bindings, user=1)
        assert {*await walk(bindings.find())} >= {space, project, other}
        assert await walk(bindings.find(role_id=role_id)) == [space, project]
        assert {*await walk(bindings.find(user_id=user_id))} >= {space, project}
        assert {*await walk(bindings.find(resource_id=space_id))} >= {space, other}
        filters = {"role_id": role_id, "user_id": user_id, "resource_id": space_id}
        assert await walk(bindings.find(**filters)) == [space]
        assert await walk(bindings.find(**{**filters, "user_id": other.user_id})) == []

    @with_client
    async def test_status_error(self, bindings: RoleBindingsClient) -> None:
        """A `StatusError` has the status, the problem, the method and the path."""
        with pytest.raises(StatusError) as caught:
            await bindings.delete(binding_id=_NO_BINDING)
        error, path = caught.value, f"/v2/role-bindings/{_NO_BINDING}"
        assert (error.status, error.method, error.path) == (404, "DELETE", path)
        assert (error.problem or ProblemDetails()).status == 404

    # The rights of a key on single resources; they run if the suite has `other_key`

    def _limited(self, bindings: RoleBindingsClient, *grants: Permission) -> RoleBindingsClient:
        """Return a client whose key has permissions on the first space alone."""
        key = self.other_key(grants=(), on={self.space_ids()[0]: grants})
        return bindings.with_options(api_key=key)

    @with_client
    async def test_hidden(self, bindings: RoleBindingsClient) -> None:
        """A key sees the bindings on resources where it may read, and no sign of others."""
        seen, hidden = [await self._bind(bindings, resource=each) for each in range(2)]
        limited = self._limited(bindings, _READ)
        assert await limited.get(binding_id=seen.id) == seen
        assert await self._listed(limited) == [seen]
        assert await walk(limited.find()) == [seen]
        await self._all_raise(NotFoundError, _calls_on(limited, hidden.id, role_id=seen.role_id))
        assert await limited.remove(**self._place(resource=1)) is False
        assert await bindings.get(binding_id=hidden.id) == hidden

    @with_client
    async def test_project_rights(self, bindings: RoleBindingsClient) -> None:
        """Rights on a project show its bindings, unless the service asks those on the space."""
        made = await self._bind(bindings, resource=2)
        key = self.other_key(grants=(), on={made.resource_id: [_READ]})
        limited = bindings.with_options(api_key=key)
        if self._assumed("project_rights") == "project":
            assert await limited.get(binding_id=made.id) == made
        else:
            await self._all_raise(NotFoundError, [Call(limited, "get", binding_id=made.id)])

    @with_client
    async def test_create_forbidden(self, bindings: RoleBindingsClient) -> None:
        """Without `ROLE_BINDING_CREATE` on the resource, a new binding is a 403.

        Where the key may not see the binding that there is, `ensure` is a `ConflictError`.
        """
        role_id, place = await self._make_role(), self._place()
        limited = self._limited(bindings, _READ, _DELETE)
        create, ensure, _ = _calls_at(limited, place, role_id=role_id)
        await self._all_raise(ForbiddenError, [create, ensure])
        blind = self._limited(bindings, _CREATE)
        made = await self._bind(blind, role_id=role_id)
        with pytest.raises(ConflictError):
            await blind.ensure(role_id=role_id, **place)
        assert await self._listed(bindings) == [made]

    @with_client
    async def test_change_hidden(self, bindings: RoleBindingsClient) -> None:
        """An update needs the rights to create and to delete, a delete the latter: else 404."""
        made, role_id = await self._bind(bindings), await self._make_role()
        for grants in self._each(((_READ, _CREATE), (_READ, _DELETE))):
            limited = self._limited(bindings, *grants)
            _, update, delete = _calls_on(limited, made.id, role_id=role_id)
            _, ensure, remove = _calls_at(limited, self._place(), role_id=role_id)
            lacking = [update, ensure] if _DELETE in grants else [update, ensure, delete, remove]
            await self._all_raise(NotFoundError, lacking)
        assert await bindings.get(binding_id=made.id) == made
        limited = self._limited(bindings, _CREATE, _DELETE)
        assert (await limited.update(binding_id=made.id, role_id=role_id)).role_id == role_id
        await self._limited(bindings, _DELETE).delete(binding_id=made.id)
        assert await self._listed(bindings) == []


def _calls_on(
    bindings: RoleBindingsClient, binding_id: str, *, role_id: str = _NO_ROLE
) -> list[Call]:
    return [
        Call(bindings, "get", binding_id=binding_id),
        Call(bindings, "update", binding_id=binding_id, role_id=role_id),
        Call(bindings, "delete", binding_id=binding_id),
    ]


def _calls_at(
    bindings: RoleBindingsClient, place: Mapping[str, str], *, role_id: str = _NO_ROLE
) -> list[Call]:
    return [
        Call(bindings, "create", role_id=role_id, **place),
        Call(bindings, "ensure", role_id=role_id, **place),
        Call(bindings, "remove", **place),
    ]
