"""Planning of places: who gets, changes and loses which role on a space or a project."""

from collections import Counter, defaultdict
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, cast

import attr

from arize_roles_async import ArizeClient, Role, RolesClient, Violation
from arize_roles_async._directory.models import Project, Space, User
from arize_roles_async._role_bindings.models import RoleBinding
from arize_roles_async._values import requests as rules
from arize_roles_async._values.errors import validation_error
from arize_roles_async.as_code.declaration import (
    Declaration,
    DeclaredPlace,
    DeclaredRole,
    as_compared,
    is_address,
)
from arize_roles_async.as_code.toml import quote

BINDS: Final = frozenset({"ROLE_BINDING_CREATE", "ROLE_BINDING_DELETE"})
"""The permissions with which a user decides who has which role at a place."""
_SIGNS: Final = {"give": "+", "change": "~", "take": "-"}


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

    def lines(self) -> Iterator[tuple[Literal["title", "delete", "undeclared"], str]]:
        """Yield what the plan shows, each line with what it is."""
        if not self.is_as_declared:
            yield "title", f"  {self.place}"
        for change in self.changes:
            yield "title" if change.after else "delete", f"{_SIGNS[change.action]} {change.what}"
        for text in self.undeclared:
            yield "undeclared", f"? {text}"
        for note in self.notes:
            yield "title", f"#     {note}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        fields = ("place", "resource_id", "undeclared", "notes", "unchanged")
        changes = [change.to_dict() for change in self.changes]
        return {**{field: getattr(self, field) for field in fields}, "changes": changes}


@attr.frozen(kw_only=True)
class Seen:
    """What a key sees of an account, beside its roles: one walk over each kind."""

    users: tuple[User, ...]
    spaces: tuple[Space, ...]
    projects: tuple[Project, ...]
    bindings: tuple[RoleBinding, ...]


@attr.frozen
class RolesAfter:
    """The roles of an account before a run, by ID, and after it, by name."""

    before: Mapping[str, Role]
    after: Mapping[str, tuple[str | None, frozenset[str]]]
    """The ID of each, None if the run creates it, and its permissions."""

    @classmethod
    def of(
        cls, roles: Sequence[Role], changes: Sequence[tuple[Role | None, DeclaredRole | None]]
    ) -> "RolesAfter":
        """Return them, given the roles and what changes."""
        changed = {before.id for before, _ in changes if before}
        kept: list[tuple[str | None, Role | DeclaredRole]] = [
            *((role.id, role) for role in roles if role.id not in changed),
            *((before.id if before else None, after) for before, after in changes if after),
        ]
        after = {role.name: (role_id, _granted(role)) for role_id, role in kept}
        return cls({role.id: role for role in roles}, after)

    def may_bind(self, name: str | None) -> bool:
        """Return whether a role gives the right to bind after the run."""
        return name is not None and self.after.get(name, (None, frozenset()))[1] >= BINDS


def _granted(role: Role | DeclaredRole | None) -> frozenset[str]:
    return frozenset(map(str, role.permissions or ())) if role else frozenset()


def kinds_of(places: Iterable[DeclaredPlace]) -> set[str]:
    """Return the types of resources that places are."""
    return {"SPACE" if place.project is None else "PROJECT" for place in places}


async def seen(client: RolesClient, kinds: Collection[str] = ("SPACE", "PROJECT")) -> Seen:
    """Read what places of some kinds need, one walk a kind."""
    # A wrapper may have them only by its `__getattr__`, so it is no `ArizeClient` for `isinstance`.
    if not (hasattr(client, "role_bindings") and hasattr(client, "directory")):
        raise validation_error(("roles", "must be a client with role_bindings and directory"))
    ours = cast("ArizeClient", client)
    bindings = [
        each for kind in sorted(kinds) async for each in ours.role_bindings.list(resource_type=kind)
    ]
    return Seen(
        users=tuple([each async for each in ours.directory.users()]),
        spaces=tuple([each async for each in ours.directory.spaces()]),
        projects=tuple(
            [each async for each in ours.directory.projects()] if "PROJECT" in kinds else ()
        ),
        bindings=tuple(bindings),
    )


def compared(
    declaration: Declaration, found: Seen, roles: RolesAfter
) -> tuple[list[PlannedPlace], list[Violation]]:
    """Return what changes on each place, and what is wrong with the declaration."""
    violations: list[Violation] = []
    planned: list[PlannedPlace] = []
    for place in declaration.places:
        comparison = _Comparison(place, found, roles, violations)
        if place.only and declaration.anchor is None:
            why = "needs an anchor, since another account's users would lose their roles"
            violations.append(Violation(f"{place.name}.only", why))
        elif (resource := comparison.resource()) is not None:
            planned.append(comparison.planned(*resource))
    times = Counter(each.resource_id for each in planned)
    twice = {each.place for each in planned if times[each.resource_id] > 1}
    why = "is declared more than once, by its name and its ID"
    violations += [Violation("spaces", f"{place} {why}") for place in sorted(twice)]
    return planned, violations


class _Comparison:
    """The comparison of one place with the account."""

    def __init__(
        self,
        place: DeclaredPlace,
        found: Seen,
        roles: RolesAfter,
        violations: list[Violation],
    ) -> None:
        self._place, self._found, self._roles = place, found, roles
        self._violations = violations
        self._users = {user.id: user for user in found.users}

    def _refuse(self, path: str, message: str) -> None:
        self._violations.append(Violation(f"{self._place.name}{path}", message))

    def resource(self) -> tuple[str, str, str] | None:
        """Return the type and ID of the place and how it is shown, or note why there is none."""
        place = self._place
        space = self._only("space", place.space, self._found.spaces)
        if space is None or place.project is None:
            return space and ("SPACE", space.id, f"space {quote(space.name)}")
        inside = [each for each in self._found.projects if each.space_id == space.id]
        project = self._only("project", place.project, inside)
        shown = project and f"project {quote(project.name)} in space {quote(space.name)}"
        return ("PROJECT", project.id, shown) if project and shown else None

    def _only(self, kind: str, text: str, items: Iterable[Any]) -> Any:  # noqa: ANN401
        """Return the one space or project with a name or ID."""
        is_id = rules.is_id(text)
        there = [each for each in items if text == (each.id if is_id else each.name)]
        if len(there) == 1:
            return there[0]
        if there:
            ids = ", ".join(quote(each.id) for each in there)
            self._refuse("", f"{len(there)} {kind}s are named {quote(text)}; give an ID: {ids}")
        else:
            self._refuse("", f"there is no {kind} {quote(text)}, as far as the key sees")
        return None

    def _user(self, path: str, given: str) -> User | None:
        """Return the user with an address or ID; None if nobody has it, or several."""
        if not is_address(given):
            return self._users.get(given)
        wanted = as_compared(given)
        there = [user for user in self._found.users if as_compared(user.email or "") == wanted]
        if len(there) > 1:
            ids = ", ".join(f"{quote(each.id)} (status {quote(each.status)})" for each in there)
            self._refuse(path, f"{len(there)} users have the address; give one of the IDs: {ids}")
        return there[0] if len(there) == 1 else None

    def planned(self, kind: str, resource_id: str, shown: str) -> PlannedPlace:
        """Return what changes on the place, given its type and ID, and how it is shown."""
        bindings = {
            each.user_id: each
            for each in self._found.bindings
            if each.resource_id == resource_id and each.resource_type == kind
        }
        wanted, notes = self._wanted()
        # A typing error must take nobody's role.
        if self._place.only and not notes:
            wanted |= {user_id: None for user_id in bindings if self._is_person(user_id, wanted)}
        elif self._place.only:
            notes.append("so nobody else loses a role here meanwhile")
        where = (kind, resource_id, shown)
        given = [self._change(user, bindings.get(user), wanted[user], where) for user in wanted]
        changes = [*filter(None, given)]
        others = [each for user_id, each in bindings.items() if user_id not in wanted]
        self._check_binders(bindings, changes)
        return PlannedPlace(
            place=shown,
            resource_id=resource_id,
            changes=tuple(sorted(changes, key=_in_text)),
            undeclared=tuple(
                sorted(
                    f"{quote(self._name(each.user_id))} has {quote(self._role(each))} on {shown}"
                    for each in others
                )
            ),
            notes=tuple(notes),
            unchanged=sum(map(bool, wanted.values())) - sum(bool(each.after) for each in changes),
            bindings=len(bindings),
        )

    def _is_person(self, user_id: str, wanted: Container[str]) -> bool:
        """Return whether the key sees a user whom nobody names, and who is not a bot user.

        The bot user of a service key, perhaps of this one, has no address.
        """
        user = self._users.get(user_id)
        return user_id not in wanted and user is not None and user.email is not None

    def _wanted(self) -> tuple[dict[str, str | None], list[str]]:
        """Return the roles that users should have, by their IDs, and who is not there."""
        place, roles = self._place, self._roles
        wanted: dict[str, str | None] = {}
        notes: list[str] = []
        for given, role in place.users.items():
            path = f".users.{quote(given)}"
            user = self._user(path, given)
            if role not in roles.after:
                self._refuse(path, f"there is no role {quote(role)} after this plan")
            elif user is None:
                notes.append(f"{quote(given)} is not there, so {quote(role)} waits")
            elif user.id in wanted:
                self._refuse(path, "is declared more than once here, by the ID")
            else:
                wanted[user.id] = role
        for given in place.absent:
            user = self._user(f".absent.{quote(given)}", given)
            if user is not None and user.id in wanted:
                self._refuse(f".absent.{quote(given)}", "is declared more than once here")
            elif user is not None:
                wanted[user.id] = None
        return wanted, notes

    def _name(self, user_id: str) -> str:
        return getattr(self._users.get(user_id), "email", None) or user_id

    def _role(self, binding: RoleBinding) -> str:
        role = self._roles.before.get(binding.role_id)
        return role.name if role else binding.role_id

    def _change(
        self,
        user_id: str,
        binding: RoleBinding | None,
        role: str | None,
        place: tuple[str, str, str],
    ) -> BindingChange | None:
        """Return the change that gives a user a role, or takes it; None if there is nothing to."""
        role_id = None if role is None else self._roles.after[role][0]
        if binding is None and role is None:
            return None
        if binding is not None and role_id is not None and binding.role_id == role_id:
            return None
        kind, resource_id, shown = place
        may_bind = self._roles.may_bind(role)
        return BindingChange(
            user=self._name(user_id),
            user_id=user_id,
            place=shown,
            resource_type=kind,
            resource_id=resource_id,
            binding=binding,
            before=None if binding is None else self._role(binding),
            after=role,
            role_id=role_id,
            gives_right_to_bind=may_bind,
            takes_right_to_bind=binding is not None and self._may_bind(binding) and not may_bind,
        )

    def _may_bind(self, binding: RoleBinding) -> bool:
        """Return whether a binding gives the right to bind before the run."""
        return _granted(self._roles.before.get(binding.role_id)) >= BINDS

    def _check_binders(
        self, bindings: Mapping[str, RoleBinding], changes: Iterable[BindingChange]
    ) -> None:
        """Refuse a plan after which nobody on the place may bind, if somebody may now."""
        names = {role_id: name for name, (role_id, _) in self._roles.after.items()}
        after = {user_id: names.get(each.role_id) for user_id, each in bindings.items()}
        after |= {change.user_id: change.after for change in changes}
        is_left = any(self._roles.may_bind(role) for role in after.values())
        if any(map(self._may_bind, bindings.values())) and not is_left:
            rights = " and ".join(sorted(BINDS))
            self._refuse("", f"nobody would be left on it who has {rights}")


def exported(found: Seen, roles: Iterable[Role]) -> tuple[list[DeclaredPlace], list[Violation]]:
    """Return the places that a key sees as they are, and what no file can declare."""
    names = {role.id: role.name for role in roles}
    spaces = _unique({space.id: ("", space.name) for space in found.spaces})
    inside = {each.id: each.space_id for each in found.projects if each.space_id in spaces}
    projects = _unique({each.id: (each.space_id, each.name) for each in found.projects})
    users = _unique({user.id: ("", user.email or "") for user in found.users})
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
    keys = {each: (space, as_compared(name)) for each, (space, name) in names.items()}
    times = Counter(keys.values())
    return {
        each: name if name and times[keys[each]] == 1 and not rules.is_id(name) else each
        for each, (_, name) in names.items()
    }


def _in_text(change: BindingChange) -> tuple[int, str]:
    return [*_SIGNS].index(change.action), change.user


def in_run(places: Iterable[PlannedPlace]) -> tuple[BindingChange, ...]:
    """Return changes as they are made, unless one needs another: give, change, take."""
    changes = [change for place in places for change in place.changes]
    return tuple(sorted(changes, key=lambda change: _in_text(change)[0]))
