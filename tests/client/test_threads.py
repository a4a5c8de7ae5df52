"""Clients in several threads: each with its event loop, or one that all share."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

from arize_roles_async import ListRolesResponse
from arize_roles_fake import RolesServer
from tests.support.documentation import definitions
from tests.support.processes import ran
from tests.support.sizes import sized

SCRIPT = Path(__file__).parents[1] / "support" / "in_threads.py"


# Without the lock in `_wire`, about every other process fails.
def test_decode() -> None:
    """Threads that decode their first answers at once do not disturb one another."""
    for _ in range(sized(1, 8)):
        done = ran(sys.executable, SCRIPT)
        assert (done.returncode, done.stderr) == (0, "")


def ask(app: Any) -> bytes:  # noqa: ANN401 - the guide's
    """Return what a WSGI application answers to a request."""

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        assert (status, len(headers)) == ("200 OK", 1)

    environment: dict[str, Any] = {}
    setup_testing_defaults(environment)
    return b"".join(app(environment, start))


def test_shared(arize_env: RolesServer) -> None:
    """Requests to the WSGI application of the guide share one client, in many threads."""
    arize_env.account.add_role("AI Engineer")
    names = definitions("arize_roles_async/guide/threads.md")
    with names["stack"], ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, [names["app"]] * 40))

    pages = [ListRolesResponse.from_json(answer) for answer in answers]
    assert [[role.name for role in page] for page in pages] == [["AI Engineer"]] * 40
    assert len(arize_env.account.calls) == 40
