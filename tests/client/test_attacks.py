"""Whatever a server answers: an error of ours or a valid result, said on short single lines.

`python -m tests.tools.attacks` runs the same attacks in full size, and measures time and memory.
"""

import pytest

from arize_roles_async import AiohttpRolesClient, RetryPolicy, RolesError, Timeouts
from tests.support.attacks import ATTACKS, Attack, attacking
from tests.support.messages import assert_short_line, judging_log_lines, messages_of
from tests.tools.fuzz_responses import assert_valid

HASTY = Timeouts(total=0.5, read=0.2)
"""For attacks that never end."""
ONCE = RetryPolicy(attempts=1)


@pytest.mark.asyncio
@pytest.mark.parametrize("attack", ATTACKS, ids=str)
async def test_small(attack: Attack) -> None:
    """Every attack ends in one of our errors or in a valid result."""
    assert attack.call is not None
    with judging_log_lines():
        async with (
            attacking(attack, attack.small) as url,
            AiohttpRolesClient("key-1234", base_url=url, timeout=HASTY, retry=ONCE) as roles,
        ):
            try:
                assert_valid(await attack.call(roles))
            except RolesError as error:
                for message in messages_of(error):
                    assert_short_line(message)
