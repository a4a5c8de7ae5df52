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

THREADS = 8
ROLE = (
    b'{"id": "Um9sZTox", "name": "Reader", "permissions": ["PROJECT_READ"], "is_predefined": false,'
    b'"created_at": "2026-03-01T09:30:00Z", "updated_at": "2026-03-01T09:30:00Z"}'
)
PAGE = b'{"roles": [' + ROLE + b'], "pagination": {"has_more": false}}'


def decode_once(thread: int) -> None:
    ready.wait()
    request = Request(method="GET", target="/v2/roles")
    body = ROLE if thread % 2 else PAGE
    response = Response(status=200, headers={}, body=body)
    if thread % 2:
        assert decode(Role, request, response).name == "Reader"
    else:
        assert decode(ListRolesResponse, request, response)[0].name == "Reader"


def give_way(_phase: str, _info: dict[str, int]) -> None:
    time.sleep(0)


if __name__ == "__main__":
    ready = threading.Barrier(THREADS)
    sys.setswitchinterval(1e-6)
    gc.set_threshold(1)
    gc.callbacks.append(give_way)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(decode_once, range(THREADS)))
