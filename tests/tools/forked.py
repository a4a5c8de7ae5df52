"""Runs pytest again and again, each time in a copy of a process that has imported what is slow.

Reads a line of JSON for each run: its arguments, the file of its output, and whether it may write
compiled modules. Writes two lines for each: its process and, once it has ended, its exit status.
"""

import json
import os
import resource
import sys
import tempfile
import warnings
from contextlib import suppress
from typing import Final, NoReturn

import pytest

_MEMORY: Final = 6 << 30


def run(arguments: list[str], output: str, *, compiles: bool) -> NoReturn:
    """Run pytest in this process, and end it."""
    status = 1
    try:
        if sys.platform == "linux":
            resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
        if not compiles:
            sys.dont_write_bytecode = True
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        opened = os.open(output, os.O_WRONLY)
        os.dup2(opened, 1)
        os.dup2(opened, 2)
        status = pytest.main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def main() -> None:
    """Run pytest as often as it is asked for."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # A run that finds no test imports every plugin as pytest wants it, but for the fake's. They are
    # what takes long.
    with tempfile.TemporaryDirectory() as empty, warnings.catch_warnings(action="ignore"):
        pytest.main(
            ["-p", "no:arize_roles_fake", "-p", "no:cacheprovider", "-c", os.devnull, empty]
        )
    for line in sys.stdin:
        arguments, output, compiles = json.loads(line)
        process = os.fork()
        if not process:
            os.setpgid(0, 0)
            run(arguments, output, compiles=compiles)
        with suppress(OSError):
            os.setpgid(process, process)
        print(process, file=told, flush=True)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        print(status, file=told, flush=True)


if __name__ == "__main__":
    main()
