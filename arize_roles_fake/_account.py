"""The account that the fake stands in for, as a test sets it up, breaks it and looks at it."""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, cast

import attrs
import msgspec

from arize_roles_async._errors import RolesError
from arize_roles_async._models import Role
from arize_roles_async._permissions import AnyPermission, any_permission, known_permission
from arize_roles_async._requests import permissions_rule
from arize_roles_async._wire import Request
from arize_roles_fake._faults import (
    ON_ONE,
    Breakage,
    Call,
    Fault,
    Latency,
    Operation,
    Reply,
    TokenBucket,
    When,
    as_reply,
    json_of,
    make_fault,
)
from arize_roles_fake._service import Key, Service, operation_of
from arize_roles_fake._store import PREDEFINED, RoleStore
from arize_roles_fake._wire import problem_response, role_id_of, role_members

DEFAULT_API_KEY: Final = "fake-api-key"

_MISSING: Final = "expected, and not there"
_EXTRA: Final = "there, and not expected"


@attrs.frozen
class Snapshot:
    """The roles of an account at one moment, for `FakeAccount.restore`."""

    store: RoleStore = attrs.field(repr=False)
    newer: frozenset[str] = attrs.field(repr=False)


class FakeAccount:
    """An Arize account in memory, behind one door: `handle`.

    Everything that the service decides by its own state is decided here: unique names, unknown
    IDs, predefined roles, what an API key may do, cursors. Thread-safe; one account can stand
    behind any number of in-process clients and HTTP servers at once.

    Args:
        clock: What tells the time, timezone-aware; the system's clock unless given.
        predefined: Whether it has the predefined roles `Admin`, `Member` and `Viewer`. The real
            ones are not published: these names and their permissions are ours.
        max_custom_roles: How many custom roles the account's plan allows; None is any number.
        keep_calls: How many calls the log keeps; older ones drop out.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        predefined: bool = True,
        max_custom_roles: int | None = None,
        keep_calls: int = 10_000,
    ) -> None:
        self._lock = threading.RLock()
        self._clock = clock or _system_clock
        self._ahead = timedelta()
        self._service = Service(RoleStore(), self.now, max_custom_roles)
        self._keys = {DEFAULT_API_KEY: Key()}
        self._log: deque[Call] = deque(maxlen=keep_calls)
        self._faults: list[Fault] = []
        self._latency: Latency | None = None
        self._bucket: TokenBucket | None = None
        self.outage: bool = False
        """While True, every call is answered with 503."""
        if predefined:
            now = self.now()
            for role_id, name, permissions in PREDEFINED:
                self._store.add(
                    Role(
                        id=role_id,
                        name=name,
                        permissions=permissions,
                        is_predefined=True,
                        created_at=now,
                        updated_at=now,
                    )
                )

    def __repr__(self) -> str:
        return f"<FakeAccount of {len(self._store)} roles, asked {len(self._log)} times>"

    @property
    def _store(self) -> RoleStore:
        return self._service.store

    @property
    def max_custom_roles(self) -> int | None:
        """How many custom roles the account's plan allows; None is any number."""
        return self._service.max_custom_roles

    @max_custom_roles.setter
    def max_custom_roles(self, count: int | None) -> None:
        self._service.max_custom_roles = count

    # Time

    def now(self) -> datetime:
        """Return the account's time, in UTC."""
        return self._clock().astimezone(UTC) + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass for the account, without waiting.

        Raises:
            ValueError: `seconds` is below 0: time does not go back.
        """
        if not seconds >= 0.0:
            raise ValueError(f"time does not go back, so not by {seconds} seconds")
        with self._lock:
            self._ahead += timedelta(seconds=seconds)

    def advance_to(self, moment: datetime) -> None:
        """Let time pass for the account until `moment`, timezone-aware; none where that is past."""
        with self._lock:
            self._ahead += max(timedelta(), moment - self.now())

    # The roles, as a test sets them up and looks at them

    @property
    def roles(self) -> tuple[Role, ...]:
        """Every role there is, newest first."""
        with self._lock:
            return tuple(r for _, r in self._store.older_than(None, is_predefined=None))

    def role(self, name: str) -> Role | None:
        """Return the role with exactly this name, or None."""
        with self._lock:
            return self._store.named(name)

    def add_role(
        self,
        name: str,
        permissions: Iterable[AnyPermission | str] = (),
        *,
        description: str | None = None,
        is_predefined: bool = False,
        id: str | None = None,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
    ) -> Role:
        """Put a role there, in any state that the service could be in.

        Args:
            name: Its name; only that it is not taken is checked.
            permissions: Any identifiers. The account then knows those that this version of the
                library does not, and takes them back in an update.
            description: Its description; an empty one is none.
            is_predefined: Whether it is the system's own.
            id: Its ID; the account's next one unless given.
            created_at: When it was made, timezone-aware; now unless given.
            updated_at: When it last changed; `created_at` unless given.

        Raises:
            ValueError: The name or ID is taken, or a timestamp is naive.
            TypeError: `permissions` is one string.
        """
        permissions = _several(permissions)
        with self._lock:
            moments = [moment for moment in (created_at, updated_at) if moment is not None]
            if any(moment.tzinfo is None for moment in moments):
                raise ValueError("timestamps must be timezone-aware")
            if self._store.named(name) is not None:
                raise ValueError(f"there is a role named {name!r} already")
            if id is not None and self._store.with_id(id) is not None:
                raise ValueError(f"there is a role with the ID {id!r} already")
            made = created_at or self.now()
            held = tuple(dict.fromkeys(any_permission(str(p)) for p in permissions))
            self._service.newer |= {str(p) for p in held if not p.is_known}
            role = Role(
                id=self._store.next_id() if id is None else id,
                name=name,
                description=description or None,
                permissions=held,
                is_predefined=is_predefined,
                created_at=made,
                updated_at=updated_at or made,
            )
            self._store.add(role)
            return role

    def snapshot(self) -> Snapshot:
        """Return the roles as they are now, for `restore`."""
        with self._lock:
            return Snapshot(self._store.copy(), self._service.newer)

    def restore(self, snapshot: Snapshot) -> None:
        """Make the roles what they were; keys, faults, the log and the time stay."""
        with self._lock:
            self._service.store = snapshot.store.copy()
            self._service.newer = snapshot.newer

    # Whole accounts as JSON

    def dump(self, path: str | Path | None = None) -> str:
        """Return the account as JSON text, and write it to `path` where one is given.

        The format is an object with these members and no others, all but `roles` optional:

        - `roles`: a list of roles as the service writes them, newest first; only `name` is
          needed, and the other fields default as in `add_role`.
        - `keys`: an object of API keys, each with a list of granted permissions, or null for all.
        - `max_custom_roles`: an integer, or null.
        - `now`: the account's time; loading it makes the account go on from there.
        """
        with self._lock:
            text = msgspec.json.format(
                msgspec.json.encode(
                    {
                        "now": self.now(),
                        "max_custom_roles": self.max_custom_roles,
                        "keys": {key: held.grants for key, held in self._keys.items()},
                        "roles": [role_members(role) for role in self.roles],
                    },
                    enc_hook=str,
                    order="sorted",
                )
            ).decode()
        if path is not None:
            Path(path).write_text(text + "\n", "utf-8")
        return text

    @classmethod
    def load(
        cls, source: str | Path, *, clock: Callable[[], datetime] | None = None
    ) -> "FakeAccount":
        """Return the account that `dump` wrote, or that was written by hand in its format.

        Args:
            source: The path of a file, or the JSON text itself (which begins with a brace).
            clock: As for a new account. An account with a `now` goes on from there.

        Raises:
            ValueError: It is no such JSON; the message says where.
            OSError: The file can't be read.
        """
        text = str(source)
        if not text.lstrip().startswith("{"):
            text = Path(source).read_text("utf-8")
        try:
            data = msgspec.json.decode(text, type=_AccountData)
        except msgspec.MsgspecError as error:
            raise ValueError(f"this is no account: {error}") from error
        account = cls(clock=clock, predefined=False, max_custom_roles=data.max_custom_roles)
        if data.now is not None:
            account._ahead = data.now - account.now()
        if data.keys is not None:
            account._keys.clear()
        for role in reversed(data.roles):
            account.add_role(**msgspec.structs.asdict(role))
        for key, grants in (data.keys or {}).items():
            account.add_key(key, grants=grants)
        return account

    # What callers may do

    @property
    def api_key(self) -> str:
        """The first key of the account, which clients of the fake use unless told otherwise.

        Raises:
            LookupError: The account has no key left.
        """
        if not self._keys:
            raise LookupError("the account has no API key")
        return next(iter(self._keys))

    @property
    def api_keys(self) -> tuple[str, ...]:
        """Every key that the account knows."""
        return tuple(self._keys)

    def add_key(self, key: str, *, grants: Iterable[AnyPermission | str] | None = None) -> None:
        """Make the account know an API key, or change what it grants.

        Args:
            key: The key.
            grants: What it may do; None is everything. Without `ROLE_CREATE`, `ROLE_UPDATE` or
                `ROLE_DELETE` it gets 403 there; without `ROLE_READ` it sees no permissions.

        Raises:
            ValueError: No header can carry the key, or `grants` holds what is no permission.
            TypeError: `grants` is one string.
        """
        if not key or not (key.isascii() and key.isprintable()) or " " in key:
            raise ValueError("a key is printable ASCII without spaces")
        with self._lock:
            self._keys[key] = Key(None if grants is None else self._granted(grants))

    def _granted(self, grants: Iterable[AnyPermission | str]) -> frozenset[str]:
        held = frozenset(map(str, _several(grants)))
        unknown = tuple(sorted(p for p in held - self._service.newer if not known_permission(p)))
        if unknown:
            raise ValueError(permissions_rule(unknown))
        return held

    def remove_key(self, key: str) -> None:
        """Make the account forget an API key, which then gets 401.

        Raises:
            KeyError: It knows no such key.
        """
        with self._lock:
            del self._keys[key]

    # What goes wrong

    def fail(
        self,
        operation: Operation | Literal["any"],
        failure: int | type[RolesError] | Breakage,
        *,
        times: int | None = 1,
        after: int = 0,
        when: When = "before",
        role: str | None = None,
        retry_after: int | str | None = None,
        detail: str | None = None,
        **members: object,
    ) -> Fault:
        """Script a failure, for in-process clients and over HTTP alike.

        Of several that are due the first strikes. A call is one request: a client that tries
        again gives up after three of most failures, and one that is given a role's name lists.

        Args:
            operation: Which calls it strikes; `any` is all five.
            failure: A status, how the answer breaks, or the error class that either leads to.
                An answer is `lost` (the connection drops), `truncated` (it breaks off in its
                body) or `malformed` (no JSON); `delete` has no body to break.
            times: How many calls it strikes; None is every one.
            after: How many matching calls go before, whatever becomes of those.
            when: `before` the account does what it was asked, or `after` it did.
            role: Strikes only calls about the role with this name or ID, as `create` names it.
            retry_after: On a 429 or 503, the header: seconds, or a date as text.
            detail: The detail of the problem document.
            members: On a 403, the plan's members: `entitlement`, `limit`, `current_count`,
                `required_plan`.

        Returns:
            The fault, whose `fired` counts how often it struck.

        Raises:
            ValueError: The arguments make no fault, or one that could never strike.
        """
        fault = make_fault(
            operation,
            failure,
            times=times,
            after=after,
            retry_after=retry_after,
            when=when,
            role=role,
            detail=detail,
            members=members,
        )
        with self._lock:
            self._faults.append(fault)
        return fault

    @property
    def pending_faults(self) -> tuple[Fault, ...]:
        """The faults that have not struck as often as they were to."""
        with self._lock:
            return tuple(fault for fault in self._faults if fault.is_pending)

    def assert_no_pending_faults(self) -> None:
        """Raise `AssertionError` where a scripted fault has not struck as often as it was to."""
        __tracebackhide__ = True
        pending = [f"  {fault}" for fault in self.pending_faults]
        if pending:
            raise AssertionError("faults that did not strike as scripted:\n" + "\n".join(pending))

    def clear_faults(self) -> None:
        """Forget every scripted fault, the latency, the rate limit and the outage."""
        with self._lock:
            self._faults.clear()
            self._latency = self._bucket = None
            self.outage = False

    def slow_down(self, seconds: float, *, up_to: float | None = None, seed: int = 0) -> None:
        """Make every answer take a while: in-process on the account's clock, over HTTP for real.

        Args:
            seconds: How long; with `up_to`, at least.
            up_to: Draws each latency evenly between the two.
            seed: Draws the same ones in every run.

        Raises:
            ValueError: A bound is below 0, or they are the wrong way round.
        """
        self._latency = Latency(seconds, up_to, seed)

    def limit_rate(self, per_second: float, *, burst: int = 1) -> None:
        """Answer calls that come too fast with 429 and a `Retry-After`, on the account's clock.

        Args:
            per_second: How many calls a second go through in the long run.
            burst: How many at once.

        Raises:
            ValueError: A rate of 0 or less, or a burst below 1.
        """
        self._bucket = TokenBucket(per_second, burst)

    # What it was asked

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call so far, oldest first, as far as the log keeps them."""
        with self._lock:
            return tuple(self._log)

    def calls_of(self, operation: Operation, *, role: str | None = None) -> tuple[Call, ...]:
        """Return the calls of one operation, oldest first.

        Args:
            operation: Which one.
            role: Only those about the role with this name or ID.
        """
        return tuple(
            call
            for call in self.calls
            if call.operation == operation
            and (role is None or role in {call.role, call.arguments.get("role_id")})
        )

    def clear_calls(self) -> None:
        """Forget the calls so far."""
        with self._lock:
            self._log.clear()

    def assert_roles(self, expected: Mapping[str, Iterable[AnyPermission | str]]) -> None:
        """Raise `AssertionError`, with the difference, unless the custom roles are these.

        Args:
            expected: The permissions of each role by its name, in any order.

        Raises:
            AssertionError: They are others; it names each role and permission that differs.
            TypeError: The permissions of a role are one string.
        """
        __tracebackhide__ = True
        wanted = {name: set(map(str, _several(held))) for name, held in expected.items()}
        found = {
            r.name: set(map(str, r.permissions or ())) for r in self.roles if not r.is_predefined
        }
        lines: list[tuple[str, str]] = []
        for name in sorted(wanted.keys() | found.keys()):
            if name not in found:
                lines.append((f"  - {name!r}", _MISSING))
            elif name not in wanted:
                lines.append((f"  + {name!r}", _EXTRA))
            elif found[name] != wanted[name]:
                lines.append((f"  {name!r}", ""))
                lines += [(f"    - {p}", _MISSING) for p in sorted(wanted[name] - found[name])]
                lines += [(f"    + {p}", _EXTRA) for p in sorted(found[name] - wanted[name])]
        if lines:
            width = max(len(what) for what, why in lines if why)
            shown = (f"{what:{width}}    {why}".rstrip() for what, why in lines)
            raise AssertionError("the custom roles are not as expected:\n" + "\n".join(shown))

    # The door

    def handle(self, request: Request) -> Reply:
        """Answer one request, as the service would and as the test scripted it.

        Args:
            request: Its `Authorization` header says whose it is.

        Returns:
            The answer; a failure is a problem document and no exception.
        """
        with self._lock:
            operation = operation_of(request)
            role = self._role_of(operation, request)
            key = _bearer(request)
            answer = self._refusal(key) or self._faulty(operation, role, key, request)
            if self._latency is not None:
                answer = msgspec.structs.replace(answer, delay=self._latency())
            self._log.append(
                Call(
                    operation=operation,
                    role=role,
                    api_key=key,
                    outcome=answer.broken or answer.status,
                    duration=answer.delay,
                    attempt=1 + _retries(request),
                    at=self.now(),
                    request=request,
                )
            )
            return answer

    def _refusal(self, key: str) -> Reply | None:
        """Return what keeps the account from looking at the request at all."""
        if self.outage:
            return as_reply(problem_response(503, "the service is out"))
        if key not in self._keys:
            detail = "the API key is not known" if key else "the API key is missing"
            return as_reply(problem_response(401, detail, {"WWW-Authenticate": "Bearer"}))
        wait = self._bucket.wait(self.now()) if self._bucket is not None else None
        if wait:
            seconds = {"Retry-After": str(math.ceil(wait.total_seconds()))}
            return as_reply(problem_response(429, "too many requests", seconds))
        return None

    def _faulty(self, operation: str, role: str | None, key: str, request: Request) -> Reply:
        subjects = {role, role_id_of(request.path)} if operation in ON_ONE else {role}
        due = [fault for fault in self._faults if fault.is_due(operation, subjects)]
        if not due:
            return as_reply(self._service.answer(operation, self._keys[key], request))
        fault = due[0]
        fault.fired += 1
        if fault.when == "before":
            return fault.spoil(None)
        return fault.spoil(self._service.answer(operation, self._keys[key], request))

    def _role_of(self, operation: str, request: Request) -> str | None:
        """Return the name of the role that a request is about, or None."""
        if operation == "create":
            body = json_of(request.body)
            name = cast("dict[str, object]", body).get("name") if isinstance(body, dict) else None
            return name if isinstance(name, str) else None
        role = self._store.with_id(role_id_of(request.path))
        return None if role is None else role.name


class _RoleData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A role of an account file."""

    name: str
    id: str | None = None
    description: str | None = None
    permissions: tuple[str, ...] = ()
    is_predefined: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None


class _AccountData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account file."""

    roles: tuple[_RoleData, ...]
    keys: dict[str, tuple[str, ...] | None] | None = None
    max_custom_roles: int | None = None
    now: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


def _system_clock() -> datetime:
    return datetime.now(UTC)


def _several(permissions: Iterable[AnyPermission | str]) -> Iterable[AnyPermission | str]:
    # A string is an iterable of strings too, so no type checker sees the slip.
    if isinstance(permissions, str):
        raise TypeError(
            f"permissions are a set or another iterable, not one string {permissions!r}"
        )
    return permissions


def _bearer(request: Request) -> str:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _retries(request: Request) -> int:
    count = request.headers.get("sdk-retry-count", "0")
    return int(count) if count.isascii() and count.isdigit() and len(count) < 10 else 0  # noqa: PLR2004
