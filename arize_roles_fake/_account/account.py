"""`FakeAccount`: the account that a test sets up, breaks and inspects in place of the service."""

import functools
import inspect
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final

import attrs
import msgspec

from arize_roles_async._directory.models import Project, Space, User
from arize_roles_async._values.writing import write_file
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_async._wire.secrets import Secret, takes_secrets
from arize_roles_fake._account.assertions import Assertions
from arize_roles_fake._account.contents import PREDEFINED_ROLES, Contents, check_key
from arize_roles_fake._account.script import Script
from arize_roles_fake._service.arguments import without_none
from arize_roles_fake._service.assumptions import DEFAULT, Assumptions
from arize_roles_fake._service.ids import Ids, tenant_of
from arize_roles_fake._service.service import answer as answer_of
from arize_roles_fake._service.service import operation_of
from arize_roles_fake._service.state import State
from arize_roles_fake._service.wire import (
    ParsedRequest,
    bearer,
    members_of,
    parse,
    problem_response,
)
from arize_roles_fake._testing import account_file
from arize_roles_fake._testing.account_file import (
    AccountData,
    BindingData,
    DirectoryData,
    KeyData,
    Keys,
    RoleData,
)
from arize_roles_fake._testing.blocked import Blocked
from arize_roles_fake._testing.call_log import LoggedCall
from arize_roles_fake._testing.fault_rules import DELIVERIES, WHOLE, Breakage, counted
from arize_roles_fake._testing.faults import (
    ClientCall,
    InProcessRequest,
    Reply,
    ScriptedFault,
    failed_answer,
)
from arize_roles_fake._testing.limits import Latency
from arize_roles_fake._testing.make_role import warn_of_misspelled
from arize_roles_fake._testing.received import Matcher, ReceivedCall, received
from arize_roles_fake._testing.recorder import running_recorder

DEFAULT_API_KEY: Final = "fake-api-key"
"""The API key of `python -m arize_roles_fake serve`; other accounts have keys of their own."""

_MAX_CALLS: Final = 10_000
"""Limit on the calls of an account's log."""

_NO_LATENCY: Final = Latency(Matcher("any", None), 0.0, real_time=False)


class FakeAccount(Contents, Script, Assertions):
    """An Arize account in memory, which answers requests with `handle`.

    The account decides everything that the service decides by its state: unique names, unknown
    IDs, predefined roles, bindings, grants of API keys, cursors. It is thread-safe, and can stand
    behind any number of in-process clients and HTTP servers at once.

    Args:
        assumptions: The behaviour of the service where its reference is silent.
        api_key: The account's first API key; by default one that no other account has.
        clock: Returns the time, timezone-aware; the system's clock by default.
        predefined: Add the predefined roles. Their names, and Annotator's description and
            permissions, are the documentation's; the other permissions are the fake's own.
        max_custom_roles: Limit on custom roles in the account's plan; None is no limit.
        users: The users to whom roles can be bound, as IDs or labels; None is every user.
        resources: The spaces and projects, as IDs or labels such as `Space:1`; None is each.

    Raises:
        ValueError: No header can carry the key, or a resource is neither a space nor a project.
    """

    def __init__(
        self,
        *,
        assumptions: Assumptions = DEFAULT,
        api_key: str | None = None,
        clock: Callable[[], datetime] | None = None,
        predefined: bool = True,
        max_custom_roles: int | None = None,
        users: Iterable[str] | None = None,
        resources: Iterable[str] | None = None,
    ) -> None:
        key = f"fake-{os.urandom(8).hex()}" if api_key is None else api_key
        check_key(key)
        for name, given in {"users": users, "resources": resources}.items():
            if isinstance(given, str):
                raise TypeError(f"{name} must be a list, not the string {given!r}")
        self._lock = threading.RLock()
        self._clock = clock or (lambda: datetime.now(UTC))
        self._state = State(self.now, assumptions, self._next_page_size)
        self._log = deque(maxlen=_MAX_CALLS)
        self._initial = AccountData(
            roles=PREDEFINED_ROLES if predefined else (),
            max_custom_roles=max_custom_roles,
            users=None if users is None else tuple(users),
            resources=None if resources is None else tuple(resources),
            keys={key: None},
            tenant=tenant_of(key),
        )
        self._scripted = []
        self._set_up()

    def _set_up(self) -> None:
        data = self._initial
        self._ahead = timedelta()
        self._numbers = count(1)
        if data.now is not None:
            self._ahead = data.now - self.now()
        self.clear_faults()
        self._fill(data)
        running_recorder().keys.update(self._state.keys)

    def __repr__(self) -> str:
        roles, asked = counted(len(self._records.roles), "role"), counted(len(self._log), "time")
        return f"<FakeAccount {self._state.ids.tenant} of {roles}, asked {asked}>"

    def reset(self) -> None:
        """Return the account to its state when it was made or loaded, without time added since.

        Predefined roles are created again, at the time of the reset.
        """
        with self._lock:
            self._set_up()
            self._log.clear()

    # Time

    def now(self) -> datetime:
        """Return the account's time, in UTC."""
        return self._clock().astimezone(UTC) + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass for the account, without waiting.

        Raises:
            ValueError: `seconds` is below 0, or leads past the year 9999.
        """
        if not 0.0 <= seconds < math.inf:
            raise ValueError(f"seconds must be 0 or more, not {seconds}: time does not go back")
        with self._lock:
            try:
                ahead = self._ahead + timedelta(seconds=seconds)
                _ = self._clock().astimezone(UTC) + ahead
            except OverflowError as error:
                raise ValueError(f"{seconds:g} s would lead past the year 9999") from error
            self._ahead = ahead

    # Whole accounts as JSON

    def dump(self, path: str | Path | None = None) -> str:
        """Return the account as JSON text, and write it to `path` where one is given.

        The file holds the account's keys, so only its owner may read and write it (mode 0600).

        The format is an object with these members and no others; only `roles` is required:

        - `roles`: a list of roles as the service writes them, newest first; only `name` is needed,
          and the other fields default as in `add_role`.
        - `role_bindings`: a list of objects with the name of a `role`, a `user` and a `resource`,
          both IDs or labels, newest first; `id`, `created_at` and `updated_at` are optional.
        - `users`, `resources`: lists of IDs or labels, as for a new account.
        - `directory`: an object of `users`, `spaces` and `projects` as the service writes them,
          oldest first, and of `blocked` users, IDs or labels. Those that are bound or in the lists
          before need not be there.
        - `now`: the account's time; a loaded account goes on from there.
        - `max_custom_roles`, `assumptions`: as for a new account.
        - `keys`: an object of API keys, each with a list of granted permissions, or null for all,
          or an object of `grants` and `on`, as in `add_key`; the first is the account's `api_key`.
        - `tenant`: letters, digits and hyphens, 32 at most, by which the account's IDs differ from
          those of others; by default they are made from the first of `keys`, or from the file.
        - `format`, 2, and further members by which a loaded account goes on as this one does.
        """
        with self._lock:
            text = account_file.encode(self._data())
        if path is not None:
            # As bytes: text files have other newlines on Windows.
            write_file(path, f"{text}\n".encode(), mode=0o600)
        return text

    @classmethod
    @without_none
    def load(
        cls,
        source: str | Path,
        *,
        clock: Callable[[], datetime] | None = None,
        assumptions: Assumptions | None = None,
    ) -> "FakeAccount":
        """Return the account that `dump` wrote, or that was written by hand in its format.

        Args:
            source: The path of a file, or the JSON text itself (which begins with a brace).
            clock: As for a new account. An account with a `now` goes on from that time.
            assumptions: As for a new account; the file's by default.

        Raises:
            ValueError: The text is not in this format; the message says where.
            OSError: The file cannot be read.
        """
        with account_file.loaded(source) as data:
            for key in data.keys or ():
                check_key(key)
            if assumptions is None:
                settings = (f"{name}={value}" for name, value in data.assumptions.items())
                assumptions = Assumptions.parse(settings)
            account = cls(clock=clock, predefined=False, assumptions=assumptions)
            # Made from the file, the IDs are the same each time that it is loaded.
            tenant = tenant_of(next(iter(data.keys or {}), account_file.encode(data)))
            account._initial = msgspec.structs.replace(
                data,
                keys={account.api_key: None} if data.keys is None else data.keys,
                tenant=tenant if data.tenant is None else data.tenant,
            )
            account._set_up()
        given = {str(each) for role in data.roles for each in role.permissions or ()}
        warn_of_misspelled(sorted(given - {*data.extra_permissions}))
        return account

    def _fill(self, data: AccountData) -> None:
        """Replace everything by the data of a file, or raise `ValueError`."""
        state, ids = self._state, Ids(data.tenant or "")
        state.clear(ids)
        self._limit_custom_roles(data.max_custom_roles)
        records, directory = state.records, data.directory or DirectoryData()
        records.extra_permissions.update(data.extra_permissions)
        roles, bindings = records.roles, records.bindings
        # Before the bindings, which imply users, spaces and projects that are not there yet.
        entries: list[User | Space | Project] = [*directory.users, *directory.spaces]
        for entry in (*entries, *directory.projects):
            self._add_entry(entry)
        records.blocked.update(ids.of("User", each) for each in directory.blocked)
        roles.used_ids.update(data.deleted_ids, (each.id for each in data.roles if each.id))
        bindings.used_ids.update(each.id for each in data.role_bindings if each.id)
        for each in reversed(data.roles):
            fields = msgspec.structs.asdict(each)
            if each.id is not None and roles.by_id(each.id) is not None:
                raise ValueError(f"two roles have the ID {each.id!r}")
            self._add_role(fields.pop("name"), fields)
        for binding in reversed(data.role_bindings):
            role = roles.by_name(binding.role) or roles.by_id(binding.role)
            if role is None:
                raise ValueError(f"role_bindings: no role has the name {binding.role!r}")
            self._bind(role, binding)
        records.kept_names.extend(data.kept_names)
        roles.created = max(roles.created, data.roles_created)
        bindings.created = max(bindings.created, data.role_bindings_created)
        state.has_every_user, state.has_every_place = data.users is None, data.resources is None
        state.add_implied(*(ids.of("User", each) for each in data.users or ()))
        state.add_implied(*map(ids.of_resource, data.resources or ()))
        for key, granted in (data.keys or {}).items():
            on = granted.on if isinstance(granted, KeyData) else None
            grants = granted.grants if isinstance(granted, KeyData) else granted
            state.keys[key] = self._grants(grants, on)
        self._removed_keys = {*data.removed_keys}

    def _data(self) -> AccountData:
        """Return everything as the data of a file."""
        state, records = self._state, self._records
        label, roles, bindings = state.ids.label_or_id, records.roles, records.bindings
        directory = DirectoryData(
            users=records.users.in_order(),
            spaces=records.spaces.in_order(),
            projects=records.projects.in_order(),
            blocked=tuple(sorted(map(label, records.blocked))),
        )
        return AccountData(
            roles=tuple(RoleData(**members_of(role)) for role in reversed(roles.in_order())),
            role_bindings=tuple(
                BindingData(
                    role=self._find_role(each.role_id).name,
                    user=label(each.user_id),
                    resource=label(each.resource_id),
                    id=each.id,
                    created_at=each.created_at,
                    updated_at=each.updated_at,
                )
                for each in reversed(bindings.in_order())
            ),
            # Nobody else: those that there are stand in the directory.
            users=None if state.has_every_user else (),
            resources=None if state.has_every_place else (),
            directory=None if directory == DirectoryData() else directory,
            now=self.now(),
            max_custom_roles=state.max_custom_roles,
            assumptions=state.assumptions.changed(),
            keys=self._key_data(),
            extra_permissions=tuple(sorted(records.extra_permissions)),
            kept_names=tuple(records.kept_names),
            removed_keys=tuple(sorted(self._removed_keys)),
            deleted_ids=tuple(sorted(roles.deleted_ids())),
            roles_created=roles.created if roles.created > len(roles) else 0,
            role_bindings_created=bindings.created if bindings.created > len(bindings) else 0,
            tenant=state.ids.tenant,
        )

    def _key_data(self) -> Keys:
        """Return the API keys with what each grants, as the data of a file."""
        keys: dict[str, tuple[str, ...] | KeyData | None] = {}
        label = self._state.ids.label_or_id
        for key, granted in self._state.keys.items():
            everywhere = None if granted.everywhere is None else tuple(sorted(granted.everywhere))
            on = {label(each): tuple(sorted(x)) for each, x in granted.on.items()}
            keys[key] = KeyData(everywhere, on) if on and everywhere is not None else everywhere
        return keys

    # Requests

    def handle(self, request: Request) -> Response:
        """Answer one request, as the service would and as the test scripted it.

        Args:
            request: The request, with the API key in its `Authorization` header.

        Returns:
            The answer; a failure is a problem document, not an exception. Its `Date` header is
            the account's time, and `X-Request-Id` numbers the requests, such as `fake-1`.
        """
        with self._lock:
            key = Secret(bearer(request.headers.get("Authorization", "")))
            running_recorder().note_call(self, (*self._state.keys, key.reveal()))
            parsed = parse(request, operation_of(request))
            asked = received(self._state, parsed, 1 + _retries(request))
            call = self._faults.call_of(request, asked.attempt)
            answer, breakage = self._answer(key, parsed, asked, call)
            if breakage or answer.status >= 400:  # noqa: PLR2004 - a failure
                self._faults.note_failure(asked, call)
            latencies = self._scripted_as(Latency)[::-1]
            latency = next((each for each in latencies if each.calls.match(asked)), _NO_LATENCY)
            latency.was_used = True
            blocks = [each for each in self._scripted_as(Blocked) if not each.is_released]
            now = self.now()
            reply = Reply(
                status=answer.status,
                headers={
                    "Date": _http_date(int(now.timestamp())),
                    "X-Request-Id": f"fake-{next(self._numbers)}",
                    **answer.headers,
                },
                body=answer.body,
                delay=latency.seconds,
                delivery=WHOLE if breakage is None else DELIVERIES[breakage],
                real_time=latency.real_time,
                blocked=next((each for each in blocks if each.calls.match(asked)), None),
            )
            logged = LoggedCall(
                **attrs.asdict(asked, recurse=False),
                api_key=key.reveal(),
                outcome=breakage or answer.status,
                duration=latency.seconds,
                at=now,
            )
            self._log.append(logged)
            for each in blocks:
                each.arrived.append(logged)
            return reply

    def _answer(
        self, key: Secret[str], parsed: ParsedRequest, asked: ReceivedCall, call: ClientCall
    ) -> tuple[Response, Breakage | None]:
        request, grants = parsed.request, self._state.keys.get(key.reveal())
        is_any = isinstance(request, InProcessRequest) and request.unknown_key_is_first
        if grants is None and is_any and key.reveal() not in self._removed_keys:
            grants = next(iter(self._state.keys.values()), None)
        if grants is None:
            detail = "the API key is unknown" if key.reveal() else "the API key is missing"
            return problem_response(401, detail, {"WWW-Authenticate": "Bearer"}), None
        wait = 0 if self._bucket is None else self._bucket.wait(self.now())
        if wait:
            return problem_response(429, "too many requests", {"Retry-After": str(wait)}), None
        fault = self._faults.strike(asked, call, self._scripted_as(ScriptedFault))
        if fault is not None and fault.when == "before":
            return failed_answer(fault, None)
        answer = answer_of(self._state, grants, parsed)
        return (answer, None) if fault is None else failed_answer(fault, answer)


_TAKE_KEYS: Final = {"__init__", "add_key", "remove_key"}
for _part in (FakeAccount, Contents, Script, Assertions):
    for _name, _method in [*vars(_part).items()]:
        if inspect.isfunction(_method) and (_name in _TAKE_KEYS or _name[0] != "_"):
            # An error about its arguments shows this name.
            inspect.unwrap(_method).__qualname__ = f"FakeAccount.{_name}"
            _method = without_none(_method)
            setattr(FakeAccount, _name, takes_secrets(_method) if _name in _TAKE_KEYS else _method)


def keys_of(account: FakeAccount) -> Keys:
    """Return the API keys of an account, with what each grants."""
    return account._key_data()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def entries_of(
    account: FakeAccount,
) -> tuple[tuple[User, ...], tuple[Space, ...], tuple[Project, ...]]:
    """Return the users, spaces and projects of an account, newest first."""
    records = account._records  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    users, spaces, projects = records.users, records.spaces, records.projects
    return users.in_order()[::-1], spaces.in_order()[::-1], projects.in_order()[::-1]


@functools.lru_cache  # Formatting takes longer than most of an answer.
def _http_date(second: int) -> str:
    # Imported for the first answer: it brings sockets, locales and calendars with it.
    from email.utils import formatdate

    return formatdate(second, usegmt=True)


def _retries(request: Request) -> int:
    count = request.headers.get("sdk-retry-count", "0")
    return int(count) if count.isascii() and count.isdigit() and len(count) < 10 else 0  # noqa: PLR2004
