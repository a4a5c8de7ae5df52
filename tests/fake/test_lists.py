"""The laws of lists: each list of the service's description, with each filter, limit and paging."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from arize_roles_fake import Assumptions, FakeAccount
from arize_roles_fake._service.service import OPERATIONS, verb
from tests.fake.test_openapi import described
from tests.support.clients import account_at_noon, answer

Item = dict[str, Any]
Filters = tuple[tuple[str, str], ...]

LISTS: Final[dict[str, dict[str, Item]]] = {
    path: {each["name"]: each for each in at["get"]["parameters"]}
    for path, at in described()["paths"].items()
    if not path.endswith("}")
}
"""The parameters of each list."""


def matches(item: Item, filters: Filters, spaces: dict[str, str]) -> bool:
    """Return whether filters leave an item in its list, given the names of spaces by ID."""
    found: dict[str, bool] = {}
    for name, value in filters:
        # One value is enough where a filter has several.
        found[name] = found.get(name, False) or has(item, name, value, spaces)
    return all(found.values())


def has(item: Item, name: str, value: str, spaces: dict[str, str]) -> bool:
    match name:
        case "email" | "name":
            return value.lower() in item[name].lower()
        case "space_name":
            return value.lower() in spaces[item["space_id"]].lower()
        case "org_id":
            return bool(item["organization_id"] == value)
        case "is_predefined":
            return item[name] is (value == "true")
        case _:
            return bool(item.get(name) == value)


def values(items: list[Item], name: str) -> list[str]:
    """Return values of a filter that match several items, one or none."""
    match name:
        case "limit" | "cursor":
            return []
        case "email" | "name" | "space_name":
            return ["churn", "ML", "x.org", "nobody"]
        case "is_predefined":
            return ["true", "false"]
        case _:
            field = "organization_id" if name == "org_id" else name
            return sorted({item[field] for item in items if item.get(field) is not None})


def filled(**assumptions: Any) -> FakeAccount:  # noqa: ANN401 - any of them
    """Return an account with several of each kind, no two of one age."""
    account = account_at_noon(predefined=True, assumptions=Assumptions(**assumptions))
    adds: list[Callable[[], object]] = [
        *(partial(account.add_role, f"Role {n}", ["ROLE_READ"]) for n in range(4)),
        lambda: account.add_user("ada@x.org"),
        lambda: account.add_user("Ada@y.org", status="INVITED"),
        lambda: account.add_user(None, id="bot"),
        lambda: account.add_user("eve@x.org", status="EXPIRED"),
        lambda: account.add_user("bob@x.org", status="INVITED"),
        lambda: account.add_user("gone@x.org"),
        lambda: account.block_user("gone@x.org"),
        lambda: account.add_space("ML"),
        lambda: account.add_space("Ops"),
        lambda: account.add_space("html", organization="Research"),
        lambda: account.add_project("churn", space="ML"),
        lambda: account.add_project("Churned", space="ML", project_type="HARNESS"),
        lambda: account.add_project("fraud", space="Ops", project_type=None),
        lambda: account.add_project("return", space="html", project_type="EXPERIMENT"),
    ]
    places = ("Space:ML", "Space:Ops", "Space:html", "Project:ML/churn", "Project:Ops/fraud")
    for user, place in itertools.product(("ada@x.org", "eve@x.org"), places):
        adds.append(partial(account.bind, "Role 1", user=user, resource=place))
    for add in adds:
        account.advance(1)
        add()
    return account


def page(
    account: FakeAccount, path: str, filters: Filters, key: str = "fake-api-key", **asked: object
) -> tuple[int, Any]:
    return answer(account, f"GET {path}?{urlencode([*filters, *asked.items()])}", key=key)


def walk(
    account: FakeAccount, path: str, filters: Filters, limit: int = 100, key: str = "fake-api-key"
) -> Iterator[list[Item]]:
    """Yield the items of each page."""
    asked: dict[str, object] = {"limit": limit}
    while True:
        status, body = page(account, path, filters, key, **asked)
        assert status == 200
        (items,) = (each for name, each in body.items() if name != "pagination")
        yield items
        pagination = body["pagination"]
        assert pagination["has_more"] is ("next_cursor" in pagination)
        if not pagination["has_more"]:
            return
        assert pagination["next_cursor"] != asked.get("cursor")
        asked["cursor"] = pagination["next_cursor"]
        filters = filters[::-1]  # They are the same in any order.


def whole(account: FakeAccount, path: str, key: str = "fake-api-key") -> list[Item]:
    """Return every item of a list, without filters."""
    kinds: list[Filters] = [(("resource_type", kind),) for kind in ("SPACE", "PROJECT")]
    needed = kinds if LISTS[path].get("resource_type") else [()]
    return [
        item for each in needed for items in walk(account, path, each, key=key) for item in items
    ]


def filters_of(account: FakeAccount, path: str) -> Iterator[Filters]:
    """Yield every combination of filters."""
    items, options = whole(account, path), list[list[Filters]]()
    for name, parameter in LISTS[path].items():
        single = [(name, value) for value in values(items, name)]
        numbers = range("required" in parameter, 3 if "explode" in parameter else 2)
        options.append([x for number in numbers for x in itertools.combinations(single, number)])
    for chosen in itertools.product(*options):
        yield tuple(itertools.chain(*chosen))


def test_every_list() -> None:
    """The description has each list of the code."""
    assert len(LISTS) == sum(verb(each) == "list" for each in OPERATIONS) == 5


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("order", "paging"), [("newest-first", "by-position"), ("oldest-first", "by-offset")]
)
def test_pages(path: str, order: str, paging: str) -> None:
    """Pages are the slices of what the filters leave of the whole list, in its order."""
    account = filled(list_order=order, paging=paging)
    spaces = {item["id"]: item["name"] for item in whole(account, "/v2/spaces")}
    items = whole(account, path)
    for filters in filters_of(account, path):
        expected = [item for item in items if matches(item, filters, spaces)]
        born = [item["created_at"] for item in expected]
        assert born == sorted(born, reverse=order == "newest-first" and path != "/v2/users")
        for limit in (1, 2, 3, 100):
            slices = [expected[at : at + limit] for at in range(0, len(expected), limit)]
            assert [*walk(account, path, filters, limit)] == (slices or [[]])


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("paging", ["by-position", "by-offset"])
def test_short_pages(path: str, paging: str) -> None:
    """Pages that a test shortens are no longer than the limit, and a walk sees the same."""
    account = filled(paging=paging)
    for filters in filters_of(account, path):
        expected = [*itertools.chain(*walk(account, path, filters))]
        account.shorten_pages(1, 0, 0, 100, 2)
        pages = [*walk(account, path, filters, 3)]
        account.clear_faults()
        assert [*itertools.chain(*pages)] == expected
        assert all(len(each) <= most for each, most in zip(pages, (1, 0, 0, 3, 2), strict=False))


@pytest.mark.parametrize("refusal", [400, "ignored"])
def test_cursors(refusal: int | str) -> None:
    """A cursor is taken by its own list with its own filters, and by no other nor account."""
    account, stranger = filled(foreign_cursor=refusal), filled(foreign_cursor=refusal)
    lists = [(path, each) for path in LISTS for each in filters_of(account, path) if len(each) < 3]
    firsts = {each: page(account, *each, limit=1) for each in lists}
    for issuer, (_, body) in firsts.items():
        if cursor := body["pagination"].get("next_cursor"):
            found = page(stranger, *issuer, limit=1, cursor=cursor)
            assert found[0] == (200 if refusal == "ignored" else 400)
            # Of other lists, few: each pair would be a request.
            for other in (each for each in lists if each[0] == issuer[0] or len(each[1]) < 2):
                found = page(account, *other, limit=1, cursor=cursor)
                is_own, is_first = other == issuer, found == firsts[other]
                assert found[0] == (200 if is_own or refusal == "ignored" else 400)
                assert is_first is (not is_own and refusal == "ignored")


ON: Final = ["ROLE_BINDING_READ"]
SEEN: Final[list[tuple[list[str], dict[str, list[str]], str, str, str]]] = [
    ([], {}, "", "", ""),
    (["SPACE_READ"], {}, "ML Ops html", "", ""),
    (["PROJECT_READ"], {}, "", "churn Churned fraud return", ""),
    (ON, {}, "", "", "ML Ops html churn fraud"),
    ([], {"Space:ML": ON}, "ML", "churn Churned", "ML"),
    ([], {"Project:ML/churn": ON}, "", "churn", "churn"),
    ([], {"Space:Ops": ["ROLE_READ"]}, "Ops", "fraud", ""),
    ([], {"Space:Ops": []}, "", "", ""),
]
"""What a key grants everywhere and on places: the spaces, projects and bindings that it sees."""


@pytest.mark.parametrize(("grants", "on", "spaces", "projects", "bound"), SEEN)
def test_seen(
    grants: list[str], on: dict[str, list[str]], spaces: str, projects: str, bound: str
) -> None:
    """A key lists what it sees, and gets each of these, and no other."""
    account = filled()
    places = [*whole(account, "/v2/spaces"), *whole(account, "/v2/projects")]
    names = {place["id"]: place["name"] for place in places}
    account.add_key("limited", grants=grants, on=on)
    for path, field, seen in (
        ("/v2/spaces", "id", spaces.split()),
        ("/v2/projects", "id", projects.split()),
        ("/v2/role-bindings", "resource_id", bound.split()),
    ):
        assert {names[item[field]] for item in whole(account, path, "limited")} == {*seen}
        for item in whole(account, path):
            at = f"{path}/{item['id'].replace('=', '%3D')}"
            status, _ = answer(account, f"GET {at}", key="limited")
            assert status == (200 if names[item[field]] in seen else 404)
