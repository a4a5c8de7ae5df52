"""Users, spaces and projects as the fake writes them: with every field."""

from datetime import datetime

from arize_roles_async._directory.models import AccountRole, Project, Space, User
from arize_roles_async._values.requests import id_kind
from arize_roles_fake._service.ids import Ids


def make_user(
    id: str,
    now: datetime,
    email: str | None,
    *,
    name: str | None = None,
    status: str = "ACTIVE",
    role: AccountRole | None = None,
    is_developer: bool = False,
) -> User:
    """Return a user; without an address, it is the bot user of a service key."""
    return User(
        id=id,
        email=email,
        name=(email or "bot").partition("@")[0] if name is None else name,
        status=status,
        role=role or AccountRole(type="PREDEFINED", name="MEMBER"),
        is_developer=is_developer,
        created_at=now,
    )


def make_space(
    id: str,
    now: datetime,
    name: str,
    organization_id: str,
    *,
    description: str = "",
    is_private: bool = False,
) -> Space:
    """Return a space."""
    return Space(
        id=id,
        name=name,
        description=description,
        organization_id=organization_id,
        is_private=is_private,
        created_at=now,
    )


def make_project(
    id: str, now: datetime, name: str, space_id: str, *, project_type: str | None = "APPLICATION"
) -> Project:
    """Return a project."""
    return Project(id=id, name=name, space_id=space_id, project_type=project_type, created_at=now)


def derived(ids: Ids, id: str, now: datetime) -> User | Space | Project:
    """Return the user, space or project with an ID, by the label that the ID holds."""
    kind, label = id_kind(id), ids.label(id)
    if kind == "User":
        return make_user(id, now, label if "@" in label else f"{label}@fake.invalid")
    text = label.partition(":")[2]
    if kind == "Space":
        return make_space(id, now, text, ids.of_organization("default"))
    space, slash, name = text.rpartition("/")
    return make_project(id, now, name, ids.of_resource(f"Space:{space if slash else 'default'}"))
