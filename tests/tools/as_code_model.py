"""A model of `arize-roles apply`: what an account has, and what a run should change."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import attrs

from arize_roles_async.as_code import Declaration, DeclaredPlace
from tests.as_code.accounts import content

NONE: Final = frozenset[str]()
BINDS: Final = frozenset({"ROLE_BINDING_CREATE", "ROLE_BINDING_DELETE"})
EVERY: Final = frozenset({*BINDS, "ROLE_BINDING_READ"})
"""The permissions of a key on a place; with one of these, it sees the place."""
Key = tuple[str, ...]
"""A kind and an ID, `new` and a role's name, or a kind of place, a user and a place."""
State = dict[Key, Any]
"""The content of roles by their IDs; the IDs of the roles that users have on places; and the names
of users, spaces and projects, these with the IDs of their spaces."""
Roles = dict[str, Any]
"""The content of roles by their IDs."""
KINDS: Final = {"roles", "SPACE", "PROJECT"}
"""The kinds of what a run may change."""


def visible(state: State, lacking: dict[str, frozenset[str]]) -> State:
    """Return what a key sees that lacks permissions on some places, by their IDs."""

    def is_seen(key: Key, value: Any) -> bool:  # noqa: ANN401
        if key[0] in {"SPACE", "PROJECT"}:
            return "ROLE_BINDING_READ" not in lacking.get(key[2], ())
        # A project is seen with its space, too.
        places = [key[1], *value[1:]] if key[0] == "projects" else [key[1]]
        return any(lacking.get(each) != EVERY for each in places)

    return {key: value for key, value in state.items() if is_seen(key, value)}


@attrs.frozen
class Step:
    """A change: of a role from one content to another, or of the ID of the role that a user has.

    A role that the run creates has no ID, and stands there by its name.
    """

    key: Key
    before: Any
    after: Any

    @property
    def is_role(self) -> bool:
        return self.key[0] in {"roles", "new"}

    @property
    def place(self) -> int:
        """Where a change of a role stands: gives, deletes, creates, both, takes."""
        if self.after is None or self.before is None:
            return 1 if self.before else 2
        return (3 if self.gives else 4) if self.takes else 0

    @property
    def gives(self) -> frozenset[str]:
        is_update = self.is_role and self.before and self.after
        return self.after[2] - self.before[2] if is_update else NONE

    @property
    def takes(self) -> frozenset[str]:
        return Step(self.key, self.after, self.before).gives

    def may_need(self, other: "Step") -> bool:
        """Return whether it may have to wait until another one was made."""
        if other.is_role:
            lets_bind = other.after is not None and other.after[2] >= BINDS
            is_given = not self.takes.isdisjoint(other.gives) or self.after == other.key[1]
            return lets_bind or is_given
        if self.is_role:
            is_left = other.before == self.key[1] and (not self.after or self.gives or self.takes)
            return bool(is_left) or not BINDS.isdisjoint(self.takes)
        return self.key[2] == other.key[2]

    def merged(self, old: Any) -> Any:  # noqa: ANN401 - a value of a state
        """Return what something becomes if only the fields that differ are sent."""
        if not self.is_role or self.after is None or self.before is None or old is None:
            return self.after
        fields = zip(self.before, self.after, old, strict=True)
        return tuple(after if before != after else now for before, after, now in fields)


def as_step(change: dict[str, Any]) -> Step:
    """Return a change of the command's JSON."""
    if "user_id" in change:
        key = change["resource_type"], change["user_id"], change["resource_id"]
        return Step(key, change["before_role_id"], change["role_id"] or change["after"])
    before, after = (
        each and (each["name"], each["description"], frozenset(each["permissions"]))
        for each in (change["before"], change["after"])
    )
    return Step(("roles", change["id"]) if before else ("new", after[0]), before, after)


Planned = tuple[list[Step], list[str]]
"""What is to change, and the IDs of the roles that stay."""


class _MisfitError(Exception):
    """A declaration does not fit an account."""


def planned(declared: Declaration, state: State, born: dict[str, datetime]) -> Planned | None:
    """Return what has to change, and what stays; None if the file does not fit the account."""
    roles = {key[1]: value for key, value in state.items() if key[0] == "roles"}
    try:
        steps, kept = _of_roles(declared, roles, born)
        changed = {step.key[1]: step.after for step in steps}
        after = {role_id: each for role_id, each in {**roles, **changed}.items() if each}
        for place in declared.places:
            steps += _on(place, state, roles, after)
    except _MisfitError:
        return None
    return sorted(steps, key=str), sorted(kept)


def _require(holds: object) -> None:
    if not holds:
        raise _MisfitError


def _of_roles(
    declared: Declaration, roles: Roles, born: dict[str, datetime]
) -> tuple[list[Step], list[str]]:
    _require(declared.anchor in {None, *roles})
    by_name = {each[0]: role_id for role_id, each in roles.items()}
    steps: list[Step] = []
    kept: list[str] = []
    for role in declared.roles:
        found = [by_name[each] for each in (role.name, *role.previously) if each in by_name]
        if role.name in by_name:
            # Who is younger than the renamed role is a stranger.
            found = [each for each in found if born[each] <= born[found[0]]]
        _require(len(found) < 2)
        before, wanted = roles[found[0]] if found else None, content(role)
        if before == wanted:
            kept += found
        else:
            steps.append(Step(("roles", *found) if found else ("new", role.name), before, wanted))
    there = [by_name[name] for name in declared.absent if name in by_name]
    return [*steps, *(Step(("roles", each), roles[each], None) for each in there)], kept


def _on(place: DeclaredPlace, state: State, roles: Roles, after: Roles) -> Iterator[Step]:
    """Yield what changes on a place, given the roles before and after the run, by their IDs."""
    space = _found(place.space, state, "spaces")
    _require(space)
    kind, resource = "SPACE", space[0]
    if place.project is not None:
        wanted_project = (place.project, space[0])
        inside = [k[1] for k, v in state.items() if k[0] == "projects" and v == wanted_project]
        _require(inside)
        kind, resource = "PROJECT", inside[0]
    there = {key[1]: role for key, role in state.items() if (key[0], key[-1]) == (kind, resource)}
    by_name = {each[0]: role_id for role_id, each in after.items()}
    wanted: dict[str, str | None] = {}
    is_waiting = False
    for user, role in {**place.users, **dict.fromkeys(place.absent)}.items():
        _require(role is None or role in by_name)
        found = _found(user, state, "users")
        is_waiting |= not found and role is not None
        wanted |= dict.fromkeys(found, role and by_name[role])
    if place.only and not is_waiting:
        people = {key[1] for key in state if key[0] == "users"}
        wanted = dict.fromkeys(people.intersection(there)) | wanted

    def may_bind(held: dict[str, Any], granted: Roles) -> bool:
        return any(granted[each][2] >= BINDS for each in held.values() if each in granted)

    _require(may_bind({**there, **wanted}, after) or not may_bind(there, roles))
    for user_id, role_id in wanted.items():
        if there.get(user_id) != role_id:
            yield Step((kind, user_id, resource), there.get(user_id), role_id)


def _found(given: str, state: State, kind: str) -> list[str]:
    """Return the IDs of what has a name or an ID; several do not fit."""
    found = [
        key[1]
        for key, name in state.items()
        if key[0] == kind and (given in {key[1], name} or ("@" in given and given.lower() == name))
    ]
    _require(len(found) < 2)
    return found
