"""Prints how the public interface differs from the last release's, and what the CHANGELOG lacks.

    python -m tests.tools.interface            # exits with 1 if its newest entry lacks a name
    python -m tests.tools.interface --write    # writes tests/data/interface.txt

A name is in an entry if it stands there as code. Of a changed signature these are the parameters
that are new, gone or have another default; of a class that is new or gone, its own name alone.

At a release, copy `data/interface.txt` to `data/interface-VERSION.txt` in place of the older one.
"""

import difflib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.support.interface import as_text, from_text, interface

ROOT: Final = Path(__file__).parents[2]
DATA: Final = ROOT / "tests" / "data"

Sections = Mapping[str, Sequence[str]]


def differences(before: Sections, after: Sections) -> Iterator[str]:
    """Yield each line that is gone (`-`) or new (`+`), below the name of its section."""
    for section in {**before, **after}:
        old, new = before.get(section, ()), after.get(section, ())
        lines = [*difflib.unified_diff(old, new, n=0, lineterm="")][2:]
        changed = [line for line in lines if not line.startswith("@@")]
        yield from ([section, *changed] if changed else [])


def names(before: Sections, after: Sections) -> set[str]:
    """Return the names that an entry about the difference has to have."""
    found: set[str] = set()
    for section in {**before, **after}:
        old, new = (dict(map(_parts, sections.get(section, ()))) for sections in (before, after))
        for name in {**old, **new}:
            is_other = (name in old) is not (name in new)
            # The class of a method or attribute, or the command of an option.
            owner = re.sub(r"[. ][^. ]*$", "", name)
            if is_other and (owner == name or (owner in old) is (owner in new)):
                found.add(re.split(r"[. ]", name)[-1])
            elif not is_other and old[name] != new[name]:
                changed = {parameter for parameter, _ in old[name].items() ^ new[name].items()}
                # A star alone says that those after it are given by name.
                found |= {each.lstrip("*") for each in changed - {"*", "/"}} or {
                    name.rpartition(".")[2]
                }
    return found


def _parts(line: str) -> tuple[str, dict[str, str]]:
    """Return the name in a line, and its parameters with their defaults."""
    name, _, rest = line.partition("(")
    parameters: dict[str, str] = {}
    for each in re.split(r", (?![^(\[{<]*[)\]}>])", rest.removesuffix(")")):
        parameter, _, default = each.partition("=")
        parameters[parameter] = default
    return name, parameters


def missing(entry: str, wanted: set[str]) -> list[str]:
    """Return the names that do not stand in an entry as code."""
    code = "\n".join(re.findall(r"`([^`]+)`", entry))
    return sorted(
        name for name in wanted if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", code)
    )


def entries(changelog: str) -> tuple[str, str]:
    """Return the newest entry of a CHANGELOG, and the version of the one below it."""
    _, newest, last = re.split(r"^## \[", changelog, flags=re.MULTILINE)[:3]
    return newest, last.partition("]")[0]


def main() -> None:
    """Print the difference, and exit with 1 if the newest entry lacks a name of it."""
    now = interface()
    if "--write" in sys.argv[1:]:
        (DATA / "interface.txt").write_text(as_text(now), "utf-8")
        return
    entry, version = entries((ROOT / "CHANGELOG.md").read_text("utf-8"))
    before = from_text((DATA / f"interface-{version}.txt").read_text("utf-8"))
    print(f"Since {version}:", *differences(before, now), sep="\n")
    lacking = missing(entry, names(before, now))
    if lacking:
        sys.exit(f"The newest entry of CHANGELOG.md lacks: {', '.join(lacking)}")


if __name__ == "__main__":
    main()
