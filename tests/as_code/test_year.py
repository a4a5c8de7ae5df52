"""A year of an account whose roles, and who has them, are declared month by month."""

import random

import pytest

from arize_roles_async.as_code import Declaration, DeclaredPlace, apply, loads, plan
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.as_code.accounts import account_of, contents, declared, held, role_id

Place = tuple[str, str | None]
ADA, BOB = "ada@example.com", "bob@example.com"
BINDER = ["ROLE_BINDING_CREATE", "ROLE_BINDING_DELETE"]


def label(place: Place) -> str:
    space, project = place
    return f"Space:{space}" if project is None else f"Project:{space}/{project}"


class Year:
    """What the files declare, and the account that has 40 people, 12 spaces and 25 projects."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - the same year each time
        self.account: FakeAccount = account_of("Viewer", "Editor")
        self.account.add_role("Admin", BINDER)
        self.people: list[str] = [f"user-{n}@example.com" for n in range(40)]
        self.gone: set[str] = set()
        self.roles: dict[str, set[str]] = {name: {"ROLE_READ"} for name in ("Viewer", "Editor")}
        self.former: dict[str, list[str]] = {}
        self.absent: list[str] = []
        spaces = [f"Space {n}" for n in range(12)]
        places: list[Place] = [(space, None) for space in spaces]
        places += [(spaces[n % 12], f"Project {n}") for n in range(25)]
        self.users: dict[Place, dict[str, str]] = {place: {ADA: "Admin"} for place in places}
        self.left: dict[Place, set[str]] = {}
        for person in self.people:
            self.account.add_user(person)
        for place in places:
            self.account.bind("Admin", user=ADA, resource=label(place))
        self.by_hand: dict[tuple[str, str], str] = {(BOB, "Space:Space 3"): "Viewer"}
        self.account.bind("Viewer", user=BOB, resource="Space:Space 3")

    def pass_month(self, month: int) -> None:
        """Let people come, move and disappear, and change, rename, create or delete a role."""
        rng = self.rng
        if month == 3:
            self.replace_role("Editor", "Author")
            self.former["Author"] = ["Editor"]
        elif month == 6:
            self.roles["Guest"] = {"TAG_READ"}
        elif month == 9:
            self.replace_role("Guest", "Viewer")
            self.absent = ["Guest"]
        self.roles[rng.choice([*self.roles])] ^= {rng.choice(["DATASET_READ", "PROJECT_READ"])}
        self.left = {place: {*users} & self.gone for place, users in self.users.items()}
        for place, users in self.users.items():
            self.users[place] = {each: users[each] for each in users if each not in self.gone}
        for place in rng.choices([*self.users], k=20):
            person = rng.choice([*{*self.people} - self.gone])
            if self.users[place].pop(person, None) and month % 2:
                self.left[place].add(person)
            else:
                self.users[place][person] = rng.choice(sorted(self.roles))
                self.left[place].discard(person)
        if month % 4 == 1:
            # Who disappears stands in this month's files.
            person = rng.choice(
                [each for users in self.users.values() for each in users if each != ADA]
            )
            self.gone.add(person)
            self.account.block_user(person)

    def replace_role(self, old: str, new: str) -> None:
        permissions = self.roles.pop(old)
        self.roles.setdefault(new, permissions)
        for users in self.users.values():
            users.update({user: new for user, role in users.items() if role == old})

    def declaration(self, *, only: bool) -> Declaration:
        return Declaration(
            roles=[
                declared(name, *self.former.get(name, ()), permissions=permissions)
                for name, permissions in self.roles.items()
            ],
            absent=self.absent,
            anchor=role_id("Viewer"),
            places=[
                DeclaredPlace(space=s, project=p, users=users, absent=self.left[s, p], only=only)
                for (s, p), users in self.users.items()
            ],
        )


@pytest.mark.parametrize("seed", range(3))
async def test_year(seed: int) -> None:
    """Each month's run makes the files, in any order of events, and takes nothing else.

    Only the last month takes what somebody gave by hand, with `only`.
    """
    year = Year(seed)
    roles = FakeRolesClient(year.account)
    for month in range(12):
        year.pass_month(month)
        wanted = year.declaration(only=month == 11)
        planned = await plan(roles, loads(wanted.to_toml()))
        result = await apply(roles, wanted, expected=planned)
        assert len(result.made) > 0
        assert (await plan(roles, wanted)).all_changes == ()
        everyone = {
            (user, label(place)): role
            for place, users in year.users.items()
            for user, role in users.items()
            if user not in year.gone
        }
        assert held(year.account) == everyone | ({} if month == 11 else year.by_hand)
        made = {name: (None, frozenset(granted)) for name, granted in year.roles.items()}
        assert contents(year.account) == made | {"Admin": (None, frozenset(BINDER))}
