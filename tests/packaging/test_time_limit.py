import pytest

from tests.support import time_limit

SUITE = """
    import asyncio
    import threading

    import pytest
    from hypothesis import given, strategies


    @pytest.fixture
    def stuck():
        threading.Event().wait()


    @given(strategies.integers())
    async def test_example(number):
        if number > 3:
            await asyncio.Event().wait()


    def test_set_up(stuck):
        pass


    def test_good():
        pass
"""


def test_hanging_tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that hangs fails, also in its set-up, and hypothesis does not try again."""
    monkeypatch.setattr(time_limit, "seconds", 0.3)
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", plugins=[time_limit])
    result.assert_outcomes(passed=1, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*TooLongError: it took longer than 0.3 s*"] * 2)
