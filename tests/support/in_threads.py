"""Decodes in many threads at once, as unkindly as can be: `python in_threads.py`.

A process of its own, because what goes wrong here may crash it. Every thread gives way as often as
it can, also in the middle of C code: there, only the garbage collector's callbacks do.
"""

import gc
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from arize_roles_async import ListRolesResponse, Request, Response, Role
from arize_roles_async._wire.decode import decode

ROLE = (
    b'{"id": "Um9sZTox", "name": "Reader", "permissions": ["PROJECT_READ"], "is_predefined": false,'
    b'"created_at": "2026-03-01T09:30:00Z", "updated_at": "2026-03-01T09:30:00Z"}'
)
PAGE = b'{"roles": [' + ROLE + b'], "pagination": {"has_more": false}}'
ANSWERS = [(Role, ROLE), (ListRolesResponse, PAGE)] * 4


def decode_once(kind: type[Role | ListRolesResponse], body: bytes) -> None:
    ready.wait()
    request = Request(method="GET", target="/v2/roles")
    assert "Reader" in repr(decode(kind, request, Response(status=200, headers={}, body=body)))


if __name__ == "__main__":
    ready = threading.Barrier(len(ANSWERS))
    sys.setswitchinterval(1e-6)
    gc.set_threshold(1)
    gc.callbacks.append(lambda _phase, _info: time.sleep(0))
    with ThreadPoolExecutor(len(ANSWERS)) as pool:
        list(pool.map(decode_once, *zip(*ANSWERS, strict=True)))
