"""The FastAPI application of the documentation, over the real client and with the fake in it."""

from importlib.resources import files
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import arize_roles_async
from arize_roles_async import ClientStateError
from arize_roles_fake import FakeRolesClient, RolesServer
from tests.support.documentation import examples, run


@pytest.fixture
def names() -> dict[str, Any]:
    """Return what the documentation's application defines."""
    page = files("arize_roles_async").joinpath("guide/fastapi.md").read_text("utf-8")
    defined: dict[str, Any] = dict(vars(arize_roles_async))
    defined["AiohttpRolesClient"] = arize_roles_async.AiohttpRolesClient
    run(examples(page)[0], defined, "<application>")
    return defined


def caller(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app")


@pytest.mark.asyncio
async def test_lifespan(names: dict[str, Any], arize_env: RolesServer) -> None:
    """The dependency provides one client for the lifespan."""
    arize_env.account.add_role("AI Engineer", ["PROJECT_READ"])
    app: FastAPI = names["app"]

    async with app.router.lifespan_context(app), caller(app) as http:
        first = await http.get("/roles/AI Engineer")
        client = app.state.roles
        second = await http.get("/roles/Nobody")

        assert first.json()["permissions"] == ["PROJECT_READ"]
        assert (second.status_code, app.state.roles is client) == (404, True)

    with pytest.raises(ClientStateError):
        await client.list()


@pytest.mark.asyncio
async def test_fake(names: dict[str, Any]) -> None:
    """The same application runs with the fake swapped in."""
    fake = FakeRolesClient()
    fake.account.add_role("AI Engineer", ["PROJECT_READ"])
    app: FastAPI = names["app"]
    app.dependency_overrides[names["get_roles"]] = lambda: fake

    async with caller(app) as http:
        found = await http.get("/roles/AI Engineer")
        missing = await http.get("/roles/AI Enginer")

    assert found.json()["permissions"] == ["PROJECT_READ"]
    assert missing.json() == {
        "detail": "no role is named 'AI Enginer'; similar names: 'AI Engineer'"
    }
    assert [call.operation for call in fake.account.calls] == ["list", "list"]
