"""Makes calls on each event loop, with eager tasks where Python has such (3.12 or newer).

Ends with an error where one ends otherwise than on the account. Needs none of the other files here,
so `release_check` runs it on an installed wheel, in the modes of Python that change how code runs.
"""

import asyncio
import itertools
import sys
import warnings
from typing import Any, Final

import uvloop

from arize_roles_async import AiohttpRolesClient, AlphaWarning, RolesClient
from arize_roles_fake import FakeAccount, RolesServer

AT_ONCE: Final = 20


def eager_task(loop: Any, coroutine: Any, **options: Any) -> Any:  # noqa: ANN401 - asyncio's own
    """Return a task that has begun; uvloop passes options that asyncio's own factory refuses."""
    options["eager_start"] = True
    return asyncio.Task(coroutine, loop=loop, **options)


async def make_calls(*, is_eager: bool) -> None:
    """Create, change, read and delete roles, many at once."""
    if is_eager:
        asyncio.get_running_loop().set_task_factory(eager_task)
    account = FakeAccount(predefined=False)

    async def live(roles: RolesClient, number: int) -> None:
        role = await roles.create(name=f"Role {number}", permissions=["ROLE_READ"])
        changed = await roles.update(role_id=role.id, description="New.")
        if await roles.get(role_id=role.id) != changed or changed.description != "New.":
            raise RuntimeError(f"{role} was not changed")
        await roles.delete(role_id=role.id)

    with RolesServer(account) as server:
        async with (
            AiohttpRolesClient(server.api_key, base_url=server.url) as roles,
            asyncio.TaskGroup() as group,
        ):
            for number in range(AT_ONCE):
                group.create_task(live(roles, number))
    if account.roles or len(account.calls) != 4 * AT_ONCE:
        raise RuntimeError(f"{account.roles} are left after {len(account.calls)} calls")


if __name__ == "__main__":
    warnings.simplefilter("ignore", AlphaWarning)
    for loop, is_eager in itertools.product((asyncio, uvloop), (False, True)):
        with asyncio.Runner(loop_factory=loop.new_event_loop) as runner:
            runner.run(make_calls(is_eager=is_eager and sys.version_info >= (3, 12)))
