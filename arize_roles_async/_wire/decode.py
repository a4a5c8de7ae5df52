"""Responses as objects and pages, or as the error that names the field."""

import functools
import math
import threading
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from arize_roles_async._values.base_errors import ValidationError, validation_error
from arize_roles_async._values.json import TOO_LONG, has_too_many_values, parse_json
from arize_roles_async._values.models import ListResponse, Model
from arize_roles_async._values.requests import is_same_id, is_same_name
from arize_roles_async._wire.problems import invalid_response
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response

_T = TypeVar("_T", bound=Model)
_P = TypeVar("_P", bound=ListResponse[object])

_MAX_UNCOUNTED: Final = 400_000
"""Bytes of a page whose values are not counted before it is decoded."""

# Decoders are made on first use, since making one takes longer than importing most modules; and one
# at a time, since msgspec shares what it knows of a class before it is complete, which crashes a
# second thread.
_making: Final = threading.Lock()


@functools.cache
def _decoder(model: type) -> "msgspec.json.Decoder[Any]":
    with _making:
        return msgspec.json.Decoder(model)


# Two decoders check that an answer fits its request, since the connection may have carried an
# unsolicited answer.


def decode_page(model: type[_P], limit: int, request: Request, response: Response) -> _P:
    """Return the page in an answer, of at most `limit` items."""
    page = decode(model, request, response, limit)
    if len(page) > limit:
        raise invalid_response(request, response, TOO_LONG.format(len(page), limit))
    return page


def decode_item(
    model: type[_T], asked: Mapping[str, object], request: Request, response: Response
) -> _T:
    """Return the item in an answer, in which each of these fields is as asked for."""
    item = decode(model, request, response)
    for field, value in asked.items():
        found = getattr(item, field)
        # The service leaves out some descriptions, and permissions that a key may not read.
        if found == value or field == "description" or not isinstance(value, str):
            continue
        is_same = is_same_name if field == "name" else is_same_id
        if not is_same(found, value):
            why = f"it holds another {field} than was asked for"
            raise invalid_response(request, response, why)
    return item


def decode(model: type[_T], request: Request, response: Response, limit: float = math.inf) -> _T:
    """Return the object of a model in an answer, or raise `InvalidResponseError`."""
    if "json" not in response.headers.get("Content-Type", "json").lower():
        media_type = response.header("Content-Type") or ""
        raise invalid_response(request, response, f"its type is {media_type[:80]!a}, not JSON")
    # Counting takes half as long as decoding. A page of today's longest roles is below this bound,
    # and a body below it has too few values to matter.
    if len(response.body) <= _MAX_UNCOUNTED or not has_too_many_values(response.body):
        kind: type = model
        try:
            decoded: _T = _decoder(kind).decode(response.body)
        # msgspec 0.22 raises Python's own error for text that is not UTF-8.
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        else:
            return decoded
    return _decode_slow(model, request, response, limit)


def _decode_slow(model: type[_T], request: Request, response: Response, limit: float) -> _T:
    """Raise an error that names the wrong field, or return a value that only msgspec refuses."""
    from arize_roles_async._values.convert import from_dict

    try:
        # A page that is too long is refused before its fields are compared, which takes 0.2 s for
        # 28,000 items. No variable here has what was parsed, which may echo the key.
        return from_dict(model, parse_json(response.body, limit))
    except ValidationError as error:
        broken = [(each.field, response.redacted(each.message)) for each in error.violations]
    except ValueError as error:
        broken = [("$", str(error))]
    # Made again, since the first one hangs on errors and frames that have the body.
    refused = validation_error(*broken)
    raise invalid_response(request, response, str(refused)) from refused
