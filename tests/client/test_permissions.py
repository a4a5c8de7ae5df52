"""Permissions: strings that know what they are about and what they allow, and their one list."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from arize_roles_async import Permission, UnknownPermission
from arize_roles_async._permissions import any_permission, known_permission
from tests.tools.generate_permissions import LIST, MODULE, generate

UNKNOWN = UnknownPermission("DATASET_EXAMPLE_TELEPORT")


# Members


def test_a_member_is_its_identifier() -> None:
    assert Permission.PROJECT_READ == "PROJECT_READ"
    assert str(Permission.PROJECT_READ) == "PROJECT_READ"
    assert f"{Permission.PROJECT_READ}" == "PROJECT_READ"
    assert Permission("PROJECT_READ") is Permission.PROJECT_READ
    assert {"PROJECT_READ": 1}[Permission.PROJECT_READ] == 1


@pytest.mark.parametrize(
    ("permission", "resource", "action"),
    [
        (Permission.PROJECT_READ, "PROJECT", "READ"),
        (Permission.DATASET_EXAMPLE_ANNOTATE, "DATASET_EXAMPLE", "ANNOTATE"),
        (Permission.USER_PERMISSION_UPDATE, "USER_PERMISSION", "UPDATE"),
        (Permission.ALYX_RUN, "ALYX", "RUN"),
        (UNKNOWN, "DATASET_EXAMPLE", "TELEPORT"),
        (UnknownPermission("SOLO"), "", "SOLO"),
    ],
)
def test_a_permission_knows_its_resource_and_action(
    permission: Permission | UnknownPermission, resource: str, action: str
) -> None:
    assert (permission.resource, permission.action) == (resource, action)


def test_for_resource_is_every_permission_about_exactly_that() -> None:
    assert Permission.for_resource("DATASET") == {
        Permission.DATASET_CREATE,
        Permission.DATASET_DELETE,
        Permission.DATASET_READ,
        Permission.DATASET_UPDATE,
    }


def test_for_action_is_every_permission_that_allows_it() -> None:
    assert Permission.for_action("RESTRICT") == {
        Permission.DASHBOARD_RESTRICT,
        Permission.PROJECT_RESTRICT,
        Permission.PROMPT_RESTRICT,
    }
    assert Permission.DATASET_EXAMPLE_READ in Permission.for_action("READ")


@pytest.mark.parametrize("missing", ["", "dataset", "NOPE"])
def test_no_permission_is_about_or_allows_what_is_not_there(missing: str) -> None:
    assert Permission.for_resource(missing) == frozenset()
    assert Permission.for_action(missing) == frozenset()


def test_resources_and_actions_part_the_permissions() -> None:
    by_resource = [Permission.for_resource(name) for name in {p.resource for p in Permission}]
    by_action = [Permission.for_action(name) for name in {p.action for p in Permission}]

    for parts in (by_resource, by_action):
        assert sum(map(len, parts)) == 151
        assert frozenset[Permission]().union(*parts) == frozenset(Permission)


# Unknown ones


def test_an_unknown_permission_is_its_identifier() -> None:
    assert UNKNOWN == "DATASET_EXAMPLE_TELEPORT"
    assert str(UNKNOWN) == f"{UNKNOWN}" == UNKNOWN.value == "DATASET_EXAMPLE_TELEPORT"
    assert type(str(UNKNOWN)) is str
    assert hash(UNKNOWN) == hash("DATASET_EXAMPLE_TELEPORT")


def test_an_unknown_permission_says_so() -> None:
    assert (UNKNOWN.is_known, Permission.ROLE_READ.is_known) == (False, True)
    assert repr(UNKNOWN) == "UnknownPermission('DATASET_EXAMPLE_TELEPORT')"


@pytest.mark.parametrize("permission", [UNKNOWN, Permission.ROLE_READ])
def test_a_permission_copies_and_pickles(permission: Permission | UnknownPermission) -> None:
    for other in (
        copy.copy(permission),
        copy.deepcopy(permission),
        pickle.loads(pickle.dumps(permission)),  # noqa: S301 - our own
    ):
        assert other == permission
        assert type(other) is type(permission)


def test_any_identifier_becomes_a_member_or_an_unknown_permission() -> None:
    assert any_permission("ROLE_READ") is Permission.ROLE_READ
    assert any_permission("ROLE_SING") == UnknownPermission("ROLE_SING")
    assert known_permission("role_read") is None


# The list


def test_the_members_are_those_of_the_list() -> None:
    listed = LIST.read_text("utf-8").split()

    assert len(listed) == 151
    assert sorted(member.value for member in Permission) == sorted(listed)
    assert all(member.name == member.value for member in Permission)


def test_the_module_is_what_the_list_generates() -> None:
    source = MODULE.read_text("utf-8")

    assert generate(source, LIST.read_text("utf-8")) == source


def test_a_new_permission_is_one_line_more() -> None:
    source = MODULE.read_text("utf-8")
    listed = LIST.read_text("utf-8")

    more = generate(source, f"ZEBRA_READ\n\n{listed}ZEBRA_READ\n").splitlines()

    added = [line for line in more if line not in source.splitlines()]
    assert added == ['    ZEBRA_READ = "ZEBRA_READ"']
    assert len(more) == len(source.splitlines()) + 1
    assert generate("\n".join(more) + "\n", listed) == source


@pytest.mark.parametrize(
    "line", ["role_read", "ROLE", "ROLE READ", 'X_Y"; import os', "_ROLE_READ"]
)
def test_what_is_no_identifier_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a permission identifier"):
        generate(MODULE.read_text("utf-8"), line)


def test_the_command_leaves_the_module_as_it_is(tmp_path: Path) -> None:
    chosen = tmp_path / "permissions.txt"
    chosen.write_text(LIST.read_text("utf-8"), "utf-8")
    before = MODULE.read_bytes()

    command = [sys.executable, "-m", "tests.tools.generate_permissions", str(chosen)]
    subprocess.run(command, check=True)  # noqa: S603 - our own

    assert MODULE.read_bytes() == before
