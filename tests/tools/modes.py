"""Makes calls in the modes of Python and of its event loops that change how code runs.

`python -m tests.tools.modes` makes 80 calls in each: without assertions and docstrings (`-OO`), in
development mode (`-X dev`), and with eager tasks, on asyncio and on uvloop. Exits with 1 where a
call ends otherwise than on the account. Needs none of the other files here, so `release_check` runs
it on an installed wheel.
"""

import asyncio
import subprocess
import sys
import warnings
from importlib import import_module
from typing import Any, Final

from arize_roles_async import AiohttpRolesClient, AlphaWarning, RolesClient
from arize_roles_fake import FakeAccount, RolesServer

AT_ONCE: Final = 20
MODES: Final[dict[str, tuple[list[str], str]]] = {
    "-OO": (["-OO"], "lazy asyncio"),
    "-X dev": (["-X", "dev", "-W", "error::ResourceWarning"], "lazy asyncio"),
    "eager tasks": ([], "eager asyncio"),
    "eager tasks on uvloop": ([], "eager uvloop"),
}
"""Options of Python, and the kind of the tasks and of the loop."""


def eager_task(loop: Any, coroutine: Any, **options: Any) -> Any:  # noqa: ANN401 - asyncio's own
    """Return a task that has begun; uvloop passes options that asyncio's own factory refuses."""
    options["eager_start"] = True
    return asyncio.Task(coroutine, loop=loop, **options)


async def make_calls(*, is_eager: bool) -> int:
    """Create, change, read and delete roles, many at once, and return how many calls were made.

    It is a `RuntimeError` if the account is otherwise than the calls say.
    """
    if is_eager:
        asyncio.get_running_loop().set_task_factory(eager_task)
    account = FakeAccount(predefined=False)
    made: list[str] = []

    async def live(roles: RolesClient, number: int) -> None:
        role = await roles.create(name=f"Role {number}", permissions=["ROLE_READ"])
        changed = await roles.update(role_id=role.id, description="New.")
        if await roles.get(role_id=role.id) != changed or changed.description != "New.":
            raise RuntimeError(f"{role} was not changed")
        made.append(role.name)
        await roles.delete(role_id=role.id)

    with RolesServer(account) as server:
        async with (
            AiohttpRolesClient(server.api_key, base_url=server.url) as roles,
            asyncio.TaskGroup() as group,
        ):
            for number in range(AT_ONCE):
                group.create_task(live(roles, number))
    if len(made) != AT_ONCE or account.roles or len(account.calls) != 4 * AT_ONCE:
        raise RuntimeError(f"{made} were made, and {account.roles} are left")
    return len(account.calls)


def run(kind: str) -> None:
    """Make calls on a kind of loop with a kind of tasks, and print how many."""
    tasks, _, loop = kind.partition(" ")
    warnings.simplefilter("ignore", AlphaWarning)
    with asyncio.Runner(loop_factory=import_module(loop).new_event_loop) as runner:
        print(runner.run(make_calls(is_eager=tasks == "eager")), "calls")


def main() -> int:
    """Make calls in every mode, print the table and return the exit status."""
    failed = 0
    for name, (options, kind) in MODES.items():
        if kind.startswith("eager") and sys.version_info < (3, 12):
            print(f"{name}: new in Python 3.12", flush=True)
            continue
        print(f"{name}: ", end="", flush=True)
        command = [sys.executable, *options, __file__, kind]
        failed |= subprocess.run(command, check=False).returncode  # noqa: S603 - this file
    return failed


if __name__ == "__main__":
    if sys.argv[1:]:
        run(sys.argv[1])
    else:
        sys.exit(main())
