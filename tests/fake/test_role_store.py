"""The store of an account's roles."""

from arize_roles_fake import make_role
from arize_roles_fake._service.store import RoleStore, numbered_id


def test_next_number() -> None:
    """The next ID is that of the next number whose ID no role has."""
    store = RoleStore(str)
    given: list[str] = []
    for chosen in (numbered_id("Role", 2), None, None, numbered_id("Role", 6), None):
        given.append(store.next_id() if chosen is None else chosen)
        store.add(make_role(id=given[-1], name=given[-1]))
    assert given == [numbered_id("Role", number) for number in (2, 3, 4, 6, 7)]
