"""Role bindings by the names of users, roles, spaces and projects, over anybody's clients."""

from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Generator, Iterable
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, TypeVar

import attr
from msgspec import UNSET, UnsetType

from arize_roles_async._calls.paging import Pages
from arize_roles_async._calls.stage import pre_release
from arize_roles_async._directory.models import NamedBinding, NamedBindings
from arize_roles_async._directory.protocol import Directory
from arize_roles_async._directory.requests import (
    in_space_flaw,
    is_id,
    project_flaw,
    space_flaw,
    user_flaw,
)
from arize_roles_async._role_bindings.models import RoleBinding, RoleBindingResourceType
from arize_roles_async._role_bindings.protocol import RoleBindingsClient
from arize_roles_async._roles.protocol import RolesClient
from arize_roles_async._roles.requests import role_flaw
from arize_roles_async._values.errors import (
    BadRequestError,
    BetaWarning,
    ForbiddenError,
    NotFoundError,
    RolesError,
)
from arize_roles_async._values.public import public
from arize_roles_async._values.requests import PageRequest, check
from arize_roles_async._values.text import extend, quoted

_T = TypeVar("_T")

_MAX_SINGLE: Final = 20
"""Names of a kind that are looked up singly; more are read from their list."""
_HIDDEN: Final = (BadRequestError, ForbiddenError, NotFoundError)
"""The errors of a thing that the key may not see, whose ID is shown instead."""

beta = pre_release("by_name", "BETA", BetaWarning)


@public("arize_roles_async")
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
        self._roles = roles
        self._role_bindings = role_bindings
        self._directory = directory

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
        return await self._change(given, self._role_bindings.ensure)

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
        return await self._change(given, self._role_bindings.remove)

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
        given = _given(user=user, role=role, space=space, project=project, in_space=in_space)
        _check(given, needs_place=False)
        return FoundBindings(lambda _: self._find(given))

    async def _change(self, given: dict[str, str], change: Callable[..., Awaitable[_T]]) -> _T:
        _check(given, needs_place=True)
        found = await self._look_up(given)
        kind = RoleBindingResourceType["PROJECT" if "project" in given else "SPACE"]
        with _naming(given):
            return await change(**found, resource_type=kind)

    async def _find(self, given: dict[str, str]) -> NamedBindings:
        found = await self._look_up(given)
        with _naming(given):
            bindings = [each async for each in self._role_bindings.find(**found)]
        return await self._named(bindings)

    async def _look_up(self, given: dict[str, str]) -> dict[str, str]:
        """Return the IDs of what has the given names, by the arguments of `RoleBindingsClient`."""
        directory = self._directory
        in_project = partial(directory.get_project, in_space=given.get("in_space"))
        # In the order of their errors.
        look_ups: tuple[tuple[str, str, Callable[..., Awaitable[Any]]], ...] = (
            ("role", "role_id", self._roles.get),
            ("user", "user_id", directory.get_user),
            ("space", "resource_id", directory.get_space),
            ("project", "resource_id", in_project),
        )
        calls = {
            argument: partial(_id_of, given[name], name, get)
            for name, argument, get in look_ups
            if name in given
        }
        return dict(zip(calls, await _at_once(calls.values()), strict=True))

    async def _named(self, bindings: list[RoleBinding]) -> NamedBindings:
        """Return bindings with the names that the key may see."""
        roles, directory = self._roles, self._directory
        user_ids, role_ids = {b.user_id for b in bindings}, {b.role_id for b in bindings}
        space_ids, project_ids = (
            {b.resource_id for b in bindings if b.resource_type == kind}
            for kind in RoleBindingResourceType
        )
        users, known_roles, projects = await _at_once(
            [
                partial(_by_id, user_ids, "user", directory.get_user, directory.users),
                partial(_by_id, role_ids, "role_id", roles.get, roles.list),
                partial(_by_id, project_ids, "project", directory.get_project, directory.projects),
            ]
        )
        space_ids |= {each.space_id for each in projects.values()}
        spaces = await _by_id(space_ids, "space", directory.get_space, directory.spaces)

        def named(binding: RoleBinding) -> NamedBinding:
            place = binding.resource_id
            around = projects[place].space_id if place in projects else None
            return NamedBinding(
                **{field.name: getattr(binding, field.name) for field in attr.fields(RoleBinding)},
                user=getattr(users.get(binding.user_id), "email", None),
                role=getattr(known_roles.get(binding.role_id), "name", None),
                resource=getattr(projects.get(place) or spaces.get(place), "name", None),
                in_space=getattr(spaces.get(around), "name", None),
            )

        return NamedBindings(role_bindings=tuple(map(named, bindings)))


@public("arize_roles_async")
class FoundBindings(Pages[PageRequest, NamedBindings, NamedBinding]):
    """The result of `ByName.find`: await it for all, or iterate it; nothing is sent before that."""

    _noun = "role bindings"
    _request_type = PageRequest


def _given(**arguments: str | UnsetType) -> dict[str, str]:
    return {name: text for name, text in arguments.items() if not isinstance(text, UnsetType)}


def _check(given: dict[str, str], *, needs_place: bool) -> None:
    """Raise one `ValidationError` for all that is wrong with the given arguments."""
    rules = {"user": user_flaw, "role": role_flaw, "space": space_flaw, "project": project_flaw}
    flaws = [(name, flaw(given[name])) for name, flaw in rules.items() if name in given]
    if "in_space" in given:
        alone = None if "project" in given else "goes with project, which is not given"
        flaws.append(("in_space", alone or in_space_flaw(given["in_space"], given.get("project"))))
    places = ("space" in given) + ("project" in given)
    if places != 1 and (needs_place or places):
        flaws.append(("space, project", "exactly one must be given"))
    check(*flaws)


@contextmanager
def _naming(given: dict[str, str]) -> Generator[None]:
    """Add the names to the end of an error in a block that uses their IDs."""
    try:
        yield
    except RolesError as error:
        names = ", ".join(f"{name} {quoted(text)}" for name, text in given.items())
        extend(error, f" ({names})")
        raise


async def _id_of(text: str, argument: str, get: Callable[..., Awaitable[Any]]) -> str:
    return text if is_id(text) else (await get(**{argument: text})).id


async def _by_id(
    ids: Collection[str],
    argument: str,
    get: Callable[..., Awaitable[Any]],
    read: Callable[[], AsyncIterable[Any]],
) -> dict[Any, Any]:
    """Return the things with some IDs, by these, as far as the key may see them.

    `argument` is the one of `get` that takes an ID.
    """

    async def get_visible(each: str) -> object:
        with suppress(*_HIDDEN):
            return await get(**{argument: each})
        return None

    # A text that is no ID would be taken for a name.
    if len(ids) > _MAX_SINGLE or not all(map(is_id, ids)):
        with suppress(*_HIDDEN):
            return {thing.id: thing async for thing in read()}
        return {}
    things = await _at_once([partial(get_visible, each) for each in ids])
    return {thing.id: thing for thing in things if thing is not None}


async def _at_once(calls: Iterable[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """Return the results of calls that run at once; raise the first error in the calls' order."""
    from anyio import create_task_group

    outcomes: dict[int, Any] = {}

    async def run(place: int, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            outcomes[place] = await call()
        except Exception as error:  # noqa: BLE001 - raised below
            outcomes[place] = error

    async with create_task_group() as group:
        for place, call in enumerate(calls):
            group.start_soon(run, place, call)
    results = [outcomes[place] for place in sorted(outcomes)]
    for each in results:
        if isinstance(each, Exception):
            raise each
    return results
