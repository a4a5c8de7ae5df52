"""`serve --control`: what a test in any language sets up between two tests."""

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from arize_roles_fake import FakeAccount
from tests.fake.test_main import serving
from tests.support.processes import LONGEST_WAIT

KEY = "fake-api-key"


class Served:
    """A served account, as a test in another language sees it."""

    def __init__(self, url: str, key: str = KEY) -> None:
        self.url = url
        self.key = key

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Any:  # noqa: ANN401
        """Send a request and return the answer's status and JSON."""
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.url}{path}",
            method=method,
            headers={
                "Authorization": f"Bearer {self.key}",
                "Content-Type": "application/json",
                **headers,
            },
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=LONGEST_WAIT) as answer:  # noqa: S310
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def names(self) -> list[str]:
        """Return the names of the custom roles."""
        _, page = self.ask("GET", "/v2/roles?is_predefined=false")
        return [role["name"] for role in page["roles"]]

    def create(self, name: str) -> int:
        """Create a role and return the status."""
        status, _ = self.ask("POST", "/v2/roles", {"name": name, "permissions": ["ROLE_READ"]})
        return int(status)


@contextmanager
def controlled(*options: str) -> Generator[Served]:
    with serving("--control", *options) as (url, _):
        yield Served(url)


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    with controlled() as served:
        yield served


@pytest.fixture(scope="module")
def replaceable() -> Iterator[Served]:
    with controlled("--assume", "unknown_id=400") as served:
        yield served


@pytest.fixture
def served(running: Served) -> Served:
    """Return a server that was reset."""
    assert running.ask("POST", "/-/reset") == (204, None)
    return running


class TestReset:
    def test_roles(self, served: Served) -> None:
        """The account is as it was at the start."""
        assert served.create("AI Engineer") == 201
        assert served.ask("POST", "/-/reset") == (204, None)
        assert served.names() == []

    def test_calls(self, served: Served) -> None:
        """The calls from before are forgotten."""
        served.names()
        served.ask("POST", "/-/reset")
        assert served.ask("GET", "/-/calls") == (200, [])

    def test_options(self, tmp_path: Path) -> None:
        """The options of the command line count again: key, faults and rate."""
        path = tmp_path / "account.json"
        path.write_text('{"roles": [{"name": "AI Engineer"}], "keys": {"old": null}}')
        options = ("--account", str(path), "--api-key", KEY, "--fault", "create:409")
        with controlled(*options) as served:
            assert [served.create("A"), served.create("A")] == [409, 201]
            served.ask("POST", "/-/reset")
            assert [served.create("B"), served.create("B")] == [409, 201]
            assert served.names() == ["B", "AI Engineer"]
            assert Served(served.url, "old").ask("GET", "/v2/roles")[0] == 401


class TestFaults:
    def test_status(self, served: Served) -> None:
        """A fault has the arguments of `fail`."""
        fault = {"operation": "create", "failure": 503, "times": 2, "role": "A"}
        assert served.ask("POST", "/-/faults", fault) == (204, None)
        assert [served.create(name) for name in ("B", "A", "A", "A")] == [201, 503, 503, 201]

    def test_error_class(self, served: Served) -> None:
        """A failure may be the name of an error class."""
        fault = {"operation": "create", "failure": "ForbiddenError"}
        assert served.ask("POST", "/-/faults", fault) == (204, None)
        assert [served.create("A"), served.create("A")] == [403, 201]

    def test_clear(self, served: Served) -> None:
        """All faults are removed at once."""
        served.ask("POST", "/-/faults", {"operation": "any", "failure": 500, "times": None})
        assert served.create("A") == 500
        assert served.ask("DELETE", "/-/faults") == (204, None)
        assert served.create("A") == 201

    @pytest.mark.parametrize(
        ("fault", "detail"),
        [
            ([], "the body does not have the documented form: Expected `object`, got `array`"),
            ({"failure": 503}, "operation must be one of"),
            ({"operation": "create", "failure": 503, "times": 0}, "times"),
            ({"operation": "create", "failure": "NoSuchError"}, "NoSuchError"),
        ],
    )
    def test_wrong(self, served: Served, fault: object, detail: str) -> None:
        """A fault that `fail` refuses is a 400 that says why."""
        status, problem = served.ask("POST", "/-/faults", fault)
        assert status == 400
        assert detail in problem["detail"]


class TestCalls:
    def test_entries(self, served: Served) -> None:
        """Each call is an object, without its key; requests to the control are none."""
        served.create("AI Engineer")
        status, (call,) = served.ask("GET", "/-/calls")
        assert status == 200
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", call.pop("at"))
        assert call == {
            "operation": "create",
            "role": "AI Engineer",
            "arguments": {"name": "AI Engineer", "permissions": ["ROLE_READ"]},
            "outcome": 201,
            "attempt": 1,
            "duration": 0.0,
        }


class TestClock:
    def test_seconds(self, served: Served) -> None:
        """The account's time is later by as many seconds."""
        _, before = served.ask("POST", "/-/clock", {"seconds": 0})
        _, after = served.ask("POST", "/-/clock", {"seconds": 315360000})
        assert int(after["now"][:4]) - int(before["now"][:4]) in {9, 10}

    @pytest.mark.parametrize(
        ("body", "detail"),
        [
            ({"seconds": -1}, "seconds must be 0 or more, not -1.0: time does not go back"),
            ({"seconds": "1"}, "Expected `float`, got `str` - at `$.seconds`"),
            ({}, "Object missing required field `seconds`"),
            ({"seconds": 1, "minutes": 1}, "Object contains unknown field `minutes`"),
        ],
    )
    def test_wrong(self, served: Served, body: object, detail: str) -> None:
        """Anything but a number of seconds is a 400 that says why."""
        status, problem = served.ask("POST", "/-/clock", body)
        assert status == 400
        assert problem["detail"].endswith(detail)


class TestAccount:
    @pytest.fixture
    def served(self, replaceable: Served) -> Served:
        """Return a server whose account was replaced by an empty one."""
        replaceable.ask("PUT", "/-/account", {"roles": [], "keys": {KEY: None}})
        return replaceable

    def test_replaced(self, served: Served) -> None:
        """The account is the given one, under the same key and options, also after a reset."""
        account = {"roles": [{"name": "B"}, {"name": "A"}]}
        assert served.ask("PUT", "/-/account", account) == (204, None)
        assert served.names() == ["B", "A"]
        served.create("C")
        served.ask("POST", "/-/reset")
        assert served.names() == ["B", "A"]
        assert served.ask("GET", "/v2/roles/Um9sZTowOm5vbmU=")[0] == 400

    def test_keys(self, served: Served) -> None:
        """The account may have other keys; the control's stays."""
        account: dict[str, Any] = {"roles": [], "keys": {"reader": ["ROLE_READ"]}}
        assert served.ask("PUT", "/-/account", account) == (204, None)
        assert served.ask("GET", "/v2/roles")[0] == 401
        assert Served(served.url, "reader").ask("GET", "/v2/roles")[0] == 200
        assert served.ask("GET", "/-/calls")[0] == 200

    @pytest.mark.parametrize(
        ("account", "detail"),
        [
            ({}, "this is not an account file: Object missing required field `roles`"),
            ({"roles": [], "keys": {}}, "the account has no API key; pass one with --api-key"),
            ({"roles": [{"name": "A"}, {"name": "A"}]}, "a role is already named 'A'"),
        ],
    )
    def test_wrong(self, served: Served, account: object, detail: str) -> None:
        """A wrong account file is a 400 that says why, and the account stays."""
        served.create("A")
        status, problem = served.ask("PUT", "/-/account", account)
        assert status == 400
        assert detail in problem["detail"]
        assert served.names() == ["A"]

    def test_save(self, tmp_path: Path) -> None:
        """The account that is saved at the end is the one that was served then."""
        path = tmp_path / "saved.json"
        with serving("--control", "--save", str(path)) as (url, _):
            Served(url).ask("PUT", "/-/account", {"roles": [{"name": "A"}]})
        assert [role.name for role in FakeAccount.load(path).roles] == ["A"]


class TestRefused:
    def test_key(self, served: Served) -> None:
        """Another key is refused, also one without a byte of it in common."""
        status, problem = Served(served.url, "wr\u00f6ng").ask("POST", "/-/reset")
        assert (status, problem["detail"]) == (401, "the key is not the one that serve printed")

    def test_host(self, served: Served) -> None:
        """A web page that reaches the server under a name of its own is refused."""
        status, problem = served.ask("POST", "/-/reset", Host="example.com")
        assert status == 403
        assert problem["detail"] == "only this machine may control the account"

    def test_unknown(self, served: Served) -> None:
        """The answer to anything else lists what there is."""
        status, problem = served.ask("GET", "/-/reset")
        assert status == 404
        assert problem["detail"] == (
            "--control has only these requests: POST /-/reset, POST /-/faults, DELETE /-/faults, "
            "GET /-/calls, POST /-/clock, PUT /-/account"
        )

    def test_without_option(self) -> None:
        """Without `--control` the account answers, which has no such path."""
        with serving() as (url, _):
            served = Served(url)
            served.create("A")
            assert served.ask("POST", "/-/reset")[0] == 404
            assert served.names() == ["A"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_guide() -> None:
    """The guide's examples run with curl."""
    guide = files("arize_roles_fake").joinpath("guide", "serving.md").read_text("utf-8")
    section = guide.partition("## Between two tests")[2].partition("\n## ")[0]
    reset, steps = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    with controlled() as served:
        assert run(reset, served.url) == ""
        assert json.loads(run(steps, served.url).partition("}")[2]) == []
        assert [served.ask("GET", "/v2/roles")[0] for _ in range(3)] == [503, 503, 200]
        assert served.names() == ["AI Engineer"]


def run(script: str, url: str) -> str:
    """Run a script in the environment that `serve` prints, and return its output."""
    environment = {**os.environ, "ARIZE_API_KEY": KEY, "ARIZE_BASE_URL": url}
    command = ["/bin/sh", "-e", "-c", script]
    done = subprocess.run(  # noqa: S603 - the guide's
        command, env=environment, capture_output=True, check=True, text=True, timeout=LONGEST_WAIT
    )
    return done.stdout
