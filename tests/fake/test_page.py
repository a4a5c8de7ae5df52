"""The page for a person: what is on it, and that nothing of it reaches another origin."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from arize_roles_async import Permission, Request
from arize_roles_fake import FakeAccount, RolesServer
from arize_roles_fake._server.page import page
from arize_roles_fake._server.refusals import host_name, is_local_request
from tests.support.clients import PREDEFINED, account_at_noon
from tests.support.processes import LONGEST_WAIT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


PAGE = Path(__file__).parents[1] / "data" / "page.html"


def busy_account() -> FakeAccount:
    """Return an account with 50 roles and a few calls."""
    account = FakeAccount()
    permissions = list(Permission)
    for number in range(43):
        account.add_role(f"Team {number}", permissions[number :: number + 2])
    account.fail("list", "lost", after=1)
    headers = {"Authorization": f"Bearer {account.api_key}"}
    for _ in range(2):
        account.handle(Request(method="GET", target="/v2/roles", headers=headers))
    return account


def open_url(url: str, **headers: str) -> tuple[dict[str, str], str]:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=LONGEST_WAIT) as answer:  # noqa: S310
        return dict(answer.headers), answer.read().decode()


class TestContent:
    """The content of the page."""

    def test_matrix(self) -> None:
        """Each role is a column, and each permission a row of its resource."""
        account = FakeAccount(predefined=False)
        account.add_role("Newer", ["COMET_LAUNCH", "ROLE_READ"])
        account.add_role("Auditor", ["ROLE_READ"])
        text = page(account)
        assert re.findall(r"<div>(.*?)</div>", text) == ["Auditor", "Newer"]
        assert (
            '<tbody><tr data-permission="COMET_LAUNCH"><th class="permission" scope="row">'
            'COMET_LAUNCH</th><td class="held"></td><td class="held">●</td></tr></tbody>'
        ) in text
        assert 'scope="row">ROLE_READ</th><td class="held">●</td><td class="held">●</td>' in text
        assert text.count("●") == 3
        assert text.count('class="permission" scope="row"') == len(Permission) + 1

    def test_groups(self) -> None:
        """The rows of a resource stay together, also where the name of another begins alike."""
        groups = [
            re.findall('data-permission="DATASET_(.*?)"', group)
            for group in re.findall("<tbody>(.*?)</tbody>", page(FakeAccount()))
        ]
        assert [group for group in groups if group][:2] == [
            ["CREATE", "DELETE", "READ", "UPDATE"],
            [f"EXAMPLE_{each}" for each in ("ANNOTATE", "CREATE", "DELETE", "READ", "UPDATE")],
        ]

    def test_style(self) -> None:
        """The style has a rule for each class of the page, and for no other."""
        account = busy_account()
        account.bind("Team 1", user="ada", resource="Space:1")
        text = page(account)
        (style,) = re.findall("(?s)<style>(.*)</style>", text)
        classes = {name for names in re.findall('class="(.*?)"', text) for name in names.split()}
        assert {*re.findall(r"\.([a-z]+)", style)} == classes
        assert {*re.findall(r"var\((--[a-z]+)\)", style)} == {*re.findall(r"(--[a-z]+):", style)}

    def test_whole(self) -> None:
        """The page of a small account, a row a line, without the permissions that nobody holds."""
        account = account_at_noon()
        account.add_role(
            "Old", ["ROLE_READ", "ZEBRA_READ"], description="Of a test.", id="b2xkOjE="
        )
        account.add_role("Own", ["ROLE_READ"], is_predefined=True, id="b3duOjE=")
        for user in ("ada", "eve"):
            account.bind("Old", user=user, resource="Space:1")
        for key in ("fake-api-key", "wrong"):
            headers = {"Authorization": f"Bearer {key}"}
            target = "/v2/roles?cursor=fake-api-key"
            account.handle(Request(method="GET", target=target, headers=headers))
        text = re.sub("(?s)(<(style|script)>).*?</", r"\1</", page(account))
        lines = re.sub("<(tr|tbody|h1|h2|p|div class|script)\\b", r"\n<\1", text).splitlines()
        shown = [line for line in lines if "data-permission" not in line or "●" in line]
        assert [*filter("<tbody>".__ne__, shown)] == PAGE.read_text("utf-8").splitlines()

    def test_bindings(self) -> None:
        """The role bindings are on the page."""
        account = FakeAccount(predefined=False)
        account.add_role("Auditor")
        account.bind("Auditor", user="ada@example.com", resource="Space:<1>")
        text = page(account)
        assert "<div>Auditor (1 bound)</div>" in text
        assert "<td>Auditor</td><td>ada@example.com</td><td>Space:&lt;1&gt;</td>" in text
        for number in range(99):
            account.bind("Auditor", user=str(number), resource="Space:1")
        assert "in all" not in page(account)
        account.bind("Auditor", user="99", resource="Space:1")
        assert "101 in all; the first 100 are shown." in page(account)

    def test_predefined_first(self) -> None:
        """Predefined roles come first."""
        account = FakeAccount()
        account.add_role("Auditor")
        assert re.findall(r"<div>(.*?)</div>", page(account)) == [*PREDEFINED, "Auditor"]
        assert "1 custom and 7 predefined roles. 0 calls." in page(account)
        assert '<h2 class="text">Role bindings</h2><p class="text">None.</p>' in page(account)
        assert '<h2 class="text">Last calls</h2><p class="text">None yet.</p>' in page(account)

    def test_last_calls(self) -> None:
        """The last calls come first, with their outcomes."""
        rows = re.findall(
            r"<td( class=\"failed\")?>([^<:]*)</td><td class=\"call\">(.*?)</td>",
            page(busy_account()),
        )
        assert rows == [(' class="failed"', "lost", "list()"), ("", "200", "list()")]

    @pytest.mark.parametrize(("status", "failed"), [(200, False), (400, True), (503, True)])
    def test_failed(self, status: int, failed: bool) -> None:  # noqa: FBT001
        """A call that failed stands out."""
        account = FakeAccount()
        if failed:
            account.fail("list", status)
        headers = {"Authorization": f"Bearer {account.api_key}"}
        account.handle(Request(method="GET", target="/v2/roles", headers=headers))
        assert ('<td class="failed">' in page(account)) is failed

    def test_cut(self) -> None:
        """A large account and a long log are cut, and say so."""
        account = FakeAccount()
        for number in range(200):
            if number in {0, 93, 94, 199}:
                whole = f"{number} custom and 7 predefined roles. " in page(account)
                assert whole is (number < 94)
            account.add_role(f"Team {number}")
            account.handle(Request(method="GET", target=f"/nothing/{number}"))
        text = page(account)
        assert "200 custom and 7 predefined roles; the first 100 are shown" in text
        assert text.count('scope="col"') == 100
        assert text.count('class="call"') == 100
        assert "/nothing/199" in text

    def test_escaped(self) -> None:
        """Whatever a caller sent is text on the page, and never markup."""
        account = FakeAccount()
        account.add_role("<script>alert(1)</script>", ["<b>_<i>"], description='"><img src=x>')
        account.handle(Request(method="<u>", target="/<u>?<u>=<u>"))
        text = page(account)
        for markup in ("<script>alert", "<b>", "<i>", "<img", "<u>"):
            assert markup not in text

    def test_no_key(self) -> None:
        """No API key is on the page, wherever a caller put it."""
        account = FakeAccount()
        account.add_key("second-key")
        account.add_key(quotes := """k'"\\k""")
        headers = {"Authorization": "Bearer second-key"}
        for target in ("/v2/roles?key=second-key", "/second-key", f"/v2/roles/{account.api_key}"):
            account.handle(Request(method="GET", target=target, headers=headers))
        account.handle(Request(method="GET", target=f"/{quote(quotes)}", headers=headers))
        for body in (
            {"name": quotes},
            {quotes: [{"x": [quotes, 1]}]},
            {"name": "x" * 590 + quotes},
        ):
            text = json.dumps(body).encode()
            account.handle(Request(method="POST", target="/x", headers=headers, body=text))
        text = f'{{"name": "{quotes}'.encode()
        account.handle(Request(method="POST", target="/x", headers=headers, body=text))
        for trace in ("k&", "k\\", "k%27"):
            assert trace not in page(account)
        assert page(account).count("[API key]") == 8
        assert "second-key" not in page(account)
        assert account.api_key not in page(account)

    def test_deep(self) -> None:
        """A deep body is shown to its fiftieth level, with what is around it."""
        account = FakeAccount()
        body = b'{"x": ' + b"[" * 500 + b'"in"' + b"]" * 500 + b"}"
        account.handle(Request(method="POST", target="/v2/roles", body=body))
        assert f"create(x={'[' * 50}&#x27;…&#x27;{']' * 50})" in page(account)


class TestAccess:
    """Access to the page."""

    def test_self_contained(self) -> None:
        """The page needs no key, and nothing but itself."""
        with RolesServer(busy_account()) as server:
            headers, text = open_url(server.url)
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "Access-Control-Allow-Origin" not in headers
        policy = headers["Content-Security-Policy"].split("; ")
        assert policy[0] == "default-src 'none'"
        for rule, name in zip(policy[1:3], ("style", "script"), strict=True):
            (inline,) = re.findall(f"(?s)<{name}>(.*)</{name}>", text)
            hashed = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
            assert rule == f"{name}-src 'sha256-{hashed}'"
        assert policy[3:] == [
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
        assert text.count("<script") == 1
        assert re.findall(r"(?:src|href)=\"(.*?)\"", text) == ["data:,"]

    def test_no_call(self) -> None:
        """A request for the page does not count as a call of the account."""
        with RolesServer() as server:
            open_url(server.url)
        assert server.account.calls == ()

    def test_rebound_name(self) -> None:
        """The page is refused to a name that was rebound to this machine."""
        with RolesServer() as server, pytest.raises(urllib.error.HTTPError, match="403") as caught:
            open_url(server.url, Host="evil.example")
        with caught.value as answer:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert json.load(answer) == {
                "type": "https://arize.com/docs/ax/rest-reference/errors#access-forbidden",
                "title": "Access forbidden",
                "status": 403,
                "detail": "only a browser on the same machine may see the page",
            }

    @pytest.mark.parametrize(
        ("host", "name"),
        [
            ("Fake.Example:8000", "fake.example"),
            ("[::1]:8000", "::1"),
            ("[::1", ""),
            (":8000", ""),
            ("", ""),
        ],
    )
    def test_host_name(self, host: str, name: str) -> None:
        """A Host header that is malformed names nothing."""
        assert host_name(host) == name

    @pytest.mark.parametrize(
        ("host", "peer", "allowed"),
        [
            ("127.0.0.1:8000", "127.0.0.1", True),
            ("localhost:8000", "127.0.0.1", True),
            ("localhost", "::1", True),
            ("[::1]:8000", "::1", True),
            ("evil.example", "127.0.0.1", False),
            ("localhost.evil.example", "127.0.0.1", False),
            ("127.0.0.1.evil.example", "127.0.0.1", False),
            ("127.0.0.1", "192.0.2.1", False),
            ("127.0.0.1", None, False),
            ("", "127.0.0.1", False),
            ("[::1", "127.0.0.1", False),
        ],
    )
    def test_this_machine(
        self,
        host: str,
        peer: str | None,
        allowed: bool,  # noqa: FBT001
    ) -> None:
        """The page is for this machine, by address and by name."""
        assert is_local_request(host, peer) is allowed


def browse(url: str, profile: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - the browser that was found
        (
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--enable-logging=stderr", f"--user-data-dir={profile}", *arguments, url),
        ),
        check=True,
        capture_output=True,
        text=True,
        timeout=LONGEST_WAIT,
    )


def messages(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """Return what the page led the browser to write on its console."""
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@contextmanager
def elsewhere(html: str) -> Generator[str]:
    """Serves a page from another origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class TestBrowser:
    """The page in a browser."""

    @in_chromium
    @pytest.mark.full
    def test_policy(self, tmp_path: Path) -> None:
        """A browser shows the page as its policy allows."""
        image = tmp_path / "page.png"
        with RolesServer(busy_account()) as server:
            shown = browse(server.url, tmp_path / "profile", "--dump-dom")
            styled = browse(
                *(server.url, tmp_path / "profile", "--window-size=1500,950"),
                f"--screenshot={image}",
            )
        assert shown.stdout.count('scope="col"') == 50
        assert "Team 42" in shown.stdout
        assert messages(shown) == messages(styled) == []
        assert image.read_bytes().startswith(b"\x89PNG")

    @in_chromium
    def test_filters(self, tmp_path: Path) -> None:
        """A browser filters by role and by permission."""
        account = FakeAccount(predefined=False)
        account.add_role("Auditor", ["ROLE_READ"])
        account.add_role("Analyst", ["DATASET_READ"])
        account.add_role("Editor", ["ROLE_READ", "DATASET_READ"])
        with RolesServer(account) as server:
            shown = browse(
                f"{server.url}#role=a&permission=role_re", tmp_path / "profile", "--dump-dom"
            )
        heads = re.findall(r'<th class="role"[^>]*?data-name="(\w+)"( hidden="")?', shown.stdout)
        assert heads == [("Editor", ' hidden=""'), ("Analyst", ' hidden=""'), ("Auditor", "")]
        rows = re.findall(r'<tr data-permission="(\w+)">', shown.stdout)
        assert rows == ["AGENT_ROLE_READ", "ROLE_READ"]

    @in_chromium
    @pytest.mark.full
    def test_foreign_page(self, tmp_path: Path) -> None:
        """A page from elsewhere can neither read nor frame it."""
        with RolesServer(busy_account()) as server:
            attack = f"""
            <iframe src="{server.url}"></iframe>
            <script>
              fetch("{server.url}").then(
                () => {{ document.title = "read" }},
                () => {{ document.title = "refused" }},
              )
            </script>
            """
            with elsewhere(attack) as url:
                done = browse(url, tmp_path, "--dump-dom", "--virtual-time-budget=2000")
        said = "\n".join(messages(done))
        assert "<title>refused</title>" in done.stdout
        assert "frame-ancestors" in said
        assert "CORS policy" in said


def test_direction() -> None:
    """Control characters and marks of direction in names, descriptions and calls are replaced."""
    account = FakeAccount(predefined=False)
    account.add_role("abc\u202edef\x1b[31m", description="\u2066\x00")
    account.handle(Request(method="GET", target="/v2/\u202e\x1b"))
    text = page(account)
    assert "abc�def�[31m" in text
    assert not set(text) & set("\u202e\u2066\x1b\x00")


def test_long_call() -> None:
    """A call is shown in less than 2,000 characters, however long its request is."""
    account = FakeAccount()
    account.add_role("n" * 5000, id="Um9sZToxOmFCY0Q=")
    target = "/v2/roles/Um9sZToxOmFCY0Q%3D?" + "q=1&" * 2000
    headers = {"Authorization": f"Bearer {account.api_key}"}
    account.handle(Request(method="GET", target=target, headers=headers))
    account.handle(Request(method="GET", target="/" + "x" * 5000 + "?y=" + "z" * 5000))
    assert all(len(str(call)) < 2000 for call in account.calls)
