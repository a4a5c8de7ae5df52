"""The contract holds whichever the service turns out to be."""

from itertools import combinations, product
from typing import Any, Final

import pytest

from arize_roles_fake import Assumptions
from tests.contract.suites import (
    FakeBindingsSuite,
    FakeSuite,
    SocketBindingsSuite,
    SocketSuite,
    account_of_bindings,
    failed_tests,
)
from tests.support import sizes
from tests.support.covering import covering_rows

CHOICES: Final[dict[str, tuple[Any, ...]]] = dict(Assumptions.choices())
PAIRS: Final = [Assumptions(**row) for row in covering_rows(CHOICES)]
EACH: Final = [
    Assumptions(**{name: values[row] for name, values in CHOICES.items() if row < len(values) - 1})
    for row in range(1, max(map(len, CHOICES.values())) - 1)
]
"""Every value but the defaults, on which other suites run, and the opposites, below."""
ROWS: Final = sizes.sized(EACH, PAIRS)
OPPOSITE: Final = Assumptions(**{name: values[-1] for name, values in CHOICES.items()})


class TestEach(FakeSuite):
    """The fake client, on those values; with `--full`, on every pair of two."""

    @pytest.fixture(params=ROWS, ids=range(len(ROWS)), autouse=True)
    def assume(self, request: pytest.FixtureRequest) -> None:
        self.assumptions = request.param


def on_other_service(suite: Any, assumptions: Assumptions) -> Any:  # noqa: ANN401 - of either kind
    """Return a suite on a service that is not what it assumes."""
    other = suite()
    other.account = account_of_bindings(assumptions)
    return other


class TestOppositeOverSocket(SocketSuite):
    """The real client, on the opposite of every assumption."""

    assumptions = OPPOSITE


class TestOppositeOfBindings(SocketBindingsSuite):
    """The real client of bindings, on the same."""

    assumptions = OPPOSITE


def test_every_pair() -> None:
    """Every pair of values is in a row, in few rows."""
    for first, second in combinations(CHOICES, 2):
        pairs = {(getattr(row, first), getattr(row, second)) for row in PAIRS}
        assert pairs == set(product(CHOICES[first], CHOICES[second]))
    assert len(PAIRS) <= 16


@pytest.mark.parametrize(
    ("turned", "test"),
    [
        ({"invalid_body": 422}, "test_permission_unknown_to_service"),
        ({"predefined_refusal": 400}, "test_update_predefined"),
        ({"predefined_refusal": 400}, "test_delete_predefined"),
        ({"name_comparison": "case-insensitive"}, "test_name_case"),
        ({"name_comparison": "trimmed"}, "test_name_outer_spaces"),
        ({"deleted_name": "kept"}, "test_deleted_name"),
        ({"rename_to_own_name": 409}, "test_rename_to_own_name"),
        ({"list_order": "oldest-first"}, "test_list_order"),
        ({"paging": "by-offset"}, "test_walk_during_deletes"),
        ({"unknown_id": 400}, "test_unknown_id"),
        ({"malformed_id": 404}, "test_unknown_id"),
        ({"other_kind_id": 400}, "test_unknown_id"),
        ({"foreign_cursor": "ignored"}, "test_cursor_made_up"),
        ({"foreign_cursor": "ignored"}, "test_cursor_other_filter"),
        ({"rebind_to_own_role": 409}, "test_update_to_own_role"),
        ({"binding_checks": "role-and-user-first"}, "test_check_order"),
        ({"list_order": "oldest-first"}, "test_pages"),
        ({"malformed_id": 404}, "test_unknown_id"),
        ({"other_kind_id": 400}, "test_other_kind"),
        ({"foreign_cursor": "ignored"}, "test_cursor_other_list"),
    ],
)
def test_other_service(turned: dict[str, Any], test: str) -> None:
    """A test that states an assumption fails on a service that does otherwise."""
    suite = FakeSuite if hasattr(FakeSuite, test) else FakeBindingsSuite
    assert failed_tests(suite, [test]) == []
    assert failed_tests(lambda: on_other_service(suite, Assumptions(**turned)), [test]) == [test]
