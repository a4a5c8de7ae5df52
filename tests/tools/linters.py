"""Linters of what the type checkers and ruff do not see: each is a command.

    python -m tests.tools.linters [typed_guide | workflow | audit]

- `typed_guide` has mypy and pyright check the pages of the guides, as a reader pastes them.
- `workflow` has zizmor look for weaknesses in the workflow of the guide, offline.
- `audit` has pip-audit look for known vulnerabilities in the packages of this environment. It only
  says so where the data cannot be reached.

Without a name it runs them all. It exits with 1 if one finds a fault.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.support.documentation import ROOT, examples, pages
from tests.support.processes import passed_on


def run(program: str, *arguments: object, **options: bool) -> subprocess.CompletedProcess[str]:
    """Run a command of this environment."""
    path = Path(sys.executable).with_name(program)
    return passed_on(path, *arguments, check=False, **options)


def typed_guide() -> bool:
    """Return whether both checkers pass the pages."""
    with TemporaryDirectory() as folder:
        for title, page in pages().items():
            path = Path(folder, re.sub(r"\W", "_", title)).with_suffix(".py")
            path.write_text("# pyright: strict\n" + page, "utf-8")
        mypy = run("mypy", "--strict", "--config-file=", "--cache-dir=/dev/null", folder)
        pyright = run("pyright", "--pythonpath", sys.executable, folder)
    return mypy.returncode == pyright.returncode == 0


def workflow() -> bool:
    """Return whether zizmor finds nothing."""
    page = (ROOT / "arize_roles_async/guide/roles-as-code-in-ci.md").read_text("utf-8")
    with TemporaryDirectory() as folder:
        Path(folder, "roles.yml").write_text("".join(examples(page, "yaml")), "utf-8")
        return not run("zizmor", "--offline", "--no-progress", *Path(folder).iterdir()).returncode


def audit() -> bool:
    """Return whether pip-audit finds nothing, or cannot look."""
    ran = run("pip-audit", "--progress-spinner", "off", "--format", "json", capture_output=True)
    try:
        packages: list[dict[str, Any]] = json.loads(ran.stdout)["dependencies"]
    except ValueError:
        print(f"no audit: its data cannot be reached: {ran.stderr.splitlines()[-1:]}")
        return True
    audited = [each for each in packages if "vulns" in each]
    found = [f"{each['name']}: {flaw['id']}" for each in audited for flaw in each["vulns"]]
    print(f"{len(audited)} of {len(packages)} packages were audited", *found, sep="\n")
    return not found


LINTERS: Final = {each.__name__: each for each in (typed_guide, workflow, audit)}


if __name__ == "__main__":
    passed = [LINTERS[name]() for name in sys.argv[1:] or LINTERS]
    sys.exit(not all(passed))
