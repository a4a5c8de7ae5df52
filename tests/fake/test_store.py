"""The account's listing against a naive model: walks under creations, deletions and seeding."""

import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from arize_roles_async import Request
from tests.support.clients import START, account_at_noon
from tests.support.sizes import sized

AUTHORIZED = {"Authorization": "Bearer fake-api-key"}


@attrs.define(eq=False)
class Walk:
    """A walk over a listing, and what it must have seen by its end."""

    is_predefined: bool | None
    throughout: set[str]
    seen: list[str] = attrs.Factory(list[str])
    cursor: str | None = None


@attrs.frozen
class Entry:
    """A role of the model."""

    made: datetime
    number: int
    name: str
    is_predefined: bool


class Listing(RuleBasedStateMachine):
    walks = Bundle("walks")

    def __init__(self) -> None:
        super().__init__()
        self.account = account_at_noon()
        self.entries: list[Entry] = []
        self.under_way: list[Walk] = []
        self.count = 0

    def added(self, made: datetime, *, is_predefined: bool) -> None:
        self.entries.append(Entry(made, self.count, str(self.count), is_predefined))

    def ask(self, method: str, target: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        sent = None if body is None else json.dumps(body).encode()
        reply = self.account.handle(
            Request(method=method, target=target, body=sent, headers=AUTHORIZED)
        )
        assert reply.status < 300
        return json.loads(reply.body) if reply.body else None

    @rule(seconds=st.sampled_from([0, 1]))
    def create(self, seconds: int) -> None:
        self.account.advance(seconds)
        self.count += 1
        self.ask("POST", "/v2/roles", {"name": str(self.count), "permissions": ["ROLE_READ"]})
        self.added(self.account.now(), is_predefined=False)

    @rule(age=st.integers(-2, 2), is_predefined=st.booleans())
    def seed(self, age: int, is_predefined: bool) -> None:  # noqa: FBT001 - hypothesis passes it
        self.count += 1
        made = START + timedelta(seconds=age)
        self.account.add_role(str(self.count), is_predefined=is_predefined, created_at=made)
        self.added(made, is_predefined=is_predefined)

    @rule(data=st.data(), share=st.sampled_from([0.1, 0.9]))
    def delete_some(self, data: st.DataObject, share: float) -> None:
        custom = [entry for entry in self.entries if not entry.is_predefined]
        count = round(len(custom) * share)
        for entry in data.draw(st.permutations(custom))[:count]:
            role = self.account.role(entry.name)
            assert role is not None
            self.ask("DELETE", f"/v2/roles/{quote(role.id, safe='')}")
            self.entries.remove(entry)
            for walk in self.under_way:
                walk.throughout.discard(entry.name)

    @rule()
    def go_back_in_time(self) -> None:
        snapshot = self.account.snapshot()
        self.account.add_role("thrown away")
        self.account.restore(snapshot)

    @rule(target=walks, is_predefined=st.sampled_from([None, True, False]))
    def begin(self, is_predefined: bool | None) -> Walk:  # noqa: FBT001 - hypothesis passes it
        return self.anew(is_predefined)

    def anew(self, is_predefined: bool | None) -> Walk:  # noqa: FBT001 - as above
        there = {e.name for e in self.entries if is_predefined in {None, e.is_predefined}}
        walk = Walk(is_predefined, there)
        self.under_way.append(walk)
        return walk

    @rule(target=walks, walk=consumes(walks), limit=st.integers(1, 4))
    def go_on(self, walk: Walk, limit: int) -> Walk:
        query = f"?limit={limit}"
        if walk.is_predefined is not None:
            query += f"&is_predefined={str(walk.is_predefined).lower()}"
        if walk.cursor is not None:
            query += f"&cursor={quote(walk.cursor, safe='')}"
        page = self.ask("GET", f"/v2/roles{query}")
        walk.seen += [role["name"] for role in page["roles"]]
        walk.cursor = page["pagination"].get("next_cursor")
        assert page["pagination"]["has_more"] == (walk.cursor is not None)
        if walk.cursor is not None:
            assert len(page["roles"]) == limit
            return walk
        assert len(set(walk.seen)) == len(walk.seen)
        assert walk.throughout <= set(walk.seen)
        self.under_way.remove(walk)
        return self.anew(walk.is_predefined)

    @invariant()
    def lists_what_the_model_holds_newest_first(self) -> None:
        expected = sorted(self.entries, key=lambda entry: (entry.made, entry.number), reverse=True)
        assert [role.name for role in self.account.roles] == [entry.name for entry in expected]


TestListing = Listing.TestCase
TestListing.settings = settings(max_examples=sized(30, 60), stateful_step_count=40)
