"""Plants faults that tools of this kind have had into roles as code, and shows what the judge says.

    python -m tests.tools.planted_as_code [NAME ...]

Each is planted alone in a scratch copy, and `judge_as_code` runs there until its first wrong case,
or the tests do that are the judges of what no run shows. Ends with 1 where one is not found.
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
COMMAND: Final = "arize_roles_async/__main__.py"
CASES: Final = 1000

FAULTS: Final[dict[str, tuple[str, str]]] = {
    "a plan that makes what it plans": (
        "    return compare(everyone, declaration, account=account, host=host)\n",
        (
            "    made = compare(everyone, declaration, account=account, host=host)\n"
            "    for change in made.changes:\n"
            "        if change.before and not change.after:\n"
            "            await roles.delete(role_id=change.before.id)\n"
            "    return made\n"
        ),
    ),
    "a rename that deletes and creates": (
        "    deleted = [by_name[name] for name in declaration.absent if name in by_name]\n",
        (
            "    deleted = [by_name[name] for name in declaration.absent if name in by_name]\n"
            "    deleted += [r for r, d in pairs if r and r.name != d.name]\n"
            "    pairs = [(r if r and r.name == d.name else None, d) for r, d in pairs]\n"
        ),
    ),
    "a rename that is not seen": (
        "(by_name[name] for name in declared.previously if name in by_name)",
        "()",
    ),
    "what is not declared is deleted": (
        "[Change(before=role, after=None) for role in deleted]",
        "[Change(before=role, after=None) for role in [*deleted, *others]]",
    ),
    "an empty file deletes all": (
        "    deleted = [by_name[name] for name in declaration.absent if name in by_name]\n",
        (
            "    absent = declaration.absent or (not declaration.roles and tuple(by_name)) or ()\n"
            "    deleted = [by_name[name] for name in absent if name in by_name]\n"
        ),
    ),
    "a predefined role is taken for a custom one": (
        "        if role.is_predefined:\n",
        "        if False:\n",
    ),
    "creates before deletes": ('"delete": 1, "create": 2}', '"delete": 2, "create": 1}'),
    "what moves is taken before it is given": ("if gives else (4, 0)", "if gives else (0, -1)"),
    "three roles in the order of their names": ("(3, max(rank[p] for p in takes))", "(3, 0)"),
    "a stale plan is applied": ("        if checksum == planned.checksum:\n", "        if True:\n"),
    "a checksum that forgets what is replaced": (
        '{**change.to_dict(), "note": None}',
        '{**change.to_dict(), "note": None, "before": None}',
    ),
    "a checksum that forgets which role": (
        '{**change.to_dict(), "note": None}',
        '{**change.to_dict(), "note": None, "id": None}',
    ),
    "a checksum that forgets the account": (
        (
            '            "account": self.account,\n'
            '            "host": self.host,\n            "ids": sorted('
        ),
        '            "ids": [] and sorted(',
    ),
    "a checksum that forgets what stays": (
        "for role in (*self.predefined, *self.unchanged))",
        "for role in self.predefined)",
    ),
    "a former name that is always the role's own": (
        "if there and role.created_at > there.created_at",
        "if False",
    ),
    "a checksum that forgets the host": (
        '            "host": self.host,\n            "ids": sorted(',
        '            "ids": sorted(',
    ),
    "an anchor that holds nothing": (
        "    if anchor is not None and anchor not in",
        "    if False and anchor not in",
    ),
    "a change that the client sends again by itself": (
        "roles.with_options(retry=_AT_ONCE)",
        "roles",
    ),
    "a 429 that leaves a change open": (
        "return isinstance(error, errors.OutcomeUnknownError | errors.InvalidResponseError)\n",
        (
            "return not isinstance(error, errors.StatusError)"
            " or isinstance(error, errors.RateLimitError)\n"
        ),
    ),
    "a blocked delete that ends the run": (
        "if isinstance(error, errors.ConflictError) and self.change.after is None:",
        "if False:",
    ),
    "a blocked delete that nobody reports": ("                cause = cause or refusal\n", ""),
    "a swap is let through": (
        "        for path in dict.fromkeys(paths if len(paths) > 1 else ()):\n",
        "        for path in ():\n",
    ),
    "a file that is forgotten": (
        'for part in parts for each in part["roles"].items()]',
        'for part in parts[:1] for each in part["roles"].items()]',
    ),
    "a set that gives nothing": (
        "{str(p): each for p in sets[each]}",
        "{}",
    ),
    "an update that sends every field": (
        "for f in differing(change.before, after)}",
        "for f in differing(None, after)}",
    ),
    "a failure that is taken for success": (
        "        cause, reason = error, str(error)\n",
        "        made, attempts = [*planned.changes], None\n",
    ),
    "a lost answer reported as not made": (
        "    return isinstance(error, errors.OutcomeUnknownError | errors.InvalidResponseError)\n",
        "    return isinstance(error, errors.InvalidResponseError)\n",
    ),
    "a gateway's answer reported as not made": (
        "        return isinstance(error, errors.ServerError) or not error.from_service\n",
        "        return isinstance(error, errors.ServerError)\n",
    ),
    "a refusal reported as open": (
        "        return isinstance(error, errors.ServerError) or not error.from_service\n",
        "        return True\n",
    ),
    "an answer that nobody compares": ("    if others := [", "    if False and ["),
    "permissions that are compared in their order": (
        '"permissions": sorted(held(role))',
        '"permissions": [*map(str, role.permissions or ())]',
    ),
    "an unknown permission that goes through": (
        "    for path, permission in sorted(unknown):\n",
        "    for path, permission in ():\n",
    ),
    "new permissions that are taken for typing errors": (
        "{str(permission) for permission in _items(new)}",
        "set()",
    ),
    "a delete without reading the role again": (
        "        try:\n            now = await self._look()\n",
        (
            "        if after is None:\n            return False\n"
            "        try:\n            now = await self._look()\n"
        ),
    ),
    "an update without reading the role again": (
        "        try:\n            now = await self._look()\n",
        (
            "        if before and after:\n            return False\n"
            "        try:\n            now = await self._look()\n"
        ),
    ),
    "a role that is read again and not compared": (
        "now is None or not differing(before, now)",
        "now is None or before is not None",
    ),
    "a delete that was made first is a failure": (
        "            if after is None:\n                return True\n",
        "",
    ),
    "a mass change that is let through": ("        if removed <= allowed:\n", "        if True:\n"),
    "a mass change that was reviewed is refused": (
        "    if checksum is None:\n",
        "    if checksum is None or checksum == planned.checksum:\n",
    ),
    "a run that goes on after a signal": (
        "                self._permit()\n                if not",
        "                if not",
    ),
    "a change that is sent after a signal": (
        "                    self._permit()\n                    await self._send()\n",
        "                    await self._send()\n",
    ),
    "what failed is reported as not reached": (
        "len(self.blocked) + (self.failed is not None)",
        "len(self.blocked)",
    ),
    "an open change that ends with 2": (
        "return 3 if result.made or result.may_have_been_made else 2",
        "return 3 if result.made else 2",
    ),
    "a change that waited and is sent after a signal": (
        "at_once if with_permit is None else with_permit(self._permit)",
        "at_once",
    ),
    "a role that is ignored and listed": (
        "[role for role in rest if role.name not in declaration.ignored]",
        "rest",
    ),
    "files of two accounts": ("in (each for each in values if each != values[0]):\n", "in ():\n"),
    "a place without its line": (
        "lines[name] = first + ",
        "lines[name] = first + 0 * ",
    ),
    "a place in another file": (
        "        lines = lines or {name: first",
        "        lines = {name: first",
    ),
    "a file whose tables stay as they are": ("    entries.sort(key=itemgetter(0, 1))\n", ""),
    "a comment that is lost": ("if key else value)", "if key else value * bool(path))"),
    "a schema that knows no newer permission": ('"anyOf": [known, _TEXT]', '"anyOf": [known]'),
    "a cancelled change reported as not made": (
        '        reason = f"the run was ended by',
        '        attempts, reason = None, f"the run was ended by',
    ),
}


TESTS: Final = {
    "an open change that ends with 2": "test_command_line.py::TestApply",
    "a cancelled change reported as not made": "test_apply.py::TestStopping",
    "a checksum that forgets what stays": "test_plan.py::TestAccount",
    "a lost answer reported as not made": "test_attempts.py::TestGateway",
    "a run that goes on after a signal": "test_apply.py::TestStopping",
    "a change that is sent after a signal": "test_apply.py::TestStopping",
    "a change that waited and is sent after a signal": "test_attempts.py::TestWaiting",
    "a role that is ignored and listed": "test_files.py::TestIgnored",
    "files of two accounts": "test_files.py::TestSeveral",
    "a place without its line": "test_files.py::TestPlaces",
    "a place in another file": "test_files.py::TestPlaces",
    "a file whose tables stay as they are": "test_formatting.py",
    "a comment that is lost": "test_formatting.py",
    "a schema that knows no newer permission": "test_formatting.py",
}
"""The tests that judge a fault, in `tests/as_code`."""


def main() -> int:
    """Plant each fault, print what becomes of it, and return 1 where one survives."""
    names = sys.argv[1:] or [*FAULTS]
    survivors = 0
    for name in names:
        found = _found(*planted(name), TESTS.get(name))
        survivors += not found
        print(f"{name:55} {found or 'SURVIVES'}", flush=True)
    print(f"{len(names)} planted, {survivors} survive")
    return 1 if survivors else 0


def planted(name: str) -> tuple[Path, str]:
    """Return the file of a fault, relative to the project, and its text with the fault.

    Raises:
        ValueError: Its place is not there once.
    """
    old, new = FAULTS[name]
    paths = [*(ROOT / FOLDER).glob("*.py"), ROOT / COMMAND]
    texts = {path: path.read_text("utf-8") for path in paths}
    ((path, text),) = (each for each in texts.items() for _ in range(each[1].count(old)))
    return path.relative_to(ROOT), text.replace(old, new)


def _found(path: Path, source: str, tests: str | None) -> str:
    """Return the first wrong case of a changed source; nothing where there is none."""
    with tempfile.TemporaryDirectory() as scratch:
        for folder in ("arize_roles_async", "arize_roles_fake", "tests"):
            shutil.copytree(ROOT / folder, Path(scratch) / folder)
        (Path(scratch) / path).write_text(source, "utf-8")
        shutil.copy(ROOT / "pyproject.toml", scratch)
        judge = ["-W", "ignore", "-m", "tests.tools.judge_as_code", "--first", f"--cases={CASES}"]
        if tests is not None:
            judge = ["-m", "pytest", "-qx", "-pno:cacheprovider", f"tests/as_code/{tests}"]
        done = subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, *judge],
            cwd=scratch,
            env={**os.environ, "PYTHONPATH": scratch},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    wrong = [line for line in done.stdout.splitlines() if line.startswith(("case ", "FAILED"))]
    return wrong[0][:100] if wrong else done.stderr.strip().rpartition("\n")[2][:100]


if __name__ == "__main__":
    sys.exit(main())
