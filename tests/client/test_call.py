"""The rules of retries and outcomes, one a line: no client, no event loop, no socket."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

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
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    ServerError,
    StatusError,
    Timeouts,
)
from arize_roles_async._calls.call import Call, Operation, Retry, Verify
from arize_roles_async._wire.decode import decode_role

ROLE: Final = b"""{"id": "Um9sZToxOmFCY0Q=", "name": "Role", "is_predefined": false,
"permissions": ["ROLE_READ"], "created_at": "2026-01-01T12:00:00Z",
"updated_at": "2026-01-01T12:00:00Z"}"""
METHODS: Final[dict[Operation, str]] = {
    "get": "GET",
    "create": "POST",
    "update": "PATCH",
    "delete": "DELETE",
}
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


def decode_nothing(request: Request, response: Response) -> None:
    del request, response


class Driver:
    """Ends the attempts of a call, on a clock that stands still."""

    def __init__(
        self,
        operation: Operation,
        *,
        attempts: int = 3,
        total: float = 30.0,
        name: str | None = None,
    ) -> None:
        self.now = 100.0
        self.request = Request(method=METHODS[operation], target="/v2/roles")
        retry = RetryPolicy(attempts=attempts, backoff=1.0)
        self.call = Call(operation, Timeouts(total=total), retry, self.now, name=name)
        self.call.begin(self.request)

    def send(self) -> None:
        self.call.start_attempt()
        self.call.mark_sent(self.now)

    def feed(self, outcome: Outcome) -> object:
        self.send()
        if isinstance(outcome, RolesError):
            return self.call.fail(outcome, self.now)
        if self.request.method == "DELETE":
            return self.call.receive(outcome, decode_nothing, self.now)
        return self.call.receive(outcome, decode_role, self.now)


def end_of(operation: Operation, *outcomes: Outcome, attempts: int = 3) -> str:
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
        case Verify():
            return "verify"
        case _:
            return "done"


CHANGES: Final[tuple[Operation, ...]] = ("create", "update", "delete")
DONE: Final[Mapping[Operation, Response]] = {
    "get": answer(200, ROLE),
    "create": answer(201, ROLE),
    "update": answer(200, ROLE),
    "delete": answer(204),
}


class TestFirstAttempt:
    """The step after an answer to the first attempt."""

    @pytest.mark.parametrize("operation", DONE)
    def test_documented(self, operation: Operation) -> None:
        """The documented answer ends the call with its result."""
        assert end_of(operation, DONE[operation]) == "done"

    @pytest.mark.parametrize("operation", DONE)
    @pytest.mark.parametrize(
        ("outcome", "end"),
        [
            (words(400), "BadRequestError"),
            (words(401), "AuthenticationError"),
            (words(403), "ForbiddenError"),
            (words(404), "NotFoundError"),
            (words(409), "ConflictError"),
            (words(422), "UnprocessableEntityError"),
            (words(418), "StatusError"),
            (page(401), "StatusError"),
            (page(403), "StatusError"),
            (page(404), "StatusError"),
            (page(409), "StatusError"),
            (answer(404, b'{"title": "Not Found"}'), "StatusError"),
            (answer(404, b'{"title": "Not Found", "status": 400}'), "StatusError"),
            (answer(404, b'{"status": 404}'), "StatusError"),
            (answer(404, b"[404]"), "StatusError"),
            (page(302), "StatusError"),
            (page(407), "StatusError"),
            (page(413), "StatusError"),
            (words(429), "retry"),
            (page(429), "retry"),
            (words(503), "retry"),
            (page(503), "retry"),
            (page(502), "retry"),
            (page(504), "retry"),
            (REFUSED, "retry"),
            (BROKEN, "retry"),
            (SILENT, "retry"),
            (NO_CONNECTION, "retry"),
            (UNTRUSTED, "RolesConnectionError"),
        ],
    )
    def test_any_call(self, operation: Operation, outcome: Outcome, end: str) -> None:
        """Refusals and failures that are the same for a read and for a change."""
        assert end_of(operation, outcome) == end

    @pytest.mark.parametrize(
        ("outcome", "end"),
        [
            (words(500), "retry"),
            (page(500), "retry"),
            (words(501), "ServerError"),
            (page(520), "ServerError"),
            (answer(200, b"{}"), "InvalidResponseError"),
            (page(200), "InvalidResponseError"),
            (answer(199, ROLE), "StatusError"),
            (answer(299, ROLE), "done"),
            (answer(300, ROLE), "StatusError"),
        ],
    )
    def test_read(self, outcome: Outcome, end: str) -> None:
        """A read may be repeated, and its answer has to make sense."""
        assert end_of("get", outcome) == end

    @pytest.mark.parametrize("operation", CHANGES)
    @pytest.mark.parametrize("outcome", [words(500), page(500), words(501), page(520), answer(999)])
    def test_change(self, operation: Operation, outcome: Outcome) -> None:
        """A failure that leaves a change open is not repeated, and the account is asked."""
        assert end_of(operation, outcome) == "verify"

    @pytest.mark.parametrize("operation", CHANGES)
    @pytest.mark.parametrize(
        "outcome",
        [
            page(200),
            page(200, b""),
            answer(200, b"{}"),
            answer(202),
            answer(206, ROLE),
            answer(299),
            InvalidResponseError("too long"),
        ],
    )
    def test_odd_success(self, operation: Operation, outcome: Outcome) -> None:
        """A success that is not documented makes the client read the account again."""
        assert end_of(operation, outcome) == "verify"

    @pytest.mark.parametrize(
        ("operation", "outcome", "end"),
        [
            ("create", answer(200, ROLE), "done"),
            ("create", answer(204), "verify"),
            ("update", answer(201, ROLE), "verify"),
            ("update", answer(204), "verify"),
            ("delete", answer(200, ROLE), "verify"),
        ],
    )
    def test_status_of_success(self, operation: Operation, outcome: Outcome, end: str) -> None:
        """Each change has the statuses of its own success."""
        assert end_of(operation, outcome) == end


class TestMaybeApplied:
    """Answers after an attempt that may have made the change."""

    OPEN = (BROKEN, SILENT, page(502), page(503), page(504), words(502))

    @pytest.mark.parametrize("first", OPEN)
    @pytest.mark.parametrize(
        ("operation", "outcome", "end"),
        [
            ("create", words(409), "verify"),
            ("create", words(403), "verify"),
            ("create", words(404), "verify"),
            ("create", page(409), "verify"),
            ("create", page(403), "verify"),
            ("update", words(404), "verify"),
            ("update", words(409), "verify"),
            ("update", words(403), "verify"),
            ("update", page(404), "verify"),
            ("update", page(409), "verify"),
            ("delete", words(404), "done"),
            ("delete", words(409), "ConflictError"),
            ("delete", words(403), "verify"),
            ("delete", page(404), "verify"),
            ("delete", page(409), "verify"),
        ],
    )
    def test_refusal(
        self, first: Outcome, operation: Operation, outcome: Outcome, end: str
    ) -> None:
        """Few answers show whether a change was made; after the others the account is asked."""
        assert end_of(operation, first, outcome) == end

    @pytest.mark.parametrize("operation", CHANGES)
    @pytest.mark.parametrize(
        "outcome", [words(400), words(401), words(422), page(302), UNTRUSTED, page(407)]
    )
    def test_tells_nothing(self, operation: Operation, outcome: Outcome) -> None:
        """A refusal of this attempt says nothing about the one before, so the account is asked."""
        assert end_of(operation, BROKEN, outcome) == "verify"

    @pytest.mark.parametrize("operation", CHANGES)
    @pytest.mark.parametrize("last", [REFUSED, NO_CONNECTION, words(503), words(429), page(429)])
    def test_used_up(self, operation: Operation, last: Outcome) -> None:
        """After a last attempt that did nothing, the account is asked about the first one."""
        assert end_of(operation, BROKEN, last, attempts=2) == "verify"

    @pytest.mark.parametrize("operation", CHANGES)
    def test_done(self, operation: Operation) -> None:
        """The documented answer to a later attempt ends the call."""
        assert end_of(operation, BROKEN, SILENT, DONE[operation]) == "done"


class TestNothingHappened:
    """A change that ends in another error than `OutcomeUnknownError` was not made."""

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
    def test_used_up(self, operation: Operation, outcome: Outcome, end: str) -> None:
        """Attempts of which none can have reached the account."""
        assert end_of(operation, outcome, outcome, outcome) == end

    @pytest.mark.parametrize("operation", CHANGES)
    def test_refusal_after(self, operation: Operation) -> None:
        """After such an attempt a refusal is the refusal of this one."""
        assert end_of(operation, REFUSED, words(404)) == "NotFoundError"
        assert end_of(operation, REFUSED, words(409)) == "ConflictError"


class TestAfterA503:
    """Refusals after a 503 of the service itself, which may be wrong."""

    @pytest.mark.parametrize(
        ("operation", "outcome", "end"),
        [
            ("create", words(409), "verify"),
            ("create", words(403), "verify"),
            ("create", words(404), "verify"),
            ("create", page(409), "verify"),
            ("update", words(404), "verify"),
            ("update", words(409), "verify"),
            ("update", words(401), "verify"),
            ("update", words(403), "verify"),
            ("update", page(404), "verify"),
            ("delete", words(404), "OutcomeUnknownError"),
            ("delete", words(409), "ConflictError"),
            ("delete", page(404), "verify"),
            ("delete", REFUSED, "retry"),
            ("delete", UNTRUSTED, "verify"),
        ],
    )
    def test_refusal(self, operation: Operation, outcome: Outcome, end: str) -> None:
        """A refusal that the change itself may have brought about is not the caller's mistake."""
        assert end_of(operation, words(503), outcome) == end

    def test_seen(self) -> None:
        """A role that the call found by its name, and that is gone now, was deleted."""
        driver = Driver("delete", name="Role")
        assert isinstance(driver.feed(words(503)), Retry)
        assert driver.feed(words(404)) is None


class TestAttempts:
    """Which attempt it is, and whether it counts."""

    def test_number(self) -> None:
        """The attempts of each request are numbered from 1, and counted over all requests."""
        driver = Driver("create")
        numbers: list[int] = []
        for _ in range(2):
            driver.call.begin(driver.request)
            for _ in range(2):
                driver.send()
                numbers.append(driver.call.attempt)
        assert numbers == [1, 2, 1, 2]
        assert driver.call.attempts == 4

    def test_refusals(self) -> None:
        """A 429 counts only once the service has granted the client nothing for five minutes."""
        driver = Driver("get", attempts=2)
        for refused_for in (0.0, 100.0, 299.9, 300.0):
            driver.send()
            driver.call.note_refusal(refused_for)
            step = driver.call.receive(words(429), decode_role, driver.now)
            assert isinstance(step, Retry)
        driver.send()
        driver.call.note_refusal(301.0)
        with pytest.raises(RateLimitError):
            driver.call.receive(words(429), decode_role, driver.now)

    def test_one_attempt(self) -> None:
        """With a single attempt the first 429 ends the call."""
        driver = Driver("get", attempts=1)
        driver.send()
        driver.call.note_refusal(0.0)
        with pytest.raises(RateLimitError):
            driver.call.receive(words(429), decode_role, driver.now)


class TestTime:
    """Deadlines, delays, and the error of a call that ran out of time."""

    def test_delay_past_deadline(self) -> None:
        """A wait that ends at the deadline or later is not begun."""
        driver = Driver("get", total=5.0)
        step = driver.feed(words_with_retry_after("4"))
        assert isinstance(step, Retry)
        assert step.delay == 4.0
        driver.now += 4.0
        with pytest.raises(StatusError) as caught:
            driver.feed(words_with_retry_after("1"))
        assert caught.value.retry_after == 1.0

    def test_unsent(self) -> None:
        """A change of which nothing was sent did not happen."""
        driver = Driver("create")
        driver.call.start_attempt()
        error = driver.call.out_of_time()
        assert type(error) is RolesTimeoutError
        assert (error.limit, error.seconds, error.attempts, error.sent) == ("total", 30.0, 1, False)

    def test_before_any_request(self) -> None:
        """A call that runs out of time while another fetches what it needs has sent nothing."""
        call = Call("update", Timeouts(total=5.0), RetryPolicy(), 100.0)
        error = call.out_of_time()
        assert type(error) is RolesTimeoutError
        assert (error.limit, error.seconds, error.attempts, error.sent) == ("total", 5.0, 0, False)

    def test_in_flight(self) -> None:
        """A change that is under way may be made, and the cause says why it was given up."""
        driver = Driver("create")
        driver.send()
        assert driver.call.in_flight
        error = driver.call.out_of_time()
        assert type(error) is OutcomeUnknownError
        assert (error.operation, error.attempts) == ("create", 1)
        assert isinstance(error.__cause__, RolesTimeoutError)
        assert error.__cause__.sent

    @pytest.mark.parametrize("outcome", [words(503), REFUSED])
    def test_between_attempts(self, outcome: Outcome) -> None:
        """A change whose attempt was refused is not under way while the call waits."""
        driver = Driver("create")
        assert isinstance(driver.feed(outcome), Retry)
        assert not driver.call.in_flight
        error = driver.call.out_of_time()
        assert type(error) is RolesTimeoutError
        assert not error.sent

    def test_next_request(self) -> None:
        """A request that begins is not under way, whatever the one before it was."""
        driver = Driver("create")
        driver.send()
        driver.call.begin(Request(method="GET", target="/v2/roles"))
        assert not driver.call.in_flight

    def test_read_in_flight(self) -> None:
        """A read changes nothing."""
        driver = Driver("get")
        driver.send()
        assert type(driver.call.out_of_time()) is RolesTimeoutError

    @pytest.mark.parametrize("outcomes", [(page(200),), (words(503), words(409))])
    def test_check_in_flight(self, outcomes: tuple[Outcome, ...]) -> None:
        """The outcome of a change is still unknown while its call reads the account."""
        driver = Driver("create")
        for outcome in outcomes:
            driver.feed(outcome)
        driver.call.begin(Request(method="GET", target="/v2/roles"))
        driver.call.start_attempt()
        assert type(driver.call.client_closed()) is OutcomeUnknownError
        error = driver.call.out_of_time()
        assert type(error) is OutcomeUnknownError
        assert error.attempts == len(outcomes) + 1

    def test_failed_check(self) -> None:
        """A check that fails raises its own failure, which its method explains."""
        driver = Driver("create", attempts=1)
        driver.feed(page(200))
        driver.call.begin(Request(method="GET", target="/v2/roles"))
        driver.call.start_attempt()
        with pytest.raises(ServerError):
            driver.call.fail(ServerError("down", status=502), driver.now)

    def test_held_back(self) -> None:
        """A call that a rate limit holds back ends in that limit's error, with what it knows."""
        driver = Driver("create")
        driver.feed(REFUSED)
        driver.call.hold_back(12.34)
        error = driver.call.out_of_time()
        assert type(error) is RateLimitError
        assert str(error) == (
            "POST /v2/roles cannot be sent in time: the rate limit lets no request out of the "
            "queue for another 12.3 s, and Timeouts.total is 30 s (times sent: 1)"
        )
        assert (error.status, error.method, error.path) == (429, "POST", "/v2/roles")
        assert error.retry_after == 12.34
        assert (error.from_service, error.problem, error.__cause__) == (False, None, None)

    def test_last_refusal(self) -> None:
        """The error of a call that is held back has the last 429 of its request."""
        driver = Driver("create")
        driver.feed(page(429))
        driver.feed(words(429, detail="Slow down."))
        driver.call.hold_back(12.34)
        error = driver.call.not_sent_in_time()
        assert isinstance(error, RateLimitError)
        assert isinstance(error.__cause__, RateLimitError)
        assert error.problem == ProblemDetails(title="A title", status=429, detail="Slow down.")
        assert error.problem is error.__cause__.problem
        assert error.from_service
        assert error.retry_after == 12.34

    def test_other_refusal(self) -> None:
        """A 429 of an earlier request of the call is none of this one's."""
        driver = Driver("create")
        driver.feed(words(429))
        driver.call.begin(Request(method="GET", target="/v2/roles"))
        driver.call.hold_back(12.34)
        assert driver.call.out_of_time().__cause__ is None

    @pytest.mark.parametrize(
        ("operation", "outcome", "error"),
        [
            ("create", BROKEN, OutcomeUnknownError),
            ("create", REFUSED, RateLimitError),
            ("get", BROKEN, RateLimitError),
        ],
    )
    def test_not_sent(
        self, operation: Operation, outcome: Outcome, error: type[RolesError]
    ) -> None:
        """A retry that cannot be sent in time leaves a change open only if an attempt did."""
        driver = Driver(operation)
        driver.feed(outcome)
        driver.call.hold_back(40.0)
        assert type(driver.call.not_sent_in_time()) is error

    def test_check_not_sent(self) -> None:
        """A check that cannot be sent in time raises its own failure, which its method explains."""
        driver = Driver("create")
        driver.feed(page(200))
        driver.call.begin(Request(method="GET", target="/v2/roles"))
        driver.call.hold_back(40.0)
        assert type(driver.call.not_sent_in_time()) is RateLimitError

    @pytest.mark.parametrize(
        ("status", "attempts", "ends"),
        [
            (429, 3, "A title (retry after 9 s) (times sent: 1)"),
            (429, 1, "A title (retry after 9 s)"),
            (503, 3, "A title (retry after 9 s)"),
        ],
        ids=["no time left", "not retried", "no refusal"],
    )
    def test_times_sent(self, status: int, attempts: int, ends: str) -> None:
        """The error of a rate limit that leaves no time for a retry says how often it was sent."""
        driver = Driver("get", attempts=attempts, total=5.0)
        response = msgspec.structs.replace(words(status), headers={"Retry-After": "9"})
        with pytest.raises(StatusError) as caught:
            driver.feed(response)
        assert str(caught.value).endswith(ends)

    def test_attempts(self) -> None:
        """A timeout knows how many attempts there were, over every request of the call."""
        driver = Driver("delete", attempts=2)
        driver.feed(REFUSED)
        with pytest.raises(RolesTimeoutError) as caught:
            driver.feed(RolesTimeoutError("slow", limit="connect"))
        assert caught.value.attempts == 2


def words_with_retry_after(seconds: str) -> Response:
    response = words(429)
    return msgspec.structs.replace(response, headers={"Retry-After": seconds})


class TestCreatedSince:
    """From which moment on a role can be this call's own, by the service's clock."""

    def dated(self, status: int, second: float) -> Response:
        date = format_datetime(datetime.fromtimestamp(NOON.timestamp() + second, UTC), usegmt=True)
        return msgspec.structs.replace(words(status), headers={"Date": date})

    def since(self, driver: Driver, *, wall_clock: float = 0.0) -> float:
        return driver.call.created_since(driver.now, NOON.timestamp() + wall_clock) - (
            NOON.timestamp()
        )

    def test_by_date(self) -> None:
        """The `Date` of an answer, less the time since the first attempt, less half a second."""
        driver = Driver("create")
        driver.feed(BROKEN)
        driver.now += 3.0
        driver.feed(self.dated(409, 10.0))
        assert self.since(driver) == pytest.approx(6.5)

    @pytest.mark.parametrize(("first", "later", "since"), [(10.9, 3.2, 10.3), (10.0, 3.9, 9.5)])
    def test_latest(self, first: float, later: float, since: float) -> None:
        """No reading is too late, for a `Date` has no fractions, so the latest counts."""
        driver = Driver("create")
        driver.feed(self.dated(502, first))
        driver.now += later
        driver.feed(self.dated(409, first + later))
        assert self.since(driver) == pytest.approx(since)

    def test_wait_before_sending(self) -> None:
        """Waiting before the first attempt is sent does not count."""
        driver = Driver("create")
        driver.now += 20.0
        driver.feed(self.dated(502, 10.0))
        assert self.since(driver) == pytest.approx(9.5)

    def test_verify(self) -> None:
        """The `Date` of a check of the account shows the time of a change that had no answer."""
        driver = Driver("create")
        driver.feed(BROKEN)
        driver.request = Request(method="GET", target="/v2/roles")
        driver.call.begin(driver.request)
        driver.now += 3.0
        found = msgspec.structs.replace(DONE["get"], headers=self.dated(200, 10.0).headers)
        driver.feed(found)
        assert self.since(driver) == pytest.approx(6.5)

    def test_no_date(self) -> None:
        """Without a `Date` this machine's clock counts, give or take five minutes."""
        driver = Driver("create")
        driver.feed(BROKEN)
        driver.now += 3.0
        driver.feed(words(409))
        assert self.since(driver, wall_clock=1000.0) == pytest.approx(697.0)

    def test_bad_date(self) -> None:
        """A `Date` that is not an HTTP date counts as none."""
        driver = Driver("create")
        driver.feed(BROKEN)
        driver.feed(msgspec.structs.replace(words(409), headers={"Date": "yesterday"}))
        assert self.since(driver, wall_clock=300.0) == pytest.approx(0.0)
