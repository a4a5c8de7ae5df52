"""The order of a plan's changes: a permission that moves is given before it is taken."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import attr

from arize_roles_async.as_code.plan import Change
from arize_roles_async.as_code.toml import quote

_MOST_NAMES: Final = 10


def in_order(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Return changes in the order of a run; those of a circle get a note.

    A permission that moves from one role to another is given before it is taken, so that no user
    lacks it, wherever the run stops. Only roles that pass permissions round in a circle have no
    such order. Deletes come before creates, which need the room where the account's plan is full.
    A delete takes from no user, since a role that a user has is not deleted.
    """
    moves = [(change, {*change.takes}, {*change.gives}) for change in changes]
    # To each permission that moves, those that are given only after it was given everywhere.
    later: dict[str, set[str]] = {}
    for change, takes, gives in moves:
        for permission in takes if gives and change.action == "update" else ():
            later.setdefault(permission, {permission}).update(gives)
    for middle, reached in later.items():
        for each in later.values():
            if middle in each:
                each.update(reached)
    rank = Counter(p for reached in later.values() for p in reached)
    circles: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    placed: list[tuple[tuple[int, int, bool], frozenset[str], Change]] = []
    for change, takes, gives in moves:
        # In a circle, each permission is given after every other one.
        shared = (later[p] for p in takes for q in gives if later.get(q) == later[p])
        circle = frozenset(next(shared, ()))
        circles[circle].append(quote(change.after.name if change.after else ""))
        if change.action != "update" or not takes:
            kind, last = {"update": 0, "delete": 1, "create": 2}[change.action], 0
        else:
            kind, last = (3, max(rank[p] for p in takes)) if gives else (4, 0)
        # Others take what the roles of a circle give.
        placed.append(((kind, last, not circle), circle, change))
    placed.sort(key=itemgetter(0))
    return tuple(
        _noted(change, circles[circle]) if circle else change for _, circle, change in placed
    )


def _noted(change: Change, names: list[str]) -> Change:
    more = [f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    note = (
        f"{', '.join([*names[:_MOST_NAMES], *more])} pass permissions round in a circle, so users "
        "can lack them for a moment; to avoid that, first give, and take in a second run"
    )
    return attr.evolve(change, note="; ".join(filter(None, (note, change.note))))
