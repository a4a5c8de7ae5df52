"""Finding roles by name: the service has no such call, so the listing is walked.

Calls that need a name at the same moment share one walk. A call joins only a walk that begins
after the call was made, so that it sees every role that existed when it was asked for.
"""

import base64
import binascii
import copy
from collections.abc import AsyncIterator, Callable

from arize_roles_async._errors import NotFoundError, RolesError
from arize_roles_async._models import ListRolesResponse, Role

WalkPages = Callable[[], AsyncIterator[ListRolesResponse]]

_CLOSEST = 3
_SIMILAR = 0.6
_NAMES_A_SLICE = 500


def is_role_id(text: str) -> bool:
    """Tell an ID from a name, as Arize's clients do: strict base64 of UTF-8 with a colon in it."""
    try:
        return ":" in base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return False


class _Batch:
    """The names that one walk looks for, and what it found."""

    def __init__(self) -> None:
        self.wanted: set[str] = set()
        self.found: dict[str, Role] = {}
        self.others: list[str] = []
        self.failure: RolesError | None = None
        self.done = False

    async def walk(self, pages: AsyncIterator[ListRolesResponse]) -> None:
        self.found.clear()
        self.others.clear()
        missing = set(self.wanted)
        try:
            async for page in pages:
                for role in page.roles:
                    if role.name in missing:
                        missing.discard(role.name)
                        self.found[role.name] = role
                    else:
                        self.others.append(role.name)
                if not missing:
                    break
        except RolesError as error:
            self.failure = error
        self.done = True


class _Queue:
    """The walks of one event loop: one at a time, and at most one batch waiting for the next."""

    def __init__(self) -> None:
        from anyio import Lock

        self.lock = Lock()
        self.waiting: _Batch | None = None
        self.callers = 0


class NameLookup:
    """Finds roles by name for one client, over as few walks as the rule above allows."""

    def __init__(self) -> None:
        self._queues: dict[object, _Queue] = {}

    async def find(self, name: str, pages: WalkPages) -> Role:
        """Return the role with exactly this name.

        Args:
            name: What to look for.
            pages: Begins a walk over all roles; asked only by the call that leads a walk.

        Raises:
            NotFoundError: No role has the name; it carries the closest few that exist.
            RolesError: The walk failed.
        """
        # Here, as most callers have IDs and none of them has to import it then.
        from anyio.lowlevel import current_token

        loop = current_token()
        queue = self._queues.setdefault(loop, _Queue())
        queue.callers += 1
        try:
            batch = await self._walked(name, queue, pages)
        finally:
            queue.callers -= 1
            if not queue.callers:
                del self._queues[loop]
        if batch.failure is not None:
            raise copy.copy(batch.failure) from batch.failure
        role = batch.found.get(name)
        if role is None:
            raise await _not_found(name, batch.others)
        return role

    async def _walked(self, name: str, queue: _Queue, pages: WalkPages) -> _Batch:
        batch = queue.waiting
        if batch is None:
            batch = queue.waiting = _Batch()
        batch.wanted.add(name)
        # Taking the lock yields to the loop, which lets every call of this moment join.
        async with queue.lock:
            if queue.waiting is batch:
                queue.waiting = None
            # A leader that was cancelled leaves the batch undone, and the next in line leads.
            if not batch.done:
                await batch.walk(pages())
        return batch


async def _not_found(name: str, names: list[str]) -> NotFoundError:
    import difflib

    from anyio.lowlevel import checkpoint

    closest: list[str] = []
    for start in range(0, len(names), _NAMES_A_SLICE):
        # Comparing takes microseconds a name, so a large account must not hold up the loop.
        await checkpoint()
        part = names[start : start + _NAMES_A_SLICE]
        closest = difflib.get_close_matches(name, closest + part, n=_CLOSEST, cutoff=_SIMILAR)
    shown = ", ".join(map(repr, closest))
    error = NotFoundError(
        f"no role is named {name!r}" + (f"; the closest are {shown}" if shown else ""),
        status=404,
        method="GET",
        path="/v2/roles",
    )
    error.name = name
    error.closest = tuple(closest)
    return error
