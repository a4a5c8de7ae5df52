"""JSON from anybody: what is refused before anything is made of it."""

import json
import tracemalloc

import pytest

from arize_roles_async import InvalidResponseError, ListRolesResponse, Request, Response
from arize_roles_async._values.json import MAX_BODY, parse_json
from arize_roles_async._wire.decode import decode


@pytest.mark.parametrize("character", ["𝄞", ","])
def test_longest_page(character: str) -> None:
    """The longest page that the service can need, escaped in full, is shorter than the limit."""
    role = {
        "id": "Um9sZTo" * 20,
        "name": character * 255,
        "description": character * 1000,
        "permissions": ["REMOTE_ENDPOINT_INTEGRATION_CREATE_AND_MORE"] * 500,
        "is_predefined": False,
        "created_at": "2026-01-02T03:04:05.678901234+00:00",
        "updated_at": "2026-01-02T03:04:05.678901234+00:00",
    }
    body = json.dumps({"roles": [role] * 100, "pagination": {"has_more": False}}).encode()
    assert len(body) <= MAX_BODY
    assert len(ListRolesResponse.from_dict(parse_json(body))) == 100  # type: ignore[arg-type]


class TestRefused:
    @pytest.mark.parametrize(
        "body",
        [
            *(b"", b"{", b"NaN", b"[1,]", b"\xff", b'"\xff"', b'"\\ud800"', b"\xef\xbb\xbf{}"),
            *(b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b"1e999999"),
        ],
    )
    def test_not_json(self, body: bytes) -> None:
        """The error for invalid JSON, or for JSON that is nested too deeply, says so."""
        with pytest.raises(ValueError, match=r"^is not valid JSON: "):
            parse_json(body)

    def test_answer(self) -> None:
        """A page of too many values is refused, although each of them is right."""
        times = {f"{each}_at": "2026-01-02T03:04:05Z" for each in ("created", "updated")}
        role = {"id": "x", "name": "x", "is_predefined": False, "permissions": ["A"] * 1000}
        page = {"roles": [role | times] * 200, "pagination": {"has_more": False}}
        answer = Response(status=200, headers={}, body=json.dumps(page).encode())
        with pytest.raises(InvalidResponseError, match="must hold at most 200000 values"):
            decode(ListRolesResponse, Request(method="GET", target="/v2/roles"), answer)

    @pytest.mark.parametrize("item", [b"{}", b"[]", b"0", b'""'])
    def test_values(self, item: bytes) -> None:
        """Too many values, a list or an object being one, are refused, and nothing is made."""
        most = 200_000 if item in {b"0", b'""'} else 100_000
        assert len(parse_json(b"[" + b",".join([item] * most) + b"]")) == most  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        body = b"[" + b",".join([item] * (most + 1)) + b"]"
        tracemalloc.start()
        with pytest.raises(ValueError, match=r"^must hold at most 200000 values$"):
            parse_json(body)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100_000
