"""Files of declared roles: their rules, several as one declaration, sets, places, and writing."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arize_roles_async import UnknownPermission, ValidationError, Violation
from arize_roles_async.as_code import Declaration, DeclaredRole, FileViolation, compare, load, loads
from arize_roles_async.as_code.schema import schema
from arize_roles_async.as_code.toml import formatted
from tests.as_code import strategies
from tests.as_code.accounts import declaration, declared

WRITTEN = r"""account = "staging"

anchor = "Um9sZTpB"

new_permissions = [
    "NEW_READ",
]

absent = [
    "Gone",
    "Old",
]

ignored = [
    "Theirs",
]

[roles."A \"quoted\" \\"]
description = "Line\nnext\u001b[31m \U0000202eright\U000e0001 ``\u0060` é"
previously = [
    "Y",
    "Z",
]
permissions = [
    "DATASET_READ",
    "ROLE_READ",
]

[roles."B"]
permissions = [
    "ROLE_READ",
]
"""
NAMES = (
    "must not contain {}: only ASCII letters, digits, space and "
    "- _ . , ( ) [ ] ' \" / : \\ & @ # $ % ! ? + = are allowed"
)
ONCE = "a name, present or former, may appear only once; to pass one on takes two runs"
ROLE = '[roles."{}"]\npermissions = ["ROLE_READ"]\n'
VALIDATOR: Any = jsonschema.Draft7Validator(schema())


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(**texts: str) -> None:
    for name, text in texts.items():
        Path(f"{name}.toml").write_text(text, "utf-8")


def flaws(read: Callable[..., object], *given: object) -> tuple[Violation, ...]:
    with pytest.raises(ValidationError) as caught:
        read(*given)
    return caught.value.violations


def violations(text: str) -> list[tuple[str, str]]:
    return [(each.field, each.message) for each in flaws(loads, text)]


def refused(*paths: str) -> list[str]:
    return [*map(str, flaws(load, *paths))]


def places(text: str) -> list[tuple[str, int]]:
    """Return the field and the line of each violation in a text."""
    found = [each for each in flaws(loads, text, "roles.toml") if isinstance(each, FileViolation)]
    return [(each.field, each.line) for each in found]


def test_new_permissions() -> None:
    """A permission that this version does not know has to be called new."""
    text = '[roles.A]\npermissions = ["NEW_READ"]'
    listed = 'if it is newer, list it: new_permissions = ["NEW_READ"]'
    flaw = ('roles."A".permissions."NEW_READ"', f"is not known to this version; {listed}")
    assert violations(text) == [flaw]
    declared = loads(f'new_permissions = ["NEW_READ"]\n{text}')
    assert declared.roles[0].permissions == (UnknownPermission("NEW_READ"),)


class TestRefusing:
    @pytest.mark.parametrize(
        ("path", "named", "cause"),
        [
            ("no/such/file", "no/such/file", FileNotFoundError),
            ("latin", "latin", UnicodeDecodeError),
            ("a\0b", '"a\\u0000b"', ValueError),
            (5, "5", TypeError),
        ],
    )
    def test_unreadable(self, path: Any, named: str, cause: type[Exception]) -> None:  # noqa: ANN401
        """A file that is not there, is no UTF-8 or has no name is refused, with the cause."""
        Path("latin").write_bytes(b'absent = ["\xe9"]')
        with pytest.raises(
            ValidationError, match=rf"^{re.escape(named)}: is unreadable: "
        ) as caught:
            load(path)
        assert isinstance(caught.value.__cause__, cause)

    @pytest.mark.parametrize(
        ("text", "field", "message"),
        [
            (5, "file", "must be a text, not int"),
            ("roles = 5", "roles", "must be a table"),
            ("roles.A = 5", 'roles."A"', "must be a table"),
            ('undeclared = "x"', "undeclared", 'must be "ignore"'),
        ],
    )
    def test_one(self, text: Any, field: str, message: str) -> None:  # noqa: ANN401
        """What is no text, no table or of another type is refused."""
        assert violations(text)[0] == (field, message)

    def test_large(self) -> None:
        """A file of more than 32 MiB in UTF-8 is refused."""
        text = "#" + "é" * (16 * 1024 * 1024)
        assert violations(text) == [("file", "must have at most 32 MiB")]

    def test_every_violation(self) -> None:
        """One error holds every violation, by the path of its key."""
        text = """
            absent = ["", "Twice", "Twice", "AI Engineer"]
            ignored = [7]
            extra = 1
            [roles."AI Engineer"]
            permission = ["DATASET_READ"]
            description = false
            [roles.Reader]
            permissions = [5, "", [""], "NEW_READ"]
            previously = [""]
            description = 0
            [roles."Ünal"]
            permissions = "ROLE_READ"
            previously = ["Reader", "Former"]
            [roles.Other]
            permissions = {}
            previously = ["Former"]
        """
        assert violations(text) == [
            (
                '"extra"',
                (
                    "is not a key here; the keys are account, anchor, new_permissions, absent, "
                    "ignored, undeclared, sets, roles"
                ),
            ),
            ("ignored", "must be a list of strings"),
            (
                'roles."AI Engineer"."permission"',
                "is not a key here; the keys are description, previously, include, permissions",
            ),
            ('roles."AI Engineer".description', "must be a string"),
            ('roles."Reader".description', "must be a string"),
            ('roles."Reader".permissions', "must be a list of strings"),
            ('roles."Ünal".permissions', "must be a list of strings"),
            ('roles."Other".permissions', "must be a list of strings"),
            ('roles."AI Engineer".permissions', "must hold at least one permission"),
            ('roles."Ünal".name', NAMES.format(r"'\xdc'")),
            ('absent.""', "must not be empty"),
            ('roles."Reader".previously.""', "must not be empty"),
            ('absent."AI Engineer"', f'is also at roles."AI Engineer"; {ONCE}'),
            ('roles."AI Engineer"', f"is also at absent; {ONCE}"),
            ('absent."Twice"', "appears more than once"),
            ('roles."Other".previously."Former"', f'is also at roles."Ünal".previously; {ONCE}'),
            ('roles."Ünal".previously."Former"', f'is also at roles."Other".previously; {ONCE}'),
            ('roles."Reader"', f'is also at roles."Ünal".previously; {ONCE}'),
            ('roles."Ünal".previously."Reader"', f'is also at roles."Reader"; {ONCE}'),
        ]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"roles": 5}, "roles: must be a list of DeclaredRole objects, not int"),
            ({"roles": None}, "roles: must be a list of DeclaredRole objects, not None"),
            ({"roles": [5]}, "roles: must hold DeclaredRole objects, not int"),
            ({"absent": "x"}, "absent: must be a list of names, not str"),
            ({"new_permissions": 5}, "new_permissions: must be a list of permissions, not int"),
        ],
    )
    def test_arguments(self, given: dict[str, Any], message: str) -> None:
        """A declaration that is made of anything else is refused, too."""
        with pytest.raises(ValidationError) as caught:
            Declaration(**given)
        assert str(caught.value) == message


class TestWriting:
    def test_order(self) -> None:
        """Roles come in the order of names, each permission on a line that ends in a comma."""
        declared = Declaration(
            roles=[
                DeclaredRole(name="B", permissions=["ROLE_READ"]),
                DeclaredRole(
                    name='A "quoted" \\',
                    permissions=["ROLE_READ", "DATASET_READ"],
                    description="Line\nnext\x1b[31m \u202eright\U000e0001 ```` é",
                    previously=["Z", "Y"],
                ),
            ],
            absent=["Old", "Gone"],
            new_permissions=["NEW_READ"],
            account="staging",
            anchor="Um9sZTpB",
            ignored=["Theirs"],
        )
        assert declared.to_toml() == WRITTEN

    @given(strategies.declarations())
    def test_any(self, declared: Declaration) -> None:
        """What was written is read as an equal declaration, is in order, and fits the schema.

        No character of it acts on a terminal, and no fence is closed by it.
        """
        text = declared.to_toml()
        assert loads(text) == declared
        assert all(line.isprintable() for line in text.split("\n"))
        assert "```" not in text
        assert formatted("a", text) == text
        VALIDATOR.validate(tomllib.loads(text))

    @given(strategies.declarations(), st.data())
    def test_cut_short(self, declared: Declaration, data: st.DataObject) -> None:
        """A text that is cut short anywhere is refused, or declares nothing else than the whole."""
        text = declared.to_toml()
        try:
            part = loads(text[: data.draw(st.integers(0, len(text)))])
        except ValidationError:
            return
        assert set(part.roles) <= set(declared.roles)
        assert part.absent in ((), declared.absent)


class TestSeveral:
    def test_folder(self) -> None:
        """A folder means its `*.toml` and those below; a file that is given twice is read once."""
        folder = Path("roles")
        for name, role in {"b.toml": "B", "a.toml": "A", "below/d/c.toml": "C"}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(ROLE.format(role))
        (folder / "empty").mkdir()
        (folder / "note.txt").write_text("no TOML")
        assert load("roles") == load("roles", folder) == declaration("A", "B", "C")
        names = ["roles/a.toml", "roles/b.toml", "roles/below/d/c.toml"]
        assert [file.name for file in load("roles").files] == names

    def test_dotfiles(self) -> None:
        """A folder without files is refused, and an editor's or macOS's, with a dot, are none."""
        folder = Path("roles")
        folder.mkdir()
        (folder / ".#a.toml").symlink_to("nobody@nowhere.17")
        (folder / ".git").mkdir()
        (folder / ".git" / "a.toml").write_text("[")
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
        role = ROLE.format("B")
        write(a=ROLE.format("A"), b='\nabsent = [\n"X",\n"A",\n]', c='ignored = ["X"]\n' + role)
        write(d=role)
        assert refused("a.toml", "b.toml", "c.toml", "d.toml") == [
            f'b.toml:4: absent."A": is also at roles."A"; {ONCE}',
            f'a.toml:1: roles."A": is also at absent; {ONCE}',
            f'b.toml:3: absent."X": is also at ignored; {ONCE}',
            f'c.toml:1: ignored."X": is also at absent; {ONCE}',
            'c.toml:2: roles."B": appears more than once',
            'd.toml:1: roles."B": appears more than once',
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
        Path("d").mkdir()
        write(a="x = [", b="[roles.B]", c='new_permissions = "X"')
        for name in ("d/a", "d/b"):
            Path(f"{name}.toml").write_bytes(b"\xff")
        gone, latin, latin_2, broken, *others = refused(
            "none.toml", "d", "a.toml", "b.toml", "c.toml"
        )
        assert [each.partition(":")[0] for each in (latin, latin_2)] == ["d/a.toml", "d/b.toml"]
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

    @pytest.mark.parametrize("marker", ["<<<<<<< HEAD", "=======", ">>>>>>> theirs\r"])
    def test_merge(self, marker: str) -> None:
        """A conflict of a merge is called that."""
        write(a=f"absent = []\n{marker}\n")
        conflict = "has a conflict of a merge, which somebody has to resolve"
        assert refused("a.toml") == [f"a.toml:2: {conflict}"]

    @pytest.mark.parametrize(
        "broken",
        [
            *("= 5", "a.b. = 5", "\x00", 'x = """\n[roles.B]', 'absent = ["A"\n[roles'),
            "absent = []\nroles = ~",
            "a = " + "[" * 10_000,  # Python gives up on it
            "a = " + "9" * 5_000,
        ],
    )
    def test_one_broken(self, broken: str) -> None:
        """A file that is not TOML has no place for the violations of another."""
        write(a=broken, b="[roles.B]")
        first, second = refused("a.toml", "b.toml")
        assert first.startswith("a.toml:")
        assert ": is not valid TOML: " in first
        assert second == 'b.toml:1: roles."B".permissions: must hold at least one permission'


SETS = """
[sets]
readers = ["PROJECT_READ", "DATASET_READ"]
writers = ["DATASET_CREATE", "DATASET_READ"]
"""


class TestSets:
    def test_included(self) -> None:
        """A role has the permissions of its sets and its own, and notes name the sets."""
        text = f'{SETS}[roles.A]\ninclude = ["readers", "writers"]\npermissions = ["TAG_READ"]'
        both = ["DATASET_CREATE", "DATASET_READ", "PROJECT_READ", "TAG_READ"]
        assert loads(text) == declaration(declared("A", permissions=both))
        (change,) = compare([], loads(text)).changes
        writers = 'set "writers" gives "DATASET_CREATE", "DATASET_READ"'
        assert change.note == f'set "readers" gives "PROJECT_READ"; {writers}'

    def test_unknown(self) -> None:
        """A set that is not there is refused, with the nearest."""
        text = '[roles.A]\npermissions = ["ROLE_READ"]\ninclude = ["raeders"]'
        assert [*map(str, flaws(loads, SETS + text))] == [
            'file:7: roles."A".include."raeders": is not a set; did you mean "readers"?'
        ]
        with pytest.raises(ValidationError, match=r'"readers": is not a set$'):
            loads('[roles.A]\npermissions = ["ROLE_READ"]\ninclude = ["readers"]')

    def test_nested(self) -> None:
        """A set among permissions is refused as such, and not as a new permission."""
        text = SETS + 'both = ["readers"]\n[roles.A]\ninclude = ["both"]\npermissions = ["writers"]'
        assert [*map(str, flaws(loads, text))] == [
            f"file:{place}: is a set: only roles include sets, each as many as it needs"
            for place in ('5: sets."both"."readers"', '8: roles."A".permissions."writers"')
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
