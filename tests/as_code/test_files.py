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

from arize_roles_async import ValidationError, Violation
from arize_roles_async.as_code import Declaration, load, loads
from arize_roles_async.as_code.planning import compare
from arize_roles_async.as_code.schema import schema
from arize_roles_async.as_code.toml import formatted
from tests.as_code import strategies
from tests.as_code.accounts import declaration, declared

WRITTEN = r"""anchor = "Um9sZTpB"

absent = [
    "Gone",
    "Old",
]

[roles."A \"quoted\" \\"]
description = "Line\nnext\u001b[31m \U0000202eright\U000e0001 ``\u0060` é"
permissions = [
    "ROLE_READ",
]

[roles."B"]
permissions = [
    "ROLE_READ",
]
"""
ONCE = "a name, present or former, may appear only once; to pass one on takes two runs"
CONFLICT = "a.toml:2: has a conflict of a merge, which somebody has to resolve"
IS_SET = "is a set; name it in a role's `include`"
LINKS = "links in a folder that lead to folders, or out of it, are not followed"
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


def result(read: Callable[..., object], *given: object) -> str:
    """Return what is read or written, or what is wrong."""
    try:
        return str(read(*given))
    except ValidationError as error:
        return "\n".join(map(str, error.violations))


def refused(*paths: str) -> list[str]:
    return [*map(str, flaws(load, *paths))]


WRONG: list[tuple[Any, str]] = [
    (5, "file: must be a text, not int"),
    ("#" + "é" * (16 * 1024 * 1024), "file: must have at most 32 MiB"),
    ('roles.A.permissions = ["NEW_READ"]', 'newer, list it: new_permissions = ["NEW_READ"]'),
    ('[spaces.S.users]\nx = "A"', 'file:2: spaces."S".users."x": is neither a team nor '),
    ('[teams]\ndata = []\n[spaces.S.users]\ndat = "A"', '; did you mean "data"?'),
    ('[teams]\n"a@b" = []', 'file:2: teams."a@b": must be no address and no ID'),
    ('[spaces.S.users]\n"a@b" = "A"\n"A@b" = "B"', "is declared more than once here"),
    ('[spaces.S]\nabsent = ["A@b"]\nusers."a@b" = "A"', "is declared more than once here"),
    ('[teams]\nt = ["a@b"]\n[spaces.S.users]\nt = "A"\n"a@b" = "B"', '"a@b" is declared more'),
    ("[spaces.S]\nonly = true", 'file:2: spaces."S".only: needs users, who keep their'),
    ('[teams]\nt = ["x"]\n[spaces.S.users]\nt = "A"', "is neither an address nor the ID of "),
    ('[sets]\na = ["ROLE_READ"]\nb = ["a"]', f'file:3: sets."b"."a": {IS_SET}'),
    ('sets.a = ["ROLE_READ"]\nroles.A.permissions = ["a"]', f'."A".permissions."a": {IS_SET}'),
    ('sets.a1 = ["TAG_READ"]\nroles.A.include = ["a2"]', 'is not a set; did you mean "a1"?'),
    ('[spaces.""]', "must not be empty"),
    ('spaces.S = {users."a@b" = "A", only = true}', "only: needs an anchor, since "),
]


class TestRefusing:
    @pytest.mark.parametrize(("text", "error"), WRONG, ids=range(len(WRONG)))
    def test_one(self, text: Any, error: str) -> None:  # noqa: ANN401
        """What is no text, too large, unknown or twice is refused."""
        assert error in str(flaws(loads, text)[0])

    def test_every_violation(self) -> None:
        """One error holds every violation, with the line of an item, a key, or a table."""
        text = '''
            # absent = ["Twice", "Twice"]
            account = """
            [roles.A]
            ""\\"" """
            absent = [
                "A # B", "",  # ] "Twice"
                'Twice',
            ]
            "extra" = {x = [1, 2], "y]" = '"'}
            ignored = [7]
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
        keys = "is not a key here; the keys are"
        more = "absent, ignored, undeclared, sets, roles, teams, spaces, projects"
        twice = f'is at absent and roles."C".previously; {ONCE}'
        none = "must hold at least one permission"
        role_keys = f"{keys} description, previously, include, permissions"
        assert [*map(str, flaws(loads, text))] == [
            f'file:10: "extra": {keys} account, anchor, new_permissions, {more}',
            "file:11: ignored: must be a list of strings",
            'file:19: roles."C".description: must be a string',
            f'file:21: roles."C"."typo": {role_keys}',
            f'file:17: roles."B".permissions: {none}',
            'file:13: roles."Dotted \\"A\\".x".permissions: \'\' must not be empty',
            'file:7: absent."": must not be empty',
            f'file:8: absent."Twice": {twice}',
            f'file:23: roles."C".previously."Twice": {twice}',
        ]


FORMS: dict[str, Callable[[str], str]] = {
    "Windows": lambda text: text.replace("\n", "\r\n"),
    "converted twice": lambda text: text.replace("\n", "\r\r\n"),
    "mixed": lambda text: text.replace("\n", "\r\n", 2),
    "mark": lambda text: "\ufeff" + text,
    "mark, Windows": lambda text: "\ufeff" + text.replace("\n", "\r\n"),
    "no newline at the end": lambda text: text.removesuffix("\n"),
    "tabs": lambda text: text.replace(" ", "\t"),
}
KEYS = {
    "bare": "[roles.A]\npermissions = [{}]",
    "quoted": '[roles."A"]\n"permissions" = [{}]',
    "literal": "[ 'roles' . 'A' ]\n'permissions'\t= [{}]",
    "escaped": '["roles"."\\u0041"]\n"permission\\u0073" = [{}]',
    "dotted": "roles.A.permissions = [{}]",
    "dotted below": "[roles]\n\"A\".\t'permissions' = [{}]",
    "a table in a line": "[roles]\nA = {{permissions = [{}]}}",
    "all in a line": "roles = {{A = {{permissions = [{}]}}}}",
}


class TestForms:
    """However a file is written, it is read as the same."""

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize(
        "text",
        [
            '# absent\nabsent = ["B", "A"]\n[roles.C]\npermissions = ["ROLE_READ"]\n',
            '\nabsent = [\n"A",\n"A"]\n[roles.A]  # x\npermissions = [\n"RAED",\n]\nx = 1\n',
            "[roles.A]\n[roles.B]\npermissions = [5]\n",
            "anchor = \"x\"\n[roles.A]\ninclude = [\n'b',\n]\n",
            '[teams]\nt = ["x"]\n[spaces.S.users]\nt = "A"\n"a@b" = 1\n',
            "absent = [\n=\n",
            "\n=======\n",
        ],
        ids=range(7),
    )
    def test_file(self, text: str, form: str) -> None:
        """Ends of lines, a byte order mark and tabs change no violation, declaration or order."""
        results = [result(loads, text), result(formatted, "file", text)]
        written = FORMS[form](text)
        assert result(loads, written) == results[0]
        ordered = result(formatted, "file", written)
        ends = {"mixed": "Windows", "converted twice": "Windows"}.get(form, form)
        is_broken = results[1].startswith("file:")
        wanted = results[1] if is_broken else FORMS[ends](results[1])
        assert ordered.replace(" ", "\t") == wanted.replace(" ", "\t")

    @pytest.mark.parametrize("items", ['"ROLE_READ"', '"ROLE_READ", "RAED"', "5", ""])
    @pytest.mark.parametrize("key", KEYS)
    def test_key(self, key: str, items: str) -> None:
        """Nor does the way to write a key, but for the line on which it is."""
        text = KEYS[key].format(items)
        texts = KEYS["bare"].format(items), text, formatted("file", text)
        bare, given, ordered = (re.sub(r"file:\d", "", result(loads, each)) for each in texts)
        assert bare == given == ordered
        is_lined = f"file:{text.count(chr(10)) + 1}: " in result(loads, text)
        assert is_lined or "must" in given or items == '"ROLE_READ"'


class TestWriting:
    def test_order(self) -> None:
        """Roles come in the order of names, each permission on a line that ends in a comma."""
        head, first, second = WRITTEN.split("\n[roles")
        assert loads(f"{head}\n[roles{second}\n[roles{first}").to_toml() == WRITTEN

    @given(strategies.declarations())
    def test_any(self, declared: Declaration) -> None:
        """What is written is printable, reads as equal, is in order, and fits the schema."""
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
        """A folder means its `*.toml` and those below, but for names that begin with a dot."""
        for name in ("roles/.git/a.toml", "roles/empty/note.txt"):
            Path(name).parent.mkdir(parents=True)
            Path(name).write_text("[")
        Path("roles/.#a.toml").symlink_to("nobody@nowhere.17")
        assert refused("roles") == ["roles: is unreadable: the folder has no *.toml"]
        Path("roles/below/d").mkdir(parents=True)
        for name, role in {"b.toml": "B", "a.toml": "A", "below/d/c.toml": "C"}.items():
            Path("roles", name).write_text(ROLE.format(role))
        # What is given twice is read once.
        assert load("roles") == load("roles", Path("roles")) == declaration("A", "B", "C")
        names = ["roles/a.toml", "roles/b.toml", "roles/below/d/c.toml"]
        assert [file.name for file in load("roles").files] == names

    @pytest.mark.parametrize("link", ["roles", "roles/below", "other", "/usr"])
    def test_link_to_folder(self, link: str) -> None:
        """A link to a folder is named and not followed, so that reading ends, and stays inside."""
        for name in ("roles/below/a.toml", "other/b.toml"):
            Path(name).parent.mkdir(parents=True)
            Path(name).write_text("[")
        for name in ("roles/below/one", "roles/two"):
            Path(name).symlink_to(Path(link).resolve())
        Path("roles/three").symlink_to("two")
        broken, *links = sorted(refused("roles"), key=lambda each: "are not followed" in each)
        assert broken.startswith("roles/below/a.toml:1: is not valid TOML: ")
        names = ["roles/below/one", "roles/three", "roles/two"]
        assert links == [f"{name}: is unreadable: {LINKS}" for name in names]

    def test_link_to_file(self) -> None:
        """A link to a file of the folder is followed; one out of it is not, unless it is named."""
        Path("roles").mkdir()
        write(other=ROLE.format("B"))
        Path("roles/.a.toml").write_text(ROLE.format("A"))
        Path("roles/a.toml").symlink_to(".a.toml")
        Path("link.toml").symlink_to("other.toml")
        assert load("roles", "link.toml") == declaration("A", "B")
        Path("roles/below").mkdir()
        Path("roles/below/a.toml").symlink_to("../.a.toml")
        assert LINKS not in str(refused("roles"))
        Path("roles/below/a.toml").unlink()
        Path("roles/b.toml").symlink_to("../other.toml")
        Path("roles/c.toml").symlink_to("c.toml")
        outside, endless = refused("roles")
        assert outside == f"roles/b.toml: is unreadable: {LINKS}"
        assert endless.startswith("roles/c.toml: is unreadable: ")

    def test_name_twice(self) -> None:
        """A name in two files is refused, and both are named."""
        role = ROLE.format("B")
        write(a=ROLE.format("A"), b='\nabsent = [\n"X",\n"A",\n]', c='ignored = ["X"]\n' + role)
        write(d=role)
        a, x, b = (
            f"is at {places}; {ONCE}"
            for places in ('absent and roles."A"', "absent and ignored", 'roles."B" and roles."B"')
        )
        assert refused("a.toml", "b.toml", "c.toml", "d.toml") == [
            *(f'b.toml:4: absent."A": {a}', f'a.toml:1: roles."A": {a}'),
            *(f'b.toml:3: absent."X": {x}', f'c.toml:1: ignored."X": {x}'),
            *(f'c.toml:2: roles."B": {b}', f'd.toml:1: roles."B": {b}'),
        ]

    def test_place_twice(self) -> None:
        """A place or a team is in one file."""
        twice = '[teams]\nt = []\n[spaces.S]\nabsent = ["a@b"]'
        write(a=twice, b=twice)
        assert len(refused("a.toml", "b.toml")) == 4

    @pytest.mark.parametrize("key", ["account", "anchor"])
    def test_accounts(self, key: str) -> None:
        """Files for different accounts are refused."""
        write(a=f'{key} = "One"', b="", c=f'\n{key} = "Two"')
        assert refused("a.toml", "b.toml", "c.toml") == [
            f"{place}: {key}: must be the same in all files that have it"
            for place in ("a.toml:1", "c.toml:2")
        ]
        write(c=f'{key} = "One"')
        assert getattr(load("a.toml", "c.toml"), key) == "One"

    def test_unreadable(self) -> None:
        """Every file that cannot be read is named, with what is wrong in the others, and why."""
        Path("d").mkdir()
        write(b="[roles.B]")
        for name in ("d/a", "d/b"):
            Path(f"{name}.toml").write_bytes(b"\xff")
        number: Any = 5
        with pytest.raises(ValidationError) as caught:
            load("none.toml", "d", "b.toml", "a\0b", number, "/dev/zero")
        assert isinstance(caught.value.__cause__, FileNotFoundError)
        found = [str(each).partition(": is unreadable: ") for each in caught.value.violations]
        names = ["none.toml", "d/a.toml", "d/b.toml", '"a\\u0000b"', "5", "/dev/zero"]
        assert [name for name, _, _ in found[:-1]] == names
        assert (found[0][2][:10], found[-2][2]) == ("[Errno 2] ", "must have at most 32 MiB")
        assert found[-1][0] == 'b.toml:1: roles."B".permissions: must hold at least one permission'

    @pytest.mark.parametrize(
        ("broken", "message"),
        [
            *((f"\n{m}\n", CONFLICT) for m in ("<<<<<<< A", "=======", "=======\r", ">>>>>>> A")),
            *((text, ": is not valid TOML: ") for text in ("= 5", "\0", "absent = []\nroles = ~")),
            *((text, ":2: is not valid TOML: ") for text in ('x = """\n[roles.B]', "a = [\n[")),
            ("a = " + "[" * 10_000, ": is not valid TOML: "),  # Python gives up on it
        ],
    )
    def test_broken(self, broken: str, message: str) -> None:
        """A file that is not TOML has no place for the violations of another."""
        write(a=broken, b="[roles.B]")
        with pytest.raises(ValidationError) as caught:
            load("b.toml", "a.toml")
        assert caught.value.__cause__ is not None
        first, second = map(str, caught.value.violations)
        assert first.startswith("a.toml:")
        assert message in first
        assert second == 'b.toml:1: roles."B".permissions: must hold at least one permission'


def test_sets() -> None:
    """A role has the permissions of its sets and its own, and notes name the sets."""
    sets = '[sets]\na = ["PROJECT_READ", "DATASET_READ"]\nb = ["DATASET_CREATE", "DATASET_READ"]'
    text = f'{sets}\n[roles.A]\ninclude = ["a", "b"]\npermissions = ["TAG_READ"]'
    both = ["DATASET_CREATE", "DATASET_READ", "PROJECT_READ", "TAG_READ"]
    assert loads(text) == declaration(declared("A", permissions=both))
    (change,) = compare([], loads(text)).changes
    writers = 'set "b" gives "DATASET_CREATE", "DATASET_READ"'
    assert change.note == f'set "a" gives "PROJECT_READ"; {writers}'
