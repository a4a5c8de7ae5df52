"""The public interface as text: a line for each name, with its parameters and their defaults.

    python -m tests.tools.interface            # how it differs from the last release's, by git
    python -m tests.tools.interface --write    # writes tests/data/interface.txt

Exits with 1 if the newest entry of the CHANGELOG lacks a name of the difference as code. Of a
changed signature these are the parameters that are new, gone or have another default; of a class
that is new or gone, its own name alone.
"""

import contextlib
import difflib
import inspect
import io
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from importlib import import_module
from typing import Any, Final, Unpack, get_args, get_origin

import msgspec

from arize_roles_fake import pytest_plugin
from tests.support.processes import ROOT, ran

FILE: Final = ROOT / "tests" / "data" / "interface.txt"
MODULES: Final = {
    name: import_module(name)
    for name in (
        *("arize_roles_async", "arize_roles_async.as_code", "arize_roles_async.transport"),
        *("arize_roles_fake", "arize_roles_fake.contract"),
    )
}
COMMANDS: Final = {
    "arize-roles": "arize_roles_async.__main__",
    "python -m arize_roles_fake": "arize_roles_fake.__main__",
}


def interface() -> str:
    """Return the lines of each module, then those of pytest, the commands and the environment."""
    sections = {
        **{name: [*of_module(name)] for name in MODULES},
        "pytest": [*of_plugin()],
        "commands": [*of_commands()],
        "environment": variables(),
    }
    return "\n\n".join("\n".join([name, *lines]) for name, lines in sections.items()) + "\n"


def of_module(module: str) -> Iterator[str]:
    """Yield a line for each name that a module shows, and each method and attribute of a class."""
    for name in sorted(MODULES[module].__all__):
        member = getattr(MODULES[module], name)
        if inspect.isclass(member) and owner(member) == module:
            yield from of_class(name, member)
        else:
            yield f"{name}{signature(member)}" if inspect.isfunction(member) else name


def of_class(name: str, of: Any) -> Iterator[str]:  # noqa: ANN401 - a class of any kind
    """Yield the lines of a class: its arguments, then its methods and attributes by name."""
    is_made = not (issubclass(of, Enum | Warning | str) or getattr(of, "_is_protocol", False))
    yield f"{name}{signature(of)}" if is_made else name
    ours = [each for each in of.__mro__ if each.__module__.startswith("arize_roles_")]
    shown = {each for base in ours for each in {*vars(base), *inspect.get_annotations(base)}}
    # The public bases have lines of their own.
    without = {each for base in ours[1:] if owner(base) for each in vars(base)}
    if is_made and (hasattr(of, "__attrs_attrs__") or issubclass(of, msgspec.Struct | Exception)):
        without |= {*inspect.signature(of).parameters}
    for each in sorted(shown - {*getattr(of, "__members__", ())}):
        # A rule of the contract is a test, and no part of the interface.
        if not each.startswith(("_", "test_")):
            found: Any = getattr(of, each, None)
            if inspect.isroutine(found) and callable(found):
                yield f"{name}.{each}{signature(found)}"
            elif each not in without:
                yield f"{name}.{each}"


def owner(of: object) -> str:
    """Return the first module that has a public class, or nothing."""
    names = (name for name, m in MODULES.items() if any(getattr(m, n) is of for n in m.__all__))
    return next(names, "")


def signature(call: Callable[..., object]) -> str:
    """Return a signature without its types."""
    parameters = [*inspect.signature(call).parameters.values()]
    if parameters and get_origin(parameters[-1].annotation) is Unpack:
        # Each key of a typed dictionary is a parameter.
        (keys,) = get_args(parameters.pop().annotation)
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
            for name in keys.__annotations__
        ]
    bare = str(inspect.Signature([each.replace(annotation=each.empty) for each in parameters]))
    # Of a default that is a value, the class: its own fields have a line of their own.
    bare = re.sub(r"=([A-Z]\w+)\([^()]*\)", r"=\1()", bare)
    return re.sub(r" at 0x[0-9a-f]+", "", bare)


def of_plugin() -> Iterator[str]:
    """Yield the settings, the marker and the fixtures of the pytest plugin."""
    source = inspect.getsource(pytest_plugin)
    settings = re.findall(r'= "(arize_roles_\w+)"', source)
    yield from (f"setting {name}" for name in sorted({*settings}))
    yield f"marker arize_roles{signature(pytest_plugin.arize_roles)}"
    fixtures = re.findall(r"^@pytest\.fixture.*\n(?:async )?def (\w+)", source, re.MULTILINE)
    yield from (f"fixture {name}" for name in fixtures)


def of_commands() -> Iterator[str]:
    """Yield a line for each command, with its options."""
    for command, shown in helps():
        yield " ".join([command, *sorted({*re.findall(r"(?<![\w-])--[a-z][a-z-]*", shown)})])


def helps() -> Iterator[tuple[str, str]]:
    """Yield every command with its help, the programs before their commands."""
    for program, module in COMMANDS.items():
        yield program, (shown := help_of(module))
        for name in re.findall(r"[a-z]+", re.findall(r"\{.*\}", shown)[0]):
            yield f"{program} {name}", help_of(module, name)


def help_of(module: str, *name: str) -> str:
    """Return the help of a command, without the words of argparse."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        import_module(module).main([*name, "--help"])
    text = re.sub(" +", " ", shown.getvalue())
    text = re.sub(r"(?m)^( (?:-h, --help|--version)) .*$", r"\1", text)
    return re.sub(r"^\w+: |(?m:^[\w ]+:\n)", "", text)


def variables() -> list[str]:
    """Return the variables of the environment that the packages name."""
    sources = (path.read_text("utf-8") for path in ROOT.glob("arize_roles_*/**/*.py"))
    return sorted({name for text in sources for name in re.findall(r"\bARIZE_[A-Z_]+\b", text)})


def names(before: str, after: str) -> set[str]:
    """Return the names that an entry about the difference has to have."""
    found: set[str] = set()
    old, new = _parts(before), _parts(after)
    for name in {**old, **new}:
        # The class of a method or attribute, or the program of a command.
        around = re.sub(r"[. ][^. ]*$", "", name)
        if name in old and name in new:
            changed = {each.partition("=")[0].lstrip("*/") for each in old[name] ^ new[name]}
            # A star alone says that those after it are given by name.
            found |= {
                each or name.rpartition(".")[2] for each in changed if each or changed == {""}
            }
        elif around == name or (around in old) is (around in new):
            found.add(re.split(r"[. ]", name)[-1])
    return found


def _parts(text: str) -> Mapping[str, set[str]]:
    """Return the name in each line, with its parameters and their defaults, or its options."""
    found = defaultdict[str, set[str]](set)
    for line in text.splitlines():
        beginning, _, rest = line.partition("(")
        name, *options = beginning.split(" --")
        found[name] |= {*re.split(r", (?![^(\[{<]*[)\]}>])", rest.removesuffix(")"))}
        found[name] |= {f"--{option}" for option in options}
    return found


def missing(entry: str, wanted: set[str]) -> list[str]:
    """Return the names that do not stand in an entry as code."""
    code = "\n".join(re.findall(r"`([^`]+)`", entry))
    return sorted(
        name for name in wanted if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", code)
    )


def newest(changelog: str) -> list[str]:
    """Return the newest entry of a CHANGELOG, and the one before."""
    return re.split(r"(?m)^## ", changelog)[1:3]


def git(*command: str) -> str:
    return str(ran("git", *command, cwd=ROOT).stdout)


def main() -> None:
    """Print the difference, and exit with 1 if the newest entry lacks a name of it."""
    now = interface()
    if "--write" in sys.argv[1:]:
        FILE.write_text(now, "utf-8")
        return
    entry, last = newest((ROOT / "CHANGELOG.md").read_text("utf-8"))
    commits = git("log", "--format=%H", "--", "CHANGELOG.md").split()
    of_last = (
        each for each in commits if newest(git("show", f"{each}:CHANGELOG.md"))[0][:9] == last[:9]
    )
    kept = git("show", f"{next(of_last, 'HEAD')}:tests/data/interface.txt")
    print(*difflib.unified_diff(kept.splitlines(), now.splitlines(), n=0, lineterm=""), sep="\n")
    if lacking := missing(entry, names(kept, now)):
        sys.exit(f"The newest entry of CHANGELOG.md lacks: {', '.join(lacking)}")


if __name__ == "__main__":
    main()
