"""The store of an account's roles."""

from arize_roles_fake import make_role
from arize_roles_fake._service.store import RoleStore, numbered_id


def numbered(number: int) -> str:
    return numbered_id("Role", number)


def test_next_number() -> None:
    """The next ID is that of the next number whose ID no role has."""
    store = RoleStore(str)
    given: list[str] = []
    for chosen in (*map(numbered, (3, 4)), None, None, numbered(8), None):
        given.append(store.next_id() if chosen is None else chosen)
        store.add(make_role(id=given[-1], name=given[-1]))
    assert given == [numbered(number) for number in (3, 4, 5, 6, 8, 9)]
