"""`FakeAccount`: the account that a test sets up, breaks and inspects in place of the service."""

import functools
import math
import os
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar, Unpack, cast

import attrs
import msgspec

from arize_roles_async._calls.api_key import api_key_flaw
from arize_roles_async._directory.models import AccountRole, Project, Space, User
from arize_roles_async._role_bindings.models import RoleBinding
from arize_roles_async._roles.models import Role
from arize_roles_async._values.errors import RolesError
from arize_roles_async._values.permissions import AnyPermission, known_permission
from arize_roles_async._values.public import public
from arize_roles_async._values.requests import id_kind
from arize_roles_async._values.text import nearest, type_name
from arize_roles_async._values.writing import write_file
from arize_roles_async._wire.redaction import Secret
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_fake._service.assumptions import DEFAULT, Assumptions
from arize_roles_fake._service.ids import tenant_of
from arize_roles_fake._service.service import OPERATIONS, Operation, operation_of
from arize_roles_fake._service.service import answer as answer_of
from arize_roles_fake._service.state import MEMBER, State
from arize_roles_fake._service.store import PREDEFINED, RoleStore
from arize_roles_fake._service.wire import bearer, problem_response
from arize_roles_fake._testing import account_file, contents
from arize_roles_fake._testing.account_file import AccountData, BindingData, RoleData
from arize_roles_fake._testing.blocked import Blocked
from arize_roles_fake._testing.call_log import CallLog, LoggedCall
from arize_roles_fake._testing.expectations import binding_differences, role_differences
from arize_roles_fake._testing.fault_rules import Breakage, FaultArguments, When
from arize_roles_fake._testing.faults import Fault, Faults, Reply, ScriptedFault, failed_answer
from arize_roles_fake._testing.incoming import CallFilter, CallRequest, IncomingRequest, incoming_of
from arize_roles_fake._testing.limits import Latency, ShortPages, TokenBucket
from arize_roles_fake._testing.make_role import RoleFields, reject_string, warn_of_misspelled
from arize_roles_fake._testing.watch import Scripted, unused_of, watches

DEFAULT_API_KEY: Final = "fake-api-key"
"""The API key of `python -m arize_roles_fake serve`; other accounts have keys of their own."""

_S = TypeVar("_S", bound=Scripted)

_FIRST_FAILURE: Final = 400
_NO_LATENCY: Final = Latency(CallFilter("any", None), 0.0, real_time=False)
_PREDEFINED: Final = tuple(
    RoleData(name=name, description=description, permissions=permissions, is_predefined=True)
    for name, description, permissions in reversed(PREDEFINED)
)


@attrs.frozen
class Snapshot:
    """What an account holds at one moment, for `FakeAccount.restore`."""

    store: RoleStore = attrs.field(repr=False)
    extra_permissions: frozenset[str] = attrs.field(repr=False)


@public("arize_roles_fake")
class FakeAccount:
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
        key = Secret(f"fake-{os.urandom(8).hex()}" if api_key is None else api_key)
        del api_key  # A traceback may show the variables of this frame.
        _check_key(key)
        if not isinstance(cast("object", assumptions), Assumptions):
            raise TypeError(f"assumptions must be Assumptions, not {type_name(assumptions)}")
        for name, given in {"users": users, "resources": resources}.items():
            if isinstance(given, str):
                raise TypeError(f"{name} must be a list, not the string {given!r}")
        self._lock = threading.RLock()
        self._clock = clock or _system_clock
        self._state = State(self.now, assumptions, self._next_page_size)
        self._log = CallLog()
        # Before a frame holds the data, which show the key.
        contents.limit_custom_roles(self._state, max_custom_roles)
        self._initial = AccountData(
            roles=_PREDEFINED if predefined else (),
            max_custom_roles=max_custom_roles,
            users=None if users is None else tuple(users),
            resources=None if resources is None else tuple(resources),
            keys={key.reveal(): None},
            tenant=tenant_of(key.reveal()),
        )
        self._scripted: list[Scripted] = []
        self._set_up()

    def _set_up(self) -> None:
        data = self._initial
        self._ahead = timedelta()
        if data.now is not None:
            self._ahead = data.now - self.now()
        self.clear_faults()
        contents.fill(self._state, data)
        self._removed_keys: set[str] = set()
        for watch in watches[-1:]:
            watch.keys.update(self._state.keys)

    if not TYPE_CHECKING:  # pragma: no branch - with it, type checkers would take any name

        def __setattr__(self, name: str, value: object) -> None:
            """Set an attribute; a name that the account does not have is an error."""
            is_allowed = type(self) is not FakeAccount or name.startswith("_")
            if not (is_allowed or hasattr(FakeAccount, name)):
                near = nearest(name, [each for each in dir(FakeAccount) if each[0] != "_"])
                raise AttributeError(f"FakeAccount has no attribute {name!r}: use {near}")
            super().__setattr__(name, value)

    def __repr__(self) -> str:
        try:
            return f"<FakeAccount of {len(self._store)} roles, asked {len(self._log)} times>"
        except AttributeError:
            return "<FakeAccount>"  # Its arguments were invalid, and a traceback may show it.

    @property
    def _store(self) -> RoleStore:
        return self._state.store

    @property
    def max_custom_roles(self) -> int | None:
        """The limit on custom roles in the account's plan; None is no limit."""
        with self._lock:
            return self._state.max_custom_roles

    @max_custom_roles.setter
    def max_custom_roles(self, count: int | None) -> None:
        with self._lock:
            contents.limit_custom_roles(self._state, count)

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

    # Roles

    @property
    def roles(self) -> tuple[Role, ...]:
        """Every role, newest first."""
        with self._lock:
            return self._store.in_order()[::-1]

    def role(self, name: str) -> Role | None:
        """Return the role with exactly this name, or None."""
        with self._lock:
            role = self._store.by_name(name)
            return role if role is not None and role.name == name else None

    def add_role(
        self,
        name: str,
        permissions: Iterable[AnyPermission | str] | None = None,
        **fields: Unpack[RoleFields],
    ) -> Role:
        """Add a role, in any state that the service could be in.

        Args:
            name: The name, which must be free; no other rule is checked.
            permissions: Any identifiers; none by default. The account accepts those that are newer
                than this version of the library in later calls, too. One that is a letter off a
                known one leads to a `SuspiciousPermissionWarning`.
            fields: Other fields of a `Role`, such as `description` or `created_at`. By default it
                is custom, has the account's next ID, and was created now.

        Raises:
            ValueError: The name or ID is taken or cannot be sent, or a timestamp is naive.
            TypeError: `permissions` is one string, or a role has no such field.
        """
        given = tuple(reject_string(permissions or ()))
        warn_of_misspelled(map(str, given))
        with self._lock:
            return contents.add_role(self._state, name, {**fields, "permissions": given})

    # Role bindings

    def bind(self, role: Role | str, *, user: str, resource: str) -> RoleBinding:
        """Give a user a role on a space or project: a role that is bound cannot be deleted.

        Args:
            role: The role, its ID or its name.
            user: The user: an ID, or a label such as an email address, which stands for an ID.
            resource: The space or project: an ID, or a label such as `Space:1` or `Project:1`.

        Returns:
            The binding, as clients see it; `label` returns the label of its user and resource.

        Raises:
            LookupError: There is no such role.
            ValueError: The user already has a role on the resource, or the resource is neither a
                space nor a project.
        """
        with self._lock:
            wanted = role if isinstance(role, str) else role.id
            data = BindingData(role=wanted, user=user, resource=resource)
            return contents.bind(self._state, data)

    def unbind(self, role: Role | str, *, user: str, resource: str) -> None:
        """Take a role on a space or project away from a user.

        Args:
            role: The role, its ID or its name.
            user: The user who has it: an ID or a label.
            resource: The space or project: an ID or a label.

        Raises:
            LookupError: There is no such role, or no such binding of it.
            ValueError: The resource is neither a space nor a project.
        """
        with self._lock:
            ids = self._state.ids
            target = ids.of_user(user), ids.of_resource(resource)
            binding = self._store.bindings.by_target(*target)
            if binding is None or binding.role_id != contents.find_role(self._state, role).id:
                raise LookupError(f"{user!r} does not have the role on {resource!r}")
            self._store.bindings.remove(binding)

    def bindings(self, role: Role | str | None = None) -> tuple[RoleBinding, ...]:
        """Return the bindings of a role, or all, oldest first.

        Args:
            role: The role, its ID or its name; None is every role.

        Raises:
            LookupError: There is no such role.
        """
        with self._lock:
            if role is None:
                return self._store.bindings.in_order()
            of_role = contents.find_role(self._state, role).id
            return self._store.bindings.in_order(("role", of_role))

    # Users, spaces and projects

    def add_user(
        self,
        email: str | None,
        *,
        id: str | None = None,
        name: str | None = None,
        status: Literal["ACTIVE", "INVITED", "EXPIRED"] = "ACTIVE",
        role: AccountRole | None = None,
        is_developer: bool = False,
    ) -> User:
        """Add a user, or replace the one with the ID. One that is bound or declared is there.

        Args:
            email: The address; None for the bot user of a service key, which is in no list.
            id: The ID, or its label; by default the label is `email`. With another one, a second
                user may have the address.
            name: For display; by default the part of the address before the `@`.
            status: `ACTIVE`, `INVITED` or `EXPIRED`.
            role: The role in the whole account; by default the predefined `MEMBER`.
            is_developer: Whether the user has developer access.

        Raises:
            ValueError: The ID is not one of a user, or there is neither an ID nor an address.
            TypeError: An argument has a wrong type.
        """
        with self._lock:
            user = User(
                id=self._state.ids.of_user(email or "" if id is None else id),
                email=email,
                name=(email or "bot").partition("@")[0] if name is None else name,
                status=status,
                role=role or MEMBER,
                is_developer=is_developer,
            )
            return contents.add_thing(self._state, user)

    def add_space(
        self,
        name: str,
        *,
        id: str | None = None,
        organization: str = "default",
        description: str = "",
        is_private: bool = False,
    ) -> Space:
        """Add a space, or replace the one with the ID; its errors are those of `add_user`.

        Args:
            name: Its name. Two spaces may have one name in different organizations.
            id: Its ID; by default that of the label `Space:name`.
            organization: The name or ID of its organization.
            description: Free text.
            is_private: Whether only its members see it.
        """
        with self._lock:
            ids = self._state.ids
            space = Space(
                id=ids.of_resource(f"Space:{name}" if id is None else id),
                name=name,
                description=description,
                organization_id=ids.of_organization(organization),
                is_private=is_private,
            )
            return contents.add_thing(self._state, space)

    def add_project(
        self,
        name: str,
        *,
        space: str,
        id: str | None = None,
        project_type: Literal["APPLICATION", "HARNESS", "EXPERIMENT"] | None = "APPLICATION",
    ) -> Project:
        """Add a project, or replace the one with the ID; its errors are those of `add_user`.

        Args:
            name: Its name.
            space: The name or ID of its space.
            id: Its ID; by default that of the label `Project:space/name`.
            project_type: Its type, which the service may leave out.
        """
        with self._lock:
            ids = self._state.ids
            space_id = ids.of_resource(space if id_kind(space) == "Space" else f"Space:{space}")
            label = f"Project:{ids.label(space_id).partition(':')[2]}/{name}"
            project = Project(
                id=ids.of_resource(label if id is None else id),
                name=name,
                space_id=space_id,
                project_type=project_type,
            )
            return contents.add_thing(self._state, project)

    def block_user(self, user: str) -> None:
        """Block a user, who is in no list any more and loses every role binding.

        Args:
            user: The ID, or the label, such as the address.
        """
        with self._lock:
            user_id = self._state.ids.of_user(user)
            self._store.blocked.add(user_id)
            for each in [each for each in self.bindings() if each.user_id == user_id]:
                self._store.bindings.remove(each)

    def id(self, label: str) -> str:
        """Return the ID of a user, space or project, which no other account has.

        Args:
            label: A label such as `Space:1` or `Project:1`; any other is a user's, such as an email
                address. An ID is returned as it is.

        Raises:
            ValueError: The label is empty, or the ID would be too long.
        """
        return self._state.ids.of(label)

    def label(self, id: str) -> str:
        """Return the label of a user, space or project, such as `Space:1`.

        Args:
            id: An ID. Any other text is returned as it is.
        """
        return self._state.ids.label(id)

    def snapshot(self) -> Snapshot:
        """Return roles, bindings, users, spaces and projects as they are now, for `restore`."""
        with self._lock:
            return Snapshot(self._store.copy(), self._state.extra_permissions)

    def restore(self, snapshot: Snapshot) -> None:
        """Restore all that a snapshot holds; keys, faults, the log and the time stay."""
        with self._lock:
            self._state.store = snapshot.store.copy()
            self._state.extra_permissions = snapshot.extra_permissions
            # The keys stay, so the permissions that they grant stay known.
            for key in self._state.keys.values():
                granted = {*(key.everywhere or ()), *chain(*key.on.values())}
                self._state.extra_permissions |= {p for p in granted if not known_permission(p)}

    # Whole accounts as JSON

    def dump(self, path: str | Path | None = None) -> str:
        """Return the account as JSON text, and write it to `path` where one is given.

        The file holds the account's keys, so only its owner may read and write it (mode 0600).

        The format is an object with these members and no others; only `roles` is required:

        - `format`: the version of this format, 2; a file that was written by hand needs none.
        - `roles`: a list of roles as the service writes them, newest first; only `name` is needed,
          and the other fields default as in `add_role`.
        - `role_bindings`: a list of objects with the name of a `role`, a `user` and a `resource`,
          both IDs or labels, newest first; `id`, `created_at` and `updated_at` are optional.
        - `users`, `resources`: lists of IDs or labels, as for a new account; `dump` writes empty
          ones, as it writes everybody and every place in `directory`.
        - `directory`: an object of `users`, `spaces` and `projects` as the service writes them,
          oldest first, and of `blocked` users, IDs or labels. In a file by hand, those that are
          bound or in the lists before need not be there.
        - `now`: the account's time; a loaded account goes on from there.
        - `max_custom_roles`: an integer, or null.
        - `assumptions`: an object of those that differ from their defaults.
        - `keys`: an object of API keys, each with a list of granted permissions, or null for all,
          or an object of `grants` and `on`, as in `add_key`; the first is the account's `api_key`.
        - `extra_permissions`: permissions of the account that are newer than the library.
        - `kept_names`: names of deleted roles that no role can have again.
        - `roles_created`, `role_bindings_created`: the numbers of these so far, from which the
          next ID is made.
        - `tenant`: letters, digits and hyphens, 32 at most, by which the account's IDs differ from
          those of others; by default they are made from the first of `keys`, or from the file.
        """
        with self._lock:
            text = account_file.encode(contents.data_of(self._state, self.now()))
        if path is not None:
            # As bytes: text files have other newlines on Windows.
            write_file(path, f"{text}\n".encode(), mode=0o600)
        return text

    @classmethod
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
            ValueError: The text is not in this format; the message says where, and what to write
                in a file of version 0.4 or older.
            OSError: The file cannot be read.
        """
        with account_file.loaded(source) as data:
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

    # API keys

    @property
    def api_key(self) -> str:
        """The first key of the account, which clients of the fake use by default.

        Raises:
            LookupError: The account has no key left.
        """
        with self._lock:
            if not self._state.keys:
                raise LookupError("the account has no API key")
            return next(iter(self._state.keys))

    def add_key(
        self,
        key: str,
        *,
        grants: Iterable[AnyPermission | str] | None = None,
        on: Mapping[str, Iterable[AnyPermission | str]] | None = None,
    ) -> None:
        """Add an API key, or change its grants.

        Args:
            key: The key.
            grants: Permissions of the key; None is all of them. Without `ROLE_READ`, list and get
                are a 403, and the answers to create and update have no permissions; without
                `ROLE_CREATE`, `ROLE_UPDATE` or `ROLE_DELETE`, that call is a 403.
            on: Further permissions on single spaces and projects, such as
                `{"Space:1": ["ROLE_BINDING_READ"]}`, by their labels or IDs; only with `grants`.

        Raises:
            ValueError: No header can carry the key, a permission is unknown, or `on` names neither
                a space nor a project, or is given without `grants`.
            TypeError: The permissions are one string.
        """
        secret = Secret(key)
        del key  # A traceback may show the variables of this frame.
        _check_key(secret)
        if on is not None and grants is None:
            raise ValueError("on adds permissions to grants, so grants must be given, such as ()")
        with self._lock:
            self._state.keys[secret.reveal()] = contents.grants_of(self._state, grants, on)
            self._removed_keys.discard(secret.reveal())
            for watch in watches[-1:]:
                watch.keys.add(secret.reveal())

    def remove_key(self, key: str) -> None:
        """Remove an API key: requests with it get 401 from then on.

        Raises:
            KeyError: There is no such key.
        """
        secret = Secret(key)
        del key  # A traceback may show the variables of this frame.
        with self._lock:
            if secret.reveal() not in self._state.keys:
                raise KeyError("there is no such API key")
            del self._state.keys[secret.reveal()]
            self._removed_keys.add(secret.reveal())

    # Failures, latency, limits

    def fail(
        self,
        operation: Operation | Literal["any"],
        failure: int | type[RolesError] | Breakage,
        *,
        times: int | None = 1,
        after: int = 0,
        every_attempt: bool | None = None,
        when: When = "before",
        role: str | None = None,
        retry_after: int | str | None = None,
        page: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """Script a failure: a call that ends in an error class, or an answer that goes wrong.

        - `fail("create", ServerError)`: the next `create` raises it. Every attempt of that call
          fails, until the client gives up.
        - `fail("create", 503)`: one answer is a 503. A client that retries raises nothing, unless
          `every_attempt=True`.
        - `fail("any", 503, times=None)`: an outage, until `clear_faults`.

        If several faults are due, the first of them strikes. The guide `failures.md` says how a
        call ends, also a change, and where that differs over HTTP.

        Args:
            operation: The method that fails; `any` is all, of every resource.
            failure: A status of 400 to 599, or of 200 to 599 with `page`; the class of an error; or
                a failure without a status: `lost` (the connection drops), `truncated` (the answer
                breaks off in its body), `malformed` (its body is not JSON), `undecodable` (its body
                is not the gzip that a header says), `silent` (no answer comes until the caller's
                limit), `refused` (the connection is refused) or `unreachable` (connecting takes
                longer than the caller's limit).
            times: Number of requests that fail, or with `every_attempt` of calls; None is every
                one.
            after: Number of matching calls that pass first, however they end.
            every_attempt: Fail every attempt of a call, which a header of the client counts; by
                default if `failure` is an error class.
            when: `before` the account does the work of the call, or `after`.
            role: Only calls about the role with this name or ID fail; for `create`, the name that
                the call gives.
            retry_after: The header on a 429 or 503: seconds, or a date as text.
            page: A body in place of the service's problem document, as a gateway or proxy answers:
                text or bytes, `text/html` unless `headers` say otherwise.
            headers: Further headers of the answer. Those that frame the message, such as
                `Content-Length`, are refused.

        Returns:
            The fault, whose `struck_requests` counts the requests that it made fail.

        Raises:
            ValueError: The arguments contradict one another, or the fault could never strike. For
                an error class that no answer leads to, the message says how a test causes it.
        """
        arguments = FaultArguments(
            operation=operation,
            failure=failure,
            times=times,
            after=after,
            every_attempt=isinstance(failure, type) if every_attempt is None else every_attempt,
            when=when,
            role=role,
            retry_after=retry_after,
            page=page,
            headers=headers or {},
        )
        return self._script(ScriptedFault(arguments))

    def _script(self, thing: _S) -> _S:
        with self._lock:
            self._scripted.append(thing)
            for watch in watches[-1:]:
                watch.note_script(self, thing)
        return thing

    def _scripted_as(self, kind: type[_S]) -> list[_S]:
        return [each for each in self._scripted if isinstance(each, kind)]

    @property
    def unused_faults(self) -> tuple[str, ...]:
        """A line for each fault, latency, `block` and short page that struck less than scripted.

        Of the latencies only those of some calls count, as set by `slow_down` with an operation or
        a role.
        """
        with self._lock:
            return tuple(unused_of(self._scripted))

    def clear_faults(self) -> None:
        """Remove every scripted fault and page size, all latency and the rate limit."""
        with self._lock:
            self._faults = Faults()
            self._bucket: TokenBucket | None = None
            # The calls that a block keeps open stay so until its end.
            self._scripted = [each for each in self._scripted_as(Blocked) if not each.is_released]
            for watch in watches[-1:]:
                watch.forget_scripts(self)

    def slow_down(
        self,
        seconds: float,
        *,
        operation: Operation | Literal["any"] = "any",
        role: str | None = None,
        real_time: bool = False,
    ) -> None:
        """Delay answers: in process on the account's clock, over HTTP in real time.

        If several latencies match a call, the one that was set last counts.

        Args:
            seconds: The latency.
            operation: The method that is delayed; `any` is all, of every resource.
            role: Only calls about the role with this name or ID are delayed.
            real_time: Take real seconds in process, too, so that the application's own deadlines
                pass, such as `asyncio.timeout`.

        Raises:
            ValueError: `seconds` is below 0, or no call can match.
        """
        self._script(Latency(CallFilter(operation, role), seconds, real_time))

    @contextmanager
    def block(
        self, operation: Operation | Literal["any"] = "any", *, role: str | None = None
    ) -> Generator[Blocked]:
        """Keep calls open inside a `with`: the account does its work, and the answer waits.

        ```python
        with account.block("list") as blocked:
            task = asyncio.create_task(roles.list().all())
            await blocked.reached()  # the call is open
            task.cancel()
        ```

        For tests of shutdown, cancellation and concurrency. In process no limit of the client ends
        such a call. Meanwhile waits of other calls take real time.

        Args:
            operation: The method whose calls stay open; `any` is all, of every resource.
            role: Only calls about the role with this name or ID stay open.

        Yields:
            The calls: `reached` waits for one, and `release` lets them go on, as does leaving the
            `with`.

        Raises:
            ValueError: No call can match.
        """
        blocked = self._script(Blocked(CallFilter(operation, role)))
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

    def shorten_pages(self, *sizes: int) -> None:
        """Shorten the next pages of lists, although more roles follow, as the service may.

        Args:
            sizes: Limits on the roles of each of the next pages, in order; 0 makes an empty page.

        Raises:
            ValueError: A size is below 0.
        """
        self._script(ShortPages(sizes))

    def _next_page_size(self) -> int | None:
        left = (pages.sizes for pages in self._scripted_as(ShortPages) if pages.sizes)
        return next((sizes.pop(0) for sizes in left), None)

    # The log of calls

    @property
    def calls(self) -> tuple[LoggedCall, ...]:
        """Every call that the log keeps, oldest first."""
        with self._lock:
            return self._log.calls()

    def calls_of(self, operation: Operation, *, role: str | None = None) -> tuple[LoggedCall, ...]:
        """Return the calls of one operation, oldest first.

        Args:
            operation: The operation.
            role: Return only calls about the role with this name or ID.

        Raises:
            ValueError: There is no such operation.
        """
        if operation not in OPERATIONS:
            raise ValueError(f"operation must be one of {', '.join(OPERATIONS)}, not {operation!r}")
        return tuple(
            call
            for call in self.calls
            if call.operation == operation
            and (role is None or role in {call.role, call.arguments.get("role_id")})
        )

    def assert_roles(
        self,
        expected: Mapping[str, Iterable[AnyPermission | str]],
        *,
        descriptions: Mapping[str, str | None] | None = None,
    ) -> None:
        """Assert that these are the custom roles, and that each holds these permissions.

        Args:
            expected: The permissions of each role by its name, in any order.
            descriptions: The descriptions of some of the roles by their names; None is no
                description.

        Raises:
            AssertionError: The account differs; the message names each role and permission that
                is missing or not expected.
            TypeError: The permissions of a role are one string.
        """
        __tracebackhide__ = True
        wanted = {name: frozenset(map(str, reject_string(p))) for name, p in expected.items()}
        if text := role_differences(self.roles, wanted, descriptions or {}):
            raise AssertionError(text)

    def assert_bindings(self, expected: Mapping[tuple[str, str], str]) -> None:
        """Assert that these are the role bindings.

        Args:
            expected: The name of the role by the user and the resource, each an ID or a label, such
                as `{("user@example.com", "Space:1"): "Analyst"}`.

        Raises:
            AssertionError: The account differs; the message names each binding that is missing or
                not expected.
            ValueError: A resource is neither a space nor a project.
        """
        __tracebackhide__ = True
        ids = self._state.ids
        wanted = {
            (ids.of_user(user), ids.of_resource(resource)): role
            for (user, resource), role in expected.items()
        }
        with self._lock:
            found = {
                (each.user_id, each.resource_id): contents.find_role(self._state, each.role_id).name
                for each in self._store.bindings.in_order()
            }
        if text := binding_differences(found, wanted, ids):
            raise AssertionError(text)

    # The handler

    def handle(self, request: Request) -> Response:
        """Answer one request, as the service would and as the test scripted it.

        Args:
            request: The request, with the API key in its `Authorization` header.

        Returns:
            The answer; a failure is a problem document, not an exception. Its `Date` header is
            the account's time.
        """
        with self._lock:
            key = Secret(bearer(request.headers.get("Authorization", "")))
            if watches:
                watches[-1].note_call(self, (*self._state.keys, key.reveal()))
            operation, attempt = operation_of(request), 1 + _retries(request)
            call = self._faults.call_of(request, attempt)
            incoming = incoming_of(self._state, operation, request, call, attempt)
            answer, broken = self._answer(key, incoming)
            if broken or answer.status >= _FIRST_FAILURE:
                self._faults.note_failure(incoming)
            latencies = [each for each in self._scripted_as(Latency) if each.calls.match(incoming)]
            latency = _NO_LATENCY
            if latencies:
                latency = latencies[-1]
                latency.was_used = True
            blocks = [each for each in self._scripted_as(Blocked) if not each.is_released]
            now = self.now()
            reply = Reply(
                status=answer.status,
                headers={"Date": _http_date(int(now.timestamp())), **answer.headers},
                body=answer.body,
                delay=latency.seconds,
                broken=broken,
                real_time=latency.real_time,
                blocked=next((each for each in blocks if each.calls.match(incoming)), None),
            )
            logged = LoggedCall(
                operation=operation,
                role=incoming.role,
                user=incoming.user,
                resource=incoming.resource,
                api_key=key.reveal(),
                outcome=broken or answer.status,
                duration=latency.seconds,
                attempt=attempt,
                at=now,
                request=request,
            )
            self._log.add(logged)
            for each in blocks:
                each.came.append(logged)
            return reply

    def _answer(
        self, key: Secret[str], incoming: IncomingRequest
    ) -> tuple[Response, Breakage | None]:
        request, grants = incoming.request, self._state.keys.get(key.reveal())
        is_any = isinstance(request, CallRequest) and request.unknown_key_is_first
        if grants is None and is_any and key.reveal() not in self._removed_keys:
            grants = next(iter(self._state.keys.values()), None)
        if grants is None:
            detail = "the API key is unknown" if key.reveal() else "the API key is missing"
            return problem_response(401, detail, {"WWW-Authenticate": "Bearer"}), None
        wait = 0 if self._bucket is None else self._bucket.wait(self.now())
        if wait:
            return problem_response(429, "too many requests", {"Retry-After": str(wait)}), None
        fault = self._faults.strike(incoming, self._scripted_as(ScriptedFault))
        if fault is not None and fault.when == "before":
            return failed_answer(fault, None)
        answer = answer_of(self._state, incoming.operation, grants, request)
        return (answer, None) if fault is None else failed_answer(fault, answer)


@functools.lru_cache  # Formatting takes longer than most of an answer.
def _http_date(second: int) -> str:
    # Imported for the first answer: it brings sockets, locales and calendars with it.
    from email.utils import formatdate

    return formatdate(second, usegmt=True)


def _system_clock() -> datetime:
    return datetime.now(UTC)


def _check_key(key: Secret[str]) -> None:
    if (flaw := api_key_flaw(key)) is not None:
        raise ValueError(f"a key {flaw}")


def _retries(request: Request) -> int:
    count = request.headers.get("sdk-retry-count", "0")
    return int(count) if count.isascii() and count.isdigit() and len(count) < 10 else 0  # noqa: PLR2004
