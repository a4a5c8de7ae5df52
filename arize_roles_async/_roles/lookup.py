"""Finding roles by name: the service has no such call, so the client walks the listing.

If the client has kept the ID of a role with the name, it first gets that role. If that role
still has the name, it is the one, since names are unique. Otherwise the client walks the listing.
It also walks the listing if more calls look for a name at the moment than the IDs that it has
kept would fill pages.

Calls that need a name at the same moment share one walk. A call joins only a walk that starts
after the call was made, so that it finds every role that existed then. A call leaves the walk as
soon as its own role is found, and the calls that still wait continue it.
"""

import copy
import math
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from itertools import islice
from typing import Final

from arize_roles_async._calls.driver import DrivenCall
from arize_roles_async._calls.transport import Event
from arize_roles_async._clients.paging import Walk
from arize_roles_async._roles.models import ListRolesResponse, Role
from arize_roles_async._roles.requests import NO_SUCH_ROLE, ROLES, ListRoles
from arize_roles_async._values.errors import NotFoundError, RolesError, StatusError
from arize_roles_async._values.requests import MAX_LIMIT, MAX_NAME
from arize_roles_async._values.text import MAX_CLOSEST, alike, quoted

_MAX_KEPT: Final = 50_000
_SIMILAR: Final = 0.6

_Fetch = Callable[[ListRoles], Awaitable[ListRolesResponse]]
_Get = Callable[[str], Awaitable[Role]]


class _SharedWalk(Walk[ListRoles, ListRolesResponse]):
    """A walk, and the calls that share it: one fetches a page, and the others wait."""

    def __init__(self, fetch: _Fetch, walks: "list[_SharedWalk]") -> None:
        super().__init__(fetch, ListRoles(limit=MAX_LIMIT))
        # Those of the same limits. The first may be under way; the last can be joined until then.
        self.walks = walks
        self.has_started = False
        self.calls = 0
        # The names that its calls look for, and the roles that were found.
        self.found: dict[str, Role | None] = {}
        # The events that wake the calls that wait, and the names that these look for.
        self.waiting = dict[Event, str]()
        self.names: list[str] = []
        self.failure: RolesError | None = None

    async def find(self, name: str, call: DrivenCall[object], fetch: _Fetch) -> Role:
        """Share the walk until the role with a name is found, or the walk is over."""
        while (role := self.found[name]) is None:
            if self.failure is not None:
                raise copy.copy(self.failure) from self.failure
            if self.next is None:
                raise _not_found(name, self.names)
            if self is self.walks[0] and not self.is_fetching:
                await self._fetch_page(call, fetch)
            else:
                # Until the role is found, the walk is over, or there may be a page to fetch.
                event = call.event()
                self.waiting[event] = name
                try:
                    await event.wait(math.inf)
                finally:
                    del self.waiting[event]
        return role

    async def _fetch_page(self, call: DrivenCall[object], fetch: _Fetch) -> None:
        self.fetch, self.has_started = fetch, True
        try:
            page = await anext(self)
        except RolesError as error:
            if call.lacked_time:
                raise  # The next waiting call fetches the page; it may have more time.
            self.failure = error
        else:
            self.names += (role.name for role in page.roles if len(role.name) <= MAX_NAME)
            self.found |= {role.name: role for role in page.roles if role.name in self.found}
        has_ended = self.next is None or self.failure is not None
        for event, name in self.waiting.items():
            if has_ended or self.found[name] is not None:
                event.set()


class NameLookup:
    """Finds roles by name, over as few walks as the rule above allows.

    It keeps the IDs of fifty thousand roles, and forgets first those that it has kept longest. One
    may be out of date: the role that has it is only the first candidate.
    """

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        """By name."""
        self._walks: dict[object, list[_SharedWalk]] = {}
        """By limits."""

    def learn(self, roles: Iterable[Role]) -> None:
        """Keep the IDs of roles."""
        ids = self.ids
        for role in roles:
            # No call can ask for a longer name, but an answer can contain one.
            if len(name := role.name) <= MAX_NAME:
                ids[name] = role.id
        if len(ids) > _MAX_KEPT:
            for name in [*islice(ids, _MAX_KEPT // 10)]:
                del ids[name]

    async def find(self, name: str, call: DrivenCall[object], fetch: _Fetch, get: _Get) -> Role:
        """Return the role with exactly this name; `fetch` and `get` send requests of the call.

        Only calls whose limits are equal share a walk, since they try equally hard.
        """
        # Imported here, since most callers have IDs.
        from anyio.lowlevel import checkpoint

        options = call.options
        limits = (options.timeouts, options.retry, options.background)
        kept_id = self.ids.get(name)
        while True:
            with self._join(name, limits, fetch) as shared:
                # Every call of this moment joins before one of them sends a request.
                await checkpoint()
                others = sum(walk.calls for walk in shared.walks) - 1
                pages = len(self.ids) / MAX_LIMIT
                if kept_id is None or pages <= others:
                    return await shared.find(name, call, fetch)
            try:
                role = await get(kept_id)
            except StatusError as error:
                if error.status not in NO_SUCH_ROLE:
                    raise
            else:
                if role.name == name:
                    return role
            self.ids.pop(name, None)
            kept_id = None

    @contextmanager
    def _join(self, name: str, limits: object, fetch: _Fetch) -> Generator[_SharedWalk]:
        """Join the walk that starts next, and leave it at the end."""
        walks = self._walks.setdefault(limits, [])
        if not walks or walks[-1].has_started:
            walks.append(_SharedWalk(fetch, walks))
        shared = walks[-1]
        shared.calls += 1
        shared.found.setdefault(name)
        try:
            yield shared
        finally:
            shared.calls -= 1
            if not shared.calls:
                walks.remove(shared)
            if not walks:
                del self._walks[limits]
            elif walks[0].waiting and not walks[0].is_fetching:
                # The call that has waited longest fetches the next page.
                next(iter(walks[0].waiting)).set()


def _not_found(name: str, names: Iterable[str]) -> NotFoundError:
    closest = tuple(alike(name, names, _SIMILAR)[:MAX_CLOSEST])
    similar = f"; similar names: {', '.join(map(quoted, closest))}" if closest else ""
    message = f"no role is named {quoted(name)}{similar}"
    return NotFoundError(message, name=name, closest=closest, method="GET", path=ROLES.path)
