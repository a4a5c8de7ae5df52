"""`serve --control`: what a test in any language sets up between two tests."""

import json
import os
import re
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import pytest

from tests.support.processes import ran
from tests.support.serving import KEY, Served, serving

GUIDE = files("arize_roles_fake").joinpath("guide", "control.md").read_text("utf-8")


@contextmanager
def controlled(*options: str) -> Generator[Served]:
    with serving("--control", *options) as (url, _):
        yield Served(url)


def added(served: Served, account: object = None) -> Served:
    """Add an account to a server, and return it."""
    _, made = served.ask("POST", "/-/accounts", account)
    return Served(served.url, made["api_key"])


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    with controlled("--assume", "unknown_id=400") as served:
        yield served


@pytest.fixture
def served(running: Served) -> Served:
    """Return a server that was reset."""
    assert running.ask("POST", "/-/reset")[0] == 200
    return running


class TestReset:
    def test_unused_faults(self, served: Served) -> None:
        """The answer names the scripted faults that struck less often than they should."""
        for fault in ({"times": 2}, {"about": "A"}, {"skip": 9}):
            served.ask("POST", "/-/faults", {"operation": "create", "failure": 503, **fault})
        served.create("A")
        served.create("A")
        _, answer = served.ask("POST", "/-/reset")
        assert [each["fault"]["about"] for each in answer["unused_faults"]] == ["A", None]
        assert [each["struck_requests"] for each in answer["unused_faults"]] == [0, 0]
        assert served.ask("POST", "/-/reset") == (200, {"unused_faults": []})

    def test_as_served(self) -> None:
        """The account is the one that was served first, with the options of the command line.

        An account that is added begins as that one, too.
        """
        account = '{"roles": [{"name": "AI Engineer"}], "keys": {"old": null}}'
        with controlled("--account", account, "--api-key", KEY, "--fault", "create:409") as served:
            assert served.create("A") == 409
            served.ask("PUT", "/-/account", {"roles": [{"name": "Other"}]})
            assert (served.create("A"), served.names()) == (409, ["Other"])
            served.ask("POST", "/-/reset")
            for each in (served, added(served)):
                assert [each.create("A"), each.create("A")] == [409, 201]
                assert each.names() == ["A", "AI Engineer"]
            assert Served(served.url, "old").status() == 401


DEFAULTS: dict[str, Any] = {
    "times": 1,
    "skip": 0,
    "about": None,
    "when": "before",
    "retry_after": None,
    "body": None,
    "headers": {},
}


class TestFaults:
    @pytest.mark.parametrize(
        "fault",
        [
            {"operation": "create", "failure": "ServerError", "times": 2, "about": "A"},
            {"operation": "list", "failure": 429, "retry_after": 2, "times": 2, "skip": 1},
            {"operation": "list", "failure": 200, "body": "<p>", "headers": {"X-A": "b"}},
            {"operation": "create", "failure": "lost", "when": "after", "times": None},
        ],
    )
    def test_again(self, served: Served, fault: dict[str, Any]) -> None:
        """A fault has the arguments of `fail`; one that was read can be scripted again."""
        whole = DEFAULTS | fault
        for given in (fault, whole):
            assert served.ask("POST", "/-/faults", given) == (204, None)
            unused = served.ask("POST", "/-/reset")[1]["unused_faults"]
            assert unused == [{"fault": whole, "struck_requests": 0}]

    def test_remove(self, served: Served) -> None:
        """Those that are removed strike no more, and are not unused either."""
        served.ask("POST", "/-/faults", {"operation": "create", "failure": 503})
        assert served.ask("DELETE", "/-/faults")[0] == 204
        assert served.create("A") == 201
        assert served.ask("POST", "/-/reset")[1] == {"unused_faults": []}


class TestLimits:
    @pytest.mark.parametrize(("burst", "second"), [({}, 429), ({"burst": 2}, 200)])
    def test_clear(self, served: Served, burst: dict[str, int], second: int) -> None:
        """All faults and the limit of the rate are removed at once, and none counts as unused."""
        served.ask("POST", "/-/faults", {"operation": "delete", "failure": 500})
        assert served.ask("POST", "/-/rate", {"per_second": 0.001, **burst}) == (204, None)
        assert [served.status() for _ in range(3)] == [200, second, 429]
        assert served.ask("DELETE", "/-/faults") == (204, None)
        assert served.status() == 200
        assert served.ask("POST", "/-/reset") == (200, {"unused_faults": []})

    def test_delay(self, served: Served) -> None:
        """Answers to some calls take their time."""
        slow = {"seconds": 0.01, "operation": "create", "about": "A"}
        assert served.ask("POST", "/-/delay", slow) == (204, None)
        assert [served.create("A"), served.create("B")] == [201, 201]
        log = served.ask("GET", "/-/calls")[1]["calls"]
        assert [call["duration"] for call in log] == [0.01, 0.0]


class TestKeys:
    @pytest.mark.parametrize("key", ["reader", KEY])
    def test_added(self, served: Served, key: str) -> None:
        """A key may grant something on single resources, and is there until it is removed."""
        on = {"Space:1": ["ROLE_BINDING_READ"]}
        given = {"key": key, "grants": ["ROLE_READ"], "on": on}
        assert served.ask("POST", "/-/keys", given) == (204, None)
        reader = Served(served.url, key)
        assert (reader.status(), reader.create("A")) == (200, 403)
        assert served.ask("GET", "/-/account")[1]["keys"][key] == {
            "grants": ["ROLE_READ"],
            "on": on,
        }
        assert served.ask("DELETE", "/-/keys", {"key": key}) == (204, None)
        assert reader.status() == 401

    def test_first(self, served: Served) -> None:
        """Without the key that controls it, the account can still be controlled."""
        served.ask("POST", "/-/keys", {"key": "other"})
        assert served.ask("DELETE", "/-/keys", {"key": KEY}) == (204, None)
        assert (served.status(), Served(served.url, "other").status()) == (401, 200)
        assert served.ask("POST", "/-/reset")[0] == 200
        assert (served.status(), Served(served.url, "other").status()) == (200, 401)


class TestCalls:
    def test_entries(self, served: Served) -> None:
        """Each call is an object, without its key; requests to the control are none."""
        served.create("AI Engineer")
        status, log = served.ask("GET", "/-/calls")
        (call,) = log["calls"]
        assert (status, log["dropped"]) == (200, 0)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", call.pop("at"))
        assert call == {
            "operation": "create",
            "role": "AI Engineer",
            "user": None,
            "resource": None,
            "arguments": {"name": "AI Engineer", "permissions": ["ROLE_READ"]},
            "outcome": 201,
            "attempt": 1,
            "duration": 0.0,
            "host": served.url.removeprefix("http://"),
        }

    @pytest.mark.full
    def test_dropped(self, served: Served) -> None:
        """The calls that dropped out of the log since the reset are counted."""
        for number in range(100):
            served.ask("POST", "/v2/roles", {"name": f"{number}", "description": "x" * 250_000})
        _, log = served.ask("GET", "/-/calls")
        assert len(log["calls"]) + log["dropped"] == 100
        assert log["dropped"] > 10


@pytest.mark.parametrize(("assumed", "status"), [({}, 400), ({"unknown_id": 404}, 404)])
def test_assumptions(served: Served, assumed: dict[str, int], status: int) -> None:
    """Those of a file that a test sends count more than those of the command line."""
    other = added(served, {"roles": [], "assumptions": assumed})
    assert other.status("/v2/roles/Um9sZTo5OmFhYWE=") == status


def test_clock(served: Served) -> None:
    """The account's time is later by as many seconds."""
    _, before = served.ask("POST", "/-/clock", {"seconds": 0})
    _, after = served.ask("POST", "/-/clock", {"seconds": 315360000})
    assert int(after["now"][:4]) - int(before["now"][:4]) in {9, 10}


CREATE = {"operation": "create", "failure": 503}
KNOWN = (
    "--control any needs a key other than fake-api-key, which is public; pass one with "
    "--api-key-file"
)


BOUND: dict[str, Any] = {
    "format": 2,
    "tenant": "a",
    "roles": [],
    "role_bindings": [{"role": "Nobody", "user": "ada@example.com", "resource": "Space:ML"}],
}


@pytest.mark.parametrize(
    ("asked", "body", "detail"),
    [
        ("POST faults", [], "the body does not have the documented form: "),
        ("POST faults", {"failure": 503}, "operation must be one of"),
        ("POST faults", CREATE | {"time": 2}, "a fault has no member 'time'; did you "),
        ("POST keys", {"key": "a b"}, "a key must have only letters, digits and - . _ ~ + /"),
        ("DELETE keys", {"key": "none"}, "there is no such API key"),
        ("POST rate", {"per_second": 0}, "per_second must be above 0"),
        ("POST delay", {"seconds": 1, "operation": "lsit"}, "operation must be one of"),
        ("POST clock", {"seconds": -1}, "seconds must be 0 or more, not -1.0: time does not go "),
        ("POST clock", {"seconds": 1, "m": 1}, "the body does not have the documented form: "),
        ("PUT account", {}, "this is not an account file: "),
        ("PUT account", {"roles": [], "keys": {}}, "the account has no API key; pass one with "),
        ("PUT account", BOUND, "'Nobody'"),
        ("POST accounts", BOUND, "'Nobody'"),
        ("DELETE accounts", None, "only an account that was added can be removed"),
        (
            "GET reset",
            None,
            (
                "--control has only these requests: POST /-/accounts, DELETE /-/accounts, "
                "GET /-/account, PUT /-/account, POST /-/reset, POST /-/keys, DELETE /-/keys, "
                "POST /-/faults, DELETE /-/faults, POST /-/delay, POST /-/rate, "
                "GET /-/calls, POST /-/clock"
            ),
        ),
    ],
)
def test_wrong(served: Served, asked: str, body: object, detail: str) -> None:
    """What is wrong is a 400 or a 404 that says why, and the account stays."""
    served.create("A")
    method, path = asked.split()
    status, problem = served.ask(method, f"/-/{path}", body)
    assert status == (404 if asked == "GET reset" else 400)
    assert detail in problem["detail"]
    assert served.names() == ["A"]


class TestAccount:
    def test_replaced(self, served: Served) -> None:
        """The account, however long, is read as it was put, under the same key and options."""
        roles = [{"name": f"{n}", "description": "x" * 1000} for n in range(1000)]
        assert served.ask("PUT", "/-/account", {"roles": roles}) == (204, None)
        status, account = served.ask("GET", "/-/account")
        assert served.status("/v2/roles/Um9sZTowOm5vbmU=") == 400
        served.ask("POST", "/-/reset")
        assert (status, served.ask("PUT", "/-/account", account)) == (200, (204, None))
        assert served.names() == [f"{n}" for n in range(50)]

    def test_keys(self, served: Served) -> None:
        """The account may have other keys, of which the first controls it, too."""
        account: dict[str, Any] = {
            "roles": [],
            "keys": {"reader": ["ROLE_READ"], "second": None},
        }
        assert served.ask("PUT", "/-/account", account) == (204, None)
        assert served.status() == 401
        assert Served(served.url, "reader").status() == 200
        for each in (served, Served(served.url, "reader")):
            assert each.ask("GET", "/-/calls")[0] == 200
        assert Served(served.url, "second").ask("GET", "/-/calls")[0] == 401
        assert Served(served.url, "reader").ask("POST", "/-/reset")[0] == 200
        assert Served(served.url, "reader").ask("GET", "/-/calls")[0] == 401


class TestAccounts:
    """Further accounts on one server, each under a key of its own."""

    def test_own(self, served: Served) -> None:
        """An account is reached, scripted, read and reset with its own key alone."""
        status, made = served.ask("POST", "/-/accounts")
        assert (status, [*made]) == (201, ["api_key"])
        other = Served(served.url, made["api_key"])
        other.ask("POST", "/-/faults", {"operation": "create", "failure": 503})
        assert served.create("A") == 201
        assert (other.create("B"), other.create("B")) == (503, 201)
        assert (served.names(), other.names()) == (["A"], ["B"])
        served.ask("POST", "/-/reset")
        assert (served.names(), other.names()) == ([], ["B"])
        assert len(other.ask("GET", "/-/calls")[1]["calls"]) == 4
        other.ask("PUT", "/-/account", {"roles": []})
        other.ask("POST", "/-/reset")
        assert other.ask("GET", "/v2/roles")[1]["roles"][-1]["name"] == "Admin"

    def test_removed(self, served: Served) -> None:
        """One that was added can be removed, with its key."""
        other = added(served)
        assert other.ask("DELETE", "/-/accounts") == (204, None)
        assert other.ask("GET", "/v2/roles")[0] == 401
        assert other.ask("POST", "/-/reset")[0] == 401

    def test_taken_key(self, served: Served) -> None:
        """No two accounts share a key."""
        other = added(served)
        account: dict[str, Any] = {"roles": [], "keys": {KEY: None}}
        for status, problem in (
            served.ask("POST", "/-/accounts", account),
            other.ask("PUT", "/-/account", account),
        ):
            assert status == 400
            assert problem["detail"] == (
                "keys holds the key of another account on this server; without keys, the account "
                "gets one of its own"
            )

    def test_key_removed(self, served: Served) -> None:
        """A key that an account removed is free for another, unless it still controls the first."""
        other = added(served)
        other.ask("POST", "/-/keys", {"key": "lent"})
        for key, status in (("lent", 204), (other.key, 400)):
            other.ask("DELETE", "/-/keys", {"key": key})
            assert served.ask("POST", "/-/keys", {"key": key})[0] == status

    def test_key_taken_since(self, served: Served) -> None:
        """No reset returns to a key that another account got meanwhile."""
        mine = added(served, {"roles": [{"name": "First"}], "keys": {"mine": None, "old": None}})
        mine.ask("PUT", "/-/account", {"roles": [], "keys": {"mine": None}})
        hers = added(served, {"roles": [{"name": "Second"}], "keys": {"hers": None, "old": None}})
        status, problem = mine.ask("POST", "/-/reset")
        detail = "another account on this server has a key that this one had at its start"
        assert (status, problem["detail"]) == (409, detail)
        assert Served(served.url, "old").names() == ["Second"]
        hers.ask("DELETE", "/-/accounts")
        assert mine.ask("POST", "/-/reset")[0] == 200
        assert Served(served.url, "old").names() == ["First"]


class TestAnywhere:
    """`--control any`, for a server in a container."""

    def test_any(self) -> None:
        """Callers under any name may control the account, with the key; without it they may not."""
        with serving("--control", "any", "--api-key", "sesame") as (url, _):
            served = Served(url, "sesame")
            assert served.ask("POST", "/-/reset", Host="fake:8000")[0] == 200
            assert Served(url).ask("POST", "/-/reset", Host="fake:8000")[0] == 401
            account: dict[str, Any] = {"roles": [], "keys": {KEY: None}}
            for asked, given in (
                ("POST /-/accounts", account),
                ("PUT /-/account", account),
                ("POST /-/keys", {"key": KEY}),
            ):
                method, path = asked.split()
                status, problem = served.ask(method, path, given, Host="fake:8000")
                assert (status, problem["detail"]) == (400, KNOWN)
            assert Served(url).status() == 401
        with serving("--control", "loopback") as (url, _):
            status, problem = Served(url).ask("POST", "/-/reset", Host="fake:8000")
            detail = "only this machine may control the account"
            assert (status, problem["detail"]) == (403, detail)
            assert Served(url).ask("POST", "/-/reset")[0] == 200


class TestRefused:
    def test_key(self, served: Served) -> None:
        """Another key is refused, also one without a byte of it in common."""
        status, problem = Served(served.url, "wr\u00f6ng").ask("POST", "/-/reset")
        assert (status, problem["detail"]) == (
            401,
            "the key is not the one that serve printed, nor of POST /-/accounts",
        )

    def test_without_option(self) -> None:
        """Without `--control` the account answers, which has no such path."""
        with serving() as (url, _):
            assert Served(url).ask("POST", "/-/reset")[0] == 404


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_guide() -> None:
    """The guide's example runs with curl."""
    section = GUIDE.partition("\n## ")[0]
    (script,) = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    with controlled() as served:
        environment = {**os.environ, "ARIZE_API_KEY": KEY, "ARIZE_BASE_URL": served.url}
        done = ran("/bin/sh", "-e", "-c", script, env=environment, check=True)
        reset, now, calls = done.stdout.split("}", 2)
        assert json.loads(reset + "}") == {"unused_faults": []}
        assert now.startswith('{"now"')
        assert json.loads(calls) == {"calls": [], "dropped": 0}
        assert [served.status() for _ in range(3)] == [503, 503, 200]
        assert served.names() == ["AI Engineer"]
