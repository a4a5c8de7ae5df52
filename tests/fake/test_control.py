"""`serve --control`: what a test in any language sets up between two tests."""

import json
import os
import re
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib.resources import files
from inspect import signature
from typing import Any

import pytest

from arize_roles_fake import FakeAccount
from tests.support.processes import ran
from tests.support.serving import KEY, Served, serving

GUIDE = files("arize_roles_fake").joinpath("guide", "control.md").read_text("utf-8")


@contextmanager
def controlled(*options: str) -> Generator[Served]:
    with serving("--control", *options) as (url, _):
        yield Served(url)


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    with controlled("--assume", "unknown_id=400") as served:
        yield served


@pytest.fixture
def served(running: Served) -> Served:
    """Return a server that was reset."""
    assert ask(running, "POST reset")[0] == 200
    return running


def ask(served: Served, asked: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Send a request to the control, and return the status and JSON of its answer."""
    method, path = asked.split()
    status, answer = served.ask(method, f"/-/{path}", body, **headers)
    return status, answer


def added(served: Served, account: object = None) -> Served:
    """Add an account to a server, and return it."""
    status, made = ask(served, "POST accounts", account)
    assert (status, [*made]) == (201, ["api_key"])
    return Served(served.url, made["api_key"])


def with_keys(*keys: str) -> dict[str, Any]:
    """Return an account file of a role and keys that may do everything."""
    return {"roles": [{"name": "First"}], "keys": dict.fromkeys(keys)}


def test_as_served() -> None:
    """A reset or added account is as the one that was served first."""
    account = json.dumps(with_keys("old"))
    with controlled("--account", account, "--api-key", KEY) as served:
        ask(served, "PUT account", {"roles": [{"name": "Other"}]})
        assert (served.create("A"), served.names()) == (201, ["A", "Other"])
        ask(served, "POST reset")
        for each in (served, added(served)):
            assert each.create("A") == 201
            assert each.names() == ["A", "First"]
        assert Served(served.url, "old").status() == 401


ARGUMENTS = [*signature(FakeAccount.fail).parameters.values()][3:]
DEFAULTS: dict[str, Any] = {each.name: each.default for each in ARGUMENTS}
DEFAULTS["headers"] = {}


@pytest.mark.parametrize(
    "fault",
    [
        {"operation": "create", "failure": "ServerError", "times": 2, "about": "A"},
        {"operation": "list", "failure": 429, "retry_after": 2, "times": 2, "skip": 1},
        {"operation": "list", "failure": 200, "body": "<p>", "headers": {"X-A": "b"}},
        {"operation": "create", "failure": "lost", "when": "after", "times": None},
    ],
)
def test_faults(served: Served, fault: dict[str, Any]) -> None:
    """A fault has the arguments of `fail`; one that a reset shows can be scripted again."""
    whole = DEFAULTS | fault
    for given in (fault, whole):
        assert ask(served, "POST faults", given) == (204, None)
        ask(served, "POST faults", {"operation": "delete", "failure": 503})
        served.ask("DELETE", "/v2/roles/Um9sZTo5OmFhYWE=")
        unused = [{"fault": whole, "failed_requests": 0}]
        assert ask(served, "POST reset") == (200, {"unused_faults": unused})


@pytest.mark.parametrize(("burst", "second"), [({}, 429), ({"burst": 2}, 200)])
def test_clear(served: Served, burst: dict[str, int], second: int) -> None:
    """All faults and the limit of the rate are removed at once, and none counts as unused."""
    ask(served, "POST faults", {"operation": "list", "failure": 500, "skip": 3})
    assert ask(served, "POST rate", {"per_second": 0.001, **burst}) == (204, None)
    assert [served.status() for _ in range(3)] == [200, second, 429]
    assert ask(served, "DELETE faults") == (204, None)
    assert [served.status(), served.status()] == [200, 200]
    assert ask(served, "POST reset") == (200, {"unused_faults": []})


def test_delay(served: Served) -> None:
    """Answers to some calls take their time."""
    slow = {"seconds": 0.01, "operation": "create", "about": "A"}
    assert ask(served, "POST delay", slow) == (204, None)
    assert [served.create("A"), served.create("B")] == [201, 201]
    assert [call["duration"] for call in ask(served, "GET calls")[1]["calls"]] == [0.01, 0.0]


def test_calls(served: Served) -> None:
    """Each call is an object, without its key; requests to the control are none."""
    served.create("AI Engineer")
    status, log = ask(served, "GET calls")
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


@pytest.mark.parametrize(("assumed", "status"), [({}, 400), ({"unknown_id": 404}, 404)])
def test_assumptions(served: Served, assumed: dict[str, int], status: int) -> None:
    """Those of a file that a test sends count more than those of the command line."""
    other = added(served, {"roles": [], "assumptions": assumed})
    assert other.status("/v2/roles/Um9sZTo5OmFhYWE=") == status


def test_assumed_over_file() -> None:
    """Those of the command line count more than those of the file that is served."""
    file = json.dumps({"roles": [], "assumptions": {"unknown_id": 404}})
    with controlled("--account", file, "--assume", "unknown_id=400") as served:
        for each in (served, added(served)):
            assert each.status("/v2/roles/Um9sZTo5OmFhYWE=") == 400


@pytest.mark.parametrize("key", ["reader", KEY])
def test_key(served: Served, key: str) -> None:
    """A key grants something until it is removed; a new account keeps it, and who controls it."""
    grants = {"grants": ["ROLE_READ"], "on": {"Space:1": ["ROLE_BINDING_READ"]}}
    assert ask(served, "POST keys", {"key": key, **grants}) == (204, None)
    assert ask(served, "PUT account", {"roles": []}) == (204, None)
    reader = Served(served.url, key)
    assert (reader.status(), reader.create("A")) == (200, 403)
    assert ask(served, "GET account")[1]["keys"][key] == grants
    assert ask(served, "DELETE keys", {"key": key}) == (204, None)
    assert reader.status() == 401
    assert ask(served, "POST reset")[0] == 200
    assert (reader.status(), served.status()) == (200 if key == KEY else 401, 200)


CREATE = {"operation": "create", "failure": 503}
BOUND: dict[str, Any] = {
    "roles": [],
    "role_bindings": [{"role": "Nobody", "user": "ada@example.com", "resource": "Space:ML"}],
}


@pytest.mark.parametrize(
    ("asked", "body", "detail"),
    [
        ("POST faults", [], "the body does not have the documented form: "),
        ("POST faults", {"failure": 503}, "missing 1 required positional argument: 'operation'"),
        ("POST faults", CREATE | {"time": 2}, "got an unexpected keyword argument 'time'"),
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
        ("POST accounts", with_keys(KEY), "keys holds the key of another account on this server"),
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
    status, problem = ask(served, asked, body)
    assert status == (404 if asked == "GET reset" else 400)
    assert detail in problem["detail"]
    assert served.names() == ["A"]


def test_replaced(served: Served) -> None:
    """The account, however long, is read as it was put, under the same key and options."""
    roles = [{"name": f"{n}", "description": "x" * 1000} for n in range(1000)]
    assert ask(served, "PUT account", {"roles": roles}) == (204, None)
    status, account = ask(served, "GET account")
    assert served.status("/v2/roles/Um9sZTowOm5vbmU=") == 400
    ask(served, "POST reset")
    assert (status, ask(served, "PUT account", account)) == (200, (204, None))
    assert served.names() == [f"{n}" for n in range(50)]


def test_replaced_keys(served: Served) -> None:
    """The account may have other keys, of which the first controls it, too."""
    assert ask(served, "PUT account", with_keys("reader", "second")) == (204, None)
    reader, second = (Served(served.url, key) for key in ("reader", "second"))
    assert (served.status(), reader.status(), second.status()) == (401, 200, 200)
    assert [ask(each, "GET calls")[0] for each in (served, reader, second)] == [200, 200, 401]
    assert ask(reader, "PUT account", {"roles": []})[0] == 204
    assert (served.status(), reader.status(), second.status()) == (401, 200, 200)
    assert ask(reader, "POST reset")[0] == 200
    assert ask(reader, "GET calls")[0] == 401


class TestAccounts:
    """Further accounts on one server, each under a key of its own."""

    def test_own(self, served: Served) -> None:
        """An account is reached, scripted, read, reset and removed with its own key alone."""
        other = added(served)
        ask(other, "POST faults", CREATE)
        assert (served.create("A"), other.create("B"), other.create("B")) == (201, 503, 201)
        assert (served.names(), other.names()) == (["A"], ["B"])
        ask(served, "POST reset")
        assert (served.names(), other.names()) == ([], ["B"])
        assert len(ask(other, "GET calls")[1]["calls"]) == 4
        ask(other, "PUT account", {"roles": []})
        ask(other, "POST reset")
        assert other.ask("GET", "/v2/roles")[1]["roles"][-1]["name"] == "Admin"
        assert ask(other, "DELETE accounts") == (204, None)
        assert (other.status(), ask(other, "POST reset")[0]) == (401, 401)

    def test_key_removed(self, served: Served) -> None:
        """A key that an account removed is free for another, unless it still controls the first."""
        other = added(served)
        ask(other, "POST keys", {"key": "lent"})
        for key, status in (("lent", 204), (other.key, 400)):
            ask(other, "DELETE keys", {"key": key})
            assert ask(served, "POST keys", {"key": key})[0] == status
        assert other.status() == 401
        assert [each["outcome"] for each in ask(other, "GET calls")[1]["calls"]] == [401]

    def test_key_of_start(self, served: Served) -> None:
        """No other account gets a key to which a reset returns."""
        mine = added(served, with_keys("mine", "old"))
        ask(mine, "PUT account", with_keys("mine"))
        assert ask(served, "POST accounts", with_keys("hers", "old"))[0] == 400
        assert ask(mine, "POST reset")[0] == 200
        assert Served(served.url, "old").names() == ["First"]


def test_anywhere() -> None:
    """With `any`, callers under any name may control the account, if they have a secret key."""
    with serving("--control", "any", "--api-key", "sesame") as (url, _):
        served = Served(url, "sesame")
        assert ask(served, "POST reset", Host="fake:8000")[0] == 200
        assert ask(Served(url), "POST reset", Host="fake:8000")[0] == 401
        for asked, given in (
            ("POST accounts", with_keys(KEY)),
            ("PUT account", with_keys(KEY)),
            ("POST keys", {"key": KEY}),
        ):
            status, problem = ask(served, asked, given, Host="fake:8000")
            assert status == 400
            assert "any needs a key other than fake-api-key" in problem["detail"]
        assert Served(url).status() == 401


def test_refused(served: Served) -> None:
    """Another key, or another machine, may not; without the option there is nothing."""
    assert ask(served, "POST reset", Host="fake:8000")[0] == 403
    # Without a byte of the key in common.
    assert ask(Served(served.url, "wr\u00f6ng"), "POST reset")[0] == 401
    with serving() as (url, _):
        assert ask(Served(url), "POST reset")[0] == 404


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
