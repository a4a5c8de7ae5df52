"""Responses as roles and pages, or as the error that names the field."""

import functools
import threading
from typing import Final, TypeVar

import msgspec

from arize_roles_async._values.errors import (
    ValidationError,
    validation_error,
)
from arize_roles_async._values.json import has_too_many_values
from arize_roles_async._values.models import ListRolesResponse, Role
from arize_roles_async._wire.problems import invalid_response, parse_redacted
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response

_MAX_UNCOUNTED: Final = 400_000
"""Bytes of a page whose values are not counted before it is decoded."""


_M = TypeVar("_M", Role, ListRolesResponse)


# Decoders are made on first use, since making one takes longer than importing most modules; and one
# at a time, since msgspec shares what it knows of a class before it is complete, which crashes a
# second thread.
_making: Final = threading.Lock()


@functools.cache
def _role_decoder() -> "msgspec.json.Decoder[Role]":
    with _making:
        return msgspec.json.Decoder(Role)


@functools.cache
def _page_decoder() -> "msgspec.json.Decoder[ListRolesResponse]":
    with _making:
        return msgspec.json.Decoder(ListRolesResponse)


def decode_role(request: Request, response: Response) -> Role:
    """Return the role that the service answered with, or raise `InvalidResponseError`."""
    return _decode(request, response, _role_decoder(), Role)


def decode_page(request: Request, response: Response) -> ListRolesResponse:
    """Return the page that the service answered with, or raise `InvalidResponseError`."""
    return _decode(request, response, _page_decoder(), ListRolesResponse)


def _decode(
    request: Request, response: Response, decoder: "msgspec.json.Decoder[_M]", model: type[_M]
) -> _M:
    if "json" not in response.headers.get("Content-Type", "application/json"):
        media_type = response.header("Content-Type") or ""
        raise invalid_response(request, response, f"its type is {media_type[:80]!a}, not JSON")
    # Counting takes half as long as decoding. A page of today's longest roles is below this bound,
    # and a body below it holds too few values to matter.
    if len(response.body) <= _MAX_UNCOUNTED or not has_too_many_values(response.body):
        try:
            return decoder.decode(response.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
    return _decode_slow(request, response, model)


def _decode_slow(request: Request, response: Response, model: type[_M]) -> _M:
    """Raise an error that names the wrong field, or return a value that only msgspec refuses."""
    from arize_roles_async._values import convert as _convert

    try:
        # The key is redacted before the conversion, since a traceback shows what each frame holds.
        return _convert.from_dict(model, parse_redacted(response))
    except ValidationError as error:
        refused = error
    except ValueError as error:
        refused = validation_error(("$", str(error)))
    raise invalid_response(request, response, str(refused)) from refused
