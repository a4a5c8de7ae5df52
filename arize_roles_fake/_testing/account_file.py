"""An account as the JSON of a file."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from arize_roles_async._directory.models import Project, Space, User
from arize_roles_async._values.models import Aware, Id
from arize_roles_async._values.permissions import Permissions
from arize_roles_fake._service.ids import Ids


class _Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of an account file."""


class BindingData(_Data, frozen=True):
    """A role binding of an account file; users and resources are IDs or labels."""

    user: str
    resource: str
    role: str
    """The role's name or ID."""
    id: str | None = None
    created_at: Aware | None = None
    updated_at: Aware | None = None


class KeyData(_Data, frozen=True):
    """The grants of a key that has some on single resources."""

    grants: tuple[str, ...]
    on: dict[str, tuple[str, ...]]


Keys = Mapping[str, tuple[str, ...] | KeyData | None]
"""API keys, each with the permissions that it grants; None is all."""


class RoleData(_Data, frozen=True, kw_only=True):
    """A role: its name, and perhaps other fields."""

    name: str
    description: str | None = None
    permissions: Permissions | None = None
    is_predefined: bool | None = None
    id: Id | None = None
    created_at: Aware | None = None
    updated_at: Aware | None = None


class DirectoryData(_Data, frozen=True):
    """Users, spaces and projects as the service writes them, oldest first."""

    users: tuple[User, ...] = ()
    spaces: tuple[Space, ...] = ()
    projects: tuple[Project, ...] = ()
    blocked: tuple[str, ...] = ()
    """The labels or IDs of users that are in no list."""


class AccountData(_Data, frozen=True, kw_only=True):
    """An account file. With an empty list it has nobody, and without a list everybody."""

    format: Literal[0, 2] = 0
    """A file by hand needs none."""
    roles: tuple[RoleData, ...]
    role_bindings: tuple[BindingData, ...] = ()
    users: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    directory: DirectoryData | None = None
    now: Aware | None = None
    max_custom_roles: int | None = None
    assumptions: dict[str, int | str] = {}
    keys: Keys | None = None
    extra_permissions: tuple[str, ...] = ()
    kept_names: tuple[str, ...] = ()
    """The names of deleted roles that no role can have again."""
    removed_keys: tuple[str, ...] = ()
    deleted_ids: tuple[str, ...] = ()
    """The IDs that a test gave to roles that are deleted."""
    roles_created: int = 0
    role_bindings_created: int = 0
    tenant: str | None = None
    """None for a file by hand: the account's tenant is made from its first key, or from it."""


def encode(data: AccountData) -> str:
    file = msgspec.structs.replace(data, format=2)
    return msgspec.json.format(msgspec.json.encode(file, enc_hook=str)).decode()


def decode(text: str) -> AccountData:
    """Return the account that JSON text holds, or raise `ValueError`, which says where it errs."""
    try:
        data = msgspec.json.decode(text.removeprefix("\ufeff"), type=AccountData)
        Ids(data.tenant or "")
    # The errors of the oldest msgspec are no ValueError.
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ValueError(f"this is not an account file: {error}") from error
    return data


@contextmanager
def loaded(source: str | Path) -> Generator[AccountData]:
    """Yield the account of a file, or of the JSON text itself, which begins with a brace.

    Errors of the block name the file, too.
    """
    text = str(source)
    is_text = text.removeprefix("\ufeff").lstrip().startswith("{")
    try:
        yield decode(text if is_text else Path(source).read_text("utf-8"))
    except ValueError as error:
        if is_text:
            raise
        raise ValueError(f"{source}: {error}") from error
