"""The differences between the roles and role bindings that a test expects and those there are."""

from collections.abc import Iterable, Mapping

from arize_roles_async._roles.models import Role
from arize_roles_fake._service.ids import Ids

_MISSING = "expected, but missing"
_EXTRA = "not expected"
_Line = tuple[str, str]


def role_differences(
    roles: Iterable[Role],
    expected: Mapping[str, frozenset[str]],
    descriptions: Mapping[str, str | None],
) -> str:
    """Return how the custom roles differ from those that a test expects; empty if they do not.

    It has the permissions of each custom role, and the descriptions of some roles, by their names.
    """
    by_name = {role.name: role for role in roles}
    found = {
        role.name: frozenset(map(str, role.permissions or ()))
        for role in by_name.values()
        if not role.is_predefined
    }
    lines: list[_Line] = []
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            lines.append((f"  - {name!r}", _MISSING))
        elif name not in expected:
            lines.append((f"  + {name!r}", _EXTRA))
        elif found[name] != expected[name]:
            lines.append((f"  {name!r}", ""))
            lines += [(f"    - {p}", _MISSING) for p in sorted(expected[name] - found[name])]
            lines += [(f"    + {p}", _EXTRA) for p in sorted(found[name] - expected[name])]
    for name, text in descriptions.items():
        if name not in by_name.keys() | expected.keys():
            lines.append((f"  - {name!r}", _MISSING))
        elif name in by_name and (there := by_name[name].description) != (text or None):
            lines.append((f"  {name!r}", f"description {there!r}, not {text!r}"))
    return _report("the custom roles are not as expected", lines)


def binding_differences(
    bindings: Mapping[tuple[str, str], str], expected: Mapping[tuple[str, str], str], ids: Ids
) -> str:
    """Return how the role bindings differ from those that a test expects; empty if they do not.

    Both have the name of the role by the IDs of the user and the resource.
    """
    lines: list[_Line] = []
    for target in sorted(expected.keys() | bindings.keys()):
        user, resource = map(ids.label_or_id, target)
        wanted, found = expected.get(target), bindings.get(target)
        if wanted not in {None, found}:
            lines.append((f"  - {user!r} on {resource!r}: {wanted!r}", _MISSING))
        if found not in {None, wanted}:
            lines.append((f"  + {user!r} on {resource!r}: {found!r}", _EXTRA))
    return _report("the role bindings are not as expected", lines)


def _report(message: str, lines: list[_Line]) -> str:
    """Return a message that shows each difference, and why it is one."""
    width = max((len(what) for what, why in lines if why), default=0)
    text = (f"{what:{width}}    {why}".rstrip() for what, why in lines)
    return f"{message}:\n" + "\n".join(text) if lines else ""
