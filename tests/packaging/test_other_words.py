"""The tool that gives other libraries other words: these, and not our own."""

import os
import sys
from typing import Final

import pytest

from tests.support.processes import ROOT, ran

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="needs Python 3.12")

SCRIPT: Final = """
import argparse, http, os, socket, urllib.request, warnings

def ours():
    try:
        int("x")
    except ValueError as error:
        raise ValueError("in our words") from error

def shown(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        print(error)
        return error

print(shown(ours).__cause__)
shown(open, "no/file")
shown({}.__getitem__, "a key")
shown(urllib.request.urlopen, "http://127.0.0.1:1")
warnings.simplefilter("error")
shown(warnings.warn, "our warning")
print(os.strerror(2), http.HTTPStatus.OK.phrase, sep=", ")
parser = argparse.ArgumentParser("us")
parser.add_argument("--number", type=int)
parser.parse_args(["--number", "x"])
"""


def test_changed() -> None:
    """A text of an exception, of the system, of HTTP and of argparse is changed; no value is."""
    words = {**os.environ, "PYTHONPATH": str(ROOT / "tests/tools/other_words")}
    done = ran(sys.executable, "-c", SCRIPT, env=words)
    assert done.stdout.splitlines() == [
        "in our words",
        "in other words",
        "[Errno 2] in other words: 'no/file'",
        "'a key'",
        "in other words",
        "our warning",
        "in other words, in other words",
    ]
    assert done.stderr.splitlines() == [
        "word: us [-h] [--number NUMBER]",
        "us: word: word --number: word int word: 'x'",
    ]
