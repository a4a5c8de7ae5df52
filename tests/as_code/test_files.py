"""Several files as one declaration, sets of permissions, and the places of violations."""

import re
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arize_roles_async import ValidationError
from arize_roles_async.as_code import Declaration, FileViolation, compare, load, loads
from tests.as_code import strategies
from tests.as_code.accounts import account_of, declaration, declared

ONCE = "a name, present or former, may appear only once"
ROLE = '[roles."{}"]\npermissions = ["ROLE_READ"]\n'


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(**texts: str) -> None:
    for name, text in texts.items():
        Path(f"{name}.toml").write_text(text, "utf-8")


def refused(*paths: str) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        load(*paths)
    return [*map(str, caught.value.violations)]


def places(text: str) -> list[tuple[str, int]]:
    """Return the field and the line of each violation in a text."""
    with pytest.raises(ValidationError) as caught:
        loads(text, "roles.toml")
    found = [each for each in caught.value.violations if isinstance(each, FileViolation)]
    return [(each.field, each.line) for each in found]


class TestSeveral:
    def test_one(self) -> None:
        """Files are one declaration, as if all stood in one."""
        write(
            a='account = "staging"\nabsent = ["X"]\n' + ROLE.format("B"),
            b='account = "staging"\nabsent = ["Y"]\nignored = ["I"]\n' + ROLE.format("A"),
        )
        assert load("a.toml", "b.toml") == Declaration(
            roles=[declared("A"), declared("B")],
            absent=["X", "Y"],
            ignored=["I"],
            account="staging",
        )

    def test_folder(self) -> None:
        """A folder means its own `*.toml`; a file that is given twice is read once."""
        folder = Path("roles")
        (folder / "below").mkdir(parents=True)
        (folder / "b.toml").write_text(ROLE.format("B"))
        (folder / "a.toml").write_text(ROLE.format("A"))
        (folder / "note.txt").write_text("no TOML")
        (folder / "below" / "c.toml").write_text(ROLE.format("C"))
        assert load("roles") == load("roles", folder) == declaration("A", "B")

    def test_dotfiles(self) -> None:
        """A folder without files is refused, and an editor's or macOS's, with a dot, are none."""
        folder = Path("roles")
        folder.mkdir()
        (folder / ".#a.toml").symlink_to("nobody@nowhere.17")
        assert refused("roles") == ["roles: is unreadable: the folder has no *.toml"]
        (folder / "._a.toml").write_bytes(b"\0\5\x16\7")
        (folder / "a.toml").write_text(ROLE.format("A"))
        assert load("roles") == declaration("A")

    @pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a file without an end")
    def test_endless(self) -> None:
        """No more of a file is read than it may have."""
        Path("a.toml").symlink_to("/dev/zero")
        assert refused("a.toml") == ["a.toml: is unreadable: must have at most 32 MiB"]

    def test_name_twice(self) -> None:
        """A name in two files is refused, and both are named."""
        write(a=ROLE.format("A"), b='\nabsent = [\n"X",\n"A",\n]', c='ignored = ["X"]')
        assert refused("a.toml", "b.toml", "c.toml") == [
            f'b.toml:4: absent."A": is also at roles."A"; {ONCE}',
            f'a.toml:1: roles."A": is also at absent; {ONCE}',
            f'b.toml:3: absent."X": is also at ignored; {ONCE}',
            f'c.toml:1: ignored."X": is also at absent; {ONCE}',
        ]

    def test_role_twice(self) -> None:
        """So is a role in two files."""
        write(a=ROLE.format("A"), b="\n" + ROLE.format("A"))
        assert refused("a.toml", "b.toml") == [
            f'{place}: roles."A": appears more than once' for place in ("a.toml:1", "b.toml:2")
        ]

    @pytest.mark.parametrize("key", ["account", "anchor"])
    def test_accounts(self, key: str) -> None:
        """Files for different accounts are refused."""
        write(a=f'{key} = "One"', b="", c=f'\n{key} = "Two"')
        assert refused("a.toml", "b.toml", "c.toml") == [
            f"{place}: {key}: must be the same in all files that have it"
            for place in ("a.toml:1", "c.toml:2")
        ]

    def test_all_wrong(self) -> None:
        """Every violation of every file is in one error, with the cause of the first."""
        write(a="x = [", b="[roles.B]", c='new_permissions = "X"')
        gone, broken, *others = refused("none.toml", "a.toml", "b.toml", "c.toml")
        assert gone.startswith("none.toml: is unreadable: [Errno 2] ")
        assert re.match(r"a\.toml(:1)?: is not valid TOML: ", broken)
        assert others == [
            "c.toml:1: new_permissions: must be a list of strings",
            'b.toml:1: roles."B".permissions: must hold at least one permission',
        ]

    @pytest.mark.parametrize(("has_line", "place"), [(True, "a.toml:7"), (False, "a.toml")])
    def test_other_words(
        self, monkeypatch: pytest.MonkeyPatch, *, has_line: bool, place: str
    ) -> None:
        """The line is the number that newer Pythons give, whatever the words of an error are."""

        def refuse(_: str) -> None:
            error = ValueError("Nein")  # the base class: Python 3.14 wants other arguments
            vars(error).update({"lineno": 7} if has_line else {})
            raise error

        write(a="")
        monkeypatch.setattr(tomllib, "loads", refuse)
        assert refused("a.toml") == [f"{place}: is not valid TOML: Nein"]

    @pytest.mark.parametrize("broken", ["= 5", "a.b. = 5", "\x00", 'x = """\n[roles.B]'])
    def test_one_broken(self, broken: str) -> None:
        """A file that is not TOML has no place for the violations of another."""
        write(a=broken, b="[roles.B]")
        first, second = refused("a.toml", "b.toml")
        assert first.startswith("a.toml:")
        assert ": is not valid TOML: " in first
        assert second == 'b.toml:1: roles."B".permissions: must hold at least one permission'


class TestIgnored:
    def test_plan(self) -> None:
        """A role that is ignored is left alone, and a plan does not list it."""
        account = account_of("Legacy Admin", "Other")
        plan = compare(account.roles, loads('ignored = ["Legacy Admin", "Not there"]'))
        assert [role.name for role in plan.undeclared] == ["Other"]
        assert "Legacy" not in str(plan)
        assert plan.custom_roles == 2

    def test_declared(self) -> None:
        """A role cannot be declared and ignored at once."""
        assert places('ignored = ["B", "A"]\n' + ROLE.format("A")) == [
            ('ignored."A"', 1),
            ('roles."A"', 2),
        ]


NEW = 'new_permissions = ["NEW_READ"]\n'
SETS = """
[sets]
readers = ["PROJECT_READ", "DATASET_READ"]
writers = ["DATASET_CREATE", "DATASET_READ"]
"""


class TestSets:
    def test_included(self) -> None:
        """A role has the permissions of its sets and its own."""
        text = '[roles.A]\ninclude = ["readers", "writers"]\npermissions = ["ROLE_READ"]\n'
        text += '[roles.B]\ninclude = ["readers"]'
        role = {"permissions": ["DATASET_READ", "PROJECT_READ"]}
        both = ["DATASET_CREATE", "DATASET_READ", "PROJECT_READ", "ROLE_READ"]
        assert loads(SETS + text) == declaration(
            declared("A", permissions=both), declared("B", **role)
        )

    def test_other_file(self) -> None:
        """A set of one file is known in all, whatever their order."""
        write(a='[roles.A]\ninclude = ["readers"]', b='[sets]\nreaders = ["ROLE_READ"]')
        assert load("a.toml", "b.toml") == declaration("A")

    def test_twice(self) -> None:
        """A set is defined in one file."""
        write(a="\n[sets]\nx = ['ROLE_READ']", b="sets.x = ['TAG_READ']")
        assert refused("a.toml", "b.toml") == [
            'a.toml:3: sets."x": is defined more than once',
            'b.toml:1: sets."x": is defined more than once',
        ]

    def test_unknown(self) -> None:
        """A set that is not there is refused, with the nearest."""
        with pytest.raises(ValidationError) as caught:
            loads(SETS + '[roles.A]\npermissions = ["ROLE_READ"]\ninclude = ["raeders"]')
        assert str(caught.value) == (
            'file:7: roles."A".include."raeders": is not a set; did you mean "readers"?'
        )
        with pytest.raises(ValidationError, match=r'"readers": is not a set$'):
            loads('[roles.A]\npermissions = ["ROLE_READ"]\ninclude = ["readers"]')

    def test_not_lists(self) -> None:
        """Sets are lists of permissions, and what includes them names them in a list."""
        text = """
            [sets]
            empty = []
            nested = {include = ["empty"]}
            [roles.A]
            permissions = ["ROLE_READ"]
            include = "empty"
            [roles.B]
            permissions = 5
            include = [5]
        """
        assert places(text) == [
            ('roles."A".include', 7),
            ('roles."B".include', 10),
            ('roles."B".permissions', 9),
            ('sets."empty"', 3),
            ('sets."nested"', 4),
        ]

    def test_nested(self) -> None:
        """A set among permissions is refused as such, and not as a new permission."""
        text = SETS + 'both = ["readers"]\n[roles.A]\ninclude = ["both"]\npermissions = ["writers"]'
        with pytest.raises(ValidationError) as caught:
            loads(text)
        assert [*map(str, caught.value.violations)] == [
            f"file:{place}: is a set: only roles include sets, each as many as it needs"
            for place in ('5: sets."both"."readers"', '8: roles."A".permissions."writers"')
        ]

    def test_typing_error(self) -> None:
        """A permission of a set that may be a typing error is reported once, at the set."""
        text = '[sets]\nx = ["RAED", "ROLE_READ"]\n'
        text += '[roles.A]\ninclude = ["x"]\n[roles.B]\ninclude = ["x"]\npermissions = ["NO"]'
        assert places(text) == [
            ('roles."B".permissions."NO"', 7),
            ('sets."x"."RAED"', 2),
        ]

    def test_new_permission(self) -> None:
        """A permission that one file calls new is known in all."""
        write(a='[sets]\nx = ["NEW_READ"]\n[roles.A]\ninclude = ["x"]', b=NEW + ROLE.format("B"))
        assert load("a.toml", "b.toml").new_permissions == ("NEW_READ",)

    def test_unused(self) -> None:
        """A set that no role includes is a note."""
        noted = loads(SETS + '[roles.A]\ninclude = ["readers"]').notes
        assert [*map(str, noted)] == ['file:4: sets."writers": is a set that no role includes']

    def test_plan(self) -> None:
        """A plan shows permissions, and in a note the set that a change comes from."""
        text = '[roles.A]\ninclude = ["readers"]\npermissions = ["ROLE_READ", "TAG_READ"]\n'
        text += '[roles.New]\ninclude = ["writers"]\npermissions = ["DATASET_READ"]'
        plan = compare(account_of("A").roles, loads(SETS + text))
        assert str(plan).split("\n")[:-2] == [
            '! update "A"',
            '+     "DATASET_READ"',
            '+     "PROJECT_READ"',
            '+     "TAG_READ"',
            '#     set "readers" gives "DATASET_READ", "PROJECT_READ"',
            '+ create "New"',
            '+     "DATASET_CREATE"',
            '+     "DATASET_READ"',
            '#     set "writers" gives "DATASET_CREATE"',
        ]


class TestPlaces:
    def test_lines(self) -> None:
        """A violation has the line of what it is about: an item, a key, or a table."""
        text = '''
            # absent = ["Twice", "Twice"]
            account = """
            [roles.A]
            ""\\"" """
            absent = [
                "A # B",  # ] "Twice"
                'Twice',
            ]
            "extra" = {x = [1, 2], "y]" = '"'}
            [roles]
            'Dotted "A".x' . permissions = [

                "",
            ]
              [roles."B"]  # [roles."C"]
              [roles."C"]
              description = false
              permissions = ["ROLE_READ"]
              typo = 1
              previously = [
                "Twice",
              ]
        '''
        assert places(text) == [
            ('"extra"', 10),
            ('roles."C"."typo"', 20),
            ('roles."C".description', 18),
            ('roles."B".permissions', 16),
            ('roles."Dotted \\"A\\".x".permissions', 12),
            ('absent."Twice"', 8),
            ('roles."C".previously."Twice"', 22),
        ]

    @pytest.mark.parametrize(
        ("line", "role"),
        [
            ('"Set {:05}",', "[roles.A]\ninclude = ["),
            ('"Name {0:05}", "Name {0:05}",', "absent = ["),
        ],
        ids=["include", "absent"],
    )
    def test_many(self, line: str, role: str) -> None:
        """The places of many violations are found in a moment."""
        lines = "\n".join(line.format(n) for n in range(10_000))
        begin = time.process_time()
        found = places(f"{role}\n{lines}\n]")
        assert time.process_time() - begin < 3
        assert {at for _, at in found} >= {*range(10, 10_000)}

    @given(strategies.declarations(at_least=1), st.data())
    def test_random(self, declared: Declaration, data: st.DataObject) -> None:
        """Whatever stands before a wrong key, its line is found."""
        before = data.draw(
            st.sampled_from(["", "\n", "# [\n", "a = '''\n[\n''''\n", "b.c = [\n]\n"])
        )
        text = before + declared.to_toml()
        text += '\n[roles."Wrong one"]\npermissions = ["ROLE_READ"]\nwrong = 1\n'
        found = dict(places(text))
        assert found['roles."Wrong one"."wrong"'] == text.count("\n")

    def test_plan(self) -> None:
        """What does not fit the account has its place in the right file, too."""
        write(a='absent = ["X"]', b='absent = [\n"Y",\n"Admin"]', c=ROLE.format("Member"))
        with pytest.raises(ValidationError) as caught:
            compare(account_of(predefined=True).roles, load("a.toml", "b.toml", "c.toml"))
        assert [*map(str, caught.value.violations)] == [
            'c.toml:1: roles."Member": is predefined, and cannot be changed',
            'b.toml:3: absent."Admin": is predefined, and cannot be changed',
        ]
