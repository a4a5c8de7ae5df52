"""The operations on users, spaces and projects: all of them read."""

from typing import Final, Literal

from arize_roles_async._calls.call import Collection

DirectoryOperation = Literal[
    "users.list", "users.get", "spaces.list", "spaces.get", "projects.list", "projects.get"
]

USERS: Final = Collection(
    path="/v2/users", operations=("users.list", "users.get"), id_argument="user_id"
)
SPACES: Final = Collection(
    path="/v2/spaces", operations=("spaces.list", "spaces.get"), id_argument="space_id"
)
PROJECTS: Final = Collection(
    path="/v2/projects", operations=("projects.list", "projects.get"), id_argument="project_id"
)
