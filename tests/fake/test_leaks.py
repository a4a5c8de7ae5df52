"""The setting `arize_roles_secrets`, which looks for keys in what a test writes."""

import logging
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]


HEAD = """
        import logging
        import subprocess
        import sys
        import urllib.parse
        import warnings

        log = logging.getLogger("app")
        KEY = "secret+key/12="

        @pytest.fixture
        def fake_account():
            return FakeAccount(api_key=KEY)

        @pytest.fixture(autouse=True)
        def key(fake_account):
            return fake_account.api_key
        """


def test_written(run: Run) -> None:
    """Output that the test reads, records of any level and collected warnings are seen.

    So is a key that is written as in a URL.
    """
    run(
        HEAD
        + """
        @pytest.mark.parametrize("fixture", ["capsys", "capfd", "capsysbinary", "capfdbinary"])
        def test_read(request, fixture, key):
            capture = request.getfixturevalue(fixture)
            print("sent", key)
            print("sent", key, file=sys.stderr)
            assert key in str(capture.readouterr().out).replace("b'", "")

        def test_debug(key):
            log.debug("sent %s", key)

        def test_disabled(key):
            logging.disable()
            try:
                log.error("sent %s", key)
            finally:
                logging.disable(logging.NOTSET)

        def test_traceback(key):
            try:
                raise ValueError(key)
            except ValueError:
                log.debug("no luck", exc_info=True)

        def test_collected(key):
            with pytest.warns(UserWarning):
                warnings.warn(f"sent {key}")

        def test_recorded(key):
            with warnings.catch_warnings(record=True):
                warnings.simplefilter("always")
                warnings.warn(f"sent {key}")

        def test_recwarn(key, recwarn):
            warnings.warn(f"sent {key}")

        def test_process(key):
            subprocess.run([sys.executable, "-c", "import sys; print(sys.argv[1])", key])

        async def test_later(fake_roles, key):
            await fake_roles.list()
            other = fake_roles.with_options(api_key="key-of-another")
            with pytest.raises(AuthenticationError):
                await other.list()
            print("sent", "key-of-another")

        def test_written_otherwise(key):
            print(urllib.parse.quote(key))
        """,
        *("-o", "arize_roles_secrets=true", "-o", "log_level=WARNING"),
        mode="auto",
        passed=13,
        errors=13,
    )


def test_unchanged(run: Run) -> None:
    """Nothing else changes: a record below its level reaches no handler, a warning is shown."""
    run(
        HEAD
        + """
        class Broken:
            def __str__():
                raise LookupError

        def test_level(caplog):
            log.info("not %s", Broken())
            log.warning("seen")
            assert [each.getMessage() for each in caplog.records] == ["seen"]

        def test_output(capsys):
            print("nothing", end="")
            assert capsys.readouterr() == ("nothing", "")

        @pytest.mark.filterwarnings("default")
        def test_warning():
            warnings.warn("old")
        """,
        *("-o", "arize_roles_secrets=true"),
        passed=3,
        warnings=1,
    )
    assert not logging.getLogger("app").isEnabledFor(logging.DEBUG)
