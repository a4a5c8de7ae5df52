"""Has pip-audit look for known vulnerabilities in the packages of this environment.

    python -m tests.tools.audit

Exits with 1 if there is one, and with 0 where the data cannot be reached, and says so.
"""

import json
import subprocess
import sys
from typing import Any, Final

COMMAND: Final = ("-m", "pip_audit", "--progress-spinner", "off", "--format", "json")


def judge(output: str, errors: str) -> tuple[str, int]:
    """Return what to print of a run of pip-audit, and the exit status."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except ValueError:
        reason = errors.strip().rpartition("\n")[2]
        return f"no audit: the data of pip-audit cannot be reached: {reason}", 0
    audited = [each for each in packages if "vulns" in each]
    lines = [f"{len(audited)} of {len(packages)} packages were audited"]
    if not audited:
        lines = ["no audit: pip-audit found data on no package"]
    found = [
        f"{each['name']} {each['version']}: {flaw['id']}"
        for each in audited
        for flaw in each["vulns"]
    ]
    return "\n".join([*lines, *found]), int(bool(found))


def main() -> int:
    """Return 0 if pip-audit finds nothing, or cannot look."""
    ran = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, *COMMAND], check=False, capture_output=True, text=True
    )
    text, status = judge(ran.stdout, ran.stderr)
    print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
