"""Connects clients that the code under test makes itself to an account, not to a socket."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from unittest import mock

from arize_roles_fake._account import FakeAccount
from arize_roles_fake._client import AccountTransport


@contextmanager
def mock_arize(account: FakeAccount | None = None) -> Generator[FakeAccount]:
    """Let every `AiohttpRolesClient` that is made in the block talk to an account, in process.

    ```python
    with mock_arize() as account:
        async with AiohttpRolesClient() as roles:  # in the code under test
            await roles.create(name="AI Engineer", permissions=["PROJECT_READ"])
    account.assert_roles({"AI Engineer": {"PROJECT_READ"}})
    ```

    The code under test stays as it is: its client checks its configuration and finds its key as
    always. It needs no socket and waits for nothing, since time is the account's. In the block,
    `ARIZE_API_KEY` holds the account's key. A client with a key that the account does not know
    gets 401; `FakeAccount.add_key` makes it known. A client that was made before the block is not
    affected; one that was made in it uses the account after it, too.

    Args:
        account: The account; a fresh one unless given.

    Yields:
        The account.

    Raises:
        LookupError: The account has no API key.
    """
    from arize_roles_async._aiohttp import client as _aiohttp

    account = FakeAccount() if account is None else account

    def connect(*_: object) -> AccountTransport:
        return AccountTransport(account)

    with (
        mock.patch.object(_aiohttp, "AiohttpTransport", connect),
        mock.patch.dict(os.environ, {"ARIZE_API_KEY": account.api_key}),
    ):
        yield account
