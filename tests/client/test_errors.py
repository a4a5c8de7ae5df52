"""Errors that tests and other clients make by hand."""

import copy
import pickle

import pytest

from arize_roles_async import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RateLimitError,
    ServerError,
    StatusError,
    UnprocessableEntityError,
)

STATUSES: list[tuple[type[StatusError], int]] = [
    (BadRequestError, 400),
    (AuthenticationError, 401),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (UnprocessableEntityError, 422),
    (RateLimitError, 429),
    (ServerError, 500),
    (StatusError, 0),
]


@pytest.mark.parametrize(("error", "status"), STATUSES)
def test_status(error: type[StatusError], status: int) -> None:
    """An error has the status of its class, unless another is given."""
    assert error("x").status == status
    assert error("x", status=418).status == 418


def test_not_found() -> None:
    """A `NotFoundError` takes the name and the closest ones, which survive copying."""
    error = NotFoundError("x", name="AI Enginer", closest=("AI Engineer",), from_service=True)
    for each in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert (str(each), each.name, each.closest) == ("x", "AI Enginer", ("AI Engineer",))
        assert (each.status, each.from_service) == (404, True)
    assert (NotFoundError().name, NotFoundError().closest) == (None, ())
