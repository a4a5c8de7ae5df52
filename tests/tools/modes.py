"""Makes calls in the modes of Python and of its event loops that change how code runs.

`python -m tests.tools.modes` makes 80 calls in each. Exits with 1 where one ends otherwise than on
the account. Needs none of the other files here, so `release_check` runs it on an installed wheel.
"""

import asyncio
import subprocess
import sys
import warnings
from typing import Any, Final

import uvloop

from arize_roles_async import AiohttpRolesClient, AlphaWarning, RolesClient
from arize_roles_fake import FakeAccount, RolesServer

AT_ONCE: Final = 20
MODES: Final = {
    "without assertions and docstrings": ("-OO",),
    "in development mode": ("-X", "dev", "-W", "error::ResourceWarning"),
    "with eager tasks": (),
}
"""Options of Python; tasks are eager on a Python that has such, 3.12 or newer."""


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


def main(mode: str = "") -> int:
    """Make calls in a mode, or in a process for each; return the exit status."""
    if not mode:
        commands = ([sys.executable, *options, __file__, mode] for mode, options in MODES.items())
        return max(subprocess.run(each, check=False).returncode for each in commands)  # noqa: S603
    warnings.simplefilter("ignore", AlphaWarning)
    is_eager = not MODES[mode] and sys.version_info >= (3, 12)
    for loop in (asyncio, uvloop):
        with asyncio.Runner(loop_factory=loop.new_event_loop) as runner:
            runner.run(make_calls(is_eager=is_eager))
            print(f"{4 * AT_ONCE} calls {mode} on {loop.__name__}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
