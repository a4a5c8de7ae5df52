"""Any bytes for a body, any status, any headers: a call returns a valid model or raises our error.

`python -m tests.tools.fuzz_responses [N]` runs N examples, 100,000 unless given, as answers of an
account. `mutated_answers` does the same with the bytes of a socket.
"""

import asyncio
import copy
import json
import pickle
import sys
import time
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from arize_roles_async import (
    AlphaWarning,
    ListRolesResponse,
    Request,
    RetryPolicy,
    Role,
    RolesClient,
    RolesError,
)
from arize_roles_fake import FakeAccount, FakeRolesClient, Reply
from tests.support.messages import assert_short_line, judging_log_lines, messages_of

ROLE: Final[dict[str, Any]] = {
    "id": "Um9sZToxOmFCY0Q=",
    "name": "AI Engineer",
    "description": "Looks at projects.",
    "permissions": ["PROJECT_READ", "NEWER_THAN_THIS"],
    "is_predefined": False,
    "created_at": "2026-01-02T03:04:05.678901Z",
    "updated_at": "2026-01-02T03:04:05+09:00",
}
PAGE: Final = {"roles": [ROLE, ROLE], "pagination": {"has_more": True, "next_cursor": "abc"}}
PROBLEM: Final = {
    "type": "https://arize.com/docs/ax/rest-reference/errors#access-forbidden",
    "title": "Access forbidden",
    "status": 403,
    "detail": "the plan allows no more",
    "limit": 5,
    "current_count": 5,
    "required_plan": "PRO",
}

# What may come

JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.datetimes().map(datetime.isoformat)
    | st.sampled_from(["2026-12-31T23:59:60Z", "0001-01-01T00:00:00+14:00", "A" * 300, "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def _spoiled(document: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Return documents of which members are other, or are not there."""

    def spoil(other: dict[str, Any], gone: set[str]) -> bytes:
        kept = {**document, **other}
        return json.dumps({name: kept[name] for name in kept if name not in gone}).encode()

    names = st.sampled_from(sorted(document))
    others = st.fixed_dictionaries({}, optional=dict.fromkeys(document, JSON))
    return st.builds(spoil, others, st.sets(names, max_size=2))


def _cut(body: bytes, start: int, end: int, filling: bytes) -> bytes:
    return body[:start] + filling + body[end:]


WHOLE: Final = st.one_of(
    st.sampled_from([json.dumps(document).encode() for document in (ROLE, PAGE, PROBLEM)]),
    _spoiled(ROLE),
    _spoiled(PROBLEM),
    _spoiled(PAGE),
    _spoiled(ROLE).map(lambda role: b'{"roles": [%s], "pagination": {"has_more": false}}' % role),
)
BODIES: Final = st.one_of(
    WHOLE,
    st.builds(_cut, WHOLE, st.integers(0, 400), st.integers(0, 400), st.binary(max_size=8)),
    st.binary(),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b"<title>\x1b[31m\n" * 2000, b'{"title": "%s", "status": 403}' % (b"t" * 9000)]
    ),
    st.sampled_from([b"", b"null", b"[" * 5000, b"9" * 5000, b"\xef\xbb\xbf{}", b'{"a":' * 3000]),
)
STATUSES: Final = st.one_of(
    st.sampled_from([200, 201]),
    st.sampled_from([200, 201, 204, 302, 400, 403, 404, 409, 429, 500, 503]),
    st.integers(100, 999),
)
TEXT: Final = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30)
VALUES: Final = TEXT | st.sampled_from(
    [
        *("application/json", "application/problem+json", "text/html", "APPLICATION/JSON; x=y"),
        *("0", "-1", "1.5", "9" * 400, "²", "Thu, 01 Jan 2026 12:00:00 GMT", "Thu, 01 Jan 99999"),
        *("Thu, 99 Jan 2026 12:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "gzip", "br", "x"),
        *("\x1b[31mred\x9b2J", "\u202e" * 5000),
    ]
)
NAMES: Final = st.sampled_from(
    ["Content-Type", "Retry-After", "Date", "X-Request-Id", "retry-after", "content-type", "X"]
)
HEADERS: Final = st.lists(st.tuples(NAMES, VALUES), max_size=4)

ROLE_ID: Final = str(ROLE["id"])
CALLS: Final[list[Callable[[RolesClient], Awaitable[object]]]] = [
    lambda roles: roles.list(),
    lambda roles: roles.list().all(),
    lambda roles: roles.get(role_id=ROLE_ID),
    lambda roles: roles.get(role="AI Engineer"),
    lambda roles: roles.create(name="AI Engineer", permissions=["PROJECT_READ"]),
    lambda roles: roles.update(role_id=ROLE_ID, description="New."),
    lambda roles: roles.delete(role_id=ROLE_ID),
    lambda roles: roles.delete(role="AI Engineer"),
]

# What must become of it


def assert_presentable(error: RolesError) -> None:
    """Check that an error copies, pickles and prints, with its causes, on short single lines."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    for other in (again, copy.copy(error)):
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))
    for message in messages_of(error):
        assert_short_line(message)


def assert_valid(result: object) -> None:
    """Check that a result is what its type says, through and through."""
    match result:
        case None:
            pass
        case Role():
            texts = (result.id, result.name, result.description or "")
            assert all(type(text) is str for text in texts)
            assert result.id
            assert type(result.is_predefined) is bool
            assert result.created_at.utcoffset() is not None
            assert result.updated_at.utcoffset() is not None
            assert all(type(p.value) is str for p in result.permissions or ())
            assert Role.from_json(result.to_json()) == result
            assert repr(result)
            hash(result)
        case ListRolesResponse():
            assert type(result.pagination.has_more) is bool
            assert isinstance(result.pagination.next_cursor, str | None)
            for role in result.roles:
                assert_valid(role)
        case _:
            raise AssertionError(f"a call returned {result!r}")


class _Canned(FakeAccount):
    """Answers every request alike."""

    reply = Reply(status=200, headers={}, body=b"")
    sent = 0

    def handle(self, request: Request) -> Reply:
        del request
        self.sent += 1
        # A walk with a cursor on every page ends, for the cursor is the same, and 429s by the time.
        assert self.sent < 100
        return self.reply


def fuzz(examples: int) -> Counter[str]:
    """Run examples, and return how many calls ended in a result, and in each error."""
    ended = Counter[str]()
    account = _Canned(api_key="Engineer", predefined=False)  # The key is in the answers, too.

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[
            *(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
        ],
    )
    @given(call=st.sampled_from(CALLS), status=STATUSES, headers=HEADERS, body=BODIES)
    def example(
        call: Callable[[RolesClient], Awaitable[object]],
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
    ) -> None:
        account.reply = Reply(status=status, headers=CIMultiDict(headers), body=body)
        account.sent = 0
        roles = FakeRolesClient(account, retry=RetryPolicy(attempts=2))
        try:
            result = runner.run(_awaited(call(roles)))
        except RolesError as error:
            ended[type(error).__name__] += 1
            assert_presentable(error)
        else:
            ended["result"] += 1
            assert_valid(result)

    with judging_log_lines(), asyncio.Runner() as runner:
        example()
    return ended


async def _awaited(call: Awaitable[object]) -> object:
    return await call


def main() -> int:
    """Run the examples, print how they ended and return the exit status."""
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", AlphaWarning)
    started = time.monotonic()
    for kind, count in fuzz(examples).most_common():
        print(f"{count:8}  {kind}")
    print(f"\n{examples} examples in {time.monotonic() - started:.0f} s, none ended otherwise")
    return 0


if __name__ == "__main__":
    sys.exit(main())
