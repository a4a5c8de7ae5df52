"""Any names, descriptions and declarations, as the service allows them."""

from itertools import islice
from typing import Final

from hypothesis import strategies as st

from arize_roles_async.as_code import Declaration, DeclaredRole

_CARRIED: Final = st.characters(codec="utf-8")
_ALLOWED: Final = "ABCXYZabcxyz0189 -_.,()[]'\"/:\\&@#$%!?+="
_PERMISSIONS: Final = ["DATASET_READ", "DATASET_CREATE", "PROJECT_READ", "ROLE_READ", "NEW_READ"]
_texts = st.text(_CARRIED, min_size=1, max_size=8)
_descriptions = st.none() | st.text(
    _CARRIED | st.sampled_from('"\\`\x1b\x7f\x85\u202e\u2028\r\n'), min_size=1, max_size=20
)


@st.composite
def declarations(draw: st.DrawFn) -> Declaration:
    """Return any valid declaration; each name appears once, and former ones may be any text."""
    names = st.text(_ALLOWED, min_size=1, max_size=12)
    present = draw(st.lists(names, max_size=6, unique=True))
    old = draw(st.lists(_texts, max_size=6, unique=True))
    former = iter([name for name in old if name not in present])
    roles = [
        DeclaredRole(
            name=name,
            permissions=draw(st.lists(st.sampled_from(_PERMISSIONS), min_size=1, max_size=4)),
            description=draw(_descriptions),
            previously=[*islice(former, draw(st.integers(0, 2)))],
        )
        for name in present
    ]
    left = [*former]
    absent = draw(st.integers(0, len(left)))
    return Declaration(
        roles=roles,
        absent=left[:absent],
        ignored=left[absent:],
        undeclared=draw(st.sampled_from([None, "ignore"])),
        account=draw(st.none() | _texts),
        anchor=draw(st.none() | _texts),
        new_permissions=["NEW_READ", *draw(st.lists(st.sampled_from(["NEWER_READ", "ROLE_READ"])))],
    )


_comments = st.lists(st.sampled_from(["# one", "  #two", ""]), max_size=3)
_items = st.sampled_from(['"x"', "'x'", '"y"', '"z # no"', "'''w'''"])


@st.composite
def _lists(draw: st.DrawFn) -> str:
    lines = ["[" + draw(st.sampled_from(["", " # first"]))]
    for item in draw(st.lists(_items, max_size=4)):
        lines += [*draw(_comments), item + draw(st.sampled_from([",", " ,", ",  # behind"]))]
    return "\n".join([*lines, *draw(_comments), "]" + draw(st.sampled_from(["", " # end"]))])


_values = _lists() | st.sampled_from(['"a"', "'''\n]\n# no\n'''", '[[1], "#"]', "{b = ['x', 'a']}"])
_KEYS: Final = ("absent", "other", "permissions", "sets.s", "roles.A.include", '"a.b"')
_TABLES: Final = ('[roles."B"]', "[sets]", "[x.'b' ]", "[[y]]", "# two", "  # x = [one", "")


@st.composite
def toml(draw: st.DrawFn) -> str:
    """Return a text of comments, keys and tables that may be TOML; many keys are unknown."""
    lines = draw(st.lists(st.sampled_from([*_KEYS, *_TABLES]), max_size=8, unique=True))
    return "\n".join(f"{each} = {draw(_values)}" if each in _KEYS else each for each in lines)
