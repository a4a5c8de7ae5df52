"""The contract of `RolesClient`."""

import base64
import functools
import itertools
import pickle
import secrets
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Final

import anyio
import attrs
import pytest

from arize_roles_async import (
    UNSET,
    ConflictError,
    ForbiddenError,
    ListRolesResponse,
    NotFoundError,
    Permission,
    ProblemDetails,
    Role,
    RolesClient,
    RolesError,
    StatusError,
    UnknownPermission,
)
from arize_roles_async._values.errors import STATUS_ERRORS
from arize_roles_async._wire.request import Request
from arize_roles_fake._client import FakeRolesClient
from arize_roles_fake.contract._any_client import AnyClient
from arize_roles_fake.contract._any_order import Calls
from arize_roles_fake.contract._suite import (
    LONG_AGO,
    PAUSES,
    Call,
    together,
    walk,
    with_client,
)

# IDs of no role: text with a colon in strict base64 ("Role:0:none"), and odd texts, which would
# leave the roles' path unless they are sent as one segment of it.
_NO_ID: Final = "Um9sZTowOm5vbmU="
_OTHER_KIND: Final = "VGVhbToxOmFCY0Q="
_ODD_IDS: Final = ("..", ".", "../roles", "a/b", "a?limit=1", "a#b", "a%2Fb", "%", "a b", "é", "\n")

_NOT_IN_NAMES: Final = "*<>{}|~^`;\t\n\r\0\x7féñß中😀٣ａ\u00a0\u200b"

_UNITS: Final = {"microseconds": 1, "milliseconds": 1000, "seconds": 1_000_000}
"""Microseconds by the assumption about the precision of times."""


class RolesContract(AnyClient, is_contract=True):
    """Subclass this, define `open_client`, and name the subclass `Test...`."""

    _protocol = RolesClient

    @abstractmethod
    def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
        """Return a new client for each call, which is closed at the end of the block.

        Within one test, all clients see the same account. It has predefined roles and a clock that
        runs, the client's key grants everything, and no other program makes roles at that time.
        """

    async def _listed(self, roles: RolesClient) -> tuple[Role, ...]:
        """Return every custom role, as it is listed."""
        return tuple(await walk(roles.list(is_predefined=False)))

    def _calls(self, roles: RolesClient) -> list[Call]:
        __tracebackhide__ = True
        return [
            Call(roles, "list"),
            Call(roles.list(), "all"),
            Call(aiter(roles.list()), "__anext__"),
            # The service refuses it, if the request of a cancelled call goes out all the same.
            self._creating(roles, permissions=[UnknownPermission("NO_SUCH_THING_READ")]),
            *_calls_on(roles, role_id=_NO_ID),
            *_calls_on(roles, role=self._unique("Nobody")),
        ]

    async def _items(self, roles: RolesClient) -> list[Role]:
        return [await self._make(roles, description="Made.")]

    def _reads(self, roles: RolesClient, role: Role) -> list[Call]:
        return [
            Call(roles, "get", role_id=role.id),
            Call(roles, "get", role=role.name),
            Call(roles, "get", role=role.id),
            Call(roles, "list", is_predefined=False),
        ]

    def _of(self, roles: FakeRolesClient) -> RolesClient:
        return roles

    async def _drawn(
        self, roles: RolesClient, items: Sequence[Role], ids: list[str]
    ) -> tuple[Calls, Calls, Calls]:
        names = [items[0].name, (await _predefined(roles)).name, *map(self._unique, "ABC")]
        permissions = [("PROJECT_READ",), ("DATASET_READ", "PROJECT_READ")]
        unchanged: list[Any] = [..., UNSET]
        fields = {
            "name": [*unchanged, names],
            "description": [unchanged, None, ["", "A", "B"]],
            "permissions": [*unchanged, permissions],
        }
        targets = {"role_id": [ids]}, {"role": [names, ids]}
        reads: list[tuple[str, Any]] = [
            ("list", {"limit": [..., 1, 2], "is_predefined": [..., UNSET, False, True]})
        ]
        new = {"name": names, "description": fields["description"], "permissions": permissions}
        changes: list[tuple[str, Any]] = [("create", new)] * 2
        for target in targets:
            reads.append(("get", target))
            changes += [*[("update", {**target, **fields})] * 2, ("delete", target)]
        return reads, changes, [("add_role", {"name": names})]

    def _deleting(self, roles: RolesClient, role: Role) -> list[Call]:
        return [Call(roles, "delete", role_id=role.id)]

    async def _races(
        self, clients: tuple[RolesClient, RolesClient]
    ) -> AsyncIterator[tuple[Sequence[Call], Sequence[object]]]:
        roles, role, other = clients[0], *await self._make_each(clients[0], "AB")
        new: dict[str, Any] = {"name": self._unique("Race"), "permissions": ["PROJECT_READ"]}
        changes = [{"name": other.name}, {"description": "Changed."}]
        lost = [ConflictError] * 3
        yield [Call(each, "create", **new) for each in clients * 2], [Role, *lost]
        updates = [Call(roles, "update", role_id=role.id, **each) for each in changes]
        yield updates, [ConflictError, Role]
        for target in ({"role_id": role.id}, {"role": other.name}):
            gone = self._refusal("unknown_id")
            yield [Call(roles, "delete", **target)] * 2, [type(None), gone]

    async def _clean_up(self, roles: RolesClient) -> None:
        await self._delete_roles(roles)

    def _creating(self, roles: RolesClient, **given: Any) -> Call:  # noqa: ANN401 - what is refused
        """Return a call that creates a role with some arguments of a test."""
        arguments = {"name": self._unique("Role"), "permissions": ["PROJECT_READ"], **given}
        return Call(roles, "create", **arguments)

    async def _make_each(self, roles: RolesClient, letters: str) -> list[Role]:
        """Make a role for each letter, one after the other."""
        return [await self._make(roles, letter) for letter in letters]

    # The methods and their arguments

    @with_client
    async def test_keywords_only(self, roles: RolesClient) -> None:
        """No method takes a positional argument, nor a field that only the service sets."""
        new = {"name": "A name", "permissions": ["PROJECT_READ"]}
        managed = ("id", "is_predefined", "created_at", "updated_at")
        calls = [
            Call(roles, "list", 10),
            Call(roles, "get", _NO_ID),
            Call(roles, "create", *new.values()),
            Call(roles, "update", _NO_ID, name="A name"),
            Call(roles, "delete", _NO_ID),
            *(Call(roles, "create", **new, **{field: "x"}) for field in managed),
            *(Call(roles, "update", role_id=_NO_ID, **{field: "x"}) for field in managed),
        ]
        await self._all_raise(TypeError, calls)

    # The answers of `create`

    @with_client
    async def test_create(self, roles: RolesClient) -> None:
        """`create` answers with the role, which is then there, and no other changes."""
        name, before = self._unique("AI Engineer"), {*await self._listed(roles)}
        role = await roles.create(
            name=name,
            permissions=[Permission.PROJECT_READ, Permission.DATASET_UPDATE],
            description="Looks at projects.",
        )
        after = {*await self._listed(roles)}
        assert (role.name, role.description) == (name, "Looks at projects.")
        assert {*(role.permissions or ())} == {"PROJECT_READ", "DATASET_UPDATE"}
        assert role.is_predefined is False
        assert await roles.get(role_id=role.id) == role
        assert after == before | {role}

    @with_client
    async def test_permission_types(self, roles: RolesClient) -> None:
        """Members and their strings come back as members, each once, in the service's order."""
        given = ["PROJECT_READ", *reversed(Permission), "PROJECT_READ"]
        permissions = (await self._make(roles, permissions=given)).permissions
        assert permissions == self._as_answered(*dict.fromkeys(map(str, given)))
        assert {type(each) for each in permissions or ()} == {Permission}

    def _as_answered(self, *sent: str) -> tuple[str, ...]:
        """Return permissions in the order of answers."""
        orders = {"as-sent": sent, "sorted": tuple(sorted(sent)), "reversed": sent[::-1]}
        return orders[self._assumed("permission_order")]

    @with_client
    async def test_duplicate_permissions(self, roles: RolesClient) -> None:
        """A body that names a permission twice makes a role that has it once, or is refused."""
        account, name = self.accounts()[0], self._unique("Twice")
        key = {"Authorization": f"Bearer {account.api_key}"}
        body = f'{{"name": "{name}", "permissions": ["PROJECT_READ", "PROJECT_READ"]}}'.encode()
        sent = Request(method="POST", target="/v2/roles", headers=key, body=body)
        status = account.handle(sent).status
        if self._assumed("duplicate_permissions") == "refused":
            assert status == self._assumed("invalid_body")
        else:
            assert (await roles.get(role=name)).permissions == ("PROJECT_READ",)

    @with_client
    async def test_permissions_iterable(self, roles: RolesClient) -> None:
        """Permissions may be a list, a tuple, a set, the keys of a mapping or a generator."""
        texts = ["PROJECT_READ"]
        iterables: list[Iterable[str]] = [texts, tuple(texts), set(texts), (each for each in texts)]
        iterables += [dict.fromkeys(texts).keys(), frozenset({Permission.PROJECT_READ})]
        for permissions in self._each(iterables):
            role = await self._make(roles, permissions=permissions)
            assert role.permissions == (Permission.PROJECT_READ,)

    @with_client
    async def test_timestamps(self, roles: RolesClient) -> None:
        """`created_at` and `updated_at` carry an offset; no role changes before it is created."""
        role = await self._make(roles)
        created, updated = role.created_at, role.updated_at
        assert LONG_AGO < created <= updated < created + timedelta(minutes=1)

    @with_client
    async def test_time_precision(self, roles: RolesClient) -> None:
        """Times have microseconds, or they end with whole milliseconds or seconds."""
        unit = _UNITS[self._assumed("timestamps")]
        role = await self._make(roles)
        assert role.created_at.microsecond % unit == 0
        if unit < _UNITS["seconds"]:
            # A coarse clock may be at a whole millisecond by chance.
            for seconds in PAUSES:
                if role.created_at.microsecond % (1000 * unit):
                    break
                await anyio.sleep(seconds)
                role = await self._make(roles)
            assert role.created_at.microsecond % (1000 * unit)

    # The rules for names, descriptions and permissions

    @with_client
    async def test_name(self, roles: RolesClient) -> None:
        """A name has 1 to 255 letters, digits, spaces and marks of the reference, and keeps all."""
        marked = self._unique("AZaz09 -_.,()[]'\"/:\\&@#$%!?+=")
        for name in self._each((marked, self._remember(marked.ljust(255, "g")))):
            role = await roles.create(name=name, permissions=["PROJECT_READ"])
            assert role.name == name
            assert (await roles.get(role=name)).id == role.id
        # It may be taken, so the call breaks another rule.
        await self._all_invalid([Call(roles, "create", name="A", permissions=[])], "permissions")

    @with_client
    async def test_bad_name(self, roles: RolesClient) -> None:
        """A name has no other length, no other character, also not the last one, and is text."""
        places = itertools.product(("A{}B", "A{}", "{}A"), _NOT_IN_NAMES)
        names = [place.format(character) for place, character in places]
        names += ["", self._unique("Long").ljust(256, "g")]
        given: list[Any] = [*map(self._remember, names), 5, None, b"bytes", ["A"]]
        calls = [self._creating(roles, name=name) for name in given]
        await self._all_invalid(calls, "name")

    @with_client
    async def test_name_taken(self, roles: RolesClient) -> None:
        """Names are unique in the account, among predefined and custom roles together."""
        role = await self._make(roles)
        names = (role.name, (await _predefined(roles)).name)
        await self._all_raise(ConflictError, [self._creating(roles, name=name) for name in names])
        assert await roles.get(role_id=role.id) == role

    @with_client
    async def test_name_case(self, roles: RolesClient) -> None:
        """Names that differ by case are different, unless the service compares without case."""
        lower = await self._make(roles, "case")
        name = self._remember(lower.name.upper())
        with self._refused_if("name_comparison", "case-insensitive"):
            upper = await roles.create(name=name, permissions=["PROJECT_READ"])
            assert (await roles.get(role=name)).id == upper.id
        assert (await roles.get(role=lower.name)).id == lower.id

    @with_client
    async def test_name_outer_spaces(self, roles: RolesClient) -> None:
        """A name keeps its outer spaces, which make it different, unless the service trims it."""
        plain = await self._make(roles)
        kept = name = self._remember(f" {plain.name}  ")
        if self._assumed("name_comparison") == "trimmed":
            with pytest.raises(ConflictError):
                await roles.create(name=name, permissions=["PROJECT_READ"])
            kept = self._unique("Role")
            name = f" {kept}  "
        spaced = await roles.create(name=name, permissions=["PROJECT_READ"])
        assert spaced.name == kept
        assert (await roles.get(role=kept)).id == spaced.id

    @with_client
    async def test_description(self, roles: RolesClient) -> None:
        """A description has any characters, at most 1000, whatever they take in bytes.

        It may be absent, and an empty one is left out of responses.
        """
        text = 'Straße 😀\n\t"quoted" \\ <b>&amp;</b> \u2028 \0 end'.ljust(1000, "ß")
        role = await self._make(roles, description=text)
        assert (await roles.get(role_id=role.id)).description == text
        for nothing in self._each((None, "")):
            assert (await self._make(roles, description=nothing)).description is None
        # UTF-8 cannot carry a lone surrogate.
        given: list[Any] = ["d" * 1001, "\ud800", 5, b"bytes", ["A"]]
        calls = [self._creating(roles, description=description) for description in given]
        await self._all_invalid(calls, "description")

    @with_client
    async def test_bad_permissions(self, roles: RolesClient) -> None:
        """At least one permission, a member or exactly its identifier, comes in an iterable."""
        one = Permission.PROJECT_READ
        texts = ("PROJECT_RAED", "dataset_read", " ROLE_READ", "ROLE_READ\n")
        unknown = [*texts, 5, None, ["PROJECT_READ"], b"PROJECT_READ"]
        given: list[Any] = [["DATASET_UPDATE", each] for each in unknown]
        given += [[], "PROJECT_READ", one, None, 5, b"PROJECT_READ", {one: True}]
        calls = [self._creating(roles, permissions=permissions) for permissions in given]
        await self._all_invalid(calls, "permissions")

    @with_client
    async def test_permission_unknown_to_service(self, roles: RolesClient) -> None:
        """An `UnknownPermission` made by hand is sent; only the service can refuse it."""
        with pytest.raises(self._refusal("invalid_body")):
            await self._make(roles, permissions=[UnknownPermission("NO_SUCH_THING_READ")])

    @with_client
    async def test_all_violations(self, roles: RolesClient) -> None:
        """One `ValidationError` names every argument that breaks a rule, and nothing is made."""
        name = self._unique("Never")
        bad: dict[str, Any] = {"permissions": ["NO_SUCH_PERMISSION"], "description": "d" * 1001}
        await self._all_invalid([Call(roles, "create", name=name, **bad)], *bad)
        await self._all_invalid([Call(roles, "create", name="Tab\t", **bad)], "name", *bad)
        with pytest.raises(NotFoundError):
            await roles.get(role=name)

    # One page of a listing

    @with_client
    async def test_page(self, roles: RolesClient) -> None:
        """A page is a `ListRolesResponse` of `limit` roles, if there are as many.

        `has_more` and `next_cursor` are there if roles follow, not after a full last page.
        """
        await self._make_each(roles, "ABC")
        for limit in self._each((1, 2)):
            page = await roles.list(limit=limit)
            assert isinstance(page, ListRolesResponse)
            assert [type(role) for role in page.roles] == [Role] * limit
            assert page.pagination.has_more is True
            assert page.pagination.next_cursor
        everything = await walk(roles.list(is_predefined=True))
        page = await roles.list(is_predefined=True, limit=len(everything) or 1)
        assert page.roles == tuple(everything)
        assert page.pagination.has_more is False
        assert page.pagination.next_cursor is None

    @with_client
    async def test_cursor_continues(self, roles: RolesClient) -> None:
        """A cursor is a place in the listing: it can be used again, with another limit too.

        A walk begins with the page of its cursor, and every page has its filter.
        """
        await self._make_each(roles, "ABCD")
        listed = await self._listed(roles)
        first = await roles.list(limit=2, is_predefined=False)
        assert first.roles == listed[:2]
        cursor = first.pagination.next_cursor
        for limit in self._each((2, 1)):
            continued = roles.list(limit=limit, is_predefined=False, cursor=cursor)
            assert (await continued).roles == listed[2 : 2 + limit]
            assert tuple(await walk(continued)) == listed[2:]

    @with_client
    async def test_foreign_cursor(self, roles: RolesClient) -> None:
        """A cursor of another filter, or one that was made up, is a 400, or else is ignored."""
        await self._make_each(roles, "AB")
        of_custom = (await roles.list(limit=1, is_predefined=False)).pagination.next_cursor
        issued = (await roles.list(limit=1)).pagination.next_cursor or ""
        changed = ("B" if issued.startswith("A") else "A") + issued[1:]
        made_up = ("made-up", "bWFkZS11cA==", "0", "../x?a=b&c", "é", changed)
        cursors: list[Any] = [
            (UNSET, of_custom),
            (True, of_custom),
            *((UNSET, each) for each in made_up),
        ]
        for is_predefined, cursor in self._each(cursors):
            continued = roles.list(limit=1, cursor=cursor, is_predefined=is_predefined)
            with self._refused_if("foreign_cursor", 400):
                found = (await continued).roles
                assert found == (await roles.list(limit=1, is_predefined=is_predefined)).roles

    @with_client
    async def test_filter(self, roles: RolesClient) -> None:
        """`is_predefined` lists only the custom roles, only the system's, or both."""
        made, predefined = await self._make(roles), await _predefined(roles)
        wanted: Any = ((False, {made}), (True, {predefined}), (UNSET, {made, predefined}))
        for is_predefined, there in self._each(wanted):
            listed = await walk(roles.list(is_predefined=is_predefined))
            assert there <= {*listed}
            kinds = {role.is_predefined for role in there}
            assert {role.is_predefined for role in listed} == kinds

    @with_client
    async def test_listing_is_lazy(self, roles: RolesClient) -> None:
        """Nothing is sent before a listing is awaited or iterated; each time, it starts again.

        Two walks at the same time each see every role, and may be left.
        """
        other = await self._make(roles)
        listing = roles.list(limit=1, is_predefined=False)
        assert other in (await listing.all()).roles
        made = await self._make(roles)
        listed = await self._listed(roles)
        assert made in (await listing.all()).roles
        assert await walk(listing) == [*listed]
        assert (await listing).roles == listed[:1]
        walks = aiter(listing), aiter(listing)
        for expected in listed[:2]:
            assert [await anext(each) for each in walks] == [expected] * 2
        assert await roles.get(role_id=made.id) == made

    @with_client
    async def test_list_arguments(self, roles: RolesClient) -> None:
        """`limit` is an integer from 1 to 100, `cursor` a token, `is_predefined` a bool."""
        wrong: dict[str, tuple[Any, ...]] = {
            "limit": (0, 101, -1, 10**20, "10", 1.5, True, UNSET),
            "cursor": ("", 5, b"bytes", "\ud800", UNSET),
            "is_predefined": ("true", 1, 0, None),
        }
        for name, values in wrong.items():
            calls = [Call(roles, "list", **{name: value}) for value in values]
            await self._all_invalid(calls, name)
        all_wrong = Call(roles, "list", **{name: values[0] for name, values in wrong.items()})
        await self._all_invalid([all_wrong], *wrong)
        for limit in self._each((1, 100)):
            await roles.list(limit=limit)

    # Walks over every page of a listing, and accounts with more roles than a page holds

    @with_client
    async def test_walk_during_deletes(self, roles: RolesClient) -> None:
        """A role that exists from a walk's start to its end is seen exactly once.

        If the service pages by offset, the walk only has to end.
        """
        made = self._in_order(*await self._make_each(roles, "ABCDE"))
        kept = [made[1].id, made[3].id, made[4].id]

        async def meddle(role: Role) -> None:
            if role == made[0]:
                # One that was seen, at whose place the cursor is, and one still to come.
                await roles.delete(role_id=made[0].id)
                await roles.delete(role_id=made[2].id)
            if role == made[1]:
                await self._make(roles)

        walked = await walk(roles.list(limit=1, is_predefined=False), meddle)
        seen = [role.id for role in walked]
        if self._assumed("paging") == "by-position":
            assert [role_id for role_id in seen if role_id in kept] == kept

    @with_client
    async def test_default_limit(self, roles: RolesClient) -> None:
        """The reference's default limit is 50; a walk without a limit asks for the most, 100.

        A name is looked for on every page; the error for a missing one has the nearest name.
        """
        oldest = await self._make(roles, "Oldest")
        await together(*[functools.partial(self._make, roles, f"N{n}") for n in range(100)])
        page = await roles.list()
        assert (len(page.roles), page.pagination.has_more) == (50, True)
        assert len((await anext(roles.list().pages())).roles) == 100
        assert await roles.get(role=oldest.name) == oldest
        odlest = oldest.name.replace("Oldest", "Odlest")
        with pytest.raises(NotFoundError) as caught:
            await roles.get(role=odlest)
        assert (caught.value.name, caught.value.status) == (odlest, 404)
        assert caught.value.closest[0] == oldest.name

    # Calls about one role, which they give by its ID or by its name

    @with_client
    async def test_one_role(self, roles: RolesClient) -> None:
        """`role_id=` is an ID; `role=` is one too, if it has the form of an ID, else a name."""
        other, *made = await self._make_each(roles, "ABCD")
        named = ({"role_id": made[0].id}, {"role": made[1].id}, {"role": made[2].name})
        for role, target in self._each(zip(made, named, strict=True)):
            assert await roles.get(**target) == role
            changed = await roles.update(**target, description="Changed.")
            assert (changed.id, changed.description) == (role.id, "Changed.")
            await roles.delete(**target)
            with pytest.raises(self._refusal("unknown_id")):
                await roles.get(role_id=role.id)
        assert await roles.get(role_id=other.id) == other

    @with_client
    async def test_name_match_exact(self, roles: RolesClient) -> None:
        """A name matches exactly or not at all."""
        name = (await self._make(roles, "Exact")).name
        others = (name.lower(), f" {name}", f"{name} ", name[:-1], f"Not {name}")
        await self._all_raise(NotFoundError, [Call(roles, "get", role=other) for other in others])

    @with_client
    async def test_name_like_id(self, roles: RolesClient) -> None:
        """Strict base64 of UTF-8 with a colon is an ID, also if a role is named so; else a name.

        It is a name without its padding, without a colon, or with more around it.
        """
        token = secrets.token_hex(7).encode()
        texts = (b"Role:" + token, b"Role-" + token, b"\xff\xff:" + token)
        like_id, *others = [base64.b64encode(text).decode() for text in texts]
        for name in self._each((like_id, like_id.rstrip("="), f"{like_id} =", *others)):
            role = await roles.create(name=self._remember(name), permissions=["PROJECT_READ"])
            if name != like_id:
                assert await roles.get(role=name) == role
                continue
            with pytest.raises(self._refusal("unknown_id")) as caught:
                await roles.get(role=name)
            assert getattr(caught.value, "name", None) is None

    @with_client
    async def test_unknown_id(self, roles: RolesClient) -> None:
        """The ID of no role is a 404, as is that of another kind of item; no ID at all a 400.

        `role_id=` is never taken for a name, and is always one segment of the path.
        """
        role = await self._make(roles)
        ids = {
            "unknown_id": (_NO_ID,),
            "other_kind_id": (_OTHER_KIND,),
            "malformed_id": (role.name, "Um9sZTowOm5vbmU", "Um9sZS0wLW5vbmU=", *_ODD_IDS),
        }
        for assumption, given in ids.items():
            for role_id in given:
                for call in self._each(_calls_on(roles, role_id=role_id)):
                    with pytest.raises(self._refusal(assumption)) as caught:
                        await call()
                    assert getattr(caught.value, "name", None) is None
        assert await roles.get(role_id=role.id) == role

    @with_client
    async def test_closest_names(self, roles: RolesClient) -> None:
        """A `NotFoundError` for a name carries the closest names, nearest first."""
        token = secrets.token_hex(8)
        for name in ("Engineer", "Engineers", "Ingenieur", "Zookeeper"):
            await roles.create(name=self._remember(f"{token} {name}"), permissions=["PROJECT_READ"])
        with pytest.raises(NotFoundError) as caught:
            await roles.get(role=f"{token} Enginer")
        assert caught.value.closest[:2] == (f"{token} Engineer", f"{token} Engineers")
        assert 2 <= len(caught.value.closest) <= 3

    @with_client
    async def test_one_target(self, roles: RolesClient) -> None:
        """Every call on a role takes either an ID or a name: a string that is not empty."""
        role = await self._make(roles)
        targets: list[dict[str, object]] = [
            {"role_id": None, "role": None},
            {"role_id": role.id, "role": role.name},
            {"role_id": role.id, "role": role.id},
        ]
        for value in ("", 5, b"bytes", "\ud800"):
            targets.extend([{"role_id": value}, {"role": value}])
        for target in targets:
            await self._all_invalid(_calls_on(roles, **target), *target)
        await self._all_invalid(_calls_on(roles), "role_id", "role")
        assert await roles.get(role_id=role.id) == role

    # The changes that `update` makes, and those that it refuses

    @with_client
    async def test_update(self, roles: RolesClient) -> None:
        """`update` answers with the role after the change; ID, kind and `created_at` stay.

        `permissions` is the set after the update, each once. A new name takes the place of the old
        one, which is free again.
        """
        role, name = await self._make(roles, description="Before."), self._unique("After")
        await roles.get(role_id=role.id)
        asked: dict[str, Any] = {"name": name, "description": "After."}
        given = ["SPACE_READ", "PROJECT_READ", "SPACE_READ"]
        changed = await roles.update(role_id=role.id, permissions=given, **asked)
        asked["permissions"] = self._as_answered("SPACE_READ", "PROJECT_READ")
        assert changed == attrs.evolve(role, updated_at=changed.updated_at, **asked)
        assert changed.updated_at >= role.updated_at
        assert await roles.get(role_id=role.id) == await roles.get(role=name) == changed
        with pytest.raises(NotFoundError):
            await roles.get(role=role.name)
        again = await roles.create(name=role.name, permissions=["PROJECT_READ"])
        assert again.id != role.id

    @with_client
    async def test_update_one_field(self, roles: RolesClient) -> None:
        """An omitted field keeps its value; `updated_at` is the time of the last change."""
        role = await self._make(roles, description="Before.")
        permissions = itertools.cycle(Permission)
        changes: list[Callable[[], dict[str, Any]]] = [
            lambda: {"description": secrets.token_hex()},
            lambda: {"permissions": (next(permissions),)},
            lambda: {"name": self._unique("Renamed")},
        ]
        for make_change in changes:
            change, changed, pauses = {}, role, [*PAUSES]
            while changed.updated_at <= role.updated_at and pauses:
                await anyio.sleep(pauses.pop(0))
                change = make_change()
                changed = await roles.update(role_id=role.id, **change)
            assert changed.updated_at > role.updated_at
            assert changed == attrs.evolve(role, updated_at=changed.updated_at, **change)
            role = changed

    @with_client
    async def test_clear_description(self, roles: RolesClient) -> None:
        """None and an empty text clear a description; for any other field, None is no change."""
        for nothing in self._each((None, "")):
            made = await self._make(roles, description="Goes away.")
            changed = await roles.update(
                role_id=made.id, name=None, permissions=None, description=nothing
            )
            assert changed.description is None
            assert (changed.name, changed.permissions) == (made.name, made.permissions)
            assert await roles.get(role_id=made.id) == changed

    @with_client
    async def test_bad_update(self, roles: RolesClient) -> None:
        """An update has at least one change, and each keeps its rule; all is reported at once.

        None and `UNSET` are no changes.
        """
        made = await self._make(roles)
        bad = {"name": "A" * 256, "description": "d" * 1001}
        updates: list[dict[str, Any]] = [
            {},
            {"name": None, "permissions": None},
            {"description": UNSET},
            {**bad, "permissions": []},
            {**bad, "permissions": ["PROJECT_RAED"]},
        ]
        for changes in updates:
            by_id = Call(roles, "update", role_id=made.id, **changes)
            by_name = Call(roles, "update", role=made.name, **changes)
            await self._all_invalid([by_id, by_name], "name", "description", "permissions")
        assert await roles.get(role_id=made.id) == made

    @with_client
    async def test_rename_to_taken(self, roles: RolesClient) -> None:
        """Names are unique after an update too; a role that is refused stays as it is."""
        first, second = [await self._make(roles) for _ in range(2)]
        for name in self._each((second.name, (await _predefined(roles)).name)):
            with pytest.raises(ConflictError):
                await roles.update(role_id=first.id, name=name, description="Changed.")
        assert await roles.get(role_id=first.id) == first
        assert await roles.get(role_id=second.id) == second

    @with_client
    async def test_rename_to_own_name(self, roles: RolesClient) -> None:
        """A role may be given the name that it has, unless the service refuses that."""
        made = await self._make(roles)
        with self._refused_if("rename_to_own_name", 409):
            assert (await roles.update(role_id=made.id, name=made.name)).name == made.name

    @with_client
    async def test_update_predefined(self, roles: RolesClient) -> None:
        """Predefined roles are read-only, and stay as they are."""
        role = await _predefined(roles)
        with pytest.raises(self._refusal("predefined_refusal")):
            # What it is already, so that nothing is lost if the service takes it.
            await roles.update(role_id=role.id, description=role.description)
        assert await roles.get(role_id=role.id) == role

    # The roles that `delete` removes, and those that it refuses

    @with_client
    async def test_delete(self, roles: RolesClient) -> None:
        """`delete` returns None; that role alone is gone for get, list, update and delete."""
        _, role, _ = await self._make_each(roles, "ABC")
        before = await self._listed(roles)
        await roles.get(role_id=role.id)
        assert await Call(roles, "delete", role_id=role.id)() is None
        await self._all_raise(self._refusal("unknown_id"), _calls_on(roles, role_id=role.id))
        with pytest.raises(NotFoundError):
            await roles.get(role=role.name)
        assert await self._listed(roles) == tuple(each for each in before if each != role)
        with self._refused_if("deleted_name", "kept"):
            await roles.create(name=role.name, permissions=["PROJECT_READ"])

    @with_client
    async def test_delete_predefined(self, roles: RolesClient) -> None:
        """Predefined roles are read-only, and still there."""
        role = await _predefined(roles)
        with pytest.raises(self._refusal("predefined_refusal")):
            await roles.delete(role_id=role.id)
        with pytest.raises(self._refusal("predefined_refusal")):
            await roles.delete(role=role.name)
        assert await roles.get(role_id=role.id) == role

    # Errors, roles and pages as values

    @with_client
    async def test_status_error(self, roles: RolesClient) -> None:
        """A `StatusError` has the status, the parsed problem, the method and the path."""
        taken = {"name": (await self._make(roles)).name, "permissions": ["PROJECT_READ"]}
        titles = {
            400: "Invalid request parameters",
            404: "Resource not found",
            409: "Resource conflict",
        }
        unknown, path = self._assumed("unknown_id"), "/v2/roles/Um9sZTowOm5vbmU%3D"
        get, update, delete = _calls_on(roles, role_id=_NO_ID)
        cases = [
            (Call(roles, "create", **taken), 409, "POST", "/v2/roles"),
            (get, unknown, "GET", path),
            (update, unknown, "PATCH", path),
            (delete, unknown, "DELETE", path),
        ]
        for call, status, method, where in self._each(cases):
            with pytest.raises(StatusError) as caught:
                await call()
            error = caught.value
            assert type(error) is STATUS_ERRORS[status]
            assert (error.status, error.method, error.path) == (status, method, where)
            problem = _problem(error)
            assert (problem.title, problem.status) == (titles[status], status)
            assert error.retry_after is None

    @with_client
    async def test_error_tree(self, roles: RolesClient) -> None:
        """Every failure is a `RolesError`, which keeps its class and its data if it is pickled."""
        role = await self._make(roles)
        calls = [
            Call(roles, "get", role_id=_NO_ID),
            Call(roles, "get", role=role.name[:-1]),
            Call(roles, "create", name=role.name, permissions=["PROJECT_READ"]),
            Call(roles, "create", name="", permissions=[]),
            Call(roles, "get"),
        ]
        for call in self._each(calls):
            with pytest.raises(RolesError) as caught:
                await call()
            error = caught.value
            twin = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
            kept = (type(error), str(error), vars(error))
            assert (type(twin), str(twin), vars(twin)) == kept

    @with_client
    async def test_responses(self, roles: RolesClient) -> None:
        """Equal answers are equal objects with equal hashes, whose fields cannot be set."""
        role, other = [await self._make(roles) for _ in range(2)]
        page = await roles.list(limit=1)
        values = {"roles": page, "has_more": page.pagination, "name": page.roles[0]}
        for field, value in values.items():
            with pytest.raises(AttributeError):
                setattr(value, field, None)
        pages = [await roles.list(limit=2, is_predefined=False) for _ in range(2)]
        assert len(set(pages)) == 1
        assert len({role, await roles.get(role_id=role.id), other}) == 2

    # Two clients, and keys that lack grants, which need `other_key`

    async def _all_forbidden(self, calls: Iterable[Call]) -> None:
        """Expect a 403 of each call for lack of a grant, which no other plan would change."""
        __tracebackhide__ = True
        for call in self._each(calls):
            with pytest.raises(ForbiddenError) as caught:
                await call()
            problem = _problem(caught.value)
            plan = (problem.entitlement, problem.limit, problem.current_count)
            assert (problem.status, *plan, problem.required_plan) == (403, None, None, None, None)

    @with_client
    async def test_write_without_read(self, roles: RolesClient) -> None:
        """A key that may write but not read gets answers without `permissions`."""
        grants = [Permission.ROLE_CREATE, Permission.ROLE_UPDATE, Permission.ROLE_DELETE]
        limited = roles.with_options(api_key=self.other_key(grants=grants))
        made = await self._make(limited, description="Made.")
        assert made.permissions is None
        assert (await roles.get(role_id=made.id)).permissions == ("PROJECT_READ",)
        changed = await limited.update(role_id=made.id, permissions=["DATASET_READ"])
        await self.outlast_caches()
        assert changed.permissions is None
        assert (changed.name, changed.description) == (made.name, "Made.")
        assert (await roles.get(role_id=made.id)).permissions == ("DATASET_READ",)
        await limited.delete(role_id=made.id)
        await self.outlast_caches()
        with pytest.raises(self._refusal("unknown_id")):
            await roles.get(role_id=made.id)

    @with_client
    async def test_one_grant_each(self, roles: RolesClient) -> None:
        """An operation needs the grant that names it: else it is a 403, and nothing is done.

        A search for a name is a list, which needs `ROLE_READ`.
        """
        role = await self._make(roles)
        for verb in self._each(("READ", "CREATE", "UPDATE", "DELETE")):
            key, name = self.other_key(grants=[Permission(f"ROLE_{verb}")]), self._unique("Made")
            limited = roles.with_options(api_key=key)
            get, update, delete = _calls_on(limited, role_id=role.id)
            get_by_name, *by_name = _calls_on(limited, role=role.name)
            calls = {
                "READ": [Call(limited, "list"), get, get_by_name],
                "CREATE": [Call(limited, "create", name=name, permissions=["PROJECT_READ"])],
                "UPDATE": [update],
                "DELETE": [delete],
            }
            allowed, before = calls.pop(verb), await self._listed(roles)
            await self._all_forbidden([*itertools.chain(*calls.values()), *by_name])
            assert await self._listed(roles) == before
            for call in allowed:
                await call()
            await self.outlast_caches()

    # Plans, rates and bindings; each rule runs if the suite can set it up

    @with_client
    async def test_plan_used_up(self, roles: RolesClient) -> None:
        """A full plan is a 403 with the limit, the number of roles, and a plan that allows more."""
        account, _ = self.accounts()
        role, name = await self._make(roles), self._unique("One too many")
        count = account.max_custom_roles = len(await self._listed(roles))
        with pytest.raises(ForbiddenError) as caught:
            await roles.create(name=name, permissions=["PROJECT_READ"])
        problem = _problem(caught.value)
        assert (problem.limit, problem.current_count) == (account.max_custom_roles, count)
        assert problem.required_plan in {"PRO", "ENTERPRISE"}
        assert str(problem.entitlement).isupper()
        assert (await roles.update(role_id=role.id, description="Changed.")).id == role.id
        with pytest.raises(NotFoundError):
            await roles.get(role=name)
        await roles.delete(role_id=role.id)
        assert (await roles.create(name=name, permissions=["PROJECT_READ"])).name == name


def _problem(error: StatusError) -> ProblemDetails:
    return error.problem or ProblemDetails()


def _calls_on(roles: object, **target: object) -> list[Call]:
    return [
        Call(roles, "get", **target),
        Call(roles, "update", description="Changed.", **target),
        Call(roles, "delete", **target),
    ]


async def _predefined(roles: RolesClient) -> Role:
    page = await roles.list(is_predefined=True, limit=1)
    if not page.roles:
        raise LookupError("the account must have a predefined role")
    return page.roles[0]
