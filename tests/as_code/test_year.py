"""A year of an account whose roles, and who has them, are declared month by month."""

import random

import attrs
import pytest

from arize_roles_async.as_code import Declaration, DeclaredPlace, apply, loads, plan
from arize_roles_fake import FakeRolesClient
from tests.as_code.accounts import BINDER, account_of, contents, declared, role_id
from tests.support.sizes import sized

ADA, BOB = "ada@example.com", "bob@example.com"
BY_HAND = {(BOB, "Space:Space 3"): "Viewer"}
"""What somebody gave whom no file names."""


class Year:
    """What the files declare, and the account that has 40 people, 12 spaces and 25 projects."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - the same year each time
        self.people: list[str] = [f"user-{n}@example.com" for n in range(40)]
        self.roles: dict[str, set[str]] = {name: {"ROLE_READ"} for name in ("Viewer", "Editor")}
        labels = [f"Space:Space {n}" for n in range(12)]
        labels += [f"Project:Space {n % 12}/Project {n}" for n in range(25)]
        self.users: dict[str, dict[str, str]] = {label: {ADA: "Admin"} for label in labels}
        self.left: dict[str, set[str]] = {}
        self.account = account_of("Viewer", "Editor")
        self.account.add_role("Admin", BINDER)
        for person in self.people:
            self.account.add_user(person)
        given = dict.fromkeys(((ADA, label) for label in labels), "Admin") | BY_HAND
        for (user, label), role in given.items():
            self.account.bind(role, user=user, resource=label)

    def pass_month(self, month: int) -> None:
        """Let people come, move and disappear, and change, rename, create or delete a role."""
        rng = self.rng
        if month == 3:
            self.replace_role("Editor", "Author")
        elif month == 6:
            self.roles["Guest"] = {"TAG_READ"}
        elif month == 9:
            self.replace_role("Guest", "Viewer")
        self.roles[rng.choice([*self.roles])] ^= {rng.choice(["DATASET_READ", "PROJECT_READ"])}
        for place, users in self.users.items():
            self.left[place] = {*users} - {ADA, *self.people}
            self.users[place] = {each: users[each] for each in users.keys() - self.left[place]}
        for place in rng.choices([*self.users], k=20):
            person = rng.choice(self.people)
            if self.users[place].pop(person, None) and month % 2:
                self.left[place].add(person)
            else:
                self.users[place][person] = rng.choice(sorted(self.roles))
                self.left[place].discard(person)
        if month % 4 == 1:
            # Who disappears stands in this month's files.
            there = {each for users in self.users.values() for each in users if each != ADA}
            self.people.remove(gone := rng.choice(sorted(there)))
            self.account.block_user(gone)

    def replace_role(self, old: str, new: str) -> None:
        permissions = self.roles.pop(old)
        self.roles.setdefault(new, permissions)
        for users in self.users.values():
            users.update({user: new for user, role in users.items() if role == old})

    def declaration(self, *, only: bool) -> Declaration:
        places: list[DeclaredPlace] = []
        for label, users in self.users.items():
            space, _, project = label.partition(":")[2].partition("/")
            place = DeclaredPlace(space=space, project=project or None, users=users, only=only)
            places.append(attrs.evolve(place, absent=self.left[label]))
        former = {"Author": ["Editor"]}
        roles = [declared(n, *former.get(n, ()), permissions=p) for n, p in self.roles.items()]
        absent = {"Guest"} - self.roles.keys()
        return Declaration(roles=roles, absent=absent, anchor=role_id("Viewer"), places=places)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("seed", range(sized(1, 3)))
async def test_year(seed: int) -> None:
    """Each month's run makes the files and takes nothing else, but for `only` in the last one."""
    year = Year(seed)
    roles = FakeRolesClient(year.account)
    for month in range(12):
        year.pass_month(month)
        wanted = year.declaration(only=month == 11)
        planned = await plan(roles, loads(wanted.to_toml()))
        assert (await apply(roles, wanted, expected=planned)).made
        assert (await plan(roles, wanted)).all_changes == ()
        everyone = {
            (user, label): role
            for label, users in year.users.items()
            for user, role in users.items()
            if user in {ADA, *year.people}
        }
        year.account.assert_bindings(everyone | ({} if month == 11 else BY_HAND))
        made = {name: (None, frozenset(granted)) for name, granted in year.roles.items()}
        assert contents(year.account) == made | {"Admin": (None, frozenset(BINDER))}
