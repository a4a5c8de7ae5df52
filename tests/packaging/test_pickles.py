"""Pickles of earlier releases, which caches and other processes hold, load in this version."""

import base64
import copy
import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest

import arize_roles_async
import arize_roles_fake
from arize_roles_async import ProblemDetails, as_code, transport
from tests.tools.pickles import ERRORS, VALUES

DATA = Path(__file__).parents[1] / "data"
# What a test holds while it scripts an account: nobody keeps it.
NOT_KEPT = {"Fault"}


MADE: dict[str, Any] = {type(each).__name__: each for each in (*VALUES, *ERRORS)}
# Classes that are gone, as the CHANGELOG says.
GONE = {"Binding", "Export", "Reply"}
KEPT = [
    pytest.param(*line.split(), id=f"{file.stem}-{line.split()[0]}")
    for file in sorted(DATA.glob("pickles-*.txt"))
    for line in file.read_text("ascii").splitlines()
    if line.split()[0] not in GONE
]


@pytest.mark.parametrize(("name", "data"), KEPT)
def test_loads(name: str, data: str) -> None:
    """A value is equal to one that is made now, and so is a copy; an error has the same fields."""
    expected = MADE[name]
    for each in (base64.b64decode(data), pickle.dumps(expected)):
        loaded: Any = pickle.loads(each)  # noqa: S301 - our own
        for other in (loaded, copy.copy(loaded)):
            assert type(other) is type(expected)
            if isinstance(expected, Exception):
                assert (other.args, vars(other)) == (expected.args, vars(expected))
            else:
                assert other == expected


def test_new_field() -> None:
    """A field that a pickle lacks, as the class had it not yet, has its default."""
    older: Any = object.__new__(ProblemDetails)
    older.__setstate__({"title": "A title"})

    assert older == ProblemDetails(title="A title")


def is_kept(of: Any) -> bool:  # noqa: ANN401 - any public name
    """Return whether something is a class of values or errors."""
    of_attrs = hasattr(of, "__attrs_attrs__")
    bases = (Exception, msgspec.Struct, str)
    return isinstance(of, type) and (of_attrs or issubclass(of, bases))


def test_each_class() -> None:
    """Every public class of values and errors is among them."""
    public = {
        name
        for module in (arize_roles_async, as_code, transport, arize_roles_fake)
        for name in module.__all__
        if is_kept(getattr(module, name))
    }

    assert MADE.keys() == public - NOT_KEPT
