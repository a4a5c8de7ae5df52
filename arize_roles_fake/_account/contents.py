"""What an account holds: roles, role bindings, users, spaces, projects and API keys."""

import threading
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import chain, count
from typing import Any, Final, Literal, TypeVar, Unpack

import attrs
import msgspec

from arize_roles_async._calls.api_key import api_key_flaw
from arize_roles_async._directory.models import AccountRole, Project, Space, User
from arize_roles_async._role_bindings.models import RoleBinding
from arize_roles_async._roles.models import Role
from arize_roles_async._roles.requests import permissions_flaw
from arize_roles_async._values.options import is_count
from arize_roles_async._values.permissions import AnyPermission, Permission, known_permission
from arize_roles_async._values.requests import ID_KINDS, id_kind
from arize_roles_async._values.text import quoted
from arize_roles_async._wire.secrets import Secret
from arize_roles_fake._service.ids import resource_type
from arize_roles_fake._service.state import MEMBER, Grants, State
from arize_roles_fake._service.store import Records
from arize_roles_fake._testing.account_file import BindingData, RoleData
from arize_roles_fake._testing.make_role import (
    RoleFields,
    make_role,
    reject_string,
    warn_of_misspelled,
    writable,
)
from arize_roles_fake._testing.recorder import running_recorder

_Entry = TypeVar("_Entry", bound=User | Space | Project)

_ADMINISTRATION: Final = ("ORGANIZATION", "ROLE", "ROLE_BINDING", "SERVICE_KEY", "USER")

_VIEWS_PROJECTS: Final = (
    *(Permission.PROJECT_READ, Permission.PROJECT_SPAN_READ, Permission.TRACE_VIEW_READ),
    *(Permission.CUSTOM_METRIC_READ, Permission.EVALUATOR_READ, Permission.PROJECT_EVAL_TASK_READ),
)
_EDITS_PROJECTS: Final = (
    *_VIEWS_PROJECTS,
    *(Permission.PROJECT_SPAN_CREATE, Permission.PROJECT_SPAN_UPDATE),
    *(Permission.PROJECT_SPAN_ANNOTATE, Permission.PROJECT_EVAL_TASK_CREATE),
    *(Permission.PROJECT_EVAL_TASK_UPDATE, Permission.PROJECT_EVAL_TASK_DELETE),
)
_predefined = partial(RoleData, is_predefined=True)
# The names are the documentation's, and so are Annotator's description and permissions. The
# permissions of the others are ours, since they are not published.
PREDEFINED_ROLES: Final = (
    _predefined(
        name="Project Admin",
        permissions=(*_EDITS_PROJECTS, Permission.PROJECT_DELETE, Permission.PROJECT_RESTRICT),
    ),
    _predefined(name="Project Editor", permissions=_EDITS_PROJECTS),
    _predefined(name="Project Viewer", permissions=_VIEWS_PROJECTS),
    _predefined(
        name="Annotator",
        description="Can access annotation queues.",
        permissions=(
            *(Permission.QUEUE_READ, Permission.QUEUE_RECORD_READ),
            Permission.QUEUE_RECORD_ANNOTATE,
        ),
    ),
    _predefined(name="Read-only", permissions=tuple(p for p in Permission if p.action == "READ")),
    _predefined(
        name="Member", permissions=tuple(p for p in Permission if p.resource not in _ADMINISTRATION)
    ),
    _predefined(name="Admin", permissions=tuple(Permission)),
)
"""The predefined roles, newest first."""


class Contents:
    """What an account holds, as a test puts it there and reads it."""

    _lock: threading.RLock
    _state: State
    _removed_keys: set[str]

    @property
    def _records(self) -> Records:
        return self._state.records

    @property
    def max_custom_roles(self) -> int | None:
        """The limit on custom roles in the account's plan; None is no limit."""
        return self._state.max_custom_roles

    @max_custom_roles.setter
    def max_custom_roles(self, count: int | None) -> None:
        self._limit_custom_roles(count)

    # Roles

    @property
    def roles(self) -> tuple[Role, ...]:
        """Every role, newest first."""
        with self._lock:
            return self._records.roles.in_order()[::-1]

    def role(self, name: str) -> Role | None:
        """Return the role with exactly this name, or None."""
        with self._lock:
            role = self._records.roles.by_name(name)
            return role if role is not None and role.name == name else None

    def add_role(
        self,
        name: str,
        permissions: Iterable[AnyPermission | str] | None = None,
        **fields: Unpack[RoleFields],
    ) -> Role:
        """Add a role, in any state that the service could be in, or replace the one with the ID.

        Args:
            name: The name, which no other role may have; no other rule is checked.
            permissions: Any identifiers; none by default. The account accepts those that are newer
                than this version of the library in later calls, too. One that is a letter off a
                known one leads to a `SuspiciousPermissionWarning`.
            fields: Other fields of a `Role`, such as `description` or `created_at`. By default it
                is custom, has the account's next ID, and was created now.

        Raises:
            ValueError: The name is taken or cannot be sent, or a timestamp is naive.
            TypeError: `permissions` is one string, or a role has no such field.
        """
        given = tuple(reject_string(permissions or ()))
        warn_of_misspelled(map(str, given))
        with self._lock:
            return self._add_role(name, {**fields, "permissions": given})

    def _add_role(self, name: str, fields: Mapping[str, Any]) -> Role:
        state, roles = self._state, self._records.roles
        given: dict[str, Any] = {"created_at": state.now(), "permissions": ()}
        given |= {field: value for field, value in fields.items() if value is not None}
        given["id"] = given.get("id") or roles.next_id()
        known, taken = roles.by_id(given["id"]), roles.by_name(name)
        if taken is not None and taken is not known:
            raise ValueError(f"a role is already named {taken.name!r}")
        if known is not None:
            given = {"updated_at": state.now(), **given, "created_at": known.created_at}
        role = make_role(name=name, **given)
        created, updated = state.written(role.created_at), state.written(role.updated_at)
        role = attrs.evolve(role, created_at=created, updated_at=updated)
        newer = {str(each) for each in role.permissions or () if not each.is_known}
        self._records.extra_permissions.update(newer)
        roles.put(role)
        return role

    def _find_role(self, role: Role | str) -> Role:
        """Return a role, given a role, an ID or a name, or raise `LookupError`."""
        wanted = role if isinstance(role, str) else role.id
        found = self._records.roles.by_id(wanted) or self._records.roles.by_name(wanted)
        if found is None:
            raise LookupError(f"no role has the ID or name {wanted!r}")
        return found

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
            ValueError: The user already has a role on the resource or is blocked, or the resource
                is neither a space nor a project.
        """
        with self._lock:
            found = self._find_role(role)
            return self._bind(found, BindingData(role=found.name, user=user, resource=resource))

    def _bind(self, role: Role, data: BindingData) -> RoleBinding:
        state, bindings = self._state, self._records.bindings
        user, resource = state.ids.of("User", data.user), state.ids.of_resource(data.resource)
        if user in self._records.blocked:
            raise ValueError(f"{data.user!r} is blocked; add_user adds the user again")
        there = bindings.by_target(user, resource)
        if there is not None:
            name = self._find_role(there.role_id).name
            raise ValueError(f"{data.user!r} already has the role {name!r} on {data.resource!r}")
        created = state.written(writable(data.created_at or state.now()))
        binding = RoleBinding(
            id=bindings.next_id() if data.id is None else data.id,
            role_id=role.id,
            user_id=user,
            resource_type=resource_type(resource),
            resource_id=resource,
            created_at=created,
            updated_at=state.written(writable(data.updated_at or created)),
        )
        if bindings.by_id(binding.id) is not None:
            raise ValueError(f"a role binding already has the ID {binding.id!r}")
        bindings.put(binding)
        state.add_implied(user, resource)
        return binding

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
            target = ids.of("User", user), ids.of_resource(resource)
            binding = self._records.bindings.by_target(*target)
            if binding is None or binding.role_id != self._find_role(role).id:
                raise LookupError(f"{user!r} does not have the role on {resource!r}")
            self._records.bindings.remove(binding)

    def bindings(self, role: Role | str | None = None) -> tuple[RoleBinding, ...]:
        """Return the bindings of a role, or all, oldest first.

        Args:
            role: The role, its ID or its name; None is every role.

        Raises:
            LookupError: There is no such role.
        """
        with self._lock:
            bindings = self._records.bindings
            return bindings.in_order() if role is None else bindings.of_role(self._find_role(role))

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
                id=self._state.ids.of("User", email or "" if id is None else id),
                email=email,
                name=(email or "bot").partition("@")[0] if name is None else name,
                status=status,
                role=role or MEMBER,
                is_developer=is_developer,
            )
            return self._add_entry(user)

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
            id: Its ID or label; by default the label is `Space:name`, or `Space:name (2)` and so on
                where that is another space's.
            organization: The name or ID of its organization.
            description: Free text.
            is_private: Whether only its members see it.
        """
        with self._lock:
            organization_id = self._state.ids.of("Organization", organization)
            space = Space(
                id=self._id(id, f"Space:{name}", name=name, organization_id=organization_id),
                name=name,
                description=description,
                organization_id=organization_id,
                is_private=is_private,
            )
            return self._add_entry(space)

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
            space: The name, label or ID of its space.
            id: Its ID or label; by default the label is `Project:space/name`, numbered as a space's
                where that is another project's.
            project_type: Its type, which the service may leave out.
        """
        with self._lock:
            ids = self._state.ids
            space_id = ids.of("Space", space.removeprefix("Space:"))
            label = f"Project:{ids.label(space_id).partition(':')[2]}/{name}"
            project = Project(
                id=self._id(id, label, name=name, space_id=space_id),
                name=name,
                space_id=space_id,
                project_type=project_type,
            )
            return self._add_entry(project)

    def _id(self, given: str | None, label: str, **same: str) -> str:
        """Return the ID of a new space or project, or that of the same one."""
        if given is not None:
            return self._state.ids.of_resource(given)

        def is_free(id: str) -> bool:
            there = self._state.entries_with(id).by_id(id)
            return there is None or all(getattr(there, each) == same[each] for each in same)

        labels = chain([label], (f"{label} ({number})" for number in count(2)))
        return next(filter(is_free, map(self._state.ids.of_resource, labels)))

    def _add_entry(self, entry: _Entry) -> _Entry:
        """Add a user, space or project, or replace the one with the ID, which keeps its age."""
        try:
            msgspec.json.decode(msgspec.json.encode(entry, enc_hook=str), type=type(entry))
        except msgspec.ValidationError as error:
            raise TypeError(str(error)) from error
        what = type(entry).__name__.lower()
        if id_kind(entry.id) not in ID_KINDS[what]:
            raise ValueError(f"{entry.id!r} is not the ID of a {what}")
        entries = self._state.entries_with(entry.id)
        known = entries.by_id(entry.id) or entry
        moment = self._state.written(writable(known.created_at or self._state.now()))
        entry = attrs.evolve(entry, created_at=moment)
        entries.put(entry)
        self._records.blocked.discard(entry.id)
        if isinstance(entry, Project):
            self._state.add_implied(entry.space_id)
        return entry

    def block_user(self, user: str) -> None:
        """Block a user, who is in no list any more and loses every role binding.

        Args:
            user: The ID, or the label, such as the address.

        Raises:
            LookupError: Nobody has the ID: the user must be added, declared or bound before.
            ValueError: The ID is not one of a user.
        """
        with self._lock:
            user_id = self._state.ids.of("User", user)
            if self._records.users.by_id(user_id) is None:
                raise LookupError(f"there is no user {user!r}")
            self._records.blocked.add(user_id)
            for each in [each for each in self.bindings() if each.user_id == user_id]:
                self._records.bindings.remove(each)

    def id(self, label: str) -> str:
        """Return the ID of a user, space or project, whether the account has it or not.

        Accounts of another `api_key` or file have other IDs.

        Args:
            label: A label such as `Space:1` or `Project:1`; any other is a user's, such as an email
                address. An ID is returned as it is, also one of another account.

        Raises:
            ValueError: The label is empty, or the ID would be too long.
        """
        return self._state.ids.of_label(label)

    def label(self, id: str) -> str:
        """Return the label of a user, space or project, such as `Space:1`.

        Args:
            id: An ID. Any other text is returned as it is.
        """
        return self._state.ids.label(id)

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
        check_key(key)
        if on is not None and grants is None:
            raise ValueError("on adds permissions to grants, so grants must be given, such as ()")
        with self._lock:
            self._state.keys[key] = self._grants(grants, on)
            running_recorder().keys.add(key)

    def _grants(
        self,
        grants: Iterable[AnyPermission | str] | None,
        on: Mapping[str, Iterable[AnyPermission | str]] | None = None,
    ) -> Grants:
        def known(permissions: Iterable[AnyPermission | str]) -> frozenset[str]:
            given = frozenset(map(str, reject_string(permissions)))
            newer = given - self._records.extra_permissions
            if flawed := tuple(sorted(each for each in newer if not known_permission(each))):
                raise ValueError(permissions_flaw(flawed))
            return given

        places = self._state.ids.of_resource
        return Grants(
            None if grants is None else known(grants),
            {places(place): known(granted) for place, granted in (on or {}).items()},
        )

    def remove_key(self, key: str) -> None:
        """Remove an API key: requests with it get 401 from then on.

        Raises:
            KeyError: There is no such key.
        """
        with self._lock:
            if key not in self._state.keys:
                raise KeyError("there is no such API key")
            del self._state.keys[key]
            self._removed_keys.add(key)

    def _limit_custom_roles(self, count: int | None) -> None:
        if not (count is None or is_count(count)):
            text = "max_custom_roles must be an integer of 0 or more"
            raise ValueError(f"{text}, not {quoted(count)}")
        self._state.max_custom_roles = count


def check_key(key: str) -> None:
    """Raise `ValueError` if no header can carry an API key."""
    if (flaw := api_key_flaw(Secret(key))) is not None:
        raise ValueError(f"a key {flaw}")
