"""Calls whose exchanges break: what they say is true, and no request goes twice."""

import pytest

from arize_roles_async import AiohttpRolesClient, RolesConnectionError
from arize_roles_fake import FakeAccount
from tests.support.chaos import ChaosServer, Point
from tests.support.clients import LENT, ONCE, own_or_lent
from tests.support.sizes import sized
from tests.tools.chaos_table import PLANTED, cases, run

pytestmark = pytest.mark.usefixtures("unmeasured")


def test_truth() -> None:
    """Whatever breaks, what a call says is true of the account."""
    chosen = sized(cases()[::47], cases())

    assert run(chosen) == []
    assert len(chosen) == sized(119, 5559)


@pytest.mark.full
def test_planted() -> None:
    """A request that aiohttp sends again by itself is found."""
    broken = [each for each in cases() if each.point is Point.CLOSE_AFTER_COMMIT]
    with PLANTED:
        wrong = run(broken)
    assert {each.rpartition(": ")[2] for each in wrong} == {"sent an attempt of a change twice"}


@LENT
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_sent_once(method: str, *, lent: bool) -> None:
    """A request that a reused connection drops is sent once for one attempt, and an error says so.

    After a delete, a get shows that it was made.
    """
    account = FakeAccount()
    target = account.add_role("Target")
    async with (
        ChaosServer(account).run() as server,
        own_or_lent(
            AiohttpRolesClient, account.api_key, lent=lent, base_url=server.url, retry=ONCE
        ) as roles,
    ):
        await roles.list()
        server.log.clear()
        server.script = [Point.CLOSE_AFTER_COMMIT]

        if method == "DELETE":
            await roles.delete(role_id=target.id)
        else:
            with pytest.raises(RolesConnectionError, match=r"arrived: ServerDisconnectedError: "):
                await roles.get(role_id=target.id)

        assert [exchange.method for exchange in server.log].count(method) == 1
