"""Descriptions of the fields of a response class.

Kept apart because few callers need them, and an attrs class takes long to define.
"""

# The older name of attrs, which aiohttp has imported already; the newer one takes six more modules.
import attr


@attr.frozen(kw_only=True)
class FieldInfo:
    """One field of a response class, for introspection."""

    name: str
    type: str
    required: bool
    """True if the service always sends it."""
    doc: str


def describe_fields(model: type) -> dict[str, FieldInfo]:
    """Return the fields of an attrs class by name; any other class has none."""
    # Tools that visit every class, such as pydoc, ask the base class of all models, too.
    return {
        field.name: FieldInfo(
            name=field.name,
            type=field.metadata["type"],
            required=field.default is attr.NOTHING,
            doc=field.metadata["doc"],
        )
        for field in (attr.fields(model) if attr.has(model) else ())
    }
