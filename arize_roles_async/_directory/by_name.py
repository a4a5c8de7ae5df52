"""Role bindings by the names of users, roles, spaces and projects, over anybody's clients."""

from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, TypeVar, overload

import attr
from msgspec import UNSET, UnsetType

from arize_roles_async._clients.client import one_call
from arize_roles_async._clients.notices import pre_release
from arize_roles_async._clients.paging import Pages
from arize_roles_async._directory.models import NamedBinding, NamedBindings
from arize_roles_async._directory.protocol import Directory
from arize_roles_async._directory.requests import in_space_flaw
from arize_roles_async._role_bindings.models import RoleBinding, RoleBindingResourceType
from arize_roles_async._role_bindings.protocol import RoleBindingsClient
from arize_roles_async._roles.protocol import RolesClient
from arize_roles_async._values import errors
from arize_roles_async._values.requests import (
    PageRequest,
    Text,
    check,
    flaw_if_given,
    is_id,
    name_or_id_flaw,
)
from arize_roles_async._values.text import append, quoted

_T = TypeVar("_T")
_MAX_SINGLE: Final = 20
"""IDs that are read singly, and not by another page of their list: all at once, so they take as
long as a page, and half of the 40 requests that a client sends at once by default."""
_HIDDEN: Final = (errors.BadRequestError, errors.ForbiddenError, errors.NotFoundError)
"""The errors of an item that the key may not see, whose ID is shown instead."""

beta = pre_release("by_name", "BETA", errors.BetaWarning)


class ByName:
    """Role bindings by names: who has which role where, without an ID.

    Each argument is a name or an ID, as in `RolesClient.get` and `Directory`. The names of a call
    are looked up at once, and nothing is kept. The binding goes to what has the name at the
    look-up: if it is renamed before the change, and another item takes the name, the first one
    gets the binding. A name that looks like an ID is taken for one.

    The look-ups and the change of `ensure` and `remove` are one call: its time limit is that of
    `role_bindings`, and the error says what took too long. If `role_bindings` is a client of your
    own, each part has the limits of its client. `find` is a walk of several calls.

    All arguments are checked before anything is sent, and one `ValidationError` names each flaw.
    Then the error of the role's look-up comes first, then the user's, then the place's; after an
    error nothing is changed. Later errors are those of `RoleBindingsClient`. Each ends with the
    names that were given.
    """

    def __init__(
        self, roles: RolesClient, role_bindings: RoleBindingsClient, directory: Directory
    ) -> None:
        self._roles = roles
        self._role_bindings = role_bindings
        self._directory = directory

    def __repr__(self) -> str:
        return "<ByName>"

    @overload
    async def ensure(self, *, user: str, role: str, space: str) -> RoleBinding: ...
    @overload
    async def ensure(
        self, *, user: str, role: str, project: str, in_space: Text = UNSET
    ) -> RoleBinding: ...
    @beta
    async def ensure(
        self,
        *,
        user: str,
        role: str,
        space: Text = UNSET,
        project: Text = UNSET,
        in_space: Text = UNSET,
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
            AmbiguousNameError: Several items have one of the names; give an ID.
            ForbiddenError: The key may not list users or roles, or not bind there.
        """
        given = _given(user=user, role=role, space=space, project=project, in_space=in_space)
        return await self._change(given, lambda bindings, ids: bindings.ensure(**ids))

    @overload
    async def remove(self, *, user: str, space: str) -> bool: ...
    @overload
    async def remove(self, *, user: str, project: str, in_space: Text = UNSET) -> bool: ...
    @beta
    async def remove(
        self, *, user: str, space: Text = UNSET, project: Text = UNSET, in_space: Text = UNSET
    ) -> bool:
        """Take whatever role a user has on a space or a project away.

        Its arguments and errors are those of `ensure`, without the role.

        Returns:
            True if this call removed a binding, as of `RoleBindingsClient.remove`.
        """
        given = _given(user=user, space=space, project=project, in_space=in_space)
        return await self._change(given, lambda bindings, ids: bindings.remove(**ids))

    @beta
    def find(
        self,
        *,
        user: Text = UNSET,
        role: Text = UNSET,
        space: Text = UNSET,
        project: Text = UNSET,
        in_space: Text = UNSET,
    ) -> "FoundBindings":
        """Find the bindings of a user, a role, a space or a project, with their names.

        Its arguments and errors are those of `ensure`. Each argument may be left out, and then
        matches all; `space` matches only the bindings on the space itself.

        Returns:
            The bindings that the key may see: `async for` yields each, and `await` returns them as
            one `NamedBindings`. All are read before the first one is there. Then up to 20 users,
            roles, spaces or projects are read singly, more from the beginning of their list.

        Raises:
            ValidationError: An argument breaks its rule; raised before the iteration, and any
                other error while iterating.
        """
        place = {"space": space, "project": project, "in_space": in_space}
        given = _given(needs_place=False, user=user, role=role, **place)
        return FoundBindings(lambda _: self._find(given))

    async def _change(
        self,
        given: dict[str, str],
        change: Callable[[RoleBindingsClient, dict[str, str]], Awaitable[_T]],
    ) -> _T:
        """Make a change of the binding of what has the given names."""
        kind = RoleBindingResourceType["PROJECT" if "project" in given else "SPACE"]
        with _naming(given):
            async with one_call(self._role_bindings, "the look-up of the names") as parts:
                ids = await _look_up(given, parts.of(self._roles), parts.of(self._directory))
            # Begins at once, so there is always a part that a closing client waits for.
            return await change(parts.of(self._role_bindings), {"resource_type": kind, **ids})

    async def _find(self, given: dict[str, str]) -> NamedBindings:
        with _naming(given):
            ids = await _look_up(given, self._roles, self._directory)
            found = [each async for each in self._role_bindings.find(**ids)]
            return await self._named(found)

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

        return NamedBindings.of(map(named, bindings))

    async def _by_id(self, kind: str, ids: set[str]) -> dict[str, Any]:
        """Return the items of a kind with some IDs, by these; None is one that the key hides."""
        get, listing = _methods(self._roles, self._directory)[kind]
        found: dict[str, Any] = {}
        # A text that is no ID would be taken for a name.
        left = {each for each in ids if is_id(each)}
        with suppress(*_HIDDEN):
            if len(left) > _MAX_SINGLE:
                fewest = _MAX_SINGLE
                async for page in listing().pages():
                    found |= {each.id: each for each in page if each.id in ids}
                    left -= found.keys()
                    # The list may be much longer than what is left of it takes.
                    if len(left) <= fewest:
                        break
                    fewest += _MAX_SINGLE
                else:
                    return found
        # A key may see an item that it may not list.
        return found | await _at_once(lambda each: get(**{kind: each}), left, _HIDDEN)


def _methods(
    roles: RolesClient, directory: Directory
) -> dict[str, tuple[Callable[..., Awaitable[Any]], Callable[[], Pages[Any, Any, Any]]]]:
    """Return what gets one of each kind, and what lists all, in the order of the errors."""
    return {
        "role": (roles.get, roles.list),
        "user": (directory.get_user, directory.users),
        "space": (directory.get_space, directory.spaces),
        "project": (directory.get_project, directory.projects),
    }


async def _look_up(
    given: dict[str, str], roles: RolesClient, directory: Directory
) -> dict[str, str]:
    """Return the IDs of what has the given names, by the arguments that take them."""
    methods = _methods(roles, directory)

    async def look_up(kind: str) -> str:
        text = given[kind]
        if is_id(text):
            return text
        around = {"in_space": given.get("in_space", UNSET)} if kind == "project" else {}
        get, _ = methods[kind]
        found: str = (await get(**{kind: text}, **around)).id
        return found

    ids = await _at_once(look_up, [kind for kind in methods if kind in given])
    argument = {"user": "user_id", "role": "role_id"}
    return {argument.get(kind, "resource_id"): ids[kind] for kind in ids}


@contextmanager
def _naming(given: dict[str, str]) -> Generator[None]:
    """Let errors end with the names that were given."""
    try:
        yield
    except errors.RolesError as error:
        append(error, f" ({', '.join(f'{name} {quoted(text)}' for name, text in given.items())})")
        raise


class FoundBindings(Pages[PageRequest, NamedBindings, NamedBinding]):
    """The result of `ByName.find`: await it for all, or iterate it; nothing is sent before that."""

    _noun = "role bindings"
    _awaited = "all"
    _request_type = PageRequest


def _given(*, needs_place: bool = True, **arguments: Text) -> dict[str, str]:
    """Return the arguments that were given, or raise one `ValidationError` for all their flaws."""
    given = {name: text for name, text in arguments.items() if not isinstance(text, UnsetType)}
    flaws = list[tuple[str, str | None]]()
    rules = {"in_space": partial(in_space_flaw, project=given.get("project"))}
    for name, text in given.items():
        rule = rules.get(name) or partial(name_or_id_flaw, name)
        is_needed = needs_place and name in {"user", "role"}
        flaws.append((name, rule(text) if is_needed else flaw_if_given(rule, text)))
    if "in_space" in given and "project" not in given:
        flaws[-1] = ("in_space", "goes with project, which is not given")
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
