"""The open questions about the service, on which Arize's reference is silent.

Each has the answer that the fake gives. `FIDELITY.md` lists them among the known rules.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, get_args, get_type_hints

import attrs

from arize_roles_fake._service.arguments import without_none


@attrs.frozen(kw_only=True)
class Assumptions:
    """The behaviour of the fake where Arize's reference is silent; change one to test the other.

    Raises:
        ValueError: A value is not among those that its field can take.
    """

    invalid_body: Literal[400, 422] = 400
    """The status for a body that is valid JSON and breaks a rule. Invalid JSON, and an invalid
    parameter of a query, are 400 in any case."""

    predefined_refusal: Literal[403, 400] = 403
    """The status for changing or deleting a predefined role."""

    name_comparison: Literal["exact", "case-insensitive", "trimmed"] = "exact"
    """The names that count as the same: only equal ones (`exact`), also those that differ by case,
    or also those that differ by outer spaces, which the service then strips (`trimmed`)."""

    deleted_name: Literal["free", "kept"] = "free"
    """The state of the name of a deleted role: free for other roles, or a 409 (`kept`)."""

    rename_to_own_name: Literal[200, 409] = 200
    """The status for giving a role the name that it already has."""

    list_order: Literal["newest-first", "oldest-first"] = "newest-first"
    """The order of a list. Predefined roles are as old as the account."""

    paging: Literal["by-position", "by-offset"] = "by-position"
    """The content of a cursor. By position, a walk sees each role that exists from its start to
    its end exactly once; by offset, a role that is created or deleted during the walk makes it skip
    or repeat others."""

    unknown_id: Literal[404, 400] = 404
    """The status for the ID of no role."""

    malformed_id: Literal[400, 404] = 400
    """The status for an ID that is not strict base64 of a text with a colon in it."""

    other_kind_id: Literal[404, 400] = 404
    """The status for the ID of another kind of item, such as a space."""

    foreign_cursor: Literal[400, "ignored"] = 400
    """The status for a cursor that this service did not issue, or issued for another filter; with
    `ignored`, the list begins at its start."""

    duplicate_permissions: Literal["kept-once", "refused"] = "kept-once"
    """The treatment of a permission that a body names twice: it is kept once, at its first place,
    or the body is invalid."""

    permission_order: Literal["as-sent", "sorted", "reversed"] = "as-sent"
    """The order of a role's permissions in an answer."""

    rebind_to_own_role: Literal[200, 409] = 200
    """The status for giving a role binding the role that it already has."""

    binding_updated_at: Literal["moves", "stays"] = "moves"
    """The `updated_at` of a role binding whose role was changed: the time of the change, or as it
    was before."""

    project_rights: Literal["project", "space"] = "project"
    """The resource on which a key needs its rights on a project's role bindings: the project, or
    the space that it is in. `Project:ML/churn` is in `Space:ML`, and `Project:1` in
    `Space:default`."""

    unknown_space: Literal[404, "empty"] = 404
    """The answer to a list of the projects in a space that there is not, or that the key does not
    see: a 404, or an empty list."""

    timestamps: Literal["microseconds", "milliseconds", "seconds"] = "microseconds"
    """The precision of `created_at` and `updated_at`: what is finer is cut off."""

    def __attrs_post_init__(self) -> None:
        flaws = [
            f"{name} must be one of {', '.join(map(repr, values))}, not {getattr(self, name)!r}"
            for name, values in self.choices().items()
            if getattr(self, name) not in values
        ]
        if flaws:
            raise ValueError("; ".join(flaws))

    @staticmethod
    @functools.cache
    def choices() -> Mapping[str, tuple[int | str, ...]]:
        """Return the values that each field can take, the default first."""
        hints = get_type_hints(Assumptions)
        return {field.name: get_args(hints[field.name]) for field in attrs.fields(Assumptions)}

    @classmethod
    @without_none
    def parse(cls, settings: Iterable[str]) -> "Assumptions":
        """Return the assumptions that texts such as `predefined_refusal=400` describe.

        Args:
            settings: Each a field and its value; the other fields have their defaults.

        Raises:
            ValueError: A text is not such a setting.
        """
        given: dict[str, Any] = {}
        choices = cls.choices()
        for setting in settings:
            name, _, text = setting.partition("=")
            values = choices.get(name)
            if values is None:
                raise ValueError(f"{name!r} is not an assumption; these are: {', '.join(choices)}")
            given[name] = next((value for value in values if str(value) == text), text)
        return cls(**given)

    def changed(self) -> dict[str, int | str]:
        """Return the fields that differ from their defaults."""
        return {
            name: getattr(self, name)
            for name, values in self.choices().items()
            if getattr(self, name) != values[0]
        }


DEFAULT: Final = Assumptions()
