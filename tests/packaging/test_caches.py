"""Caches, and their bounds."""

from arize_roles_async._aiohttp import client as _aiohttp
from arize_roles_async._wire import decode, request
from arize_roles_async._wire import redaction as _secrets
from arize_roles_fake import _account
from arize_roles_fake._service import assumptions as _assumptions
from arize_roles_fake._service import wire as fake_wire


def test_caches() -> None:
    """A cache whose keys come from callers or services is bounded."""
    caches = (
        *(decode._decoder, fake_wire._fields, _assumptions.Assumptions.choices),  # pyright: ignore[reportPrivateUsage]
        *(request.role_path, fake_wire.parse_role_id),
        *(_aiohttp._client_timeout, _account._http_date, _account._members),  # pyright: ignore[reportPrivateUsage]
        _secrets._pattern,  # pyright: ignore[reportPrivateUsage]
    )
    assert {cache.__name__: cache.cache_parameters()["maxsize"] for cache in caches} == {
        "_decoder": None,
        "_fields": None,
        "choices": None,
        "role_path": 1024,
        "parse_role_id": 1024,
        "_client_timeout": 128,
        "_http_date": 128,
        "_members": 64,
        "_pattern": 8,
    }


def test_newest_accounts() -> None:
    """Of the accounts that no test holds any longer, the newest eight stay for its report."""
    assert _account._newest.maxlen == 8  # pyright: ignore[reportPrivateUsage]
