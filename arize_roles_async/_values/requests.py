"""The rules of every resource that need only the arguments of a call: IDs, texts and pages.

Both sides build the objects with these rules and with those of each resource: the client before it
sends anything, the fake account from the JSON that arrived. Each object checks all its rules, and
raises one `ValidationError` that names every broken one.
"""

import base64
import functools
import math
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import ClassVar, Final, TypeAlias, TypeGuard

import msgspec
from msgspec import UNSET, UnsetType

from arize_roles_async._values.base_errors import validation_error
from arize_roles_async._values.json import MAX_ID
from arize_roles_async._values.text import quoted, type_name

Text: TypeAlias = str | UnsetType
"""A text that may be left out."""

MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 50
MAX_NAME: Final = 255
"""Characters of a name or an address, also as a part of one in a filter."""

ID_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "role": ("Role",),
    "role binding": ("RoleBinding",),
    "user": ("User",),
    "space": ("Space",),
    # The service's own IDs of projects say `Model`; the documentation of a client has `Project`.
    "project": ("Model", "Project"),
    "space or project": ("Space", "Model", "Project"),
}
"""The kinds that the ID of each may say."""
_KINDS: Final = frozenset(chain(*ID_KINDS.values()))


def limit_flaw(limit: object) -> str | None:
    """Return what is wrong with the size of a page, or None."""
    if isinstance(limit, bool) or not isinstance(limit, int):
        return f"must be an integer, not {type_name(limit)}"
    if not 1 <= limit <= MAX_LIMIT:
        return f"must be 1 to {MAX_LIMIT}, not {quoted(limit)}"
    return None


def text_flaw(text: object, longest: float = math.inf) -> str | None:
    """Return what is wrong with a required text of bounded length, or None."""
    if not isinstance(text, str):
        return f"must be a string, not {type_name(text)}"
    if not text:
        return "must not be empty"
    if len(text) > longest:
        return f"must have at most {longest} characters, not {len(text)}"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "must not contain surrogates, which UTF-8 cannot carry"
    return None


def id_flaw(text: object, of: str | None = None) -> str | None:
    """Return what is wrong with a cursor, or with the ID of a role, a user and so on, or None.

    The ID of a kind that is not known may be of anything.
    """
    flaw = text_flaw(text, MAX_ID)
    if flaw is not None or of is None or not isinstance(text, str):
        return flaw
    kind = id_kind(text)
    if kind not in _KINDS or kind in ID_KINDS[of]:
        return None
    return f"{quoted(text)} is the ID of a {kind}, not of a {of}"


def flaw_if_given(rule: Callable[[object], str | None], value: object) -> str | None:
    """Return what is wrong with an argument that may be left out, or None."""
    flaw = None if value is UNSET else rule(value)
    return f"{flaw}, and is left out if it does not matter" if flaw and value is None else flaw


@functools.lru_cache(maxsize=1024)  # Decoding takes longer than all other checks of a get.
def id_kind(text: str) -> str | None:
    """Return the kind that an ID says, such as `Role`, or None if a text is no ID.

    An ID, as Arize's clients see it, is strict base64 of UTF-8 text with a colon, which follows the
    kind. Any other text is a name.
    """
    try:
        kind, colon, _ = base64.b64decode(text, validate=True).decode().partition(":")
    except ValueError:
        return None
    return kind if colon else None


def is_id(text: str) -> bool:
    """Return whether a text is an ID and no name."""
    return id_kind(text) is not None


def is_address(user: str) -> bool:
    """Return whether a user is given by the address, and not by an ID."""
    return "@" in user


def as_compared(user: str) -> str:
    """Return an address without the case of its ASCII letters; an ID as it is."""
    # `str.lower` maps more than ASCII: the Kelvin sign, too, becomes a `k`.
    return user.encode().lower().decode() if is_address(user) else user


def name_or_id_flaw(of: str, text: object) -> str | None:
    """Return what is wrong with the name or ID of a role, a user and so on, or None."""
    flaw = id_flaw(text, of)
    if flaw is not None or not isinstance(text, str) or is_id(text):
        return flaw
    if len(text) > MAX_NAME:
        return f"must have at most {MAX_NAME} characters if it is a name, not {len(text)}"
    local, _, domain = text.rpartition("@")
    if of == "user" and not (local and domain):
        return f"must be an address or an ID, not {quoted(text)}"
    return None


def is_same_id(one: str, other: str) -> bool:
    """Return whether two IDs are the same; some programs drop the padding."""
    return one.rstrip("=") == other.rstrip("=")


def is_same_name(one: str, other: str) -> bool:
    """Return whether two names are the same to a service that ignores case and outer spaces."""
    return one.strip().casefold() == other.strip().casefold()


def check(*messages: tuple[str, str | None]) -> None:
    """Raise one `ValidationError` for all fields whose rule returned a message."""
    broken = [(field, message) for field, message in messages if message is not None]
    if broken:
        raise validation_error(*broken)


def is_collection(value: object) -> TypeGuard[Iterable[object]]:
    """Return whether a value is an iterable, and not a text or a mapping."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


class IdRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request with IDs in its fields."""

    _takes_any_kind: ClassVar[bool] = False
    """Whether an ID may be of another kind; the service takes those, and finds nothing by them."""

    def _id_flaw(self, field: str) -> tuple[str, str | None]:
        """Return what is wrong with the ID in a field, for `check`."""
        of = None if self._takes_any_kind else field.removesuffix("_id")
        return field, id_flaw(getattr(self, field), of)


class PageRequest(IdRequest, frozen=True, kw_only=True):
    """One page of any listing."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None

    def _check(self, *flaws: tuple[str, str | None]) -> None:
        """Check its own fields, beside those of a subclass."""
        cursor = None if self.cursor is None else id_flaw(self.cursor)
        check(*flaws, ("limit", limit_flaw(self.limit)), ("cursor", cursor))
