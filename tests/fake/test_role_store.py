"""The store of an account's roles."""

from arize_roles_fake import Binding, make_role
from arize_roles_fake._service.store import RoleStore, role_id


def test_removed_role() -> None:
    """A removed role takes its bindings along: the next one with its ID has none."""
    store = RoleStore(str)
    role = make_role()
    store.add(role)
    store.bind(Binding(role_id=role.id, user="ada", resource="Space:1"))
    store.remove(role)
    store.add(role)
    assert store.bindings(role.id) == ()
    assert store.binding(user="ada", resource="Space:1") is None


def test_next_number() -> None:
    """The next ID is that of the next number whose ID no role has."""
    store = RoleStore(str)
    given: list[str] = []
    for chosen in (role_id(2), None, None, role_id(6), None):
        given.append(store.next_id() if chosen is None else chosen)
        store.add(make_role(id=given[-1], name=given[-1]))
    assert given == [role_id(number) for number in (2, 3, 4, 6, 7)]
