"""Types that mypy, pyright and ty infer and errors that they report; never run.

Each `ignore` here is an error that must stay one: the checkers report an ignore that is unused.
"""
# ruff: noqa: B018
# pyright: reportUnnecessaryTypeIgnoreComment=true

from collections.abc import AsyncIterator, Awaitable
from typing import Protocol, TypeVar, assert_type

import pandas as pd
import polars as pl

from arize_roles_async import (
    UNSET,
    AiohttpRolesClient,
    AnyPermission,
    ApiKey,
    ArizeClient,
    ByName,
    ListRolesResponse,
    NamedBinding,
    NamedBindings,
    Permission,
    PermissionsArgument,
    RetryPolicy,
    Role,
    RoleBinding,
    RolePages,
    RolesClient,
    Timeouts,
    UnknownPermission,
    UnsetType,
)
from arize_roles_fake import FakeRolesClient

# Both implementations are clients, and stay what they are in a block and with other options.

as_protocol: RolesClient = AiohttpRolesClient()
as_protocol = FakeRolesClient()


async def each_client_stays_itself(
    protocol: RolesClient, real: AiohttpRolesClient, fake: FakeRolesClient
) -> None:
    async with protocol as a, real as b, fake as c:
        assert_type(a, RolesClient)
        assert_type(b, AiohttpRolesClient)
        assert_type(c, FakeRolesClient)
    assert_type(protocol.with_options(timeout=1.0), RolesClient)
    assert_type(real.with_options(timeout=None), AiohttpRolesClient)
    assert_type(fake.with_options(), FakeRolesClient)


# What each call gives.


AnyClient = TypeVar("AnyClient", RolesClient, AiohttpRolesClient, FakeRolesClient)


async def calls(roles: AnyClient) -> None:
    assert_type(roles.list(), RolePages)
    assert_type(await roles.list(limit=10, cursor=None, is_predefined=True), ListRolesResponse)
    assert_type(await roles.list().all(), ListRolesResponse)
    assert_type(roles.list().pages(), AsyncIterator[ListRolesResponse])
    async for role in roles.list():
        assert_type(role, Role)
    assert_type(await roles.get(role_id="Um9sZToxOmFCY0Q="), Role)
    assert_type(await roles.get(role="Admin"), Role)
    assert_type(await roles.create(name="A", permissions=[Permission.ROLE_READ]), Role)
    assert_type(await roles.update(role_id="Um9sZToxOmFCY0Q=", description=None), Role)
    assert_type(await roles.update(role="A", permissions=frozenset({"ROLE_READ"})), Role)
    nothing: Awaitable[None] = roles.delete(role_id="Um9sZToxOmFCY0Q=")
    nothing = roles.delete(role="A")
    await nothing


# Exactly one of role_id and role.


async def which_role(roles: AnyClient) -> None:
    await roles.get()  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    await roles.get("a")  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    await roles.get(role_id="a", role="b")  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    await roles.update(name="B")  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    await roles.update(role_id="a", role="b", name="B")  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    await roles.delete()  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    await roles.delete(role_id="a", role="b")  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]


# Exactly one place of a binding.


async def which_place(by_name: ByName) -> None:
    user, role = "ada@example.com", "Analyst"
    assert_type(await by_name.ensure(user=user, role=role, space="ML"), RoleBinding)
    assert_type(await by_name.ensure(user=user, role=role, project="churn"), RoleBinding)
    assert_type(await by_name.remove(user=user, project="churn", in_space="ML"), bool)
    assert_type(await by_name.find(role=role, project="churn"), NamedBindings)
    async for each in by_name.find(space="ML"):
        assert_type(each, NamedBinding)
    await by_name.ensure(user=user, role=role)  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    await by_name.ensure(user=user, role=role, space="ML", project="churn")  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    await by_name.ensure(user=user, role=role, space="ML", in_space="ML")  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    await by_name.remove(user=user)  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]


# A filter is left out or `UNSET`, and never None.


async def filters(roles: ArizeClient) -> None:
    roles.list(is_predefined=None)  # type: ignore[arg-type]  # ty: ignore[invalid-argument-type]
    roles.list(is_predefined=UNSET)
    bindings = roles.role_bindings
    bindings.find(user_id=None)  # type: ignore[arg-type]  # ty: ignore[invalid-argument-type]
    bindings.list(resource_type="SPACE", user_id=None)  # type: ignore[arg-type]  # ty: ignore[invalid-argument-type]
    roles.directory.users(email=None)  # type: ignore[arg-type]  # ty: ignore[invalid-argument-type]
    roles.directory.projects(in_space=None)  # type: ignore[arg-type]  # ty: ignore[invalid-argument-type]


# Permissions: members, identifiers, and what a role holds.


async def permissions(roles: RolesClient, role: Role) -> None:
    Permission.PROJECT_RAED  # type: ignore[attr-defined]  # ty: ignore[missing-attribute]
    await roles.create(name="A", permissions=["PROJECT_READ", Permission.DATASET_READ])
    await roles.create(name="A", permissions=[UnknownPermission("PROMPT_SHARE")])
    await roles.create(name="A", permissions=[7])  # type: ignore[list-item]  # ty: ignore[invalid-argument-type]
    assert_type(role.permissions, tuple[AnyPermission, ...] | None)
    if role.permissions is not None:
        await roles.update(role_id=role.id, permissions=role.permissions)
        assert_type(", ".join(role.permissions), str)


# Responses.


def responses(page: ListRolesResponse, role: Role) -> None:
    assert_type(page[0], Role)
    assert_type(page[:2], tuple[Role, ...])
    assert_type([each.name for each in page], list[str])
    assert_type(page.to_df(exclude_none="all"), pd.DataFrame)
    assert_type(page.permission_matrix(), pd.DataFrame)
    assert_type(page.to_polars(), pl.DataFrame)
    page.to_df(exclude_none="some")  # type: ignore[arg-type]  # ty: ignore[invalid-argument-type]
    assert_type(Role.from_dict({}), Role)
    assert_type(ListRolesResponse.from_json("{}"), ListRolesResponse)
    role.name = "B"  # type: ignore[misc]  # ty: ignore[invalid-assignment]


# What is optional is passed on, without `Any`.


async def pass_on(
    inner: RolesClient,
    *,
    cursor: str | None,
    is_predefined: bool | UnsetType,
    permissions: PermissionsArgument,
    changes: PermissionsArgument | None,
    description: str | UnsetType | None,
    api_key: ApiKey | UnsetType,
    limits: float | Timeouts | UnsetType | None,
    retry: RetryPolicy | UnsetType,
    name: str | UnsetType,
    **role: str,
) -> None:
    inner.list(limit=None, cursor=cursor, is_predefined=is_predefined)
    await inner.create(name="A", permissions=permissions, description=None)
    await inner.update(description=description, permissions=changes, **role)
    await inner.delete(**role)
    inner.with_options(api_key=api_key, timeout=limits, retry=retry, background=UNSET, name=name)


async def give(by_name: ByName, user: str, space: str, project: str | None) -> RoleBinding:
    place = {"space": space} if project is None else {"project": project, "in_space": space}
    await by_name.remove(user=user, **place)
    return await by_name.ensure(user=user, role="Analyst", **place)


# A protocol of the application's own takes the fake.


class FindsRoles(Protocol):
    async def get(self, *, role: str) -> Role: ...


finds: FindsRoles = FakeRolesClient()
as_protocol = object()  # type: ignore[assignment]  # ty: ignore[invalid-assignment]
