"""Users, spaces and projects of which the account knows the label alone."""

from datetime import datetime
from typing import Final

from arize_roles_async._directory.models import AccountRole, Project, Space, User
from arize_roles_async._values.requests import id_kind
from arize_roles_fake._service.ids import Ids

MEMBER: Final = AccountRole(type="PREDEFINED", name="MEMBER")
"""The role of a user in the whole account."""


def derived(ids: Ids, id: str, now: datetime) -> User | Space | Project:
    """Return the user, space or project with an ID, by the label that the ID holds."""
    kind, label = id_kind(id), ids.label(id)
    if kind == "User":
        return User(
            id=id,
            email=label if "@" in label else f"{label}@fake.invalid",
            name=label.partition("@")[0],
            status="ACTIVE",
            role=MEMBER,
            is_developer=False,
            created_at=now,
        )
    text = label.partition(":")[2]
    if kind == "Space":
        return Space(
            id=id,
            name=text,
            description="",
            organization_id=ids.of_organization("default"),
            is_private=False,
            created_at=now,
        )
    space, _, name = text.rpartition("/")
    if not (space and name):
        space, name = "default", text
    space_id = ids.of_resource(f"Space:{space}")
    return Project(id=id, name=name, space_id=space_id, project_type="APPLICATION", created_at=now)
