"""Runs the README's commands on every Python of Debian's unstable suite, which has the newest.

    python -m tests.tools.debian_python [--only VERSION] [FOLDER]

It makes a chroot in FOLDER, which it keeps and uses again, or else in a temporary one. With each
Python there it runs the README's two commands as they stand on what is committed, and then
`release_check`, which tests the wheel with the newest dependencies and no pins. Ends with a table,
and with 1 where one failed.

Needs root, debootstrap, and a Debian with current lists of packages. Mirror, certificates and the
settings of apt and pip are those of this machine.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.support.processes import ROOT, passed_on

FROM_HERE: Final = (
    "/etc/resolv.conf",
    "/etc/pip.conf",
    "/etc/apt/apt.conf.d",
    "/etc/ssl/certs/ca-certificates.crt",
)
"""What the chroot has from this machine, if it is there."""
SETTINGS: Final = re.compile("PIP_CERT|PIP_INDEX_URL|SSL_CERT_FILE|.*_proxy", re.IGNORECASE)
"""Variables that the chroot has from this machine."""
MOUNTED: Final = (
    "mount -t proc proc $0/proc && mount --rbind /dev/pts $0/dev/pts && "
    'mount -t tmpfs tmpfs $0/dev/shm && exec chroot "$0" "$@"'
)
MIRROR: Final = ("apt-get", "indextargets", "--format", "$(REPO_URI)", "Label: Debian")
RELEASE_CHECK: Final = (
    ".venv/bin/pip install -q build && .venv/bin/python -m tests.tools.release_check -q -n auto"
)


class Chroot:
    """A Debian in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "usr/bin/git").exists():
            options = ["--variant=minbase", "--include=ca-certificates,git,python3"]
            mirror, *_ = passed_on(*MIRROR, stdout=subprocess.PIPE).stdout.split()
            passed_on("debootstrap", *options, "unstable", folder, mirror)
        here = [path for path in FROM_HERE if Path(path).exists()]
        passed_on("cp", "-rL", "--parents", *here, folder)
        self.run("apt-get update -qq")

    def run(self, command: str, **options: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
        """Run a command of the shell; the mounts that it needs end with it."""
        variables = {n: v for n, v in os.environ.items() if SETTINGS.fullmatch(n)}
        variables |= {"HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        variables["PATH"] = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        settings = [f"{name}={value}" for name, value in variables.items()]
        shell = ["env", "-i", *settings, "bash", "-c", command]
        print(f"\n$ {command}", flush=True)
        return passed_on("unshare", "--mount", "sh", "-c", MOUNTED, self.folder, *shell, **options)

    def pythons(self) -> list[str]:
        """Install every Python that it offers and return their versions, such as `3.14`."""
        names = self.run("apt-cache pkgnames python3.", stdout=subprocess.PIPE).stdout
        found = sorted({*re.findall(r"\bpython3\.(\d+)-venv\b", names)}, key=int)
        packages = " ".join(f"python3.{minor}-venv" for minor in found)
        self.run(f"apt-get install -qq -y --no-install-recommends {packages}")
        return [f"3.{minor}" for minor in found]

    def try_all(self, version: str) -> Iterator[str]:
        """Run every command with one Python, and yield a row of the table for each."""
        self.run(f"ln -sf /usr/bin/python{version} /usr/local/bin/python3")
        project = f"/project-{version}"
        readme = (ROOT / "README.md").read_text("utf-8")
        commands = re.findall(r"^python3 -m venv \.venv && .+$", readme, re.MULTILINE)
        for command in (*commands, RELEASE_CHECK):
            if command != RELEASE_CHECK:
                shutil.rmtree(f"{self.folder}{project}", ignore_errors=True)
                passed_on("git", "clone", "-q", ROOT, f"{self.folder}{project}")
            done = self.run(f"cd {project} && {command}", check=False)
            result = "FAILED" if done.returncode else "passed"
            yield f"{version}  {result}  {command.rpartition(' && ')[2]}"


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.tools.debian_python", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where the chroot is, or will be")
    parser.add_argument("--only", metavar="VERSION", action="append", help="such as 3.14")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        chroot = Chroot(chosen.folder or Path(temporary, "chroot"))
        there = chroot.pythons()
        rows = [row for version in chosen.only or there for row in chroot.try_all(version)]
    print("", *rows, sep="\n")
    return int(any("FAILED" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
