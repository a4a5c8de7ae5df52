"""Plants faults that tools of this kind have had into roles as code, and shows what catches each.

    python -m tests.tools.planted_as_code

Each is planted alone in a scratch copy, and the tests of roles as code that need no other process
run against it. Ends with 1 where one survives.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = "arize_roles_async/as_code"
JUDGES: Final = ("test_plan.py", "test_apply.py", "test_file.py", "test_state_machine.py")

FAULTS: Final[dict[str, tuple[str, str]]] = {
    "a plan that makes what it plans": (
        "    return compare((await roles.list().all()).roles, declaration)\n",
        (
            "    made = compare((await roles.list().all()).roles, declaration)\n"
            "    for change in made.changes:\n"
            "        await _make(roles, change)\n"
            "    return made\n"
        ),
    ),
    "a rename that deletes and creates": (
        "*(Change(before=r, after=d) for r, d in pairs if r and differing(r, d)),",
        (
            "*(Change(before=r, after=d) for r, d in pairs if r and differing(r, d)"
            " and r.name == d.name),\n"
            "            *(c for r, d in pairs if r and r.name != d.name"
            " for c in (Change(before=r, after=None), Change(before=None, after=d))),"
        ),
    ),
    "a rename that is not seen": (
        'names = f"roles.{quote(declared.name)}", (declared.name, *declared.previously)',
        'names = f"roles.{quote(declared.name)}", (declared.name,)',
    ),
    "what is not declared is deleted": (
        "*(Change(before=role, after=None) for role in deleted),",
        "*(Change(before=role, after=None) for role in others),",
    ),
    "an empty file deletes all": (
        "    absent = declaration.absent\n",
        "    absent = declaration.absent or (not declaration.roles and tuple(by_name)) or ()\n",
    ),
    "a predefined role is taken for a custom one": (
        "        if role.is_predefined:\n",
        "        if False:\n",
    ),
    "withheld permissions are taken for none": (
        "        if role.permissions is None:\n            yield",
        "        if False:\n            yield",
    ),
    "creates before deletes at a limit": (
        "    for position, change in enumerate(planned.changes):\n",
        (
            "    changes = tuple(reversed(planned.changes))\n"
            "    planned = attr.evolve(planned, changes=changes)\n"
            "    for position, change in enumerate(planned.changes):\n"
        ),
    ),
    "a stale plan is applied": (
        "    if checksum not in {None, planned.checksum}:\n",
        "    if False:\n",
    ),
    "the reviewed plan is applied without a second look": (
        "    planned = await plan(roles, declaration)\n",
        "    planned = cast(Any, expected) or await plan(roles, declaration)\n",
    ),
    "a checksum that forgets what is replaced": (
        '{**change.to_dict(), "note": None}',
        '{**change.to_dict(), "note": None, "before": None}',
    ),
    "a checksum that forgets which role": (
        '{**change.to_dict(), "note": None}',
        '{**change.to_dict(), "note": None, "id": None}',
    ),
    "a swap is let through": (
        "        elif name in first:\n",
        "        elif False:\n",
    ),
    "an update that sends every field": (
        "for f in differing(change.before, after)}",
        "for f in _FIELDS}",
    ),
    "a failure that is skipped over": (
        "            raise _failure(planned.changes, position, error) from error\n",
        "            continue\n",
    ),
    "a lost answer that is told as not made": (
        "InvalidResponseError | OutcomeUnknownError)",
        "InvalidResponseError)",
    ),
    "an answer that nobody compares": (
        "    if others := [",
        "    if False and [",
    ),
    "a cancellation that is swallowed": (
        "        except RolesError as error:\n",
        "        except BaseException as cause:\n            error = RolesError(str(cause))\n",
    ),
    "permissions that are compared in their order": (
        "sorted({str(p) for p in role.permissions or ()})",
        "[str(p) for p in role.permissions or ()]",
    ),
    "an unknown permission that goes through": (
        "            if not p.is_known and p not in held\n",
        "            if False\n",
    ),
    "raw text on a terminal": (
        'c if c.isprintable() else f"\\\\U{ord(c):08x}"',
        "c",
    ),
    "a fence that content closes": (
        '.replace("```", "``\\\\u0060")',
        "",
    ),
    "a comment that exceeds its limit": (
        "if size <= room]",
        "]",
    ),
    "what a cut left of a role is declared": (
        '            permissions = f"permissions = {_array(role.permissions)}"\n',
        (
            '            permissions, previously = previously, f"permissions = '
            '{_array(role.permissions)}"\n'
        ),
    ),
}


def main() -> int:
    """Plant each fault, print what becomes of it, and return 1 where one survives."""
    survivors = 0
    for name in FAULTS:
        caught = _caught_by(*planted(name))
        survivors += not caught
        print(f"{name:55} {caught or 'SURVIVES'}", flush=True)
    print(f"{len(FAULTS)} planted, {survivors} survive")
    return 1 if survivors else 0


def planted(name: str) -> tuple[Path, str]:
    """Return the file of a fault, relative to the project, and its text with the fault.

    Raises:
        ValueError: Its place is not there once.
    """
    old, new = FAULTS[name]
    texts = {path: path.read_text("utf-8") for path in (ROOT / FOLDER).glob("*.py")}
    ((path, text),) = (each for each in texts.items() for _ in range(each[1].count(old)))
    return path.relative_to(ROOT), text.replace(old, new)


def _caught_by(path: Path, source: str) -> str:
    """Return which test fails first on a changed source; nothing where none does."""
    with tempfile.TemporaryDirectory() as scratch:
        for folder in ("arize_roles_async", "arize_roles_fake", "tests"):
            shutil.copytree(ROOT / folder, Path(scratch) / folder)
        (Path(scratch) / path).write_text(source, "utf-8")
        shutil.copy(ROOT / "pyproject.toml", scratch)
        judges = [f"tests/as_code/{judge}" for judge in JUDGES]
        done = subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, "-m", "pytest", "-qx", "--tb=no", "-p", "no:cacheprovider", *judges],
            cwd=scratch,
            env={**os.environ, "PYTHONPATH": scratch},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split(" - ")[0].split("::", 1)[-1] if failed else ""


if __name__ == "__main__":
    sys.exit(main())
