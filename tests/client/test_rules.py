"""The rules of arguments: where each ends, and what it says."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from arize_roles_async import Permission, UnknownPermission
from arize_roles_async._roles.requests import (
    description_flaw,
    filter_flaw,
    name_flaw,
    normalize_permissions,
    permissions_flaw,
)
from arize_roles_async._values.requests import id_flaw, limit_flaw, name_or_id_flaw, text_flaw

role_flaw = partial(name_or_id_flaw, "role")
SURROGATES = "must not contain surrogates, which UTF-8 cannot carry"
NOT_ALLOWED = (
    "only ASCII letters, digits, space "
    "and - _ . , ( ) [ ] ' \" / : \\ & @ # $ % ! ? + = are allowed"
)


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        (name_flaw, 5, "must be a string, not int"),
        (name_flaw, "", "must have 1 to 255 characters, not 0"),
        (name_flaw, "n" * 256, "must have 1 to 255 characters, not 256"),
        (name_flaw, "a~é~\n", rf"must not contain '~\xe9\n': {NOT_ALLOWED}"),
        (
            name_flaw,
            "".join(map(chr, range(0x4E00, 0x4E15))),
            f"must not contain {''.join(map(chr, range(0x4E00, 0x4E14)))!a}: {NOT_ALLOWED}",
        ),
        (description_flaw, "d" * 1001, "must have at most 1000 characters, not 1001"),
        (description_flaw, "\ud800", SURROGATES),
        (permissions_flaw, "ROLE_READ", "must be a list of permissions, not str"),
        (permissions_flaw, (), "must hold at least one permission"),
        (permissions_flaw, (5,), "must hold permissions or their identifiers, not int"),
        (
            *(permissions_flaw, ("ROLE_RAED", Permission.ROLE_READ, None)),
            (
                "'ROLE_RAED' is not a known permission; did you mean ROLE_READ?; "
                "must hold permissions or their identifiers, not None"
            ),
        ),
        (
            permissions_flaw,
            (1,) * 6,
            "; ".join([*["must hold permissions or their identifiers, not int"] * 5, "and 1 more"]),
        ),
        (permissions_flaw, (UnknownPermission("\ud800"),), rf"'\ud800' {SURROGATES}"),
        (permissions_flaw, (UnknownPermission(""),), "'' must not be empty"),
        (id_flaw, "i" * 1001, "must have at most 1000 characters, not 1001"),
        (role_flaw, "n" * 256, "must have at most 255 characters if it is a name, not 256"),
        (role_flaw, "Ojo6" * 251, "must have at most 1000 characters, not 1004"),
        (limit_flaw, True, "must be an integer, not bool"),
        (limit_flaw, 1.0, "must be an integer, not float"),
        (limit_flaw, 0, "must be 1 to 100, not 0"),
        (limit_flaw, 101, "must be 1 to 100, not 101"),
        (text_flaw, "", "must not be empty"),
        (text_flaw, "\udfff", SURROGATES),
        (filter_flaw, 1, "must be True or False, not int"),
    ],
)
def test_refused(rule: Callable[[object], str | None], value: object, message: str) -> None:
    """Values that a rule refuses, with its message."""
    assert rule(value) == message


@pytest.mark.parametrize("value", ["ROLE_READ", b"ROLE_READ"])
def test_not_several(value: Any) -> None:  # noqa: ANN401 - whatever a caller gives
    """A text is no list of permissions, and left to the rule."""
    assert normalize_permissions(value) is value
