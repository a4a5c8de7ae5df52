"""The store of an account's roles."""

from arize_roles_fake import make_role
from arize_roles_fake._service.ids import Ids
from arize_roles_fake._service.store import RoleStore


def test_next_number() -> None:
    """The next ID is that of the next number whose ID no role has."""
    ids = Ids("acme")
    numbered = [ids.numbered("Role", number) for number in range(10)]
    store = RoleStore(ids, str)
    given: list[str] = []
    for chosen in (*numbered[3:5], None, None, numbered[8], None):
        given.append(store.next_id() if chosen is None else chosen)
        store.add(make_role(id=given[-1], name=given[-1]))
    assert given == [numbered[number] for number in (3, 4, 5, 6, 8, 9)]
