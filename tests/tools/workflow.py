"""Has zizmor look for weaknesses in the workflows of the guide's page on roles as code, offline.

    python -m tests.tools.workflow

Exits with 1 if it finds one.
"""

import re
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
    fenced = re.findall(r"(?ms)^```yaml\n(.*?)^```$", page)
    with TemporaryDirectory() as folder:
        paths = [Path(folder, f"{n}.yml") for n, text in enumerate(fenced) if "\njobs:" in text]
        for path in paths:
            path.write_text(fenced[int(path.stem)], "utf-8")
        zizmor = Path(sys.executable).with_name("zizmor")
        ran = subprocess.run([zizmor, "--offline", "--no-progress", *paths], check=False)  # noqa: S603 - our own
    return int(ran.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
