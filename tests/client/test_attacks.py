"""Whatever a server answers: an error of ours or a valid result, said on short single lines.

`python -m tests.tools.attacks` runs the same attacks in full size, and measures time and memory.
"""

import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    InvalidResponseError,
    RetryPolicy,
    RolesConnectionError,
    RolesError,
    Timeouts,
)
from tests.support.attacks import ATTACKS, Attack, attacking
from tests.support.messages import assert_short_line, judging_log_lines, messages_of
from tests.tools.fuzz_responses import assert_valid

HASTY = Timeouts(total=0.5, read=0.2)
"""For attacks that never end."""
LONG_LIMITS = Timeouts(total=120.0, read=60.0)
BY_NAME = {attack.name: attack for attack in ATTACKS}


async def outcome(attack: Attack, size: int, timeouts: Timeouts) -> object:
    """Return what a call ends in that is answered so: an error, or a result."""
    async with (
        attacking(attack, size) as url,
        AiohttpRolesClient(
            "key-1234", base_url=url, timeout=timeouts, retry=RetryPolicy(attempts=1)
        ) as roles,
    ):
        assert attack.call is not None
        try:
            return await attack.call(roles)
        except RolesError as error:
            return error


@pytest.mark.asyncio
@pytest.mark.parametrize("attack", ATTACKS, ids=str)
async def test_small(attack: Attack) -> None:
    """Every attack ends in one of our errors or in a valid result."""
    with judging_log_lines():
        ended = await outcome(attack, attack.small, HASTY)
    if isinstance(ended, RolesError):
        for message in messages_of(ended):
            assert_short_line(message)
    else:
        assert_valid(ended)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "kibibytes", "message"),
    [
        ("bomb, gzip", 5120, "it is longer than 4 MiB"),
        ("body without end", 5120, "it is longer than 4 MiB"),
        ("headers without end", 5120, "the connection failed before the complete response"),
        ("header without end", 5120, "the connection failed before the complete response"),
    ],
)
async def test_message(name: str, kibibytes: int, message: str) -> None:
    """The error says which bound was exceeded; those of headers are aiohttp's own."""
    ended = await outcome(BY_NAME[name], kibibytes * 2**10, LONG_LIMITS)
    assert isinstance(ended, InvalidResponseError | RolesConnectionError)
    assert message in str(ended)
