"""Every pair of values at least once, in few rows."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import TypeVar

T = TypeVar("T")


def covering_rows(choices: Mapping[str, Sequence[T]]) -> list[dict[str, T]]:
    """Return rows of one value a field, in which any two values of two fields come together.

    Each row begins with a pair that no row has yet; every other field then gets the value that
    makes the most of such pairs with the values so far.
    """
    missing: list[dict[str, T]] = [
        {first: a, second: b}
        for first, second in combinations(choices, 2)
        for a, b in product(choices[first], choices[second])
    ]
    rows: list[dict[str, T]] = []
    while missing:
        row = dict(missing[0])
        for field in [name for name in choices if name not in row]:
            added = [
                sum(pair.items() <= (row | {field: value}).items() for pair in missing)
                for value in choices[field]
            ]
            row[field] = choices[field][added.index(max(added))]
        missing = [pair for pair in missing if not pair.items() <= row.items()]
        rows.append(row)
    return rows
