"""Formatting: a file in the order of `Declaration.to_toml`, with its comments."""

import re
import tomllib
from typing import Final

from arize_roles_async.as_code.files import File, key_of, parsed, statements, with_known

_ITEM: Final = re.compile(
    r'"""|\'\'\'|(?P<text>"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\')|(?P<comment>#[^\n]*)|\n|(?P<end>\])|[^\s,]'
)


def formatted(file: File) -> str:
    """Return the text of a file in the fixed order, with one permission or name on a line.

    A comment stays above what it was above, or behind it; one at the top, with an empty line below
    it, stays there. Everything else is as it was written, and means the same.

    Raises:
        ValidationError: It is not valid TOML.
    """
    parsed(file)
    comments: list[str] = []
    top: list[str] = []
    tables: list[tuple[list[str], str, list[tuple[list[str], str]]]] = [([], "", [])]
    last = 0
    is_begun = False
    for line, statement in statements(file.text):
        if statement.startswith("#"):
            comments.append(statement)
        else:
            if not is_begun and line > last + 1:
                top, comments = comments, []
            text = "\n".join([*comments, _statement(statement)])
            path, comments, is_begun = key_of(statement)[1], [], True
            if statement.startswith("["):
                tables.append((path, text, []))
            else:
                tables[-1][2].append(([*tables[-1][0], *path], text))
        last = line
    tables.sort(key=lambda table: _rank(table[0]))
    blocks = ["\n".join(top)]
    for path, header, keys in tables:
        texts = [text for _, text in sorted(keys, key=lambda key: _rank(key[0]))]
        blocks += ["\n".join([header, *texts])] if path else texts
    return "\n".join(f"{block}\n" for block in [*blocks, "\n".join(comments)] if block)


def _rank(path: list[str]) -> list[tuple[int, str]]:
    """Return the place of a key: known keys in their order, then the others by name."""
    return [
        (known.index(key), "") if key in known else (len(known), key)
        for key, known in with_known(path)
    ]


def _statement(text: str) -> str:
    """Return a statement, with each item of a list of texts on a line of its own."""
    if text.startswith("["):
        return text
    key = key_of(text)[0]
    value = text[len(key) :].lstrip().removeprefix("=").strip()
    return f"{key} = {_listed(value) if value.startswith('[') else value}"


def _listed(array: str) -> str:
    """Return an array with its texts sorted, each on a line with its comments."""
    tokens = [*_ITEM.finditer(array, 1)]
    end = next(token for token in tokens if token["end"])
    items: list[tuple[str, str]] = []
    above: list[str] = []
    is_behind = False
    for token in tokens[: tokens.index(end)]:
        if token["text"]:
            item = "\n    ".join([*above, f"{token[0]},"])
            items.append((tomllib.loads(f"x={token[0]}")["x"], item))
            above, is_behind = [], True
        elif token["comment"] and is_behind:
            items[-1] = (items[-1][0], f"{items[-1][1]}  {token[0]}")
        elif token["comment"]:
            above.append(token[0])
        elif token[0] == "\n":
            is_behind = False
        else:  # Not a list of texts.
            return array
    lines = [*(item for _, item in sorted(items)), *above]
    return "".join(["[\n", *(f"    {line}\n" for line in lines), array[end.start() :]])
