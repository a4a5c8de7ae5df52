"""Caches, and their bounds."""

import gc
import weakref
from types import ModuleType
from typing import Any

import arize_roles_async
import arize_roles_fake
from arize_roles_async import Request
from arize_roles_fake import FakeAccount
from tests.support.modules import modules_of


def bounds(package: ModuleType) -> dict[str, int | None]:
    """Return the bound of each cache in a package by the name of the function; None is no bound."""
    members: list[Any] = []
    for module in modules_of(package):
        for member in vars(module).values():
            members.append(member)
            if isinstance(member, type):
                members += [getattr(member, name, None) for name in vars(member)]
    return {
        each.__name__: each.cache_parameters()["maxsize"]
        for each in members
        if hasattr(each, "cache_parameters") and each.__module__.startswith(package.__name__)
    }


def test_caches() -> None:
    """A cache whose keys come from callers or services is bounded."""
    assert bounds(arize_roles_async) == {
        "_decoder": None,
        "_client_timeout": 128,
        "_json_form": None,
        "_pattern": 8,
        "role_path": 1024,
    }
    assert bounds(arize_roles_fake) == {
        "_fields": None,
        "_http_date": 128,
        "_members": 64,
        "choices": None,
        "parse_role_id": 1024,
    }


def test_newest_accounts() -> None:
    """Of the accounts that no test holds any longer, the eight asked last stay for its report."""

    def asked() -> FakeAccount:
        account = FakeAccount()
        account.handle(Request(method="GET", target="/v2/roles"))
        return account

    accounts = [weakref.ref(asked()) for _ in range(20)]
    gc.collect()
    assert [each() is not None for each in accounts] == [False] * 12 + [True] * 8
