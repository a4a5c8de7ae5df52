"""The setting `arize_roles_offline`, which keeps clients off the network."""

import fnmatch
import os
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

SUITE = """
import contextlib
import os

async def use(**arguments):
    async with AiohttpRolesClient("key", retry=RetryPolicy(attempts=1), **arguments) as roles:
        return len(await roles.list())

@pytest.mark.parametrize(
    "arguments",
    [
        {"base_url": "https://arize.invalid"},
        {"base_url": "https://[::1]:1", "proxy": "http://proxy.invalid"},
        {"base_url": "https://far.invalid", "proxy": "http://127.0.0.1:1"},
    ],
)
def test_client(arguments):
    with contextlib.suppress(Exception):  # An application that bears an outage.
        asyncio.run(use(**arguments))

def test_lookup():
    with contextlib.suppress(Exception):
        asyncio.run(AiohttpRolesClient("key", base_url="https://named.invalid").get(role="A"))

def test_mocked(mocked_arize):
    assert asyncio.run(use(base_url="https://arize.invalid")) == 7

def test_served(arize_env):
    assert asyncio.run(AiohttpRolesClient().list().all())
    assert os.environ["ARIZE_API_KEY"] == arize_env.api_key
"""


def test_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that would connect to another machine fails its test, also if it bears it.

    Without the setting, clients connect; and it changes no environment.
    """
    monkeypatch.setenv("ARIZE_API_KEY", "of-the-developer")
    run(SUITE, "-k", "not lookup", passed=5, deselected=1)
    result = run(SUITE, "-o", "arize_roles_offline=true", failed=4, passed=2)
    assert os.environ["ARIZE_API_KEY"] == "of-the-developer"
    result.stdout.fnmatch_lines_random(
        [
            "a client was about to connect to arize.invalid, and arize_roles_offline is set: *",
            "* use the fixture mocked_arize, or mock_arize of arize_roles_fake",
            *(
                f"a client was about to connect to {name}.invalid, and *"
                for name in ("proxy", "far", "named")
            ),
        ]
    )


def test_not_awaited(run: Run) -> None:
    """A refusal in a thread, or in a task whose failure nobody reads, fails the test at its end."""
    result = run(
        """
    import threading

    pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

    async def use(host):
        async with AiohttpRolesClient("key", base_url=f"https://{host}.invalid") as roles:
            await roles.list()

    def test_thread():
        thread = threading.Thread(target=lambda: asyncio.run(use("thread")))
        thread.start()
        thread.join()

    async def test_gathered():
        await asyncio.gather(use("gathered"), use("gathered"), return_exceptions=True)

    async def test_begun():
        task = asyncio.create_task(use("begun"))
        await asyncio.wait([task])
        task.exception()

    def test_none():
        pass
    """,
        *("-o", "arize_roles_offline=true"),
        mode="auto",
        passed=4,
        errors=3,
    )
    for name in ("thread", "gathered", "begun"):
        line = f"a client was about to connect to {name}.invalid, and *"
        assert len(fnmatch.filter(result.outlines, line)) == 1


CASSETTE = """
version: 1
interactions:
- request: {method: GET, uri: "http://arize.invalid/v2/roles?limit=50", body: null, headers: {}}
  response:
    status: {code: 200, message: OK}
    headers: {Content-Type: [application/json]}
    body: {string: '{"roles": [], "pagination": {"has_more": false}}'}
    url: "http://arize.invalid/v2/roles?limit=50"
"""


def test_stand_ins(run: Run) -> None:
    """A request that a stand-in of another library catches leaves no machine."""
    run(
        """
    import socket
    import aiohttp
    import vcr

    async def use(server, session=None):
        url = "http://arize.invalid:" + server.url.rpartition(":")[2]
        roles = AiohttpRolesClient(
            server.api_key, base_url=url, session=session, allow_http=True
        )
        async with roles:
            return len(await roles.list())

    async def test_vcrpy(roles_server, tmp_path):
        (tmp_path / "cassette.yaml").write_text(CASSETTE)
        options = {"match_on": ["method", "path"], "record_mode": "none"}
        with vcr.use_cassette(str(tmp_path / "cassette.yaml"), **options):
            assert await use(roles_server) == 0

    class Here(aiohttp.abc.AbstractResolver):
        async def resolve(self, host, port=0, family=socket.AF_INET):
            address = {"hostname": host, "host": "127.0.0.1", "port": port}
            return [{**address, "family": family, "proto": 0, "flags": 0}]

        async def close(self):
            pass

    async def test_resolver(roles_server):
        connector = aiohttp.TCPConnector(resolver=Here(), family=socket.AF_INET)
        async with aiohttp.ClientSession(connector=connector) as session:
            assert await use(roles_server, session) == 7

    async def test_unix_socket(roles_server, tmp_path):
        connector = aiohttp.UnixConnector(path=str(tmp_path / "nobody"))
        async with aiohttp.ClientSession(connector=connector) as session:
            with pytest.raises(RolesConnectionError):
                await use(roles_server, session)
    """.replace("CASSETTE", repr(CASSETTE)),
        *("-o", "arize_roles_offline=true"),
        mode="auto",
        passed=3,
    )
