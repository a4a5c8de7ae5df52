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

_SIZE = 4 * 1024 * 1024
_PROBLEM = 64 * 1024
_KEYS = ("ak-0123/4567+89_x.~ab", "ak-0123/4567+89_x.~ab-second==")
_ASKED = Request(method="GET", target="/v2/roles")
_TEXTS = ("\\\\", "%25", "%2525", r"\u0041", "&#", "&#65;", "a", "://a:", _KEYS[0][:15], _KEYS[1])


def _bodies() -> dict[str, str]:
    """Return answers of 4 MiB: the same text again and again, alone, and in JSON."""
    bodies = {text: text * (_SIZE // len(text)) for text in _TEXTS}
    bodies |= {f'"{text}"': f'["{body}"]' for text, body in bodies.items()}
    bodies["190,000 texts"] = "[" + ",".join([f'"{_KEYS[1]}"', *['"a%41"'] * 190_000]) + "]"
    bodies["45,000 roles"] = '{"roles":[' + ",".join(['{"id":"%41"}'] * 45_000) + "]}"
    for text in _TEXTS:
        detail = text * ((_PROBLEM - 64) // len(text))
        bodies[f"problem of {text}"] = f'{{"title":"No","status":409,"detail":"{detail}"}}'
    return bodies


@contextlib.asynccontextmanager
async def operations(url: str) -> AsyncGenerator[Any]:
    """Yield a call that measures how long each answer holds the event loop."""
    del url
    keys = tuple(map(Secret, _KEYS))
    answers = {name: body.encode() for name, body in _bodies().items()}

    async def errors() -> Figures:
        figures = Figures()
        for name, body in answers.items():
            for status in (200, 409):
                answer = Response(status=status, headers={}, body=body, keys=keys)
                began = time.process_time()
                with contextlib.suppress(RolesError):
                    if status == 200:
                        decode(ListRolesResponse, _ASKED, answer)
                    status_error(_ASKED, answer)
                figures[f"{status} {name}"] = 1e3 * (time.process_time() - began)
        return figures

    yield {"errors": errors}
