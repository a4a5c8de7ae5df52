"""Planning of places: who gets, changes and loses which role on a space or a project."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

import attr

from arize_roles_async import ArizeClient, Role, RolesClient, Violation
from arize_roles_async._directory.models import Project, Space, User
from arize_roles_async._role_bindings.models import RoleBinding
from arize_roles_async._values import requests as rules
from arize_roles_async._values.base_errors import validation_error
from arize_roles_async.as_code.declaration import Declaration, DeclaredPlace, granted
from arize_roles_async.as_code.toml import quote

BINDS: Final = frozenset({"ROLE_BINDING_CREATE", "ROLE_BINDING_DELETE"})
"""The permissions with which a user decides who has which role at a place."""
ACTIONS: Final = ("give", "change", "take")


@attr.frozen(kw_only=True)
class BindingChange:
    """A change of the role that one user has on one space or project."""

    user: str
    """The user's address, or ID without one."""
    user_id: str
    place: str
    """The space or project, as `str` shows it."""
    resource_type: str
    resource_id: str
    binding: RoleBinding | None
    """The binding in the account; None if it is made."""
    before: str | None
    """The name of the role that the user has."""
    after: str | None
    """The name of the role that the user gets; None if the role is taken."""
    role_id: str | None
    """The ID of that role; None if the same run creates it."""
    gives_right_to_bind: bool = attr.field(default=False, repr=False, eq=False)
    takes_right_to_bind: bool = attr.field(default=False, repr=False, eq=False)

    @property
    def action(self) -> Literal["give", "change", "take"]:
        """`give`, `change` or `take`."""
        return "give" if self.binding is None else "take" if self.after is None else "change"

    @property
    def what(self) -> str:
        """The change without its place."""
        user, before, after = (quote(each) for each in (self.user, self.before, self.after))
        if self.action == "change":
            return f"change {user} from {before} to {after}"
        return f"take {before} from {user}" if self.after is None else f"give {after} to {user}"

    def __str__(self) -> str:
        return f"{self.what} on {self.place}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        fields = ("user", "user_id", "resource_type", "resource_id", "before", "after", "role_id")
        binding = {
            "binding_id": self.binding and self.binding.id,
            "before_role_id": self.binding and self.binding.role_id,
        }
        return {"action": self.action, **{f: getattr(self, f) for f in fields}, **binding}


@attr.frozen(kw_only=True)
class PlannedPlace:
    """What a plan changes and sees on one declared space or project."""

    place: str
    """The space or project, as the plan shows it."""
    resource_id: str
    changes: tuple[BindingChange, ...]
    undeclared: tuple[str, ...]
    """Who else has which role, as sentences; they stay as they are."""
    notes: tuple[str, ...]
    """The users who are not there, so that their roles wait, and what that stops."""
    unchanged: int
    """The number of users who have their roles already."""
    bindings: int
    """The number of bindings on it before the changes."""

    @property
    def is_as_declared(self) -> bool:
        """True if it has no change, no undeclared binding, and nobody to wait for."""
        return not (self.changes or self.undeclared or self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        fields = ("place", "resource_id", "undeclared", "notes", "unchanged")
        changes = [change.to_dict() for change in self.changes]
        return {**{field: getattr(self, field) for field in fields}, "changes": changes}


@attr.frozen(kw_only=True)
class Seen:
    """What a key sees of an account, beside its roles: one walk over each kind."""

    users: Mapping[str, User]
    spaces: Sequence[Space]
    projects: Sequence[Project]
    bindings: Sequence[RoleBinding]


async def seen(client: RolesClient, kinds: Collection[str] = ("SPACE", "PROJECT")) -> Seen:
    """Read what places of some kinds need, one walk a kind."""
    # A wrapper may have them only by its `__getattr__`, so it is no `ArizeClient` for `isinstance`.
    if not (hasattr(client, "role_bindings") and hasattr(client, "directory")):
        raise validation_error(("roles", "must be a client with role_bindings and directory"))
    ours = cast("ArizeClient", client)
    listings = [ours.role_bindings.list(resource_type=kind) for kind in sorted(kinds)]
    return Seen(
        bindings=[binding for listing in listings async for binding in listing],
        users={user.id: user async for user in ours.directory.users()},
        spaces=[space async for space in ours.directory.spaces()],
        projects=[each async for each in ours.directory.projects()] if "PROJECT" in kinds else [],
    )


def kind_of(place: DeclaredPlace) -> str:
    """Return the type of resource that a place is."""
    return "SPACE" if place.project is None else "PROJECT"


RolesAfter: TypeAlias = Mapping[str, tuple[str | None, bool]]
"""The roles after a run, by name: the ID, None if the run creates it, and if users may bind."""


def compared(
    declaration: Declaration, found: Seen, roles: Iterable[Role], after: RolesAfter
) -> tuple[list[PlannedPlace], list[Violation]]:
    """Return what changes on each place, and what is wrong with the declaration."""
    violations: list[Violation] = []
    planned: list[PlannedPlace] = []
    before = {role.id: role for role in roles}
    for place in declaration.places:
        comparison = _Comparison(place, found, before, after, violations)
        if (resource := comparison.resource()) is not None:
            planned.append(comparison.planned(*resource))
    times = Counter(each.resource_id for each in planned)
    twice = {each.place for each in planned if times[each.resource_id] > 1}
    why = "is declared more than once, by its name and its ID"
    violations += [Violation("spaces", f"{place} {why}") for place in sorted(twice)]
    return planned, violations


@attr.frozen
class _Comparison:
    _place: DeclaredPlace
    _found: Seen
    _roles: Mapping[str, Role]
    _after: RolesAfter
    _violations: list[Violation]

    def refuse(self, path: str, message: str) -> None:
        self._violations.append(Violation(f"{self._place.name}{path}", message))

    def resource(self) -> tuple[str, str] | None:
        """Return the ID of the place and how it is shown, or note why there is none."""
        space = self._only("space", self._place.space, self._found.spaces)
        if space is None or self._place.project is None:
            return space and (space.id, f"space {quote(space.name)}")
        inside = [each for each in self._found.projects if each.space_id == space.id]
        project = self._only("project", self._place.project, inside)
        shown = f"in space {quote(space.name)}"
        return project and (project.id, f"project {quote(project.name)} {shown}")

    def _only(self, kind: str, text: str, items: Iterable[Any]) -> Any:  # noqa: ANN401
        is_id = rules.is_id(text)
        there = [each for each in items if text == (each.id if is_id else each.name)]
        if len(there) == 1:
            return there[0]
        if there:
            ids = ", ".join(quote(each.id) for each in there)
            self.refuse("", f"{len(there)} {kind}s are named {quote(text)}; give an ID: {ids}")
        else:
            self.refuse("", f"there is no {kind} {quote(text)}, as far as the key sees")
        return None

    def _user(self, path: str, given: str) -> User | None:
        """Return the user with an address or ID; None if nobody has it, or several."""
        if not rules.is_address(given):
            return self._found.users.get(given)
        wanted = rules.as_compared(given)
        users = self._found.users.values()
        there = [user for user in users if rules.as_compared(user.email or "") == wanted]
        if len(there) > 1:
            ids = ", ".join(f"{quote(each.id)} (status {quote(each.status)})" for each in there)
            self.refuse(path, f"{len(there)} users have the address; give one of the IDs: {ids}")
        return there[0] if len(there) == 1 else None

    def planned(self, resource_id: str, shown: str) -> PlannedPlace:
        kind = kind_of(self._place)
        bindings = {
            each.user_id: each
            for each in self._found.bindings
            if each.resource_id == resource_id and each.resource_type == kind
        }
        wanted, notes = self._wanted()
        # A typing error must take nobody's role.
        if self._place.only and not notes:
            wanted |= {user: None for user in bindings if user not in wanted and self._email(user)}
        elif self._place.only:
            notes.append("so nobody else loses a role here meanwhile")
        changes: list[BindingChange] = []
        for user_id, role in wanted.items():
            binding = bindings.get(user_id)
            role_id, may_bind = (None, False) if role is None else self._after[role]
            has_role = binding is not None and binding.role_id == role_id
            if has_role or (binding is None and role is None):
                continue
            change = BindingChange(
                user=self._email(user_id) or user_id,
                user_id=user_id,
                place=shown,
                resource_type=kind,
                resource_id=resource_id,
                binding=binding,
                before=self._role(binding) if binding else None,
                after=role,
                role_id=role_id,
                gives_right_to_bind=may_bind,
                takes_right_to_bind=not may_bind and self._may_bind(binding),
            )
            changes.append(change)
        others = [
            f"{quote(self._email(user) or user)} has {quote(self._role(each))} on {shown}"
            for user, each in bindings.items()
            if user not in wanted
        ]
        self._check_binders(bindings, changes)
        return PlannedPlace(
            place=shown,
            resource_id=resource_id,
            changes=tuple(sorted(changes, key=_in_text)),
            undeclared=tuple(sorted(others)),
            notes=tuple(notes),
            unchanged=sum(map(bool, wanted.values())) - sum(bool(each.after) for each in changes),
            bindings=len(bindings),
        )

    def _wanted(self) -> tuple[dict[str, str | None], list[str]]:
        """Return the roles that users should have, by their IDs, and who is not there."""
        wanted: dict[str, str | None] = {}
        notes: list[str] = []
        for given, role in self._place.users.items():
            path = f".users.{quote(given)}"
            user = self._user(path, given)
            if role not in self._after:
                self.refuse(path, f"there is no role {quote(role)} after this plan")
            elif user is None:
                notes.append(f"{quote(given)} is not there, so {quote(role)} waits")
            elif user.id in wanted:
                self.refuse(path, "is declared more than once here, by the ID")
            else:
                wanted[user.id] = role
        for given in self._place.absent:
            user = self._user(f".absent.{quote(given)}", given)
            if user is not None and user.id in wanted:
                self.refuse(f".absent.{quote(given)}", "is declared more than once here")
            elif user is not None:
                wanted[user.id] = None
        return wanted, notes

    def _email(self, user_id: str) -> str | None:
        """Return a user's address; None for one whom the key does not see.

        The bot user of a service key, perhaps of this one, has none either.
        """
        return getattr(self._found.users.get(user_id), "email", None)

    def _role(self, binding: RoleBinding) -> str:
        role = self._roles.get(binding.role_id)
        return role.name if role else binding.role_id

    def _may_bind(self, binding: RoleBinding | None) -> bool:
        """Return whether a binding gives the right to bind before the run."""
        return binding is not None and granted(self._roles.get(binding.role_id)) >= BINDS

    def _check_binders(
        self, bindings: Mapping[str, RoleBinding], changes: Sequence[BindingChange]
    ) -> None:
        """Refuse a plan after which nobody on the place may bind, if somebody may now."""
        may = {role_id for role_id, may_bind in self._after.values() if may_bind}
        changed = {change.user_id for change in changes}
        stay = [each.role_id for user_id, each in bindings.items() if user_id not in changed]
        is_left = any(each.gives_right_to_bind for each in changes) or not may.isdisjoint(stay)
        if any(map(self._may_bind, bindings.values())) and not is_left:
            self.refuse("", f"nobody would be left on it who has {' and '.join(sorted(BINDS))}")


def exported(found: Seen, roles: Iterable[Role]) -> tuple[list[DeclaredPlace], list[Violation]]:
    """Return the places that a key sees as they are, and what no file can declare."""
    names = {role.id: role.name for role in roles}
    spaces = _unique({space.id: ("", space.name) for space in found.spaces})
    inside = {each.id: each.space_id for each in found.projects if each.space_id in spaces}
    projects = _unique({each.id: (each.space_id, each.name) for each in found.projects})
    users = _unique({user_id: ("", user.email or "") for user_id, user in found.users.items()})
    given = defaultdict[tuple[str, str | None], dict[str, str]](dict)
    notes: list[Violation] = []
    for each in found.bindings:
        place = each.resource_id
        space = spaces.get(inside.get(place, place))
        user, role = users.get(each.user_id), names.get(each.role_id)
        if space is not None and user is not None and role is not None:
            given[space, projects[place] if place in inside else None][user] = role
        else:
            what = f"{each.user_id} has {each.role_id} on {place}"
            notes.append(Violation("places", f"left out, since the key does not see all: {what}"))
    places = [DeclaredPlace(space=s, project=p, users=roles) for (s, p), roles in given.items()]
    return places, notes


def _unique(names: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Return names by ID, or the ID of what shares its name with another, or has none.

    Each comes with the ID of the space that it is in.
    """
    keys = {each: (space, rules.as_compared(name)) for each, (space, name) in names.items()}
    times = Counter(keys.values())
    return {
        each: name if name and times[keys[each]] == 1 and not rules.is_id(name) else each
        for each, (_, name) in names.items()
    }


def _in_text(change: BindingChange) -> tuple[int, str]:
    return ACTIONS.index(change.action), change.user


def in_run(places: Iterable[PlannedPlace]) -> tuple[BindingChange, ...]:
    """Return changes as they are made, unless one needs another: give, change, take."""
    changes = [change for place in places for change in place.changes]
    return tuple(sorted(changes, key=lambda change: _in_text(change)[0]))
