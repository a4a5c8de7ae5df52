"""Whole accounts as JSON: an account that is dumped loads as it was, whatever it held."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from arize_roles_fake import FakeAccount

NO_FILE = "this is not an account file: "


def bound(*bindings: dict[str, str]) -> str:
    """Return a file of two roles, and bindings on one space."""
    given = [{"resource": "Space:1", **each} for each in bindings]
    return json.dumps({"roles": [{"name": "A"}, {"name": "B"}], "role_bindings": given})


def test_format(account: FakeAccount) -> None:
    """The format is the service's own, with no members for what a role or an account lacks."""
    role = {
        "id": "Um9sZToxOmdlb3E=",
        "name": "AI Engineer",
        "permissions": ["PROJECT_READ"],
        "is_predefined": False,
        "created_at": "2026-01-01T12:00:00Z",
        "updated_at": "2026-01-01T12:00:00Z",
    }
    whole = {
        "format": 2,
        "tenant": "wztnse",
        "now": "2026-01-01T12:00:00Z",
        "keys": {"fake-api-key": None},
        "roles": [role],
    }
    account.add_role("AI Engineer", ["PROJECT_READ"])
    assert json.loads(account.dump()) == whole
    account.bind("AI Engineer", user="ada", resource="Space:1")
    binding = {
        "id": "Um9sZUJpbmRpbmc6MTpnZW9x",
        "role": "AI Engineer",
        "user": "ada",
        "resource": "Space:1",
        "created_at": "2026-01-01T12:00:00Z",
        "updated_at": "2026-01-01T12:00:00Z",
    }
    with_binding = json.loads(account.dump())
    assert with_binding.pop("directory").keys() == {"users", "spaces"}
    assert with_binding == {**whole, "role_bindings": [binding]}


def test_offset(account: FakeAccount) -> None:
    """A timestamp of any offset is the same moment, in UTC as the service writes it."""
    moment = datetime(1900, 1, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=21, seconds=10)))
    role = account.add_role("A", created_at=moment, updated_at=moment)
    assert role.created_at.isoformat() == "1900-01-01T06:38:50+00:00"
    assert FakeAccount.load(account.dump()).role("A") == role


class TestLoad:
    """Files that something else than `dump` wrote."""

    def test_by_hand(self, tmp_path: Path) -> None:
        """A file needs no more than names, and may begin with the byte order mark of an editor."""
        path = tmp_path / "account.json"
        path.write_text('{"roles": [{"name": "Newer"}, {"name": "Older"}]}', "utf-8-sig")
        for source in (path, path.read_text("utf-8")):
            account = FakeAccount.load(source)
            assert [role.name for role in account.roles] == ["Newer", "Older"]
            assert [*json.loads(account.dump())["keys"]] == [account.api_key]
            assert account.add_role("Newest").id == "Um9sZTozOnV1eGY="

    def test_ids(self) -> None:
        """What has no ID, or comes later, gets none that something in the file has."""
        made = FakeAccount(api_key="z", predefined=False)
        role = made.add_role("A").id
        binding = made.bind("A", user="ada", resource="Space:1").id
        bound = {"role": "A", "resource": "Space:1"}
        bindings = [{**bound, "user": "ada", "id": binding}, {**bound, "user": "eve"}]
        roles = [{"name": "A", "id": role}, {"name": "B"}]
        file = {"keys": {"z": None}, "roles": roles, "role_bindings": bindings}
        loaded = FakeAccount.load(json.dumps(file))
        loaded.add_role("C")
        assert [each.id == role for each in loaded.roles] == [False, True, False]
        assert [each.id == binding for each in loaded.bindings()] == [False, True]
        assert "deleted_ids" not in FakeAccount.load('{"roles": [{"name": "A"}]}').dump()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"format": 3, "teams": []}', NO_FILE),
            ('{"roles": "\ud800"}', NO_FILE),
            ('{"x": ' + "[" * 100_000, NO_FILE),
            ('{"roles": [{"name": "A", "permisions": []}]}', NO_FILE),
            ('{"roles": [], "now": "2026-01-01T00:00:00"}', NO_FILE),
            (
                '{"roles": [], "keys": {"k": ["ROLE_RAED"]}}',
                "'ROLE_RAED' is not a known permission; did you mean ROLE_READ?",
            ),
            ('{"roles": [{"name": "A"}, {"name": "A"}]}', "a role is already named 'A'"),
            (
                '{"roles": [{"name": "A", "id": "x"}, {"name": "B", "id": "x"}]}',
                "two roles have the ID 'x'",
            ),
            (
                '{"roles": [], "role_bindings": [{"role": "A", "user": "", "resource": ""}]}',
                "role_bindings: no role has the name 'A'",
            ),
            (
                bound({"role": "A", "user": "ada"}, {"role": "B", "user": "ada"}),
                "'ada' already has the role 'B' on 'Space:1'",
            ),
            (
                bound(*({"role": "A", "user": each, "id": "Um9sZTox"} for each in ("ada", "eve"))),
                "a role binding already has the ID 'Um9sZTox'",
            ),
            (
                '{"roles": [], "directory": {"users": [{"id": "U3BhY2U6MQ==", "email": "a@x"}]}}',
                "'U3BhY2U6MQ==' is not the ID of a user",
            ),
        ],
    )
    def test_invalid(self, text: str, message: str) -> None:
        """A text that is not an account is refused, with the place."""
        with pytest.raises(ValueError, match=r".") as caught:
            FakeAccount.load(text)
        assert str(caught.value).startswith(message)

    def test_invalid_file(self, tmp_path: Path) -> None:
        """The error about a file names the file; one that is not there is an OSError."""
        path = tmp_path / "account.json"
        with pytest.raises(FileNotFoundError):
            FakeAccount.load(path)
        path.write_text('{"roles": [{"name": "A"}, {"name": "A"}]}')
        with pytest.raises(ValueError, match="a role is already named 'A'") as caught:
            FakeAccount.load(path)
        assert str(caught.value) == f"{path}: a role is already named 'A'"
