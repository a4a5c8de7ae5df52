"""The FastAPI application of the documentation, over the real client and with the fake in it."""

from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, FastAPI
from pydantic import BaseModel

from arize_roles_async import ClientStateError, ListRolesResponse, Role
from arize_roles_fake import FakeRolesClient, RolesServer, make_role
from tests.support.documentation import definitions


@pytest.fixture
def names() -> dict[str, Any]:
    """Return what the documentation's application defines."""
    return definitions("arize_roles_async/guide/fastapi.md")


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
    """The same application runs with the fake swapped in, and answers pages as `to_dict()`."""
    fake = FakeRolesClient()
    fake.account.add_role("AI Engineer", ["PROJECT_READ"], description="Looks.")
    app: FastAPI = names["app"]
    app.dependency_overrides[names["get_roles"]] = lambda: fake

    async with caller(app) as http:
        missing = await http.get("/roles/AI Enginer")
        page = (await http.get("/roles")).json()

    assert missing.json() == {
        "detail": "no role is named 'AI Enginer'; similar names: 'AI Engineer'"
    }
    assert page == (await fake.list().all()).to_dict()
    assert ListRolesResponse.from_dict(page).roles[0].description == "Looks."


def test_openapi(names: dict[str, Any]) -> None:
    """OpenAPI has a schema of each name, with the fields."""
    described = names["app"].openapi()

    for path, name in (("/roles/{name}", "Role"), ("/roles", "ListRolesResponse")):
        success = described["paths"][path]["get"]["responses"]["200"]["content"]
        assert success["application/json"]["schema"] == {"$ref": f"#/components/schemas/{name}"}
    schemas = described["components"]["schemas"]
    assert schemas["Role"]["required"] == [
        *("id", "name", "is_predefined", "created_at", "updated_at")
    ]
    assert schemas["Role"]["properties"]["created_at"] == {
        "type": "string",
        "format": "date-time",
        "title": "Created At",
        "description": "When the role was created; timezone-aware.",
    }
    items = schemas["ListRolesResponse"]["properties"]["roles"]["items"]
    assert items == {"$ref": "#/components/schemas/Role"}


class TestBody:
    """A role in the body of a request."""

    @staticmethod
    async def post(data: object) -> httpx.Response:
        app = FastAPI()

        @app.post("/roles")
        async def take(role: Annotated[Role, Body()]) -> str:  # pyright: ignore[reportUnusedFunction]
            return repr(role)

        async with caller(app) as http:
            return await http.post("/roles", json=data)

    @pytest.mark.asyncio
    async def test_role(self) -> None:
        """`from_dict` makes it of the body; unknown fields are ignored."""
        role = make_role(name="AI Engineer", permissions=["PROJECT_READ", "QUANTUM_READ"])

        answer = await self.post(role.to_dict() | {"grants_developer_access": True})

        assert answer.json() == repr(role)

    @pytest.mark.asyncio
    async def test_refused(self) -> None:
        """A field that is missing, or a rule of ours that it breaks, is named with status 422."""
        without_name = {
            name: value for name, value in make_role().to_dict().items() if name != "name"
        }
        missing = await self.post(without_name)
        invalid = await self.post(make_role().to_dict() | {"created_at": "soon"})

        assert missing.status_code == invalid.status_code == 422
        assert missing.json()["detail"][0]["loc"] == ["body", "name"]
        assert (
            invalid.json()["detail"][0]["msg"] == "$.created_at: Invalid RFC3339 encoded datetime"
        )


def test_pydantic_model() -> None:
    """A pydantic model may hold a role, which it dumps as plain data and loads again."""

    class Report(BaseModel):
        role: Role

    report = Report(role=make_role())

    assert report.model_dump() == {"role": make_role().to_dict()}
    assert Report.model_validate_json(report.model_dump_json()) == report
