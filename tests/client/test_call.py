"""The rules of retries and outcomes, one a line: no client, no event loop, no socket."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import product
from typing import Any, Final

import msgspec
import pytest

from arize_roles_async import (
    InvalidResponseError,
    OutcomeUnknownError,
    ProblemDetails,
    RateLimitError,
    Request,
    Response,
    RetryPolicy,
    Role,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    StatusError,
    Timeouts,
)
from arize_roles_async._calls.call import AskKey, Call, Exchange, FindOutcome, Retry
from arize_roles_async._roles.requests import ROLES
from arize_roles_async._values.options import Options
from arize_roles_async._wire.decode import decode
from arize_roles_async._wire.secrets import Secret

ROLE: Final = b"""{"id": "Um9sZToxOmFCY0Q=", "name": "Role", "is_predefined": false,
"permissions": ["ROLE_READ"], "created_at": "2026-01-01T12:00:00Z",
"updated_at": "2026-01-01T12:00:00Z"}"""
METHODS: Final = {"get": "GET", "create": "POST", "update": "PATCH", "delete": "DELETE"}
READ: Final = Request(method="GET", target="/v2/roles")
NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


def answer(status: int, body: bytes = b"", media_type: str = "application/json") -> Response:
    return Response(status=status, headers={"Content-Type": media_type}, body=body)


def words(status: int, **members: object) -> Response:
    """Return a refusal by the service itself."""
    problem = {"title": "A title", "status": status, **members}
    return answer(status, msgspec.json.encode(problem), "application/problem+json")


def page(status: int, body: bytes = b"<h1>Gateway</h1>") -> Response:
    """Return the page of something in between."""
    return answer(status, body, "text/html")


REFUSED: Final = RolesConnectionError("refused")
BROKEN: Final = RolesConnectionError("broken", sent=True)
SILENT: Final = RolesTimeoutError("silent", limit="read", seconds=10.0, sent=True)
NO_CONNECTION: Final = RolesTimeoutError("slow", limit="connect", seconds=5.0)
UNTRUSTED: Final = RolesConnectionError("untrusted", certificate=True)

Outcome = Response | RolesError


class Driver:
    """Ends the attempts of a call, on a clock that stands still."""

    def __init__(
        self, operation: str, attempts: int = 3, total: float = 30.0, ceiling: float | None = None
    ) -> None:
        self.now = 100.0
        self.request = Request(method=METHODS[operation], target="/v2/roles")
        retry = RetryPolicy(attempts=attempts, backoff=1.0, max_retry_after=ceiling)
        options = Options(timeouts=Timeouts(total=total), retry=retry)
        self.call = Call(ROLES, operation, options, self.now, deadline=self.now + total)
        self.call.exchange = Exchange(self.request, operation != "get")

    def send(self) -> None:
        self.call.start_attempt()
        self.call.mark_sent(self.now)

    def feed(self, outcome: Outcome, refused_for: float | None = None) -> object:
        self.send()
        if refused_for is not None:
            self.call.note_refusal(refused_for)

        def read(request: Request, response: Response) -> Role | None:
            return None if request.method == "DELETE" else decode(Role, request, response)

        return self.call.receive(outcome, read, self.now)


def end_of(operation: str, *outcomes: Outcome, attempts: int = 3) -> str:
    """Return what a call comes to after these outcomes of its attempts, in a word."""
    driver = Driver(operation, attempts=attempts)
    for outcome in outcomes[:-1]:
        step = driver.feed(outcome)
        assert isinstance(step, Retry), f"{outcome} led to {step}"
    try:
        step = driver.feed(outcomes[-1])
    except RolesError as error:
        return type(error).__name__
    match step:
        case Retry():
            return "retry"
        case FindOutcome():
            return "find out"
        case _:
            return "done"


CHANGES: Final[tuple[str, ...]] = ("create", "update", "delete")
DONE: Final[Mapping[str, Response]] = {
    "get": answer(200, ROLE),
    "create": answer(201, ROLE),
    "update": answer(200, ROLE),
    "delete": answer(204),
}
ANY: Final = tuple(DONE)


FIRST: Final = (None,)
"""No attempt before."""
OPEN: Final = (BROKEN, SILENT, page(502), page(503), page(504), words(502))
"""Attempts that may have made a change. The service itself may be wrong about a 503."""
DOUBT: Final = (*OPEN, words(503))

Before = Sequence[Outcome | None]
ENDS: Final[list[tuple[Sequence[str], Before, Sequence[Outcome], str]]] = [
    # Refusals and failures that are the same for a read and for a change.
    (ANY, FIRST, [words(400)], "BadRequestError"),
    (ANY, FIRST, [words(401)], "AuthenticationError"),
    (ANY, FIRST, [words(403)], "ForbiddenError"),
    (ANY, FIRST, [words(404)], "NotFoundError"),
    (ANY, FIRST, [words(409)], "ConflictError"),
    (ANY, FIRST, [words(422)], "UnprocessableEntityError"),
    (ANY, FIRST, [page(302), page(404), page(407), words(418)], "StatusError"),
    (ANY, FIRST, [answer(404, b'{"title": "Not Found"}')], "StatusError"),
    (ANY, FIRST, [answer(404, b'{"title": "Not Found", "status": 400}')], "StatusError"),
    (ANY, FIRST, [answer(404, b'{"status": 404}')], "StatusError"),
    (ANY, FIRST, [words(429), page(429), words(503)], "retry"),
    (ANY, FIRST, [page(502), page(503), page(504)], "retry"),
    (ANY, FIRST, [REFUSED, BROKEN, SILENT, NO_CONNECTION], "retry"),
    (ANY, FIRST, [UNTRUSTED], "RolesConnectionError"),
    # A read may be repeated, and its answer has to make sense.
    (["get"], FIRST, [words(500), page(500)], "retry"),
    (["get"], FIRST, [words(501), page(520), words(599)], "ServerError"),
    (["get"], FIRST, [answer(200, b"{}"), page(200)], "InvalidResponseError"),
    (["get"], FIRST, [answer(199, ROLE), answer(300, ROLE)], "StatusError"),
    (["get"], FIRST, [answer(299, ROLE)], "done"),
    # A failure or an odd success leaves a change open: it is not repeated, but looked for.
    (CHANGES, FIRST, [words(500), page(500), words(501), page(520), answer(999)], "find out"),
    (CHANGES, FIRST, [page(200), page(200, b""), answer(200, b"{}")], "find out"),
    (CHANGES, FIRST, [answer(202), answer(206, ROLE), answer(299)], "find out"),
    (CHANGES, FIRST, [InvalidResponseError("too long")], "find out"),
    # Each change has the statuses of its own success.
    (["create"], FIRST, [answer(200, ROLE)], "done"),
    (["create", "update"], FIRST, [answer(204)], "find out"),
    (["update"], FIRST, [answer(201, ROLE)], "find out"),
    (["delete"], FIRST, [answer(200, ROLE)], "find out"),
    # The documented answer to any attempt ends the call.
    *(([operation], [None, BROKEN, SILENT], [DONE[operation]], "done") for operation in ANY),
    # A refusal says nothing about the attempt before, so the account is read.
    (CHANGES, DOUBT, [words(400), words(401), words(403), words(422), UNTRUSTED], "find out"),
    (CHANGES, DOUBT, [page(302), page(403), page(404), page(407), page(409)], "find out"),
    # One that the change itself may have brought about is not the caller's mistake.
    (["create", "update"], DOUBT, [words(404), words(409)], "find out"),
    (["delete"], OPEN, [words(404)], "done"),
    (["delete"], [words(503)], [words(404)], "OutcomeUnknownError"),
    (["delete"], DOUBT, [words(409)], "ConflictError"),
    # After an attempt that did nothing, it is the refusal of this one.
    (CHANGES, [REFUSED], [words(404)], "NotFoundError"),
    (CHANGES, [REFUSED], [words(409)], "ConflictError"),
]


@pytest.mark.parametrize(("operations", "before", "outcomes", "end"), ENDS)
def test_end(
    operations: Sequence[str], before: Before, outcomes: Sequence[Outcome], end: str
) -> None:
    """A call of any of these operations has this end after each of these outcomes."""
    for operation, first, outcome in product(operations, before, outcomes):
        given = [outcome] if first is None else [first, outcome]
        assert end_of(operation, *given) == end, (operation, *given)


@pytest.mark.parametrize("operation", CHANGES)
@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (REFUSED, "RolesConnectionError"),
        (NO_CONNECTION, "RolesTimeoutError"),
        (words(503), "ServerError"),
        (words(429), "RateLimitError"),
        (page(429), "RateLimitError"),
    ],
)
def test_used_up(operation: str, outcome: Outcome, end: str) -> None:
    """A change was not made if no attempt can have made it; else the account is read at last."""
    assert end_of(operation, outcome, outcome, outcome) == end
    assert end_of(operation, BROKEN, outcome, attempts=2) == "find out"
    # Two answers that say of themselves that nothing was done need no look.
    after_503 = end if isinstance(outcome, Response) else "find out"
    assert end_of(operation, words(503), outcome, attempts=2) == after_503


def test_refusals() -> None:
    """A 429 counts only once the service has granted the client nothing for five minutes."""
    driver = Driver("get", attempts=2)
    for refused_for in (0.0, 100.0, 299.9, 300.0):
        assert isinstance(driver.feed(words(429), refused_for), Retry)
    for last in (driver, Driver("get", attempts=1)):
        with pytest.raises(RateLimitError):
            last.feed(words(429), 301.0 if last is driver else 0.0)


class TestTime:
    """Deadlines, delays, and the error of a call that ran out of time."""

    @pytest.mark.parametrize(
        ("status", "attempts", "now", "ends"),
        [
            (429, 3, 101.0, "A title (retry after 4 s) (times sent: 1)"),
            (429, 3, 104.0, "A title (retry after 4 s) (times sent: 1)"),
            (429, 1, 100.0, "A title (retry after 4 s)"),
            (503, 3, 101.0, "A title (retry after 4 s)"),
        ],
    )
    def test_no_time_left(self, status: int, attempts: int, now: float, ends: str) -> None:
        """A wait that ends at the deadline or later is not begun; a 429 says how often it came."""
        response = msgspec.structs.replace(words(status), headers={"Retry-After": "4"})
        if attempts > 1:
            assert isinstance(Driver("get", total=5.0).feed(response), Retry)
        driver = Driver("get", attempts=attempts, total=5.0)
        driver.now = now
        with pytest.raises(StatusError) as caught:
            driver.feed(response)
        assert str(caught.value).endswith(ends)
        assert driver.call.lacked_time is (attempts > 1)

    @pytest.mark.parametrize("is_held", [False, True])
    @pytest.mark.parametrize(
        ("operations", "outcome", "is_unknown"),
        [
            (ANY, None, False),
            (ANY, REFUSED, False),
            (ANY, words(503), False),
            (["get"], BROKEN, False),
            (CHANGES, BROKEN, True),
        ],
    )
    def test_late(
        self, operations: Sequence[str], outcome: Outcome | None, *, is_unknown: bool, is_held: bool
    ) -> None:
        """A call that has no time for an attempt leaves a change open only if one before did."""
        for operation in operations:
            driver = Driver(operation)
            driver.call.start_attempt() if outcome is None else driver.feed(outcome)
            driver.call.rate_limited_for = 40.0 if is_held else None
            for error in (driver.call.interrupted(), driver.call.not_sent_in_time()):
                assert isinstance(error, OutcomeUnknownError) is is_unknown
                late: Any = error.__cause__ if is_unknown else error
                kind = "RateLimitError" if is_held else "RolesTimeoutError"
                assert type(late).__name__ == kind
                if not is_held:
                    assert (late.limit, late.seconds, late.attempts) == ("total", 30.0, 1)
                    assert late.sent is False
            assert driver.call.lacked_time

    @pytest.mark.parametrize("outcomes", [(), (page(200),), (words(503), words(409))])
    def test_in_flight(self, outcomes: tuple[Outcome, ...]) -> None:
        """A change that is under way, or whose call reads the account, may be made."""
        driver = Driver("create")
        for outcome in outcomes:
            driver.feed(outcome)
        if outcomes:
            driver.call.exchange = Exchange(READ, is_change=False)
        driver.send()
        for is_closed in (True, False):
            error = driver.call.interrupted(is_closed=is_closed)
            assert isinstance(error, OutcomeUnknownError)
            assert error.attempts == len(outcomes) + 1
        assert isinstance(error.__cause__, RolesTimeoutError)
        assert (error.__cause__.attempts, error.__cause__.sent) == (len(outcomes) + 1, True)
        driver.call.exchange = Exchange(READ, is_change=False)
        late = RolesTimeoutError("slow", limit="connect")
        assert isinstance(driver.feed(late), Retry)
        assert late.attempts == len(outcomes) + 2

    def test_held_back(self) -> None:
        """A call that a rate limit holds back ends in that limit's error, with what it knows."""
        driver = Driver("create")
        driver.feed(REFUSED)
        driver.call.rate_limited_for = 12.34
        error = driver.call.interrupted()
        assert type(error) is RateLimitError
        assert str(error) == (
            "POST /v2/roles cannot be sent in time: the rate limit lets no request out of the "
            "queue for another 12.3 s, and Timeouts.total is 30 s (times sent: 1)"
        )
        assert (error.status, error.method, error.path) == (429, "POST", "/v2/roles")
        assert (error.retry_after, error.from_service, error.__cause__) == (12.34, False, None)
        driver = Driver("create", ceiling=60.0)
        driver.call.rate_limited_for = 100.0
        error = driver.call.interrupted()
        assert "another 100 s, and RetryPolicy.max_retry_after is 60 s" in str(error)

    def test_last_refusal(self) -> None:
        """The error of a call that is held back has the last 429 of its request, and no other's."""
        driver = Driver("create")
        driver.feed(page(429))
        last = words(429, detail="Slow down.")
        driver.feed(msgspec.structs.replace(last, headers={"X-Request-Id": "r"}))
        driver.call.rate_limited_for = 12.34
        error = driver.call.not_sent_in_time()
        assert isinstance(error, RateLimitError)
        assert isinstance(error.__cause__, RateLimitError)
        assert error.problem == ProblemDetails(title="A title", status=429, detail="Slow down.")
        assert (error.from_service, error.request_id, error.retry_after) == (True, "r", 12.34)
        driver.call.exchange = Exchange(READ, is_change=False)
        assert driver.call.interrupted().__cause__ is None


@pytest.mark.parametrize("before", [BROKEN, words(503)])
@pytest.mark.parametrize("status", [404, 409])
def test_other_key(status: int, before: Outcome) -> None:
    """After another key, which may be of another account, no refusal settles a change in doubt."""
    driver = Driver("delete")
    assert driver.call.use_key(Secret("a"))
    driver.feed(before)
    assert isinstance(driver.feed(words(401)), AskKey)
    assert driver.call.use_key(Secret("b"))
    with pytest.raises(OutcomeUnknownError):
        driver.feed(words(status))


def dated(response: Response, date: float | str) -> Response:
    """Return an answer with a `Date`, a text or so many seconds after noon."""
    if isinstance(date, float):
        moment = datetime.fromtimestamp(NOON.timestamp() + date, UTC)
        date = format_datetime(moment, usegmt=True)
    return msgspec.structs.replace(response, headers={**response.headers, "Date": date})


CONFLICT: Final = words(409)


@pytest.mark.parametrize(
    ("outcomes", "since"),
    [
        # The latest `Date` less the time since the first attempt was sent, less half a second.
        ([(0.0, BROKEN), (3.0, dated(CONFLICT, 10.0))], 6.5),
        ([(0.0, dated(words(502), 7.9)), (2.1, dated(CONFLICT, 10.0))], 7.4),
        ([(0.0, dated(words(502), 6.0)), (4.9, dated(CONFLICT, 10.0))], 5.5),
        ([(20.0, dated(words(502), 9.0)), (1.0, dated(CONFLICT, 10.0))], 8.5),
        # That of a gateway, and of an answer that makes no sense, is not the service's.
        ([(0.0, dated(page(502), 90.0)), (0.0, dated(CONFLICT, 10.0))], 9.5),
        ([(0.0, dated(answer(201, b"{}"), 90.0)), (0.0, dated(CONFLICT, 10.0))], 9.5),
        # That of a check of the account counts as well.
        ([(0.0, BROKEN), (3.0, dated(DONE["get"], 10.0))], 6.5),
        # Without an HTTP date this machine's clock counts, give or take five minutes.
        ([(0.0, BROKEN), (3.0, CONFLICT)], 697.0),
        ([(0.0, BROKEN), (3.0, dated(CONFLICT, "yesterday"))], 697.0),
    ],
)
def test_created_since(outcomes: Sequence[tuple[float, Outcome]], since: float) -> None:
    """From which moment on a role can be this call's own, by the service's clock."""
    driver = Driver("create")
    for seconds, outcome in outcomes:
        driver.now += seconds
        if isinstance(outcome, Response) and outcome.status == 200:
            driver.call.exchange = Exchange(READ, is_change=False)
        driver.feed(outcome)
    found = driver.call.created_since(driver.now, NOON.timestamp() + 1000.0)
    assert found - NOON.timestamp() == pytest.approx(since)
