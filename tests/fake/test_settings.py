"""The settings of the plugin: what they find in a suite, and that they change nothing else."""

import logging
import os
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

OFFLINE = ("-o", "arize_roles_offline=true")
SECRETS = ("-o", "arize_roles_secrets=true")


def test_offline(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that would connect to another machine fails its test, also if nobody sees it."""
    monkeypatch.setenv("ARIZE_API_KEY", "of-the-developer")
    suite = """
    import contextlib
    import os
    import threading

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

    @pytest.mark.arize_roles(unused_faults="allow")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_thread():
        thread = threading.Thread(target=lambda: asyncio.run(use(base_url="https://thread.invalid")))
        thread.start()
        thread.join()

    async def test_gathered():
        calls = [use(base_url="https://gathered.invalid") for _ in range(2)]
        await asyncio.gather(*calls, return_exceptions=True)

    def test_mocked(mocked_arize):
        assert asyncio.run(use(base_url="https://arize.invalid")) == 7

    def test_served(arize_env):
        assert asyncio.run(AiohttpRolesClient().list().all())
        assert os.environ["ARIZE_API_KEY"] == arize_env.api_key
    """
    result = run(suite, *OFFLINE, mode="auto", failed=4, passed=4, errors=2)
    assert os.environ["ARIZE_API_KEY"] == "of-the-developer"
    result.stdout.fnmatch_lines_random(
        [
            "a client was about to connect to arize.invalid, and arize_roles_offline is set: *",
            "* use the fixture mocked_arize, or mock_arize of arize_roles_fake",
            *(
                f"a client was about to connect to {name}.invalid, and *"
                for name in ("proxy", "far", "named", "thread", "gathered")
            ),
        ]
    )
    run(suite, "-k", "not lookup", mode="auto", passed=7, deselected=1)
    assert result.stdout.str().count("\na client was about to connect to gathered.invalid") == 1


def test_stand_ins(run: Run) -> None:
    """A request that a stand-in of another library catches leaves no machine."""
    suite = """
    import aiohttp

    class Nowhere(aiohttp.abc.AbstractResolver):
        async def resolve(self, *_, **__):
            raise OSError("nowhere")

        async def close(self):
            pass

    @pytest.mark.parametrize("connector", [
        lambda: aiohttp.TCPConnector(resolver=Nowhere()),
        lambda: aiohttp.UnixConnector("nobody"),
    ])
    async def test_it(connector):
        async with aiohttp.ClientSession(connector=connector()) as session:
            roles = AiohttpRolesClient("key", session=session, retry=RetryPolicy(attempts=1))
            with pytest.raises(RolesConnectionError):
                await roles.list()
    """
    run(suite, *OFFLINE, mode="auto", passed=2)


# That each way to an account is seen is `test_ways`.
def test_secrets(run: Run) -> None:
    """Keys are found in output, records and warnings, and nothing else changes."""
    run(
        """
    import logging
    import os
    import subprocess
    import sys
    import urllib.parse
    import warnings

    log = logging.getLogger("app")
    KEY = "secret+key/12="

    @pytest.fixture(autouse=True)
    def fake_account():
        return FakeAccount(api_key=KEY)

    @pytest.mark.parametrize("fixture", ["capsys", "capfd", "capsysbinary", "capfdbinary"])
    def test_read(request, fixture):
        capture = request.getfixturevalue(fixture)
        print("sent", KEY)
        assert KEY in str(capture.readouterr().out)

    def test_debug():
        log.debug("sent %s", KEY)

    def test_disabled():
        logging.disable()
        try:
            log.error("sent", exc_info=LookupError(KEY))
        finally:
            logging.disable(logging.NOTSET)

    def test_collected():
        with pytest.warns(UserWarning):
            warnings.warn(f"sent {KEY}")

    def test_process():
        subprocess.run([sys.executable, "-c", "import sys; print(sys.argv[1])", KEY])

    async def test_later(fake_roles):
        await fake_roles.list()
        other = fake_roles.with_options(api_key="key-of-another")
        with pytest.raises(AuthenticationError):
            await other.list()
        print("sent", "key-of-another")

    def test_written_otherwise():
        print(urllib.parse.quote(KEY))

    class Broken:
        def __str__():
            raise LookupError

    def test_harmless_level(caplog):
        log.info("not %s", Broken())
        log.warning("seen")
        assert [each.getMessage() for each in caplog.records] == ["seen"]

    def test_harmless_output(capsys):
        print("nothing", end="")
        assert capsys.readouterr() == ("nothing", "")

    def test_harmless_bytes(capfdbinary):
        os.write(1, b"\\xff")
        assert capfdbinary.readouterr() == (b"\\xff", b"")

    @pytest.mark.filterwarnings("default")
    def test_harmless_warning():
        warnings.warn("old")
    """,
        *SECRETS,
        *("-o", "log_level=WARNING"),
        mode="auto",
        passed=14,
        errors=10,
        warnings=1,
    ).stdout.no_fnmatch_line("ERROR *harmless*")
    assert not logging.getLogger("app").isEnabledFor(logging.DEBUG)


def test_short_pages(run: Run) -> None:
    """With the setting, code that reads one page alone fails, in any account."""
    suite = """
    async def one_page(account):
        async with FakeRolesClient(account) as roles:
            return await roles.list()

    def test_one_page(fake_account):
        assert len(asyncio.run(one_page(fake_account))) == 7

    def test_own_account():
        assert len(asyncio.run(one_page(FakeAccount()))) == 7

    def test_all(fake_roles):
        assert len(asyncio.run(fake_roles.list().all())) == 7
    """
    run(suite, passed=3)
    run(suite, "-o", "arize_roles_short_pages=true", passed=1, failed=2)
    run(suite, passed=3)
