"""A fake account behind a suite, and all that the rules need to be set up on it."""

import functools
import secrets
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from typing import Any, Final

import msgspec
import pytest

from arize_roles_async import Permission
from arize_roles_async._wire.request import Request
from arize_roles_fake import FakeAccount, RolesServer
from arize_roles_fake.contract._any_client import PlacesSuite
from arize_roles_fake.contract._suite import MAX_ROUNDS

_USERS: Final = ("ada@example.com", "eve@example.com")
_SPACES: Final = ("Space:ML", "Space:Ops")
_PROJECTS: Final = ("Project:ML/churn",)

_CHANGES: Final = tuple(
    f"{resource}{verb}"
    for resource in ("", "role_bindings.")
    for verb in ("create", "update", "delete")
)


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
    async def plan_used_up(self) -> AsyncGenerator[None]:
        """Allow no more custom roles in a block."""
        self.account.max_custom_roles = sum(not role.is_predefined for role in self.account.roles)
        try:
            yield
        finally:
            self.account.max_custom_roles = None

    def rate_limited(self, *, retry_after: int) -> AbstractAsyncContextManager[None]:
        """Answer every request with 429 in a block."""
        return self._failing("any", failure=429, retry_after=retry_after)

    def undecodable_answers(self) -> AbstractAsyncContextManager[None]:
        """Answer with bodies that cannot be decoded in a block."""
        return self._failing("any", failure="undecodable")

    def lost_changes(self) -> AbstractAsyncContextManager[None]:
        """Make no change in a block, and answer each with a body that cannot be decoded."""
        return self._failing(*_CHANGES, failure="undecodable")

    @asynccontextmanager
    async def _failing(self, *operations: Any, **fault: Any) -> AsyncGenerator[None]:  # noqa: ANN401
        for operation in operations:
            self.account.fail(operation, times=None, **fault)
        try:
            yield
        finally:
            self.account.clear_faults()

    @asynccontextmanager
    async def short_pages(self) -> AsyncGenerator[None]:
        """Shorten every page to one item in a block."""
        self.account.shorten_pages(*[1] * MAX_ROUNDS)
        try:
            yield
        finally:
            self.account.clear_faults()

    async def post_role(self, body: Mapping[str, object]) -> int:
        """Send a body to the account as it is."""
        key = {"Authorization": f"Bearer {self.account.api_key}"}
        text = msgspec.json.encode(body)
        sent = Request(method="POST", target="/v2/roles", headers=key, body=text)
        return self.account.handle(sent).status
