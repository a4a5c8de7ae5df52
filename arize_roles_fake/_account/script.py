"""What a test scripts: failures, latency, calls that stay open, a rate limit, short pages."""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeVar

from arize_roles_async._values.errors import RolesError
from arize_roles_fake._service.service import Operation
from arize_roles_fake._testing import limits
from arize_roles_fake._testing.blocked import Blocked
from arize_roles_fake._testing.fault_rules import Breakage, FaultArguments, When
from arize_roles_fake._testing.faults import Fault, Faults, ScriptedFault
from arize_roles_fake._testing.limits import Latency, ShortPages, TokenBucket
from arize_roles_fake._testing.received import Matcher
from arize_roles_fake._testing.recorder import Expectation, running_recorder, unused_of

_S = TypeVar("_S", bound=Expectation)


class Script:
    """What a test scripts for the calls to come."""

    _lock: threading.RLock
    # Set by `clear_faults`.
    _faults: Faults
    _bucket: TokenBucket | None
    _scripted: list[Expectation]

    def fail(
        self,
        operation: Operation | Literal["any"],
        failure: int | type[RolesError] | Breakage,
        *,
        times: int | None = 1,
        skip: int = 0,
        when: When = "before",
        about: str | None = None,
        retry_after: int | str | None = None,
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """Script a failure: a call that ends in an error class, or an answer that goes wrong.

        With an error class every attempt of the call fails, with any other failure one answer.
        If several faults are due, the first of them strikes. The guide `failures.md` says how a
        call ends, also a change, and where that differs over HTTP.

        Args:
            operation: The request that fails, by the name that `calls` show; `any` is all, of every
                resource. A look-up by a name or address is a list, such as `users.list`, although
                the method is `get_user`: of roles `list`, unless the client knows the ID already.
            failure: A status of 400 to 599, or of 200 to 599 with `body`; the class of an error; or
                a failure without a status: `lost` (the connection drops), `truncated` (the answer
                breaks off in its body), `malformed` (its body is not JSON), `undecodable` (its body
                is not the gzip that a header says), `silent` (no answer comes until the caller's
                limit), `refused` (the connection is refused) or `unreachable` (connecting takes
                longer than the caller's limit).
            times: Number of requests that fail, or with an error class of calls; None is every one.
            skip: Number of matching calls that pass first, however they end.
            when: `before` the account does the work of the call, or `after`.
            about: Only calls about this role, user, space or project fail: a role's name, the label
                of one of the others such as an address or `Space:1`, or an ID.
            retry_after: The header on a 429 or 503: seconds, or a date as text.
            body: A body in place of the service's problem document, as a gateway or proxy answers:
                text or bytes, `text/html` unless `headers` say otherwise.
            headers: Further headers of the answer. Those that frame the message, such as
                `Content-Length`, are refused.

        Returns:
            The fault, whose `failed_requests` counts the requests that it made fail.

        Raises:
            ValueError: The arguments contradict one another, or the fault could never strike. For
                an error class that no answer leads to, the message says how a test causes it.
        """
        arguments = FaultArguments(
            operation=operation,
            failure=failure,
            times=times,
            skip=skip,
            when=when,
            about=about,
            retry_after=retry_after,
            body=body,
            headers=headers or {},
        )
        return self._script(ScriptedFault(arguments))

    def _script(self, scripted: _S) -> _S:
        with self._lock:
            self._scripted.append(scripted)
            running_recorder().note_script(self, scripted)
        return scripted

    def _scripted_as(self, kind: type[_S]) -> list[_S]:
        return [each for each in self._scripted if isinstance(each, kind)]

    @property
    def unused_faults(self) -> tuple[str, ...]:
        """A line for each fault, latency, `block` and short page that struck less than scripted.

        Of the latencies only those of some calls count, as set by `slow_down` with `operation`
        or `about`.
        """
        with self._lock:
            return tuple(unused_of(self._scripted))

    def clear_faults(self) -> None:
        """Remove every scripted fault and page size, all latency and the rate limit."""
        with self._lock:
            self._faults = Faults()
            self._bucket = None
            # The calls that a block keeps open stay so until its end.
            self._scripted = [each for each in self._scripted_as(Blocked) if not each.is_released]
            running_recorder().forget_scripts(self)

    def slow_down(
        self,
        seconds: float,
        *,
        operation: Operation | Literal["any"] = "any",
        about: str | None = None,
        real_time: bool = False,
    ) -> None:
        """Delay answers: in process on the account's clock, over HTTP in real time.

        In process no real time passes, so the application's own deadlines, such as
        `asyncio.timeout`, never end such a call; with `real_time=True` they do. If several
        latencies match a call, the one that was set last counts.

        Args:
            seconds: The latency.
            operation: The method that is delayed; `any` is all, of every resource.
            about: Only calls about this role, user, space or project are delayed, as in `fail`.
            real_time: Take real seconds in process, too.

        Raises:
            ValueError: `seconds` is below 0, or no call can match.
        """
        self._script(Latency(Matcher(operation, about), seconds, real_time))

    @contextmanager
    def block(
        self, operation: Operation | Literal["any"] = "any", *, about: str | None = None
    ) -> Generator[Blocked]:
        """Keep calls open inside a `with`: the account does its work, and the answer waits.

        In process no limit of the client ends such a call. Meanwhile waits of other calls take real
        time. The guide `failures.md` has an example.

        Args:
            operation: The method whose calls stay open; `any` is all, of every resource.
            about: Only calls about this role, user, space or project stay open, as in `fail`.

        Yields:
            The calls: `reached` waits for one, and `release` lets them go on, as does leaving the
            `with`.

        Raises:
            ValueError: No call can match.
        """
        blocked = self._script(Blocked(Matcher(operation, about)))
        try:
            yield blocked
        finally:
            blocked.release()

    def limit_rate(self, per_second: float, *, burst: int = 1) -> None:
        """Answer calls that come too fast with 429 and a `Retry-After`, on the account's clock.

        Args:
            per_second: Calls a second that pass in the long run.
            burst: Calls that pass at once.

        Raises:
            ValueError: The rate is 0 or less, or the burst is below 1.
        """
        bucket = TokenBucket(per_second, burst)
        with self._lock:
            self._bucket = bucket

    def shorten_pages(self, *sizes: int, operation: Operation | Literal["any"] = "any") -> None:
        """Shorten the next pages of lists, although more items follow, as the service may.

        With `arize_roles_short_pages = true` in pytest's configuration, every other page has one
        item, so that a forgotten cursor shows.

        Args:
            sizes: Limits on the items of each of the next pages, in order; 0 makes an empty page.
            operation: The list whose pages are shortened, such as `users.list`; `any` is all, also
                the lists of a look-up by a name.

        Raises:
            ValueError: A size is below 0, or the operation is no list.
        """
        self._script(ShortPages(sizes, operation))

    def _next_page_size(self, collection: str) -> int | None:
        operation = "list" if collection == "roles" else f"{collection}.list"
        for pages in self._scripted_as(ShortPages):
            if pages.remaining and pages.operation in {"any", operation}:
                return pages.remaining.pop(0)
        return limits.every_page
