"""Errors about hostile answers, whose texts are searched for API keys, in process."""

import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any

from arize_roles_async import ListRolesResponse, Request, Response, RolesError
from arize_roles_async._wire.decode import decode
from arize_roles_async._wire.problems import status_error
from arize_roles_async._wire.secrets import Secret
from tests.benchmarks.records import Figures

_KEYS = ("ak-0123/4567+89_x.~ab", "ak-0123/4567+89_x.~ab-second==")
_ASKED = Request(method="GET", target="/v2/roles")
_TEXTS = ("\\\\", "%25", "%2525", r"\u0041", "&#", "&#65;", "a", "://a:", _KEYS[0][:15], _KEYS[1])


def _bodies() -> dict[str, str]:
    """Return answers of 4 MiB, and problems of 64 KiB, of the same text again and again."""
    bodies = {text: text * (4 * 1024 * 1024 // len(text)) for text in _TEXTS}
    bodies |= {f'"{text}"': f'["{body}"]' for text, body in bodies.items()}
    bodies["190,000 texts"] = "[" + ",".join([f'"{_KEYS[1]}"', *['"a%41"'] * 190_000]) + "]"
    for text in _TEXTS:
        detail = text * (65_000 // len(text))
        bodies[f"problem of {text}"] = f'{{"title":"No","status":409,"detail":"{detail}"}}'
    return bodies


def decode_page(request: Request, response: Response) -> object:
    return decode(ListRolesResponse, request, response)


@contextlib.asynccontextmanager
async def operations(url: str) -> AsyncGenerator[Any]:
    """Yield a call that measures how long each answer holds the event loop."""
    del url
    keys = tuple(map(Secret, _KEYS))
    answers = {name: body.encode() for name, body in _bodies().items()}

    async def errors() -> Figures:
        figures = Figures()
        for name, body in answers.items():
            answer = Response(status=409, headers={}, body=body, keys=keys)
            for ask in (status_error, decode_page):
                began = time.process_time()
                with contextlib.suppress(RolesError):
                    ask(_ASKED, answer)
                figures[f"of {name}: {ask.__name__}"] = 1e3 * (time.process_time() - began)
        return figures

    yield {"errors": errors}
