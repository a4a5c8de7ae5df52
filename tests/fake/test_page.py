"""The page for a person: what is on it, and that nothing of it reaches another origin."""

import base64
import hashlib
import itertools
import json
import re
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest

from arize_roles_fake import FakeAccount, RolesServer
from arize_roles_fake._server.control import is_local_request
from arize_roles_fake._server.web_page import web_page
from tests.support.browser import CHROMIUM, browser
from tests.support.clients import ask
from tests.support.serving import Served
from tests.support.sizes import sized

PAGE = Path(__file__).parents[1] / "data" / "page.html"


class TestContent:
    """The content of the page."""

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
        lines = re.sub("<(tr|tbody|section|h1|h2|p|div|script)\\b", r"\n<\1", text).splitlines()
        shown = [line for line in lines if "unused" not in line and line != "<tbody>"]
        assert shown == PAGE.read_text("utf-8").splitlines()

    def test_cut(self) -> None:
        """A large account and a long log are cut, and say so."""
        account = FakeAccount(predefined=False)
        account.add_role("Auditor", is_predefined=True)
        for number in range(102):
            account.add_role(f"Team {number}")
            account.bind("Auditor", user=f"{number}", resource=f"Project:ML/{number}")
            account.add_space(f"{number}")
            ask(account, f"GET /nothing/{number}", key="")
            if number == 99:
                assert web_page(account).count(" are shown") == 2  # one space and one role more
        text = web_page(account)
        found = re.findall("<h2>.*? <small>(.*?); the newest 100 are shown</small>", text)
        assert found == ["102", "102", "102", "103", "102", "103, 1 predefined"]
        assert (text.count('scope="col"'), text.count('class="call"')) == (100, 100)
        assert "/nothing/101" in text
        assert "/nothing/1(" not in text

    def test_foreign_text(self, account: FakeAccount) -> None:
        """Whatever a caller sent is text: no markup, nothing that turns it, and no API key."""
        account.add_key(key := "k/~+key=")
        account.add_key(key.removesuffix("ey="))  # It is the beginning of the other one.
        evil = f"<s>\u202e\x1b\u2066{key}"
        account.add_role(evil, ["<b>_<i>"], description=f'"><img src=x>{evil}')
        account.bind(evil, user=evil, resource=f"Space:{evil}")
        account.add_user(f"<s>@{key}", name=evil)
        account.add_project(evil, space=evil)
        for target in (
            f"/{evil}?{quote(evil)}={quote(evil)}",
            f"/{quote(evil)}",
            f"/v2/roles/{evil}",
        ):
            ask(account, f"<u> {target}", key=key)
        for body in ({"name": evil}, {evil: [{"x": [evil, 1]}]}, {"name": "x" * 590 + key}):
            ask(account, "POST /x", json.dumps(body).encode(), key=key)
        ask(account, "POST /x", f'{{"name": "{evil}'.encode(), key=key)
        text = web_page(account)
        for trace in ("<s>", "<b>", "<i>", "<img", "<u>", "k/~", "k%2F~", "k%2f~", "]ey="):
            assert trace not in text
        assert "&lt;s&gt;\ufffd\ufffd\ufffd[API key]" in text
        assert text.count("[API key]") == 23
        assert not set(text) & set("\u202e\u2066\x1b")


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
            "connect-src 'self'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
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


SEEN = """[...document.querySelectorAll('td')].filter(cell => {
  const box = cell.getBoundingClientRect();
  return cell.contains(document.elementFromPoint(box.x + 4, box.y + 4));
}).map(cell => cell.textContent).join('\\n')"""
"""The cells that a person sees without scrolling."""


HIDE = """window.asked = window.rests = 0; window.isHidden = true;
Object.defineProperty(document, 'hidden', {get: () => window.isHidden});
const wait = window.setTimeout;
window.setTimeout = (go, time) => { if (time == 1000) window.rests += 1; wait(go, 10); };
window.fetch = async () => { window.asked += 1; throw Error(); };"""
"""Hides the page, lets its time pass fast, and counts what it asks a server that is gone."""

SIZES = ((1280, 800), (1280, 600), (480, 800))
COLORS = {
    "light": ["rgb(255, 255, 255)", "rgb(28, 32, 38)"],
    "dark": ["rgb(22, 24, 29)", "rgb(228, 230, 234)"],
}


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
class TestBrowser:
    """The page in a browser, which complains about nothing."""

    async def test_first_screen(self, tmp_path: Path) -> None:
        """The first screen of a large account has a call and a binding, and no row is too wide."""
        account = FakeAccount()
        for number in range(sized(150, 5_000)):
            account.add_role(f"Team {number}", ["ROLE_READ"])
            account.bind(f"Team {number}", user=f"u{number}", resource="Space:<b>ML</b>")
        for number in range(sized(150, 10_000)):
            ask(account, f"GET /v2/roles?limit={number % 100 + 1}")
        with RolesServer(account) as server:
            async with browser(tmp_path) as page:
                for size, scripting in itertools.product(SIZES, (True, False)):
                    await page.ask("Emulation.setScriptExecutionDisabled", value=not scripting)
                    await page.show(server.url, *size)
                    seen = await page.value(SEEN)
                    wide = await page.value("document.documentElement.scrollWidth > innerWidth")
                    filters = await page.value("document.getElementById('role').offsetWidth > 0")
                    assert "list(limit=" in seen, size
                    assert "Space:<b>ML</b>" in seen, size
                    assert (wide, filters) == (False, scripting), size
        assert page.complaints == []

    async def test_colors(self, tmp_path: Path) -> None:
        """The page is light or dark, as the person has chosen."""
        style = "getComputedStyle(document.body)"
        with RolesServer() as server:
            async with browser(tmp_path) as page:
                for scheme, colors in COLORS.items():
                    wanted = [{"name": "prefers-color-scheme", "value": scheme}]
                    await page.ask("Emulation.setEmulatedMedia", features=wanted)
                    await page.show(server.url)
                    shown = await page.value(f"[{style}.backgroundColor, {style}.color]")
                    assert shown == colors
        assert page.complaints == []

    async def test_filters(self, account: FakeAccount, tmp_path: Path) -> None:
        """The URL filters roles and permissions; a switch shows the permissions that none has."""
        account.add_role("Auditor", ["ROLE_READ"])
        account.add_role("Analyst", ["DATASET_READ"])
        account.add_role("Editor", ["ROLE_READ", "DATASET_READ"])
        visible = "[...document.querySelectorAll('{}')].filter(x => x.offsetWidth).map(x => x.{})"
        heads = visible.format("th.role", "dataset.name")
        rows = visible.format(".roles tbody tr", "dataset.permission")
        with RolesServer(account) as server:
            async with browser(tmp_path) as page:
                await page.show(f"{server.url}#role=a&permission=role_re")
                found = await page.value(heads), await page.value(rows)
                await page.value("document.getElementById('all').click()")
                every = await page.value(rows)
        assert found == (["Auditor"], ["ROLE_READ"])
        assert every == ["AGENT_ROLE_READ", "ROLE_READ"]
        assert page.complaints == []

    async def test_live(self, account: FakeAccount, tmp_path: Path) -> None:
        """The page shows later calls, keeps its filters, rests while hidden, and says its end."""
        calls = "document.querySelector('table').rows.length"
        ended = "document.getElementById('gone').offsetWidth > 0"
        with RolesServer(account) as server:
            async with browser(tmp_path) as page:
                await page.show(server.url)
                await page.value("document.getElementById('role').value = 'typed'")
                ask(account, "GET /v2/roles")
                await page.until(f"{calls} == 2")
                await page.value(HIDE)
                await page.until("window.rests > 1")
                rested = await page.value("window.asked"), await page.value(ended)
                await page.value("window.isHidden = false")
                await page.until(ended)
                kept = await page.value("document.getElementById('role').value")
        assert rested == (0, False)
        assert kept == "typed"
