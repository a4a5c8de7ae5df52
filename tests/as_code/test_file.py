"""Files of declared roles: their rules, and how they are written."""

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arize_roles_async import Permission, UnknownPermission, ValidationError
from arize_roles_async.as_code import Declaration, DeclaredRole, load, loads
from arize_roles_async.as_code.schema import schema
from arize_roles_async.as_code.toml import formatted
from tests.as_code import strategies

FILE = """\
# A role is declared whole. A role that is not named here is left alone.
absent = ["Temp Analyst"]

[roles."AI Engineer"]
description = "Builds and evaluates models."
previously = ["ML Engineer"]
permissions = [
    "DATASET_READ",
    "DATASET_CREATE",
    "DATASET_READ",
]
"""
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
KINDS = "must hold permissions or their identifiers"
ONCE = "a name, present or former, may appear only once"
PASSED = (
    f"{ONCE}: to give a role the name that another one has takes two runs, and to swap names a "
    "third name"
)
VALIDATOR: Any = jsonschema.Draft7Validator(schema())


def violations(text: str) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        loads(text)
    return [(violation.field, violation.message) for violation in caught.value.violations]


class TestReading:
    def test_role(self) -> None:
        """A role is declared whole, its permissions as a set."""
        assert loads(FILE) == Declaration(
            roles=[
                DeclaredRole(
                    name="AI Engineer",
                    description="Builds and evaluates models.",
                    previously=["ML Engineer"],
                    permissions=[Permission.DATASET_CREATE, Permission.DATASET_READ],
                )
            ],
            absent=["Temp Analyst"],
        )

    def test_new_permissions(self) -> None:
        """A permission that this version does not know has to be called new."""
        text = '[roles.A]\npermissions = ["NEW_READ"]'
        named = "is not known to this version"
        ((field, message),) = violations(text)
        assert field == 'roles."A".permissions."NEW_READ"'
        assert message == f'{named}; if it is newer, list it: new_permissions = ["NEW_READ"]'
        declared = loads(f'new_permissions = ["NEW_READ"]\n{text}')
        assert declared.roles[0].permissions == (UnknownPermission("NEW_READ"),)

    def test_typing_error(self) -> None:
        """Where a known permission is near, the message has it."""
        ((_, message),) = violations('[roles.A]\npermissions = ["DATASET_RAED"]')
        assert message == (
            'is not known to this version; did you mean "DATASET_READ"? If not, '
            'list it: new_permissions = ["DATASET_RAED"]'
        )

    def test_many_unknown(self) -> None:
        """Of very many unknown permissions only some get a suggestion, as each takes time."""
        roles = [
            DeclaredRole(name=f"Role {n:02}", permissions=[f"DATASET_REA{n:02}", "TAG_RAED"])
            for n in range(30)
        ]
        with pytest.raises(ValidationError) as caught:
            Declaration(roles=roles)
        found = [violation.message for violation in caught.value.violations]
        assert len(found) == 60
        assert sum("did you mean" in message for message in found) == 20

    def test_load(self, tmp_path: Path) -> None:
        """A file is UTF-8, with or without a mark, whatever its line ends."""
        path = tmp_path / "roles.toml"
        path.write_bytes(b"\xef\xbb\xbf" + FILE.replace("\n", "\r\n").encode())
        assert load(path) == load(str(path)) == loads(FILE)


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
    def test_unreadable(
        self,
        path: Any,  # noqa: ANN401 - whatever was given
        named: str,
        cause: type[Exception],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A file that is not there, is no UTF-8 or has no name is refused, with the cause."""
        monkeypatch.chdir(tmp_path)
        Path("latin").write_bytes(b'absent = ["\xe9"]')
        with pytest.raises(ValidationError) as caught:
            load(path)
        assert str(caught.value).startswith(f"{named}: is unreadable: ")
        assert isinstance(caught.value.__cause__, cause)

    @pytest.mark.parametrize(
        ("text", "field", "message"),
        [
            (5, "file", "must be a text, not int"),
            (None, "file", "must be a text, not None"),
            (b"", "file", "must be a text, not bytes"),
            ("roles = 5", "roles", "must be a table"),
            ("roles.A = 5", 'roles."A"', "must be a table"),
            ("account = 5", "account", "must be a string"),
            ('account = ""', "account", "must not be empty"),
            ("anchor = 5", "anchor", "must be a string"),
            ("new_permissions = [5]", "new_permissions", "must be a list of strings"),
            ('new_permissions = "X"', "new_permissions", "must be a list of strings"),
        ],
    )
    def test_one(self, text: Any, field: str, message: str) -> None:  # noqa: ANN401
        """What is no text, no table or of another type is refused."""
        assert violations(text)[0] == (field, message)

    @pytest.mark.parametrize(
        "text",
        [
            'absent = ["A"\n[roles',
            "absent = []\nroles = ~",
            "a = " + "[" * 10_000,  # Python gives up on it
            "a = " + "9" * 5_000,
        ],
    )
    def test_no_toml(self, text: str) -> None:
        """So is a text that is no TOML, with the reason behind our words."""
        ((field, message),) = violations(text)
        assert (field, message[:19]) == ("file", "is not valid TOML: ")

    @pytest.mark.parametrize(
        "text",
        [
            ".".join("a" * 20_000) + " = 1",
            "[" + ".".join(["a-1"] * 101) + "]",
            "\nx = {" + " . ".join(['"a.b"', "'c'", "d"] * 34) + " = 1}",
            'x = ["""\na""""", {' + ".".join("b" * 101) + " = 1}]",
        ],
    )
    def test_long_key(self, text: str) -> None:
        """A key of more than 100 parts is refused before it is parsed, which takes long."""
        assert violations(text) == [("file", "has a key of more than 100 parts")]

    @pytest.mark.parametrize(
        ("begin", "end"),
        [('"', '"'), ("'", "'"), ('"""', '"""""'), ("'''\n' ", " ''''"), ('"\\" ', '"')],
    )
    def test_dots(self, begin: str, end: str) -> None:
        """Dots in texts and comments are no parts of a key."""
        many = "a." * 200
        text = f"# {many}\n[roles.A]\npermissions = ['ROLE_READ'] # {many}\n"
        (role,) = loads(f"{text}description = {begin}{many}{end}").roles
        assert many in str(role.description)

    def test_large(self) -> None:
        """A file of more than 32 MiB is refused."""
        assert violations("#" * (32 * 1024 * 1024 + 1)) == [("file", "must have at most 32 MiB")]

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
                    "ignored, sets, roles"
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
            ('roles."Reader"', f'is also at roles."Ünal".previously; {PASSED}'),
            ('roles."Ünal".previously."Reader"', f'is also at roles."Reader"; {PASSED}'),
        ]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"roles": 5}, "roles: must be a list of DeclaredRole objects, not int"),
            ({"roles": None}, "roles: must be a list of DeclaredRole objects, not None"),
            ({"roles": [5]}, "roles: must hold DeclaredRole objects, not int"),
            ({"absent": 5}, "absent: must be a list of names, not int"),
            ({"absent": "x"}, "absent: must be a list of names, not str"),
            ({"new_permissions": 5}, "new_permissions: must be a list of permissions, not int"),
        ],
    )
    def test_arguments(self, given: dict[str, Any], message: str) -> None:
        """A declaration that is made of anything else is refused, too."""
        with pytest.raises(ValidationError) as caught:
            Declaration(**given)
        assert str(caught.value) == message

    def test_role(self) -> None:
        """So is a role."""
        with pytest.raises(ValidationError, match=r"^permissions: must be a list of permissions"):
            DeclaredRole(name="A", permissions="ROLE_READ")
        with pytest.raises(ValidationError, match=r"^previously: must be a list of names, not str"):
            DeclaredRole(name="A", permissions=["ROLE_READ"], previously="B")


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
