"""The FastAPI application of the documentation, over the real client and with the fake in it."""

import json
from dataclasses import make_dataclass
from types import GenericAlias
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError

from arize_roles_async import ClientStateError, Role
from arize_roles_fake import FakeRolesClient, RolesServer, make_role
from tests.support.documentation import definitions
from tests.support.models import example, models


@pytest.fixture
def names() -> dict[str, Any]:
    """Return what the documentation's application defines."""
    return definitions("arize_roles_async/guide/fastapi.md")


def caller(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app")


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


async def test_fake(names: dict[str, Any]) -> None:
    """The same application runs with the fake swapped in, and answers pages as `to_dict()`."""
    fake = FakeRolesClient()
    fake.account.add_role("AI Engineer", ["PROJECT_READ"], description="Looks.")
    app: FastAPI = names["app"]
    app.dependency_overrides[names["get_roles"]] = lambda: fake
    async with caller(app) as http:
        missing = await http.get("/roles/AI Enginer")
        page = (await http.get("/roles")).json()["roles"]
    assert missing.json() == {
        "detail": "no role is named 'AI Enginer'; similar names: 'AI Engineer'"
    }
    assert page == (await fake.list().all()).to_dict()["roles"]
    assert Role.from_dict(page[0]).description == "Looks."


def test_openapi(names: dict[str, Any]) -> None:
    """OpenAPI has a schema of each name, with the fields."""
    described = names["app"].openapi()
    answer = described["paths"]["/roles/{name}"]["get"]["responses"]["200"]
    schema = answer["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Role"}
    role = described["components"]["schemas"]["Role"]
    assert role["required"] == ["id", "name", "is_predefined", "created_at", "updated_at"]
    assert role["description"] == "A named set of permissions, as the service holds it."
    created = role["properties"]["created_at"]
    assert (created["type"], created["format"]) == ("string", "date-time")
    assert created["description"] == "When it was created; timezone-aware."


class Report(BaseModel):
    role: Role


def test_pydantic_lenient() -> None:
    """A role is loaded with fields that are unknown, and null is absence."""
    role = make_role(name="AI Engineer", permissions=["PROJECT_READ", "QUANTUM_READ"])
    data = role.to_dict()
    assert Report.model_validate({"role": data | {"unknown": True}}).role == role
    assert Report.model_validate({"role": data | {"description": None}}).role == role


@pytest.mark.parametrize("model", models())
def test_pydantic_each(model: Any) -> None:  # noqa: ANN401 - a class
    """A pydantic model may hold any model, which it dumps as plain data and loads again."""
    value, data = example(model)
    adapter: TypeAdapter[Any] = TypeAdapter(model)
    assert adapter.dump_python(value) == data == json.loads(adapter.dump_json(value))
    for loaded in (adapter.validate_python(data), adapter.validate_json(json.dumps(data))):
        assert isinstance(loaded, model)
        assert loaded == value
    assert adapter.json_schema()["properties"].keys() == data.keys()


OPTIONS: list[dict[str, Any]] = [
    {},
    {"exclude": {"name", "permissions"}},
    {"include": {"name", "created_at"}},
    {"include": {"name", "permissions"}, "exclude": {"permissions"}},
    {"exclude_none": True},
    {"exclude_unset": True},
    {"exclude_defaults": True},
    {"by_alias": True},
]
"""What an application passes to `model_dump`, and with the prefix `response_model_` to FastAPI."""


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "none")
async def test_dump_options(options: dict[str, Any]) -> None:
    """Each does to a role, alone, in a list and in FastAPI, what it does to a dataclass."""
    role = make_role(name="AI Engineer", permissions=["PROJECT_READ"], description="Looks.")
    plain: Any = make_dataclass("Plain", [(name, object) for name in role.to_dict()])
    inner = {
        name: {"__all__": value} if name in {"include", "exclude"} else value
        for name, value in options.items()
    }
    of_response = {f"response_model_{name}": value for name, value in options.items()}

    async def dump(kind: Any, item: object) -> list[object]:  # noqa: ANN401 - a type
        async def answer() -> object:
            return item

        (app := FastAPI()).add_api_route("/", answer, response_model=kind, **of_response)
        async with caller(app) as http:
            dumps: list[object] = [(await http.get("/")).json()]
        kinds: Any = GenericAlias(list, (kind,))
        for of, value, given in ((kind, item, options), (kinds, [item], inner)):
            adapter, named = TypeAdapter[Any](of), cast("dict[str, Any]", given)
            dumps += [adapter.dump_python(value, mode=mode, **named) for mode in ("python", "json")]
            dumps.append(json.loads(adapter.dump_json(value, **named)))
        return dumps

    assert await dump(Role, role) == await dump(plain, plain(**role.to_dict()))


def test_pydantic_error() -> None:
    """A field that is missing, or a rule of ours that it breaks, is named, also as JSON."""
    data = make_role().to_dict()
    for invalid, place, kind, message in (
        ({name: data[name] for name in data if name != "id"}, ["role", "id"], "missing", ""),
        (data | {"created_at": "x"}, ["role"], "invalid", "$.created_at: "),
    ):
        with pytest.raises(ValidationError) as caught:
            Report.model_validate({"role": invalid})
        (error,) = json.loads(json.dumps(caught.value.errors()))
        assert (error["loc"], error["type"]) == (place, kind)
        assert error["msg"].startswith(message)
