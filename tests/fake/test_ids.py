"""The IDs of an account: no other account has them, and they are the same in every process."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from arize_roles_fake import FakeAccount, make_role
from arize_roles_fake._service.ids import Ids
from arize_roles_fake._service.store import RoleTable
from tests.support.clients import answer, request_binding


def ids_of(account: FakeAccount) -> list[str]:
    """Return an ID of each kind."""
    role = account.add_role("A")
    binding = account.bind(role, user="ada", resource="Project:1")
    return [role.id, *map(account.id, ("ada", "Space:1", "Project:1")), binding.id]


def plain(ids: list[str]) -> list[str]:
    """Return the texts that IDs hold."""
    return [base64.b64decode(each, validate=True).decode() for each in ids]


class TestWhich:
    """The accounts whose IDs are the same."""

    def test_key(self) -> None:
        """A given key gives the same IDs in every process."""
        account = FakeAccount(api_key="fake-api-key")
        organization = account.add_space("ML", organization="Acme").organization_id
        assert plain([*ids_of(account), str(organization)]) == [
            "Role:8:tmoc",
            "User:ada:fake-wztnse",
            "Space:1:fake-wztnse",
            "Model:1:fake-wztnse",
            "RoleBinding:1:geoq",
            "Organization:Acme:fake-wztnse",
        ]

    def test_file(self) -> None:
        """So does a file: by the first of its keys, or without keys by its content."""
        old: dict[str, object] = {"roles": [{"name": "Old"}]}
        one, other = json.dumps(old), json.dumps({**old, "users": []})
        keyed = json.dumps({**old, "keys": {"fake-api-key": None}})
        first = ids_of(FakeAccount.load(one))
        assert ids_of(FakeAccount.load(one)) == first
        assert set(ids_of(FakeAccount.load(other))).isdisjoint(first)
        assert FakeAccount.load(keyed).id("ada") == FakeAccount(api_key="fake-api-key").id("ada")

    def test_chosen(self) -> None:
        """A file may choose the text by which its IDs differ."""
        account = FakeAccount.load('{"roles": [], "tenant": "Acme-2"}')
        assert plain(ids_of(account))[1] == "User:ada:fake-Acme-2"
        with pytest.raises(ValueError, match="this is not an account file: tenant must be "):
            FakeAccount.load('{"roles": [], "tenant": "a:b"}')


def test_next_number() -> None:
    """The next ID is that of the next number whose ID no role has."""
    ids = Ids("acme")
    numbered = [ids.numbered("Role", number) for number in range(10)]
    store = RoleTable(ids, str)
    given: list[str] = []
    for chosen in (*numbered[3:5], None, None, numbered[8], None):
        given.append(store.next_id() if chosen is None else chosen)
        store.put(make_role(id=given[-1], name=given[-1]))
    assert given == [numbered[number] for number in (3, 4, 5, 6, 8, 9)]


@pytest.mark.parametrize("file", [{"roles": []}, {"roles": [], "tenant": ""}])
def test_binding(file: dict[str, Any]) -> None:
    """There is no such user, although no user is declared, and no such space or binding."""
    one, two = FakeAccount(), FakeAccount.load(json.dumps(file))
    bound = one.bind("Admin", user="ada", resource="Space:1")
    assert request_binding(two, bound.user_id, "Space:1") == 404
    assert request_binding(two, "ada", bound.resource_id) == 403
    listing = f"/v2/role-bindings?resource_type=SPACE&user_id={quote(bound.user_id)}"
    for path in (listing, f"/v2/role-bindings/{quote(bound.id)}"):
        assert answer(two, f"GET {path}")[0] == 404
