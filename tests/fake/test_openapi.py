"""The fake server, judged by an OpenAPI description that owes nothing to its code."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
import yaml
from hypothesis import settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from arize_roles_async import Permission
from arize_roles_async._directory.requests import ListProjects, ListSpaces, ListUsers
from arize_roles_async._role_bindings.requests import ListRoleBindings
from arize_roles_async._roles.requests import ListRoles
from arize_roles_async.transport import is_id
from arize_roles_fake import FakeAccount, RolesServer
from tests.support import sizes

pytestmark = pytest.mark.usefixtures("unmeasured")

DATA: Final = Path(__file__).parents[1] / "data"
ROLE_ID: Final = "Um9sZToxOmFCY0Q="

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUntypedFunctionDecorator=false
# Schemathesis leaves the type argument of its own `Case` open.


@cache
def described() -> dict[str, Any]:
    description: dict[str, Any] = yaml.safe_load((DATA / "openapi.yaml").read_text("utf-8"))
    return description


schema = schemathesis.openapi.from_dict(described())
schema.config.update(headers={"Authorization": "Bearer fake-api-key"})
# Every worker of xdist would make these cases, hundreds, as it collects the tests.
schema.config.phases.coverage.enabled = sizes.is_full


@pytest.fixture(scope="module")
def server() -> Iterator[RolesServer]:
    account = FakeAccount(api_key="fake-api-key")
    account.add_role("A", ["ROLE_READ"], id=ROLE_ID)
    account.bind("Admin", user="ada", resource="Space:1")
    with RolesServer(FakeAccount.load(account.dump())) as running:
        yield running


@pytest.fixture(autouse=True)
def account(server: RolesServer) -> Iterator[FakeAccount]:
    yield server.account
    # Random calls create roles by any name, and delete the one that is there.
    server.account.reset()


def unjudged(case: schemathesis.Case[Any]) -> list[Any]:
    """Return the checks that the description is too weak for, given what a call asks for."""
    query, checks = case.query, list[Any]()
    described_here = described()["paths"][case.path].get("get", {}).get("parameters", ())
    has_ids = "binding" in case.path and case.method != "GET"
    has_ids |= bool({"user_id", "space_id"} & query.keys())
    path_ids = [str(each) for each in case.path_parameters.values()]
    if "cursor" in query or has_ids or not all(map(is_id, path_ids)):
        # Most texts are no cursor, and no ID.
        checks.append(positive_data_acceptance)
    if query.keys() - {each["name"] for each in described_here}:
        # The service ignores parameters that it does not know.
        checks.append(negative_data_rejection)
    return checks


@schema.parametrize()
@settings(max_examples=sizes.sized(6, 25))
def test_every_answer(case: schemathesis.Case[Any], server: RolesServer) -> None:
    """Every answer is as described."""
    case.call_and_validate(base_url=server.url, excluded_checks=unjudged(case))


def test_permissions() -> None:
    """The client has the permissions that the description lists, in order and by their names."""
    listed = described()["components"]["schemas"]["Permission"]["enum"]
    assert [*Permission.__members__] == [*Permission] == sorted(listed) == listed


def test_parameters() -> None:
    """The description lists the parameters that the client gives a list."""
    # The fake takes these, and no client of this package sends them.
    unused = {"status", "org_id", "space_name", "project_type"}
    for path, page in (
        ("/v2/roles", ListRoles),
        ("/v2/role-bindings", ListRoleBindings),
        ("/v2/users", ListUsers),
        ("/v2/spaces", ListSpaces),
        ("/v2/projects", ListProjects),
    ):
        listed = described()["paths"][path]["get"]["parameters"]
        assert {each["name"] for each in listed} - unused == {*page.__struct_fields__}
