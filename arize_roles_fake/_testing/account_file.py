"""An account as the JSON of a file."""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class BindingData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A role binding of an account file."""

    user: str
    resource: str


class RoleData(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A role of an account file; its fields are those of `FakeAccount.add_role`, and bindings."""

    name: str
    id: str | None = None
    description: str | None = None
    permissions: tuple[str, ...] | None = None
    is_predefined: bool | None = None
    created_at: _Moment | None = None
    updated_at: _Moment | None = None
    bindings: tuple[BindingData, ...] = ()


class AccountData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account file."""

    roles: tuple[RoleData, ...]
    now: _Moment | None = None
    max_custom_roles: int | None = None
    assumptions: dict[str, int | str] = {}
    keys: dict[str, tuple[str, ...] | None] | None = None
    extra_permissions: tuple[str, ...] = ()
    kept_names: tuple[str, ...] = ()
    roles_created: int = 0


_OMITTED_IF_EMPTY: Final = ("extra_permissions", "kept_names", "roles_created")


def encode(data: AccountData) -> str:
    """Return an account as JSON text, without rare members that are empty."""
    members: dict[str, Any] = {
        name: getattr(data, name)
        for name in data.__struct_fields__
        if name not in _OMITTED_IF_EMPTY or getattr(data, name)
    }
    return msgspec.json.format(msgspec.json.encode(members)).decode()


def decode(text: str) -> AccountData:
    """Return the account that JSON text holds.

    Raises:
        ValueError: It is not an account file; the message says where.
    """
    try:
        return msgspec.json.decode(text, type=AccountData)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ValueError(f"this is not an account file: {error}") from error
