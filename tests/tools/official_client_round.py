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


def refused(status: int, call: Callable[..., object], **arguments: object) -> None:
    came: Any = None
    try:
        call(**arguments)
    except Exception as error:  # noqa: BLE001 - the client raises a class for each status
        came = error
    assert getattr(came, "status", None) == status, repr(came)


def use_roles() -> None:
    name, permissions = "AI Engineer: round / 1", [known.PROJECT_READ, known.DATASET_READ]
    made = roles.create(name=name, permissions=permissions, description="Looks at projects.")
    assert (made.name, made.permissions, made.is_predefined) == (name, permissions, False)
    assert made.created_at.tzinfo is not None
    assert roles.get(role=made.id) == roles.get(role=name) == made

    for number in range(4):
        roles.create(name=f"Other {number}", permissions=[known.ROLE_READ])
    assert {role.is_predefined for role in roles.list(is_predefined=True).roles} == {True}
    first = roles.list(limit=3, is_predefined=False)
    cursor = first.pagination.next_cursor
    second = roles.list(limit=3, is_predefined=False, cursor=cursor)
    assert (first.pagination.has_more, second.pagination.has_more) == (True, False)
    assert [role.name for role in second.roles] == ["Other 0", name]

    changed = roles.update(role=made.id, name="Renamed", permissions=[known.ROLE_READ])
    assert (changed.name, changed.permissions) == ("Renamed", [known.ROLE_READ])
    assert changed.description == "Looks at projects."
    assert roles.update(role="Renamed", description=None).description is None

    assert roles.delete(role="Renamed") is None
    for other in roles.list(is_predefined=False).roles:
        assert roles.delete(role=other.id) is None
    assert roles.list(is_predefined=False).roles == []

    refused(404, roles.get, role=made.id)
    refused(404, roles.delete, role=made.id)
    refused(404, roles.update, role=made.id, name="Gone")
    refused(403, roles.delete, role=roles.list(is_predefined=True).roles[0].id)
    refused(400, roles.list, cursor="made up")
    roles.create(name="Taken", permissions=[known.ROLE_READ])
    refused(409, roles.create, name="Taken", permissions=[known.ROLE_READ])
    refused(401, arize.ArizeClient(api_key="no-such-key").roles.list)


def bind() -> None:
    bindings = client.role_bindings
    types: Any = import_module("arize.role_bindings.types").RoleBindingResourceType
    first, second = [
        roles.create(name=name, permissions=[known.ROLE_READ]).id for name in ("First", "Second")
    ]
    ada, space, project = "VXNlcjphZGE=", "U3BhY2U6MQ==", "TW9kZWw6MQ=="  # User:ada, and so on
    place: Any = {"user_id": ada, "resource_type": types.SPACE, "resource_id": space}
    there: Any = {"user_id": ada, "resource_type": types.PROJECT, "resource_id": project}
    made, other = (bindings.create(role_id=first, **each) for each in (place, there))
    assert (made.user_id, made.role_id, made.resource_id) == (ada, first, space)
    assert made.resource_type == types.SPACE
    assert bindings.get(binding_id=made.id) == made
    for each in (made, other):
        page = bindings.list(resource_type=each.resource_type, user_id=ada, limit=1)
        assert (page.role_bindings, page.pagination.has_more) == ([each], False)
    changed = bindings.update(binding_id=made.id, role_id=second)
    assert (changed.id, changed.role_id) == (made.id, second)
    assert bindings.delete(binding_id=other.id) is None
    refused(404, bindings.get, binding_id=other.id)
    refused(404, bindings.update, binding_id=other.id, role_id=first)
    refused(404, bindings.delete, binding_id=other.id)
    refused(409, bindings.create, role_id=first, **place)
    refused(404, bindings.create, **{**place, "role_id": made.id})
    refused(400, bindings.create, role_id=first, **{**place, "resource_id": project})
    refused(409, roles.delete, role=second)


def look_up() -> None:
    """Read users, spaces and projects, which the test has added."""
    users, spaces, projects = client.users, client.spaces, client.projects
    page = users.list(email="EXAMPLE", limit=1)
    assert [user.email for user in page.users] == ["ada@example.com"]
    page = users.list(email="EXAMPLE", limit=1, cursor=page.pagination.next_cursor)
    assert [user.email for user in page.users] == ["eve@example.com"]
    statuses: Any = import_module("arize.users.types").UserStatus
    assert users.list(status=[statuses.INVITED, statuses.EXPIRED]).users == page.users
    ada = users.get(user="Ada@example.com")
    assert (ada.email, ada.status, ada.is_developer) == ("ada@example.com", "ACTIVE", False)
    assert users.get(user=ada.id).id == ada.id
    space = spaces.get(space="ML")
    assert space.name == "ML"
    assert spaces.get(space=space.id) == space
    assert [each.name for each in spaces.list(name="ml").spaces] == ["ML"]
    project = projects.get(project="churn", space="ML")
    assert (project.name, project.space_id) == ("churn", space.id)
    assert projects.get(project=project.id) == project
    for filters in ({"space": "ML"}, {"space": space.id}, {"name": "CHURN"}):
        assert [each.name for each in projects.list(**filters).projects] == ["churn"]
    refused(404, spaces.get, space=ada.id)


if __name__ == "__main__":
    use_roles()
    bind()
    look_up()
    print("passed")
