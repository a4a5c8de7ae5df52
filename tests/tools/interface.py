"""The public interface as text: a line for each name, with its parameters and their defaults.

    python -m tests.tools.interface            # how it differs from the last release's, by git
    python -m tests.tools.interface --write    # writes tests/data/interface.txt

Exits with 1 if the newest entry of the CHANGELOG lacks a name of the difference. A name is in an
entry if it stands there as code. Of a changed signature these are the parameters that are new, gone
or have another default; of a class that is new or gone, its own name alone.
"""

import contextlib
import difflib
import inspect
import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final, Unpack, get_args, get_origin

import msgspec

from tests.support.processes import ROOT, ran

DATA: Final = ROOT / "tests" / "data"
MODULES: Final = (
    "arize_roles_async",
    "arize_roles_async.as_code",
    "arize_roles_async.transport",
    "arize_roles_fake",
    "arize_roles_fake.contract",
)
PLUGIN: Final = "arize_roles_fake.pytest_plugin"
COMMANDS: Final = {
    "arize-roles": "arize_roles_async.__main__",
    "python -m arize_roles_fake": "arize_roles_fake.__main__",
}


def interface() -> dict[str, list[str]]:
    """Return the lines of each module, then those of pytest, the commands and the environment."""
    return {
        **{name: [*of_module(import_module(name))] for name in MODULES},
        "pytest": [*of_plugin(import_module(PLUGIN))],
        "commands": [*of_commands()],
        "environment": variables(),
    }


def of_module(module: ModuleType) -> Iterator[str]:
    """Yield a line for each name that a module shows, and each method and attribute of a class."""
    for name in sorted(module.__all__):
        member = getattr(module, name)
        if inspect.isclass(member) and owner(member) != module.__name__:
            yield name  # Another module has its lines.
        elif inspect.isclass(member):
            yield from of_class(name, member)
        else:
            yield f"{name}{signature(member)}" if inspect.isfunction(member) else name


def of_class(name: str, of: type) -> Iterator[str]:
    """Yield the lines of a class: its arguments, then its methods and attributes by name."""
    is_made = not (is_one(of, Enum, Warning, str) or getattr(of, "_is_protocol", False))
    yield f"{name}{signature(of)}" if is_made else name
    ours = [each for each in of.__mro__ if each.__module__.startswith("arize_roles_")]
    shown = {each for base in ours for each in {*vars(base), *inspect.get_annotations(base)}}
    # The public bases have lines of their own.
    public = [each for each in ours[1:] if owner(each)]
    without = {each for base in public for each in vars(base)}
    if is_made and (hasattr(of, "__attrs_attrs__") or is_one(of, msgspec.Struct, Exception)):
        without |= {*inspect.signature(of).parameters}
    for each in sorted(shown - {*getattr(of, "__members__", ())}):
        # A rule of the contract is a test, and no part of the interface.
        if each.startswith(("_", "test_")):
            continue
        found: object = getattr(of, each, None)
        if inspect.isroutine(found) and callable(found):
            yield f"{name}.{each}{signature(found)}"
        elif each not in without:
            yield f"{name}.{each}"


def owner(of: type) -> str:
    """Return the first module that has a public class, or nothing."""
    modules = map(import_module, MODULES)
    return next((m.__name__ for m in modules if any(getattr(m, n) is of for n in m.__all__)), "")


def is_one(of: type, *bases: type) -> bool:
    return issubclass(of, bases)


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


def of_plugin(plugin: ModuleType) -> Iterator[str]:
    """Yield the settings, the marker and the fixtures of the pytest plugin."""
    source = inspect.getsource(plugin)
    settings = re.findall(r'"(arize_roles_\w+)"', source)
    yield from sorted({f"setting {name}" for name in settings if f'= "{name}"' in source})
    yield f"marker arize_roles{signature(plugin.arize_roles)}"
    fixtures = re.findall(r"^@pytest\.fixture.*\n(?:async )?def (\w+)", source, re.MULTILINE)
    yield from (f"fixture {name}" for name in fixtures)


def of_commands() -> Iterator[str]:
    """Yield every command with its options."""
    for command, shown in helps():
        yield command
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", shown))
        yield from (f"{command} {option}" for option in sorted(options))


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
    packages = (Path(str(import_module(name).__file__)).parent for name in (MODULES[0], MODULES[3]))
    sources = (file.read_text("utf-8") for each in packages for file in each.rglob("*.py"))
    return sorted({name for text in sources for name in re.findall(r"\bARIZE_[A-Z_]+\b", text)})


def as_text(sections: dict[str, list[str]]) -> str:
    """Return the sections as a file keeps them."""
    return "\n\n".join("\n".join([name, *lines]) for name, lines in sections.items()) + "\n"


def from_text(text: str) -> dict[str, list[str]]:
    """Return the sections of a file."""
    return {name: lines for name, *lines in map(str.splitlines, text.strip().split("\n\n"))}


Sections = Mapping[str, Sequence[str]]


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
            elif not is_other and (changed := old[name] ^ new[name]):
                # A star alone says that those after it are given by name.
                parameters = {each.partition("=")[0].lstrip("*/") for each in changed} - {""}
                found |= parameters or {name.rpartition(".")[2]}
    return found


def _parts(line: str) -> tuple[str, set[str]]:
    """Return the name in a line, and its parameters with their defaults."""
    name, _, rest = line.partition("(")
    return name, {*re.split(r", (?![^(\[{<]*[)\]}>])", rest.removesuffix(")"))}


def missing(entry: str, wanted: set[str]) -> list[str]:
    """Return the names that do not stand in an entry as code."""
    code = "\n".join(re.findall(r"`([^`]+)`", entry))
    return sorted(
        name for name in wanted if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", code)
    )


def newest_entries(changelog: str) -> list[str]:
    """Return the newest entry of a CHANGELOG, and the version of the one before."""
    _, entry, before = re.split(r"^## \[", changelog, flags=re.MULTILINE)[:3]
    return [entry, before.partition("]")[0]]


def released(version: str) -> str:
    """Return the interface of a release: as it was before the CHANGELOG had a newer entry."""

    def git(*command: str) -> str:
        return str(ran("git", *command, cwd=ROOT).stdout)

    last = "HEAD"
    for commit in git("log", "--format=%H", "--", "CHANGELOG.md").split():
        if newest_entries(git("show", f"{commit}:CHANGELOG.md"))[0].startswith(version):
            break
        last = f"{commit}^"
    return git("show", f"{last}:tests/data/interface.txt")


def main() -> None:
    """Print the difference, and exit with 1 if the newest entry lacks a name of it."""
    now = interface()
    if "--write" in sys.argv[1:]:
        (DATA / "interface.txt").write_text(as_text(now), "utf-8")
        return
    entry, last = newest_entries((ROOT / "CHANGELOG.md").read_text("utf-8"))
    kept = released(last)
    if not kept:
        print("Nothing is compared: no history of git is here.")
        return
    print(
        *difflib.unified_diff(kept.splitlines(), as_text(now).splitlines(), n=0, lineterm=""),
        sep="\n",
    )
    lacking = missing(entry, names(from_text(kept), now))
    if lacking:
        sys.exit(f"The newest entry of CHANGELOG.md lacks: {', '.join(lacking)}")


if __name__ == "__main__":
    main()
