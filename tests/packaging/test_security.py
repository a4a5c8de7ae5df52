"""Each sentence about security, and the tests that hold it."""

import re
import tomllib
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent

HELD = tomllib.loads((TESTS / "data" / "security.toml").read_text("utf-8"))


def sentences(text: str) -> list[str]:
    """Return the sentences of a page, without its headings and examples."""
    text = re.sub(r"(?ms)^```.*?^```$|^#.*?$", "\n", text)
    blocks = (" ".join(each.split()) for each in re.split(r"\n\s*\n|\n(?=- )", text))
    found = [re.split(r"(?<=[.:])\s+(?=[A-Z`])", each.removeprefix("- ")) for each in blocks]
    return [each for block in found for each in block if each]


def test_named() -> None:
    """No sentence is without a name here, and none was taken away."""
    for page, held in HELD.items():
        text = (ROOT / page).read_text("utf-8")
        if page == "README.md":
            text = text.partition("## Security\n")[2].partition("\n## ")[0]
        for sentence, beginning in zip(sentences(text), held, strict=True):
            assert sentence.startswith(beginning)


def test_held() -> None:
    """Each test that is named is there."""
    for name in " ".join(each for held in HELD.values() for each in held.values()).split():
        file, _, test = name.partition(":")
        assert f"def {test}(" in (TESTS / "client" / f"test_{file}.py").read_text("utf-8"), name
