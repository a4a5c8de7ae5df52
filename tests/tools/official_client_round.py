"""Arize's published Python client through every call, on the server in the environment.

A script for an interpreter that has `arize`; it prints `passed` at its end.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

arize: Any = import_module("arize")
known: Any = import_module("arize.roles.types").Permission
client: Any = arize.ArizeClient()
roles: Any = client.roles


def refused(status: int, call: Callable[[], object]) -> None:
    came: Any = None
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the client raises a class for each status
        came = error
    assert getattr(came, "status", None) == status, repr(came)


def main() -> None:
    made = create_and_list()
    get_change_and_delete(made)
    fail(made.id)
    bind()
    look_up()
    print("passed")


def create_and_list() -> Any:  # noqa: ANN401 - the client's own types are not here
    made = roles.create(
        name="AI Engineer: round / 1",
        permissions=[known.PROJECT_READ, known.DATASET_READ],
        description="Looks at projects.",
    )
    assert made.name == "AI Engineer: round / 1"
    assert made.permissions == [known.PROJECT_READ, known.DATASET_READ]
    assert made.description == "Looks at projects."
    assert made.is_predefined is False
    assert made.created_at.tzinfo is not None

    for number in range(4):
        roles.create(name=f"Other {number}", permissions=[known.ROLE_READ])
    assert len(roles.list().roles) == 12
    assert {role.is_predefined for role in roles.list(is_predefined=True).roles} == {True}
    first = roles.list(limit=3, is_predefined=False)
    cursor = first.pagination.next_cursor
    second = roles.list(limit=3, is_predefined=False, cursor=cursor)
    assert (first.pagination.has_more, second.pagination.has_more) == (True, False)
    assert [role.name for role in first.roles] == ["Other 3", "Other 2", "Other 1"]
    assert [role.name for role in second.roles] == ["Other 0", "AI Engineer: round / 1"]
    return made


def get_change_and_delete(made: Any) -> None:  # noqa: ANN401
    assert roles.get(role=made.id) == made
    assert roles.get(role="AI Engineer: round / 1") == made

    changed = roles.update(role=made.id, name="Renamed", permissions=[known.ROLE_READ])
    assert (changed.name, changed.permissions) == ("Renamed", [known.ROLE_READ])
    assert changed.description == "Looks at projects."
    assert roles.update(role="Renamed", description=None).description is None

    assert roles.delete(role="Renamed") is None
    for other in roles.list(is_predefined=False).roles:
        assert roles.delete(role=other.id) is None
    assert roles.list(is_predefined=False).roles == []


def fail(gone: str) -> None:
    refused(404, lambda: roles.get(role=gone))
    refused(404, lambda: roles.delete(role=gone))
    refused(404, lambda: roles.update(role=gone, name="Gone"))
    refused(403, lambda: roles.delete(role=roles.list(is_predefined=True).roles[0].id))
    refused(400, lambda: roles.list(cursor="made up"))
    roles.create(name="Taken", permissions=[known.ROLE_READ])
    refused(409, lambda: roles.create(name="Taken", permissions=[known.ROLE_READ]))
    stranger: Any = arize.ArizeClient(api_key="no-such-key")
    refused(401, stranger.roles.list)


def bind() -> None:
    bindings = client.role_bindings
    types: Any = import_module("arize.role_bindings.types").RoleBindingResourceType
    first, second = [
        roles.create(name=name, permissions=[known.ROLE_READ]).id for name in ("First", "Second")
    ]
    ada, space, project = "VXNlcjphZGE=", "U3BhY2U6MQ==", "TW9kZWw6MQ=="  # User:ada, and so on
    place: Any = {"user_id": ada, "resource_type": types.SPACE, "resource_id": space}
    made = bindings.create(role_id=first, **place)
    assert (made.user_id, made.role_id, made.resource_id) == (ada, first, space)
    assert made.resource_type == types.SPACE
    assert bindings.get(binding_id=made.id) == made
    other = bindings.create(
        user_id=ada, role_id=first, resource_type=types.PROJECT, resource_id=project
    )
    for kind, there in ((types.SPACE, made), (types.PROJECT, other)):
        page = bindings.list(resource_type=kind, user_id=ada, limit=1)
        assert page.role_bindings == [there]
        assert page.pagination.has_more is False
    changed = bindings.update(binding_id=made.id, role_id=second)
    assert (changed.id, changed.role_id) == (made.id, second)
    assert bindings.delete(binding_id=other.id) is None
    refused(404, lambda: bindings.get(binding_id=other.id))
    refused(404, lambda: bindings.update(binding_id=other.id, role_id=first))
    refused(404, lambda: bindings.delete(binding_id=other.id))
    refused(409, lambda: bindings.create(role_id=first, **place))
    refused(404, lambda: bindings.create(**{**place, "role_id": made.id}))
    refused(400, lambda: bindings.create(role_id=first, **{**place, "resource_id": project}))
    refused(409, lambda: roles.delete(role=second))


def look_up() -> None:
    """Read users, spaces and projects, which the test has added."""
    page = client.users.list(email="EXAMPLE", limit=1)
    assert [user.email for user in page.users] == ["ada@example.com"]
    page = client.users.list(email="EXAMPLE", limit=1, cursor=page.pagination.next_cursor)
    assert [user.email for user in page.users] == ["eve@example.com"]
    statuses: Any = import_module("arize.users.types").UserStatus
    invited = client.users.list(status=[statuses.INVITED, statuses.EXPIRED]).users
    assert [user.email for user in invited] == ["eve@example.com"]
    ada = client.users.get(user="Ada@example.com")
    assert (ada.email, ada.status, ada.is_developer) == ("ada@example.com", "ACTIVE", False)
    assert client.users.get(user=ada.id).id == ada.id
    space = client.spaces.get(space="ML")
    assert space.name == "ML"
    assert client.spaces.get(space=space.id) == space
    assert [each.name for each in client.spaces.list(name="ml").spaces] == ["ML"]
    project = client.projects.get(project="churn", space="ML")
    assert (project.name, project.space_id) == ("churn", space.id)
    assert client.projects.get(project=project.id) == project
    for filters in ({"space": "ML"}, {"space": space.id}, {"name": "CHURN"}):
        assert [each.name for each in client.projects.list(**filters).projects] == ["churn"]
    refused(404, lambda: client.spaces.get(space=ada.id))


if __name__ == "__main__":
    main()
