"""A fake account behind a suite, and all that the rules need to be set up on it."""

import functools
import secrets
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Final

import pytest

from arize_roles_async import Permission
from arize_roles_fake import FakeAccount, RolesServer
from arize_roles_fake.contract._any_client import PlacesSuite
from arize_roles_fake.contract._suite import MAX_ROUNDS

_USERS: Final = ("ada@example.com", "eve@example.com")
_SPACES: Final = ("Space:ML", "Space:Ops")
_PROJECTS: Final = ("Project:ML/churn",)


class OnFakeAccount(PlacesSuite):
    """A base of suites whose clients talk to a `FakeAccount`.

    It has every method that a contract asks for, except those that open clients.
    """

    _exits: ExitStack

    @functools.cached_property
    def account(self) -> FakeAccount:
        """The account of a test. One of your own declares `users` and `resources`, too."""
        return FakeAccount(
            assumptions=self.assumptions,
            # `test_address` needs somebody with letters that others are like.
            users=(*_USERS, "kirsten@example.com"),
            resources=(*_SPACES, *_PROJECTS),
        )

    @functools.cached_property
    def url(self) -> str:
        """The URL of a server over the account, which runs from now to the end of the test."""
        return self._exits.enter_context(RolesServer(self.account)).url

    @pytest.fixture(autouse=True)
    def _end_server(self) -> Iterator[None]:
        with ExitStack() as self._exits:
            yield

    def user_ids(self) -> Sequence[str]:
        """Return the IDs of two users."""
        return [*map(self.account.id, _USERS)]

    def space_ids(self) -> Sequence[str]:
        """Return the IDs of two spaces."""
        return [*map(self.account.id, _SPACES)]

    def project_ids(self) -> Sequence[str]:
        """Return the ID of a project."""
        return [*map(self.account.id, _PROJECTS)]

    def other_key(
        self,
        *,
        grants: Iterable[Permission] | None = None,
        on: Mapping[str, Iterable[Permission]] | None = None,
    ) -> str:
        """Return a new API key of the account; the arguments are those of `add_key`."""
        key = f"other-{secrets.token_hex(8)}"
        self.account.add_key(key, grants=grants, on=on)
        return key

    @asynccontextmanager
    async def short_pages(self) -> AsyncGenerator[None]:
        """Shorten every page to one item in a block."""
        self.account.shorten_pages(*[1] * MAX_ROUNDS)
        try:
            yield
        finally:
            self.account.clear_faults()

    def accounts(self) -> tuple[FakeAccount, FakeAccount]:
        """Return the account, and a copy of it."""
        return self.account, FakeAccount.load(self.account.dump())
