"""Finding roles by name: the service has no such call, so the client walks the listing.

If the client has seen a role with the name, it first gets the role with that ID. If that role
still has the name, it is the one, since names are unique. Otherwise the client walks the listing;
so it does where a walk is known to have fewer pages than there are calls that look for a name at
the same moment.

Calls that need a name at the same moment share one walk. A call joins only a walk that begins
after the call was made, so that it sees every role that existed then. A call leaves the walk as
soon as its own role is found, and the calls that still wait continue it.
"""

import copy
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import msgspec

from arize_roles_async._calls.paging import Fetch, Walk
from arize_roles_async._calls.transport import Event
from arize_roles_async._values.errors import NotFoundError, RolesError, StatusError
from arize_roles_async._values.models import PaginationMetadata, Role
from arize_roles_async._values.requests import MAX_LIMIT, MAX_NAME, ListRoles
from arize_roles_async._values.text import quoted

# The reference does not say which of the two answers a request about a deleted role.
_GONE: Final = frozenset({400, 404})
_MAX_PARTS: Final = 100
_MAX_CLOSEST: Final = 3
_SIMILAR: Final = 0.6
_MAX_COMPARED: Final = 10_000
_SLICE_COST: Final = 200_000
"""Pairs of characters that are compared before other tasks run; about 20 ms."""


class KnownRoles:
    """The IDs of the roles that a client saw last, by name; twenty thousand at most.

    An ID may be out of date: it only tells where to look first.
    """

    def __init__(self) -> None:
        self._recent: dict[str, str] = {}
        # In parts, so that the oldest names are dropped together and learning a page costs little.
        # The key is the ID of the first role, so that a page that comes again replaces itself.
        self._parts: dict[str, dict[str, str]] = {}
        # The last page. Its names are read later, since the next page is often the same one again.
        self._unread: Sequence[Role] = ()
        # Where the walk that began last goes on.
        self._next_cursor: str | None = None
        # Whether the whole listing was seen, and nothing of it dropped since.
        self._is_whole = False

    def learn(self, role: Role) -> None:
        """Keep the ID of a role."""
        if self._unread:
            self._read()
        if len(role.name) > MAX_NAME:
            return
        self._recent[role.name] = role.id
        if len(self._recent) >= MAX_LIMIT:
            self._end_part()

    def learn_page(self, roles: Sequence[Role]) -> None:
        """Keep the IDs of the roles of a page."""
        last = self._unread
        if not (last and len(roles) >= len(last) and roles[0].id == last[0].id):
            self._read()
        self._unread = roles

    def follow(self, cursor: str | None, pagination: PaginationMetadata) -> None:
        """Note a page of all roles, to notice when the whole listing was seen.

        Args:
            cursor: The cursor that the page was asked for with; None for the first one.
            pagination: What the page says of the next one.
        """
        # A page that a cursor of another walk led to says nothing about the pages before it.
        if cursor is None or cursor == self._next_cursor:
            self._next_cursor = pagination.next_cursor
            self._is_whole |= not pagination.has_more

    def _read(self) -> None:
        """Keep the IDs of the roles of the last page, if that is still to be done."""
        if not self._unread:
            return
        # No role that can be asked for has a longer name; an answer can.
        names = {role.name: role.id for role in self._unread if len(role.name) <= MAX_NAME}
        self._unread = ()
        if len(names) < MAX_LIMIT:
            self._recent |= names
            if len(self._recent) >= MAX_LIMIT:
                self._end_part()
            return
        for name in self._recent.keys() & names.keys():
            del self._recent[name]
        self._add_part(names)

    def _end_part(self) -> None:
        self._add_part(self._recent)
        self._recent = {}

    def _add_part(self, part: dict[str, str]) -> None:
        first = next(iter(part.values()))
        # Taken out first, so that the newest comes last.
        self._parts.pop(first, None)
        self._parts[first] = part
        if len(self._parts) > _MAX_PARTS:
            del self._parts[next(iter(self._parts))]
            self._is_whole = False

    def _newest_first(self) -> Iterator[dict[str, str]]:
        yield self._recent
        yield from reversed(self._parts.values())

    def find(self, name: str) -> str | None:
        """Return the ID of the role that was last seen with a name, or None."""
        self._read()
        return next((part[name] for part in self._newest_first() if name in part), None)

    def forget(self, name: str) -> None:
        """Drop the ID of a name, since it is out of date."""
        self._read()
        for part in self._newest_first():
            part.pop(name, None)

    @property
    def pages(self) -> int:
        """How many pages the names that are kept fill."""
        self._read()
        return len(self._parts) + bool(self._recent)

    @property
    def walk_pages(self) -> float:
        """How many pages a walk has; infinite if that is not known."""
        return self.pages if self._is_whole else math.inf


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """What a call that looks for a name does within its own limits."""

    fetch: Fetch
    """Gets a page."""
    get: Callable[[str], Awaitable[Role]]
    """Gets the role with an ID."""
    is_late: Callable[[], bool]
    """Tells whether these failed only because the call has too little time."""
    make_event: Callable[[], Event]
    """Makes what it waits for while another call fetches pages."""
    limits: object
    """Its limits: only calls with the same ones share a walk, as they try equally hard."""


class _Caller:
    """A call that waits for the role with a name."""

    def __init__(self, name: str, make_event: Callable[[], Event]) -> None:
        self.name = name
        self.role: Role | None = None
        self._make_event = make_event
        self._event = make_event()

    def wake(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait(math.inf)
        self._event = self._make_event()


class _SharedWalk:
    """One walk, the calls that share it, and which of them fetches its pages."""

    def __init__(self) -> None:
        self.walk = Walk(ListRoles(limit=MAX_LIMIT))
        self.waiting: dict[_Caller, None] = {}
        self.names: list[str] = []
        self.leader: _Caller | None = None
        self.failure: RolesError | None = None

    @property
    def is_over(self) -> bool:
        return self.walk.next is None or self.failure is not None

    async def fetch_page(self, steps: Steps) -> None:
        assert self.walk.next is not None  # noqa: S101 - the walk is not over
        try:
            page = await steps.fetch(self.walk.next)
            self.walk.advance(page)
        except RolesError as error:
            if steps.is_late():
                raise  # The next of those that wait leads, and may have more time.
            self.failure = error
        else:
            self._record({role.name: role for role in reversed(page.roles)})
        if self.is_over:
            for caller in self.waiting:
                caller.wake()

    def _record(self, roles: dict[str, Role]) -> None:
        if len(self.names) < _MAX_COMPARED:
            self.names += (name for name in roles if len(name) <= MAX_NAME)
        for caller in self.waiting:
            if caller.name in roles:
                caller.role = roles[caller.name]
                caller.wake()


class _Queue:
    """The walks of the calls of one event loop that have the same limits.

    One is under way, and at most one calls may still join.
    """

    def __init__(self) -> None:
        self.active: _SharedWalk | None = None
        self.joinable: _SharedWalk | None = None
        self.callers = 0

    def join(self, caller: _Caller) -> _SharedWalk:
        if self.joinable is None:
            self.joinable = _SharedWalk()
        self.joinable.waiting[caller] = None
        return self.joinable

    def leads(self, caller: _Caller, shared: _SharedWalk) -> bool:
        """Tell whether a call is to fetch the next page of its walk."""
        if self.active is None:
            self.active = shared
            self.joinable = None
        if self.active is shared and shared.leader is None:
            shared.leader = caller
        return shared.leader is caller

    def leave(self, caller: _Caller, shared: _SharedWalk) -> None:
        """Let the next call lead, in this walk or in the one after it."""
        del shared.waiting[caller]
        if shared.leader is caller:
            shared.leader = None
        if self.active is shared and (shared.is_over or not shared.waiting):
            self.active = None
        following = self.active or self.joinable
        if following is not None and following.leader is None:
            for waiting in following.waiting:
                waiting.wake()
                break


class NameLookup:
    """Finds roles by name, over as few walks as the rule above allows."""

    def __init__(self, known: KnownRoles) -> None:
        self._known = known
        self._queues: dict[object, _Queue] = {}

    async def find(self, name: str, steps: Steps) -> Role:
        """Return the role with exactly this name.

        Args:
            name: What to look for.
            steps: What the call that asks does itself.

        Raises:
            NotFoundError: No role has the name; it carries the closest few that exist.
            RolesError: The walk failed.
        """
        # Imported here, since most callers have IDs and do not need it.
        from anyio.lowlevel import current_token

        key = (current_token(), steps.limits)
        queue = self._queues.setdefault(key, _Queue())
        queue.callers += 1
        try:
            found = await self._find_known(name, queue, steps)
            return found or await self._walk(name, queue, steps)
        finally:
            queue.callers -= 1
            if not queue.callers:
                del self._queues[key]

    async def _find_known(self, name: str, queue: _Queue, steps: Steps) -> Role | None:
        from anyio.lowlevel import checkpoint

        role_id = self._known.find(name)
        if role_id is None:
            return None
        # Every call of this moment is counted before one of them is sent.
        await checkpoint()
        if queue.callers > self._known.walk_pages:
            return None
        try:
            role = await steps.get(role_id)
        except StatusError as error:
            if error.status not in _GONE:
                raise
        else:
            if role.name == name:
                return role
        if self._known.find(name) == role_id:
            self._known.forget(name)
        return None

    async def _walk(self, name: str, queue: _Queue, steps: Steps) -> Role:
        from anyio.lowlevel import checkpoint

        caller = _Caller(name, steps.make_event)
        shared = queue.join(caller)
        try:
            # Every call of this moment joins before the first page is asked for.
            await checkpoint()
            while caller.role is None and not shared.is_over:
                if queue.leads(caller, shared):
                    await shared.fetch_page(steps)
                else:
                    await caller.wait()
        finally:
            queue.leave(caller, shared)
        if caller.role is not None:
            return caller.role
        if shared.failure is not None:
            raise copy.copy(shared.failure) from shared.failure
        raise await _not_found(name, shared.names)


async def _not_found(name: str, names: list[str]) -> NotFoundError:
    import difflib

    from anyio.lowlevel import checkpoint

    asked = name[:MAX_NAME]
    closest: list[str] = []
    part: list[str] = []
    cost = 0
    for other in names:
        part.append(other)
        cost += len(asked) * len(other)
        if cost > _SLICE_COST:
            closest = difflib.get_close_matches(asked, closest + part, _MAX_CLOSEST, _SIMILAR)
            part, cost = [], 0
            await checkpoint()
    closest = difflib.get_close_matches(asked, closest + part, _MAX_CLOSEST, _SIMILAR)
    shown = ", ".join(map(quoted, closest))
    return NotFoundError(
        f"no role is named {quoted(name)}" + (f"; similar names: {shown}" if shown else ""),
        name=name,
        closest=tuple(closest),
        method="GET",
        path="/v2/roles",
    )
