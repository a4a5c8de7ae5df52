"""The roles of the benchmark's service, by their numbers."""

import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any

KEY = "benchmark-key"
PAGE = 100

_RESOURCES = ("PROJECT", "DATASET", "PROMPT", "EVALUATOR", "DASHBOARD", "CUSTOM_METRIC")
_ACTIONS = ("CREATE", "READ", "UPDATE", "DELETE")
_PERMISSIONS = tuple(f"{resource}_{action}" for resource in _RESOURCES for action in _ACTIONS)


HOSTILE = ("\\\\", "%25", "%2525", "\\u0041", "&#", "&#65;", "a", "://a:", KEY, KEY[:-1], 'a%41","')
"""What is slow to look through for a key, over and over."""


class Figures(dict[str, float]):
    """The figures of a sample, by name and unit."""


def id_of(kind: str, number: int) -> str:
    return base64.b64encode(f"{kind}:{number}:bnch".encode()).decode()


def ids_of(kind: str) -> Iterator[str]:
    """IDs without end; more of them than URL caches hold, as in an application."""
    return itertools.cycle([id_of(kind, number) for number in range(1000)])


def role_name(number: int) -> str:
    return f"Benchmark role {number}"


def permissions(number: int) -> list[str]:
    return [_PERMISSIONS[(number + offset) % len(_PERMISSIONS)] for offset in range(12)]


def new_role(number: int) -> dict[str, Any]:
    """Return the arguments of a `create`."""
    return {"name": f"Role {number}", "permissions": ["PROJECT_READ"]}


def role(number: int) -> dict[str, object]:
    return {
        "id": id_of("Role", number),
        "name": role_name(number),
        "description": f"What the people of team {number} may do.",
        "permissions": permissions(number),
        "is_predefined": False,
        "created_at": "2026-03-01T09:30:00.123456Z",
        "updated_at": "2026-03-02T10:45:30.654321Z",
    }


def page_text() -> str:
    """Return a page of roles as JSON."""
    roles = [role(number) for number in range(PAGE)]
    return json.dumps({"roles": roles, "pagination": {"has_more": False}}, separators=(",", ":"))
