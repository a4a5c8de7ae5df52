"""The check of aiohttp's inside when a client is made."""

from typing import Any

import aiohttp
import pytest

from arize_roles_async import AiohttpRolesClient, ConfigurationError

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("version", ["3.14.0", "4.0.0a2.dev0", "4.1"])
async def test_version(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version is refused, and the error names it and those that are supported."""
    monkeypatch.setattr(aiohttp, "__version__", version)
    with pytest.raises(ConfigurationError) as caught:
        AiohttpRolesClient("key")
    assert str(caught.value) == (
        f"aiohttp {version} is installed, but this client needs aiohttp 3.14.1 or newer, below 4"
    )


@pytest.mark.parametrize("version", ["3.14.1", "3.15.0rc1", "3.99"])
async def test_supported(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every version 3 from the oldest on is accepted."""
    monkeypatch.setattr(aiohttp, "__version__", version)
    AiohttpRolesClient("key")


async def test_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version in which a method has another name is refused."""
    monkeypatch.setattr(aiohttp, "__version__", "3.99.0")
    monkeypatch.delattr(aiohttp.ClientRequest, "send")
    with pytest.raises(ConfigurationError, match=r"this one lacks ClientRequest\.send$"):
        AiohttpRolesClient("key")


@pytest.mark.parametrize("name", ["_loop", "_middlewares", "_default_proxy"])
async def test_session(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one whose sessions keep something elsewhere, if one is lent."""
    async with aiohttp.ClientSession() as session:
        with monkeypatch.context() as patch:
            patch.delattr(session, name)
            with pytest.raises(ConfigurationError, match=f"lacks ClientSession.{name}$"):
                AiohttpRolesClient("key", session=session)


async def test_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one whose requests keep something elsewhere."""

    class Other(aiohttp.ClientRequest):
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - aiohttp's to know
            super().__init__(*args, **kwargs)
            del self._traces

    monkeypatch.setattr(aiohttp, "ClientRequest", Other)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationError, match=r"this one lacks ClientRequest\._traces$"):
            AiohttpRolesClient("key", session=session)
