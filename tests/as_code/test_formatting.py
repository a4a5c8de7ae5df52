"""`fmt`: files in a fixed order, with their comments; and `schema`, for editors."""

import io
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
from hypothesis import given, reject

from arize_roles_async.__main__ import main
from arize_roles_async.as_code.schema import schema
from arize_roles_async.as_code.toml import formatted
from tests.as_code import strategies
from tests.support.full_disk import ROOM, full_disk

GIVEN = """\
# The roles of team A.

[roles]
# B is new.
[roles.B]   # since May
permissions = ["TAG_READ", 'ROLE_READ',]
[roles."A"]
# not in sets
permissions = [ # those of A
  # the newest
  "PROJECT_READ", # read
  "DATASET_READ"
  # no more
] # end
include = []
description = '''
]
# no comment
'''

[sets]
b = ["ROLE_READ"]
a = ['''ROLE_READ # x''', "TAG_READ"]

# last
[other]
x = [[1], "#"]
y = 5
# the end
"""
WANTED = """\
# The roles of team A.

[sets]
a = ['''ROLE_READ # x''', "TAG_READ"]
b = [
    "ROLE_READ",
]

[roles]

[roles."A"]
description = '''
]
# no comment
'''
include = [
]
# not in sets
permissions = [
    "DATASET_READ",
    # those of A
    # the newest
    "PROJECT_READ", # read
    # no more
] # end

# B is new.
[roles.B]   # since May
permissions = [
    'ROLE_READ',
    "TAG_READ",
]

# last
[other]
x = [[1], "#"]
y = 5

# the end
"""


VALIDATOR: Any = jsonschema.Draft7Validator(schema())


class TestText:
    def test_order(self) -> None:
        """Keys and items come in the fixed order, each item on a line, each with its comments."""
        assert formatted("a", GIVEN) == WANTED
        assert formatted("a", WANTED) == WANTED

    def test_head(self) -> None:
        """Only the first comments stay at the top; those of a key that moves go with it."""
        text = '# head\n\n# of b\nroles.A.permissions = ["TAG_READ"]\n# of a\n\naccount = "a"\n'
        assert formatted("a", text) == (
            '# head\n\n# of a\naccount = "a"\n\n'
            '# of b\nroles.A.permissions = [\n    "TAG_READ",\n]\n'
        )

    def test_equal_items(self) -> None:
        """Items that are equal keep their order, whatever their comments are."""
        text = "absent = [\n    'x', # 2\n    # 1\n    \"x\",\n]\n"
        assert formatted("a", text) == text

    @pytest.mark.parametrize(
        "text",
        ['other = ["b", "a"]\n', "x = 1\n\na = 2\n", "[x.b]\n\n[x.a]\n", "[[b]]\n[[a]]\nx=1"],
    )
    def test_not_ours(self, text: str) -> None:
        """What the files of roles do not have stays as it is."""
        assert formatted("a", text) == text

    @given(strategies.toml())
    def test_twice(self, text: str) -> None:
        """A second time changes nothing, the data is the same, and so are the comments."""

        def data(value: Any) -> Any:  # noqa: ANN401
            """Return what is in a file, whatever the order of a list of texts."""
            if isinstance(value, dict):
                return {key: data(each) for key, each in cast("dict[str, Any]", value).items()}
            return (
                sorted(cast("list[object]", value), key=str) if isinstance(value, list) else value
            )

        try:
            before = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            reject()
        after = formatted("a", text)
        assert data(tomllib.loads(after)) == data(before)
        comments = re.compile("# ?(?:one|two|first|behind|end)")
        assert sorted(comments.findall(after)) == sorted(comments.findall(text))
        assert formatted("a", after) == after


class TestCommand:
    def test_writes(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Files are written in place, and those that are in order are left alone."""
        (tmp_path / "a.toml").write_bytes(b'absent = ["A"]\r\n')
        (tmp_path / "b.toml").write_text("")
        (tmp_path / "c.toml").write_text('account = "c"\n')
        assert main(["fmt", "--check", str(tmp_path)]) == 1
        assert capsys.readouterr().out == (f"not formatted: {tmp_path}/a.toml\n")
        assert main(["fmt", str(tmp_path)]) == 0
        assert capsys.readouterr().out.startswith(f"formatted: {tmp_path}/a.toml\n")
        assert (tmp_path / "a.toml").read_bytes() == b'absent = [\r\n    "A",\r\n]\r\n'
        assert main(["fmt", "--check", str(tmp_path)]) == 0

    @pytest.mark.parametrize(
        ("given", "shown"),
        [('absent = ["##[x]"]', 'absent = [\n    "##[x]",\n]\n'), ("a = 1\n", "a = 1\n")],
    )
    def test_standard_input(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        given: str,
        shown: str,
    ) -> None:
        """The standard input is formatted to the standard output, or checked."""

        def status(*arguments: str) -> int:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
            return main(["fmt", *arguments])

        assert status("-") == 0
        assert capsys.readouterr() == (shown, "")
        assert status("--check", "-") == (given != shown)
        assert capsys.readouterr().out == "not formatted: -\n" * (given != shown)

    def test_refuses(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Where one file is not TOML, none is written."""
        (tmp_path / "a.toml").write_text('absent = ["A"]')
        (tmp_path / "b.toml").write_text("absent = [")
        (tmp_path / "c.toml").write_bytes(b"\xff")
        assert main(["fmt", str(tmp_path)]) == 2
        latin, broken = capsys.readouterr().err.splitlines()
        assert latin.startswith(f"error: {tmp_path}/c.toml: is unreadable: ")
        assert broken.startswith(f"error: {tmp_path}/b.toml")
        assert ": is not valid TOML: " in broken
        assert (tmp_path / "a.toml").read_text() == 'absent = ["A"]'

    def test_full_disk(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """On a full disk a file stays as it was, and only the error names it."""
        text = 'absent = ["A"]\n' + "# No change.\n" * ROOM
        (tmp_path / "a.toml").write_text(text)
        with full_disk():
            assert main(["fmt", str(tmp_path)]) == 2
        output, errors = capsys.readouterr()
        assert output == ""
        assert errors.startswith("error: ")
        assert f"'{tmp_path}/a.toml'" in errors
        assert (tmp_path / "a.toml").read_text() == text

    def test_schema(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The schema is printed as JSON."""
        assert main(["schema"]) == 0
        assert json.loads(capsys.readouterr().out) == schema()


class TestSchema:
    def test_takes(self) -> None:
        """Sets are right by the schema, also with newer permissions; known ones are suggested."""
        VALIDATOR.validate({"sets": {"a": ["NEW_READ"]}, "roles": {"A": {"include": ["a"]}}})
        known, _ = schema()["definitions"]["permission"]["anyOf"]
        assert "DATASET_READ" in known["enum"]

    @pytest.mark.parametrize(
        "text",
        [
            "extra = 1",
            "[roles.A]",
            'roles.A.permissions = "ROLE_READ"',
            'roles.A = {permissions = ["ROLE_READ"], typo = 1}',
            "sets.a = []",
            "absent = [1]",
            'account = ""',
        ],
    )
    def test_refuses(self, text: str) -> None:
        """What `check` refuses, the editor marks."""
        assert [*VALIDATOR.iter_errors(tomllib.loads(text))]
