"""The page for a person: what is on it, and that nothing of it reaches another origin."""

import base64
import hashlib
import json
import re
import shutil
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest

from arize_roles_fake import FakeAccount, RolesServer
from arize_roles_fake._server.refusals import is_local_request
from arize_roles_fake._server.web_page import web_page
from tests.support.clients import ask
from tests.support.processes import ran
from tests.support.serving import Served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

PAGE = Path(__file__).parents[1] / "data" / "page.html"


class TestContent:
    """The content of the page."""

    def test_text(self, account: FakeAccount) -> None:
        """Whatever a caller sent is text on the page: no markup, and nothing that turns it."""
        account.add_role("<script>alert(1)</script>", ["<b>_<i>"], description='"><img src=x>')
        account.add_role("abc\u202edef\x1b[31m", description="\u2066\x00")
        for method, target in (("<u>", "/<u>?<u>=<u>"), ("GET", "/v2/\u202e\x1b")):
            ask(account, f"{method} {target}", key="")
        text = web_page(account)
        for markup in ("<script>alert", "<b>", "<i>", "<img", "<u>"):
            assert markup not in text
        assert "abc�def�[31m" in text
        assert not set(text) & set("\u202e\u2066\x1b\x00")

    def test_whole(self, account: FakeAccount) -> None:
        """The page of a small account, a row a line, without the permissions that nobody holds."""
        account.add_role(
            "Old", ["ROLE_READ", "ZEBRA_READ"], description="Of a test.", id="b2xkOjE="
        )
        account.add_role("Own", ["ROLE_READ"], is_predefined=True, id="b3duOjE=")
        for user in ("ada", "eve"):
            account.bind("Old", user=user, resource="Space:1")
        for key in ("fake-api-key", "wrong"):
            ask(account, "GET /v2/roles?cursor=fake-api-key", key=key)
        text = re.sub("(?s)(<(style|script)>).*?</", r"\1</", web_page(account))
        lines = re.sub("<(tr|tbody|h1|h2|p|div class|script)\\b", r"\n<\1", text).splitlines()
        shown = [line for line in lines if "data-permission" not in line or "●" in line]
        assert [*filter("<tbody>".__ne__, shown)] == PAGE.read_text("utf-8").splitlines()

    def test_cut(self) -> None:
        """A large account and a long log are cut, and say so."""
        account = FakeAccount(predefined=False)
        assert web_page(account).count('<p class="text">None') == 2
        account.add_role("Auditor", is_predefined=True)
        for number in range(102):
            text = web_page(account) if number > 98 else ""
            assert (f"{number} custom and 1 predefined roles. " in text) is (number == 99)
            assert (f"{number} in all; the first 100 are shown." in text) is (number == 101)
            account.add_role(f"Team {number}")
            account.bind("Auditor", user=f"{number}", resource="Space:<1>")
            ask(account, f"GET /nothing/{number}", key="")
        text = web_page(account)
        assert "102 custom and 1 predefined roles; the first 100 are shown" in text
        assert (text.count('scope="col"'), text.count('class="call"')) == (100, 100)
        assert "/nothing/101" in text

    def test_no_key(self, account: FakeAccount) -> None:
        """No API key is on the page, wherever a caller put it."""
        account.add_key("second")
        account.add_key("second-key")
        account.add_key(quotes := "k/~+k=")
        for target in ("/v2/roles?key=second-key", "/second-key", f"/v2/roles/{account.api_key}"):
            ask(account, f"GET {target}", key="second-key")
        ask(account, f"GET /{quote(quotes)}", key="second-key")
        for body in (
            {"name": quotes},
            {quotes: [{"x": [quotes, 1]}]},
            {"name": "x" * 590 + quotes},
        ):
            ask(account, "POST /x", json.dumps(body).encode(), key="second-key")
        ask(account, "POST /x", f'{{"name": "{quotes}'.encode(), key="second-key")
        for trace in ("k/~", "k%2F~", "k%2f~"):
            assert trace not in web_page(account)
        assert web_page(account).count("[API key]") == 8
        assert "-key" not in web_page(account)
        assert account.api_key not in web_page(account)


class TestAccess:
    """Access to the page."""

    def test_self_contained(self, roles_server: RolesServer) -> None:
        """The page needs no key, and nothing but itself; it is no call of the account."""
        roles_server.account.add_role("A", ["ROLE_READ"])
        ask(roles_server.account, "GET /v2/roles")
        with urllib.request.urlopen(roles_server.url) as answer:  # noqa: S310 - our own server
            headers, text = dict(answer.headers), answer.read().decode()
        assert len(roles_server.account.calls) == 1
        expected = {
            "Content-Type": "text/html; charset=utf-8",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
        assert expected.items() <= headers.items()
        assert "Access-Control-Allow-Origin" not in headers
        policy = headers["Content-Security-Policy"].split("; ")
        assert policy[0] == "default-src 'none'"
        for rule, name in zip(policy[1:3], ("style", "script"), strict=True):
            (inline,) = re.findall(f"(?s)<{name}>(.*)</{name}>", text)
            hashed = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
            assert rule == f"{name}-src 'sha256-{hashed}'"
        assert "; ".join(policy[3:]) == (
            "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        assert text.count("<script") == 1
        assert re.findall(r"(?:src|href)=\"(.*?)\"", text) == ["data:,"]

    def test_rebound_name(self, roles_server: RolesServer) -> None:
        """The page is refused to a name that was rebound to this machine."""
        status, problem = Served(roles_server.url).ask("GET", "/", Host="evil.example")
        detail = "only a browser on the same machine may see the page"
        assert (status, problem["detail"]) == (403, detail)

    @pytest.mark.parametrize(
        ("host", "peer", "allowed"),
        [
            ("127.0.0.1:8000", "127.0.0.1", True),
            ("localhost:8000", "127.0.0.1", True),
            ("[::1]:8000", "::1", True),
            ("localhost.evil.example", "127.0.0.1", False),
            ("127.0.0.1", "192.0.2.1", False),
            ("127.0.0.1", None, False),
            ("", "127.0.0.1", False),
            ("[::1].evil.example", "::1", False),
            ("localhost@evil.example", "127.0.0.1", False),
            ("localhost:80:80", "127.0.0.1", False),
            ("LOCALHOST", "127.0.0.1", True),
        ],
    )
    def test_this_machine(self, host: str, peer: str | None, *, allowed: bool) -> None:
        """The page is for this machine, by address and by name."""
        assert is_local_request(host, peer) is allowed


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_browser(tmp_path: Path) -> None:
    """A browser filters by role and by permission, and complains about nothing."""
    account = FakeAccount(predefined=False)
    account.add_role("Auditor", ["ROLE_READ"])
    account.add_role("Analyst", ["DATASET_READ"])
    account.add_role("Editor", ["ROLE_READ", "DATASET_READ"])
    with RolesServer(account) as server:
        command = (
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--enable-logging=stderr", f"--user-data-dir={tmp_path}", "--dump-dom"),
            f"{server.url}#role=a&permission=role_re",
        )
        shown = ran(*command, check=True)
    assert "CONSOLE" not in shown.stderr
    heads = re.findall(r'<th class="role"[^>]*?data-name="(\w+)"( hidden="")?', shown.stdout)
    assert heads == [("Editor", ' hidden=""'), ("Analyst", ' hidden=""'), ("Auditor", "")]
    rows = re.findall(r'<tr data-permission="(\w+)">', shown.stdout)
    assert rows == ["AGENT_ROLE_READ", "ROLE_READ"]
