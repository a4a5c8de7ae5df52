"""`fmt`: lists in a fixed order, with their comments; and `schema`, for editors."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
from hypothesis import given, reject

from arize_roles_async import ValidationError
from arize_roles_async.__main__ import main
from arize_roles_async.as_code import loads
from arize_roles_async.as_code.schema import SCHEMA, Table, schema, within
from arize_roles_async.as_code.toml import formatted
from tests.as_code import strategies

LEFT = """\
[x.B]   # since May
description = '''
permissions = ["B", "A"]
'''
x = ["B", "A"]
permissions.y = ["B", "A"]
"""
GIVEN = """\
[roles.B]
permissions = ["TAG_READ", 'ROLE_READ',]
include = []
[sets]
b = [ # those of A
  # the newest
  "x", # read
  'x', # 2
  "D"
  # no more
] # end
a = ['''ROLE_READ # x''', "TAG_READ"]
"""
WANTED = """\
[roles.B]
permissions = [
    'ROLE_READ',
    "TAG_READ",
]
include = [
]
[sets]
b = [
    "D",
    # those of A
    # the newest
    "x", # read
    'x', # 2
    # no more
] # end
a = ['''ROLE_READ # x''', "TAG_READ"]
"""
VALIDATOR: Any = jsonschema.Draft7Validator(schema())


def test_order() -> None:
    """Items come in a fixed order, each on a line with its comments, and all else as it was."""
    assert formatted("a", GIVEN + LEFT) == WANTED + LEFT


def fields(table: Table = SCHEMA, at: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path of each value that a file may have, and its type."""
    for name in (*table.get("properties", ()), *["x"] * ("additionalProperties" in table)):
        if inner := within(table, name):
            yield f"{at}{name}", inner["type"]
            yield from fields(inner, f"{at}{name}.")


@pytest.mark.parametrize("path", [path for path, kind in fields() if kind == "array"])
def test_each_list(path: str) -> None:
    """Every list that a file may have is put in order."""
    assert formatted("a", f'{path} = ["b", "a"]') == f'{path} = [\n    "a",\n    "b",\n]'


@given(strategies.toml())
def test_twice(text: str) -> None:
    """A second time changes nothing, the data is the same, and so are the comments."""

    def data(value: Any) -> Any:  # noqa: ANN401
        """Return what is in a file, whatever the order of a list of texts."""
        if isinstance(value, dict):
            return {key: data(each) for key, each in cast("dict[str, Any]", value).items()}
        return sorted(cast("list[object]", value), key=str) if isinstance(value, list) else value

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
        assert capsys.readouterr().out == f"formatted: {tmp_path}/a.toml\n"
        assert (tmp_path / "a.toml").read_bytes() == b'absent = [\r\n    "A",\r\n]\r\n'
        assert main(["fmt", "--check", str(tmp_path)]) == 0

    def test_refuses(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Where one file is not TOML, none is written."""
        for name, data in {"a": b'absent = ["A"]', "b": b"[", "c": b"\xff", "d": b"["}.items():
            (tmp_path / f"{name}.toml").write_bytes(data)
        assert main(["fmt", str(tmp_path)]) == 2
        latin, *broken = capsys.readouterr().err.splitlines()
        assert latin.startswith(f"error: {tmp_path}/c.toml: is unreadable: ")
        names = [line.partition(":1: ")[0] for line in broken]
        assert names == [f"error: {tmp_path}/{name}.toml" for name in "bd"]
        assert (tmp_path / "a.toml").read_text() == 'absent = ["A"]'


FLAWS = {
    **{f"{path} = 1.5": "must be " for path, _ in fields()},
    **{f"{at}typo = 1": "is not a key" for at in ("", "roles.A.", "spaces.S.", "projects.S.P.")},
    'undeclared = "x"': 'must be "ignore"',
    **dict.fromkeys(("[roles.A]", "sets.a = []"), "must hold at least one "),
    **dict.fromkeys(('absent = [""]', 'account = ""'), "must not be empty"),
}


class TestSchema:
    def test_takes(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Sets are right by the schema, also with newer permissions; known ones are suggested."""
        VALIDATOR.validate({"sets": {"a": ["NEW_READ"]}, "roles": {"A": {"include": ["a"]}}})
        assert main(["schema"]) == 0
        printed = json.loads(capsys.readouterr().out)
        known, _ = printed["definitions"]["permission"]["anyOf"]
        assert "DATASET_READ" in known["enum"]

    @pytest.mark.parametrize("text", FLAWS)
    def test_refuses(self, text: str) -> None:
        """What `check` refuses, such as any other type or key, the editor marks."""
        assert [*VALIDATOR.iter_errors(tomllib.loads(text))]
        with pytest.raises(ValidationError, match=f": {FLAWS[text]}"):
            loads(text)
