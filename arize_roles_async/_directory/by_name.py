"""Role bindings by the names of users, roles, spaces and projects, over anybody's clients."""

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import attr
from msgspec import UNSET, UnsetType

from arize_roles_async._calls.paging import Pages
from arize_roles_async._calls.stage import pre_release
from arize_roles_async._directory.models import NamedBinding, NamedBindings
from arize_roles_async._directory.protocol import Directory
from arize_roles_async._directory.requests import in_space_flaw, is_id, thing_flaw
from arize_roles_async._role_bindings.models import RoleBinding, RoleBindingResourceType
from arize_roles_async._role_bindings.protocol import RoleBindingsClient
from arize_roles_async._roles.protocol import RolesClient
from arize_roles_async._roles.requests import role_flaw
from arize_roles_async._values import errors
from arize_roles_async._values.requests import PageRequest, check
from arize_roles_async._values.text import extend, quoted

_T = TypeVar("_T")
_Kind = tuple[Callable[..., Awaitable[Any]], Callable[[], AsyncIterable[Any]]]
"""What gets one of a kind, and what lists all."""

_MAX_SINGLE: Final = 20
"""Names of a kind that are looked up singly; more are read from their list."""
_HIDDEN: Final = (errors.BadRequestError, errors.ForbiddenError, errors.NotFoundError)
"""The errors of a thing that the key may not see, whose ID is shown instead."""

beta = pre_release("by_name", "BETA", errors.BetaWarning)


class ByName:
    """Role bindings by names: who has which role where, without an ID.

    Each argument is a name or an ID, as in `RolesClient.get` and `Directory`. The names of a call
    are looked up at once, each with the time limit of its own client, and nothing is kept. The
    binding goes to what has the name at the look-up: if it is renamed before the change, and
    another thing takes the name, the first one gets the binding.

    All arguments are checked before anything is sent, and one `ValidationError` names each flaw.
    Then the error of the role's look-up comes first, then the user's, then the place's; after an
    error nothing is changed. Later errors are those of `RoleBindingsClient`, and end with the
    names.
    """

    def __init__(
        self, roles: RolesClient, role_bindings: RoleBindingsClient, directory: Directory
    ) -> None:
        self._role_bindings = role_bindings
        # In the order of the errors of their look-ups.
        self._kinds: dict[str, _Kind] = {
            "role": (roles.get, roles.list),
            "user": (directory.get_user, directory.users),
            "space": (directory.get_space, directory.spaces),
            "project": (directory.get_project, directory.projects),
        }

    def __repr__(self) -> str:
        return "<ByName>"

    @beta
    async def ensure(
        self,
        *,
        user: str,
        role: str,
        space: str | UnsetType = UNSET,
        project: str | UnsetType = UNSET,
        in_space: str | UnsetType = UNSET,
    ) -> RoleBinding:
        """Give a user a role on a space or a project, whatever role the user has there.

        Args:
            user: The user's whole address, or ID.
            role: The role's name or ID.
            space: The name or ID of the space; this or `project` must be given.
            project: The name or ID of the project.
            in_space: The name or ID of the space that the project is in; not beside an ID.

        Returns:
            The binding with this role, as of `RoleBindingsClient.ensure`.

        Raises:
            NotFoundError: Nothing has one of the names, as far as the key sees.
            AmbiguousNameError: Several things have one of the names; give an ID.
            ForbiddenError: The key may not list users or roles, or not bind there.
        """
        given = _given(user=user, role=role, space=space, project=project, in_space=in_space)
        return await self._change(self._role_bindings.ensure, given)

    @beta
    async def remove(
        self,
        *,
        user: str,
        space: str | UnsetType = UNSET,
        project: str | UnsetType = UNSET,
        in_space: str | UnsetType = UNSET,
    ) -> bool:
        """Take whatever role a user has on a space or a project away.

        Its arguments and errors are those of `ensure`, without the role.

        Returns:
            True if this call removed a binding, as of `RoleBindingsClient.remove`.
        """
        given = _given(user=user, space=space, project=project, in_space=in_space)
        return await self._change(self._role_bindings.remove, given)

    @beta
    def find(
        self,
        *,
        user: str | UnsetType = UNSET,
        role: str | UnsetType = UNSET,
        space: str | UnsetType = UNSET,
        project: str | UnsetType = UNSET,
        in_space: str | UnsetType = UNSET,
    ) -> "FoundBindings":
        """Find the bindings of a user, a role, a space or a project, with their names.

        Its arguments and errors are those of `ensure`. Each argument may be left out, and then
        matches all; `space` matches only the bindings on the space itself.

        Returns:
            The bindings that the key may see: `async for` yields each, and `await` returns them as
            one `NamedBindings`. All are read before the first one is there. Then up to 20 users,
            roles, spaces or projects are read singly, more from their list.

        Raises:
            ValidationError: An argument breaks its rule; raised before the iteration, and any
                other error while iterating.
        """
        place = {"space": space, "project": project, "in_space": in_space}
        given = _given(needs_place=False, user=user, role=role, **place)
        return FoundBindings(lambda _: self._find(given))

    async def _change(self, change: Callable[..., Awaitable[_T]], given: dict[str, str]) -> _T:
        kind = RoleBindingResourceType["PROJECT" if "project" in given else "SPACE"]
        return await self._call(partial(change, resource_type=kind), given)

    async def _find(self, given: dict[str, str]) -> NamedBindings:
        async def walk(**ids: str) -> list[RoleBinding]:
            return [each async for each in self._role_bindings.find(**ids)]

        return await self._named(await self._call(walk, given))

    async def _call(self, method: Callable[..., Awaitable[_T]], given: dict[str, str]) -> _T:
        """Call a method with the IDs of what has the given names; its error ends with the names."""

        async def look_up(kind: str) -> str:
            text = given[kind]
            if is_id(text):
                return text
            get, _ = self._kinds[kind]
            around = {"in_space": given.get("in_space", UNSET)} if kind == "project" else {}
            found: str = (await get(**{kind: text}, **around)).id
            return found

        ids = await _at_once(look_up, [kind for kind in self._kinds if kind in given])
        argument = {"user": "user_id", "role": "role_id"}
        try:
            return await method(**{argument.get(kind, "resource_id"): ids[kind] for kind in ids})
        except errors.RolesError as error:
            shown = ", ".join(f"{name} {quoted(text)}" for name, text in given.items())
            extend(error, f" ({shown})")
            raise

    async def _named(self, bindings: list[RoleBinding]) -> NamedBindings:
        """Return bindings with the names that the key may see."""
        ids = {
            "user": {each.user_id for each in bindings},
            "role": {each.role_id for each in bindings},
            "project": {each.resource_id for each in bindings if each.resource_type == "PROJECT"},
        }
        found = await _at_once(lambda kind: self._by_id(kind, ids[kind]), ids)
        users, roles, projects = found.values()
        space_ids = {each.resource_id for each in bindings if each.resource_type == "SPACE"}
        space_ids |= {each.space_id for each in projects.values() if each}
        spaces = await self._by_id("space", space_ids)

        def named(binding: RoleBinding) -> NamedBinding:
            project = projects.get(binding.resource_id)
            return NamedBinding(
                **{field.name: getattr(binding, field.name) for field in attr.fields(RoleBinding)},
                user=getattr(users.get(binding.user_id), "email", None),
                role=getattr(roles.get(binding.role_id), "name", None),
                resource=getattr(project or spaces.get(binding.resource_id), "name", None),
                in_space=getattr(project and spaces.get(project.space_id), "name", None),
            )

        return NamedBindings.of(tuple(map(named, bindings)))

    async def _by_id(self, kind: str, ids: set[str]) -> dict[str, Any]:
        """Return the things of a kind with some IDs, by these; None is one that the key hides."""
        get, read = self._kinds[kind]
        # A text that is no ID would be taken for a name.
        if len(ids) <= _MAX_SINGLE and all(map(is_id, ids)):
            return await _at_once(lambda each: get(**{kind: each}), ids, none_for=_HIDDEN)
        with suppress(*_HIDDEN):
            return {thing.id: thing async for thing in read()}
        return {}


class FoundBindings(Pages[PageRequest, NamedBindings, NamedBinding]):
    """The result of `ByName.find`: await it for all, or iterate it; nothing is sent before that."""

    _noun = "role bindings"
    _request_type = PageRequest


def _given(*, needs_place: bool = True, **arguments: str | UnsetType) -> dict[str, str]:
    """Return the arguments that were given, or raise one `ValidationError` for all their flaws."""
    given = {name: text for name, text in arguments.items() if not isinstance(text, UnsetType)}
    flaws = [
        (name, role_flaw(text) if name == "role" else thing_flaw(name, text))
        for name, text in given.items()
        if name != "in_space"
    ]
    if "in_space" in given:
        alone = None if "project" in given else "goes with project, which is not given"
        flaws.append(("in_space", alone or in_space_flaw(given["in_space"], given.get("project"))))
    places = ("space" in given) + ("project" in given)
    if places != 1 and (needs_place or places):
        flaws.append(("space, project", "exactly one must be given"))
    check(*flaws)
    return given


async def _at_once(
    call: Callable[[str], Awaitable[_T]],
    names: Iterable[str],
    none_for: tuple[type[Exception], ...] = (),
) -> dict[str, _T]:
    """Return the results of calls that run at once, or raise the first error in their order.

    The result of a call that ends in an error of `none_for` is None.
    """
    from anyio import create_task_group

    outcomes: dict[str, Any] = dict.fromkeys(names)

    async def run(name: str) -> None:
        try:
            with suppress(*none_for):
                outcomes[name] = await call(name)
        except Exception as error:  # noqa: BLE001 - raised below
            outcomes[name] = error

    async with create_task_group() as group:
        for name in outcomes:
            group.start_soon(run, name)
    for each in outcomes.values():
        if isinstance(each, Exception):
            raise each
    return outcomes
