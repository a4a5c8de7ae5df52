"""Has zizmor look for weaknesses in the workflow of the guide's page on roles as code, offline.

    python -m tests.tools.workflow

Exits with 1 if it finds one.
"""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

PAGE: Final = "guide/roles-as-code.md"


def main() -> int:
    """Return 0 if zizmor finds nothing."""
    page = files("arize_roles_async").joinpath(PAGE).read_text("utf-8")
    workflow = page.partition("```yaml\n")[2].partition("```\n")[0]
    with TemporaryDirectory() as folder:
        path = Path(folder, "roles.yml")
        path.write_text(workflow, "utf-8")
        zizmor = Path(sys.executable).with_name("zizmor")
        ran = subprocess.run([zizmor, "--offline", "--no-progress", path], check=False)  # noqa: S603 - our own
    return int(ran.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
