"""The calls of a recording: their answers show whether the fake's assumptions are right.

None of them changes a role that the script did not create, whatever the service allows.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `<run>`, `<A.id>`, `<A.name>` and `<A.cursor>` stand for values saved before."""

    question: str = msgspec.field(name="rule")
    """What its answer settles."""
    method: str
    role: str | None = None
    """The ID of the role in the path."""
    query: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    body: Any = None
    raw_body: str | None = None
    """A body that is not a JSON object."""
    content_type: str | None = None
    """The content type of the body, if it is not JSON's."""
    save: str | None = None
    """The name under which the first role of the answer, and its cursor, are saved. Only a role
    that the script created is saved; under `predefined`, only a predefined one."""
    with_key: bool = True


_READ: Final = ["PROJECT_READ"]
_NO_ROLE: Final = "Um9sZTowOm5vbmU="


def _create(question: str, name: str, *, save: str | None = None, **fields: Any) -> Step:  # noqa: ANN401
    body = {"name": name, "permissions": _READ, **fields}
    return Step(question=question, method="POST", body=body, save=save)


def _list(question: str, *, save: str | None = None, **query: str) -> Step:
    return Step(question=question, method="GET", query=query, save=save)


def _update(question: str, role: str, **fields: Any) -> Step:  # noqa: ANN401
    return Step(question=question, method="PATCH", role=role, body=fields)


SCRIPT: Final = (
    # Creating
    _create("a new role", "<run> A", description="First.", save="A"),
    _create("an empty description", "<run> B", description="", save="B"),
    _create(
        "a duplicate permission",
        "<run> P",
        permissions=["PROJECT_READ", "DATASET_READ", "PROJECT_READ"],
    ),
    _create("a name that is taken", "<run> A"),
    _create("a name that differs by case", "<run> a"),
    _create("a name that differs by outer spaces", " <run> A "),
    _create("an empty name", ""),
    _create("a name of 256 characters", "<run>" + "n" * 230),
    _create("a name with a character that is not allowed", "<run> ~"),
    _create("a description of 1001 characters", "<run> X", description="d" * 1001),
    _create("no permissions", "<run> X", permissions=[]),
    _create("an unknown permission", "<run> X", permissions=["NO_SUCH_PERMISSION"]),
    _create("a system-managed field", "<run> X", is_predefined=False),
    Step(question="a missing name", method="POST", body={"permissions": _READ}),
    Step(question="missing permissions", method="POST", body={"name": "<run> X"}),
    Step(question="a body that is not valid JSON", method="POST", raw_body="{"),
    Step(question="a body that is not an object", method="POST", raw_body="[]"),
    Step(
        question="a body of another content type",
        method="POST",
        body={"name": "<run> E", "permissions": _READ},
        content_type="text/plain",
    ),
    # Reading
    Step(question="a role by its ID", method="GET", role="<A.id>"),
    Step(question="the ID of no role", method="GET", role=_NO_ROLE),
    Step(question="an ID that is malformed", method="GET", role="none"),
    Step(question="the ID of a space", method="GET", role="U3BhY2U6MTphQmNE"),
    Step(question="a key that is not known", method="GET", role="<A.id>", with_key=False),
    # Listing
    _create("the newest role", "<run> C", save="C"),
    _list("the first of a listing", limit="1", is_predefined="false", save="page"),
    _create("a role created during a walk", "<run> D"),
    _list("a page after a cursor", limit="1", is_predefined="false", cursor="<page.cursor>"),
    _list("a cursor of another filter", limit="1", is_predefined="true", cursor="<page.cursor>"),
    _list("a cursor that was made up", cursor="bWFkZSB1cA=="),
    _list("a limit of 0", limit="0"),
    _list("a limit of 101", limit="101"),
    _list("a limit that is not a number", limit="many"),
    _list("a filter that is not a boolean", is_predefined="maybe"),
    Step(question="deleting where a page ended", method="DELETE", role="<C.id>"),
    _list("a cursor of a deleted role", limit="1", is_predefined="false", cursor="<page.cursor>"),
    # Updating
    _update("renaming a role to its own name", "<A.id>", name="<run> A"),
    _update("renaming a role to one that is taken", "<A.id>", name="<run> B"),
    _update("clearing a description", "<A.id>", description=None),
    _update("replacing the permissions", "<A.id>", permissions=["ROLE_READ"]),
    _update("emptying the permissions", "<A.id>", permissions=[]),
    _update("nothing to change", "<A.id>"),
    _update("a system-managed field in an update", "<A.id>", id="<B.id>"),
    _list("the predefined roles", limit="1", is_predefined="true", save="predefined"),
    _update("updating a predefined role", "<predefined.id>", name="<predefined.name>"),
    # Deleting
    Step(question="deleting a role", method="DELETE", role="<B.id>"),
    Step(question="deleting a deleted role", method="DELETE", role="<B.id>"),
    Step(question="reading a deleted role", method="GET", role="<B.id>"),
    _update("updating a deleted role", "<B.id>", name="<run> X"),
    _create("the name of a deleted role", "<run> B"),
)
