"""Every example of the README, the guides and the docstrings runs unchanged."""

import ast
import asyncio
import builtins
import functools
import gzip
import inspect
import itertools
import json
import logging
import pkgutil
import re
import runpy
import subprocess
import tomllib
import tracemalloc
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, cast

import aiohttp
import attrs
import pandas as pd
import polars as pl
import pytest

import arize_roles_async
import arize_roles_fake
from arize_roles_async import (
    AiohttpRolesClient,
    InvalidResponseError,
    Permission,
    RetryPolicy,
    RolesError,
    StatusError,
    Timeouts,
    as_code,
)
from arize_roles_async import __main__ as command
from arize_roles_async._aiohttp import config as _config
from arize_roles_async._aiohttp.transport import AiohttpTransport
from arize_roles_async._calls.call import retry_delay
from arize_roles_async._values.errors import STATUS_ERRORS, status_error_class
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer
from arize_roles_fake.__main__ import main
from tests.support.clients import ONCE, create, over
from tests.support.documentation import README, ROOT, Docstring, docstrings, examples, pages
from tests.support.raw_http import http_response, scripted
from tests.support.serving import Served, serving
from tests.tools import pictures

# Loaded for good: pytester forgets the modules that a page loads, and these load once a process.
assert pd
assert pl

pytestmark = pytest.mark.usefixtures("unmeasured")

CLIENT_GUIDE = ROOT / "arize_roles_async" / "guide"
SERVING = ROOT / "arize_roles_fake" / "guide" / "serving.md"
CONTROL = SERVING.with_name("control.md")
INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings =\n  error\n  "
PAGES = pages()
DOCSTRINGS = list(docstrings())
FIGURES = tomllib.loads((ROOT / "tests/data/figures.toml").read_text("utf-8"))
SECURITY = tomllib.loads((ROOT / "tests/data/security.toml").read_text("utf-8"))
IS_TEST = re.compile(r"^(async )?def test_", re.MULTILINE)

# What the reader of a docstring has at hand.
GIVEN: dict[str, Any] = {
    **{name: getattr(arize_roles_async, name) for name in arize_roles_async.__all__},
    **{name: getattr(arize_roles_fake, name) for name in arize_roles_fake.__all__},
    "AbstractAsyncContextManager": AbstractAsyncContextManager,
    "MyRolesClient": FakeRolesClient,
    "asyncio": asyncio,
    "functools": functools,
    "pytest": pytest,
}


def populate(account: FakeAccount) -> None:
    """Add the users and places of the pages; `contract.md` has their IDs."""
    account.add_user("ada@example.com", id="VXNlcjoxOmFkYQ==")
    account.add_user("eve@example.com", id="VXNlcjoxOmV2ZQ==")
    account.add_space("ML", id="U3BhY2U6MTptbA==")
    account.add_space("Ops", id="U3BhY2U6MTpvcHM=")
    account.add_project("churn", space="U3BhY2U6MTptbA==", id="TW9kZWw6MTpjaHVybg==")


@pytest.mark.parametrize(
    ("page", "options"),
    [
        *((page, ()) for page in PAGES),
        pytest.param("arize_roles_fake/guide/testing.md", ("-n2",), marks=pytest.mark.slow),
    ],
)
def test_page(
    page: str, options: tuple[str, ...], pytester: pytest.Pytester, arize_env: RolesServer
) -> None:
    """The examples of a page are one file: a program, or tests, which xdist may run."""
    populate(arize_env.account)
    file = pytester.makepyfile(PAGES[page])
    if not IS_TEST.search(PAGES[page]):
        runpy.run_path(str(file), run_name="__main__")
        return
    notices = re.findall('"(ignore::.+?)"', (CLIENT_GUIDE / "errors-and-retries.md").read_text())
    pytester.makeini(INI + "\n  ".join(notices))
    ended = pytester.runpytest_inprocess(*options).parseoutcomes()
    assert ended["passed"]
    assert ended.keys() <= {"passed", "skipped"}


PROGRAMS: Final = [
    page for page, text in PAGES.items() if "asyncio.run(" in text and not IS_TEST.search(text)
]


@pytest.mark.parametrize("page", PROGRAMS)
async def test_cancelled(
    page: str, arize_env: RolesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of a page that is cancelled in its middle sends nothing more."""
    send, late, programs = AiohttpTransport.send, list[bool](), list[Coroutine[Any, Any, None]]()

    async def send_or_cancel(*request: Any) -> Any:  # noqa: ANN401
        late.append(task.done())
        if len(late) == cancel_at:
            task.cancel()
        return await send(*request)

    monkeypatch.setattr(asyncio, "run", programs.append)
    monkeypatch.setattr(AiohttpTransport, "send", send_or_cancel)
    for _ in range(2):
        cancel_at = (len(late) + 1) // 2
        late.clear()
        arize_env.account.reset()
        populate(arize_env.account)
        exec(PAGES[page], {"__name__": "__main__"})  # noqa: S102 - our own text
        task = asyncio.create_task(programs.pop())
        await asyncio.wait([task])
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        assert not any(late)


async def test_guide_limit() -> None:
    """The client over httpx of the guide reads no more of a body than a limit, and unpacks none."""
    names: dict[str, Any] = {}
    client, *_ = PAGES["arize_roles_fake/guide/contract.md"].partition("class TestService(")
    exec(client, names)  # noqa: S102 - our own text
    packed = http_response(200, gzip.compress(bytes(1 << 26)), "Content-Encoding: gzip")
    async with (
        scripted(packed, http_response(200, bytes(1 << 25))) as server,
        names["HttpxRolesClient"]("fake-api-key", base_url=server.url) as roles,
    ):
        tracemalloc.start()
        for _ in range(2):
            with pytest.raises(InvalidResponseError):
                await roles.list()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # The second answer itself, which this process writes, takes 32 MiB.
    assert peak < 1 << 26


@pytest.mark.parametrize("docstring", DOCSTRINGS, ids=[each.title for each in DOCSTRINGS])
@pytest.mark.usefixtures("arize_env")
def test_docstring(docstring: Docstring) -> None:
    """The examples of a docstring run, in a row."""
    account = FakeAccount()
    names = {**vars(docstring.module), **GIVEN}
    names |= {"account": account, "roles": FakeRolesClient(account)}
    with asyncio.Runner() as runner:
        for example in docstring.examples:
            code = compile(example, docstring.title, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            awaited = eval(code, names)  # noqa: S307 - our own text
            if awaited is not None:
                runner.run(awaited)


def test_readme_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written to a file as the index says, and run against the account of the page on serving."""
    index = (CLIENT_GUIDE / "README.md").read_text("utf-8")
    command = re.findall("^sed .*", index, re.MULTILINE)[0].replace("paging.md", "README.md")
    file = tmp_path / "example.py"
    subprocess.run(command.replace("example.py", str(file)), check=True, cwd=ROOT, shell=True)  # noqa: S602 - ours
    (written,) = re.findall(
        "^echo '(.+)' > account.json$", SERVING.read_text("utf-8"), re.MULTILINE
    )
    account = FakeAccount.load(written)
    with RolesServer(account) as server:
        monkeypatch.setenv("ARIZE_API_KEY", account.api_key)
        monkeypatch.setenv("ARIZE_BASE_URL", server.url)
        runpy.run_path(str(file))

    said = capsys.readouterr().out
    assert said == "ada@example.com has AI Engineer on space 'ML'\n"
    assert f"It prints `{said.rstrip()}`" in README
    account.assert_roles({"AI Engineer": {"PROJECT_READ"}})


def test_readme_face() -> None:
    """README and guides are short, its first Python stands at its top, its figures are measured."""
    guides = [path.read_text("utf-8") for path in ROOT.glob("arize_roles_*/guide/*.md")]
    assert sum(len(page.splitlines()) for page in (README, *guides)) <= 2_400
    lines = README.splitlines()
    assert len(README.split()) <= 600
    assert lines.index("```python") < 40
    assert len(examples(README)[0].splitlines()) <= 15
    measured = flat("performance")
    found = re.findall(r"[\d.]+ to [\d.]*\d", README.replace("3.11 to 3.15", ""))
    assert len(found) == 5
    assert [each for each in found if f" {each} |" not in measured] == []


def flat(page: str) -> str:
    """Return a page of either guide, or the newest entry of the CHANGELOG, in one line."""
    path, *_ = (*ROOT.glob(f"arize_roles_*/guide/{page}.md"), ROOT / f"{page}.md")
    return " ".join(path.read_text("utf-8").partition("\n## [0.5.0]")[0].split())


@pytest.mark.parametrize("page", FIGURES)
def test_figures(page: str) -> None:
    """A page has the figures of the code."""
    text = flat(page)
    found = {words.format(pkgutil.resolve_name(at)) for words, at in FIGURES[page].items()}
    assert {words for words in found if words not in text} == set()


Call = Callable[[Any, Any], Any]


def unbind(client: FakeRolesClient, account: Any) -> Any:  # noqa: ANN401
    """Delete a binding, and lose the answer."""
    account.fail("role_bindings.delete", "lost", when="after")
    return client.role_bindings.delete(binding_id=account.bindings()[0].id)


def update(client: FakeRolesClient, _: object) -> Any:  # noqa: ANN401
    """Update a role by its name."""
    return client.update(role="A", description="New.")


def failing(failure: str | int, **options: Any) -> Call:  # noqa: ANN401
    """Return an update that fails so."""
    return lambda c, a: (a.fail("update", failure, **options), update(c, a))[1]


def meanwhile(act: Call, operation: str, call: Call) -> Call:
    """Return a call during which something else is done, before an answer comes."""

    async def run(client: Any, account: Any) -> None:  # noqa: ANN401
        with account.block(operation) as blocked:
            under_way = asyncio.ensure_future(call(client, account))
            await blocked.reached()
            await act(client, account)
        await under_way

    return run


def raising(error: Exception) -> Call:
    """Return a create for which a middleware of a lent session raises an error."""

    async def middleware(*_: object) -> Any:  # noqa: ANN401
        raise error

    async def run(*_: object) -> None:
        async with over("https://127.0.0.1:9", middleware) as client:
            await create(client)

    return run


async def in_threads(client: FakeRolesClient, _: object) -> None:
    """Call a client of this event loop in another thread."""
    await client.list()
    await asyncio.to_thread(lambda: asyncio.run(client.list().all()))


def once(client: FakeRolesClient, account: FakeAccount) -> Any:  # noqa: ANN401
    """List roles without a second attempt."""
    account.fail("list", 429)
    return client.with_options(retry=ONCE).list()


CLIENT: Final = AiohttpRolesClient
ODD: Final = aiohttp.ClientResponseError(cast("Any", None), (), status=404)
KEYS: Final = itertools.cycle(("old", "new")).__next__
FILE: Final = as_code.loads('absent = ["A"]')
RAISED: Final[list[tuple[str, str, Call]]] = [
    ("api-keys", "Any other is a", lambda _c, _a: CLIENT("\u00e9")),
    ("api-keys", "A second 401 is an", lambda _, a: FakeRolesClient(a, api_key=KEYS).list()),
    ("api-keys", "raises a", lambda _, a: FakeRolesClient(a, api_key=lambda: str(1 / 0)).list()),
    ("bulk-work", "with a", lambda c, a: (a.fail("list", 429, retry_after=99), c.list())[1]),
    ("closing", "ends in a", meanwhile(lambda c, _: c.aclose(), "list", lambda c, _: c.list())),
    ("closing", "was sent in an", meanwhile(lambda c, _: c.aclose(), "update", update)),
    ("configuration", "wrong value raises a", lambda _c, _a: CLIENT("key", region="")),
    ("configuration", "at once with a", once),
    ("configuration", "=False` raises a", lambda _c, _a: CLIENT("k", ca_file="f", verify=False)),
    ("errors-and-retries", "ends in a", lambda c, a: (a.fail("list", 503, times=3), c.list())[1]),
    ("errors-and-retries", "``` -", failing("lost", times=3)),
    ("errors-and-retries", "reading the account. - A", failing(404, body="<html>")),
    ("errors-and-retries", "changed nothing: a", failing(429, body="<html>", times=None)),
    ("errors-and-retries", ", and a", lambda c, _: c.delete(role="none")),
    ("errors-and-retries", "or an `OSError`: a", raising(OSError())),
    ("errors-and-retries", "an answer is a", raising(ODD)),
    ("errors-and-retries", "before a change was sent, a", raising(KeyError())),
    ("failures", "`role_bindings.delete` ends in", unbind),
    ("paging", "It ends in an", lambda c, a: (a.shorten_pages(*[0] * 100), c.list().all())[1]),
    ("paging", "None raises a", lambda c, _: c.list(is_predefined=None)),
    ("role-bindings", "call raises an", lambda c, _: c.by_name.find(user="two@example.com")),
    ("role-bindings", "the call raises a", lambda c, _: c.by_name.find(space="none")),
    ("role-bindings", "`role_id`, raises a", lambda c, a: c.delete(role_id=a.id("a@b.de"))),
    ("role-bindings", "somebody has raises a", lambda c, _: c.delete(role="A")),
    ("role-bindings", "lost answer raises an", unbind),
    ("roles-as-code-in-python", "and raises", lambda c, _: as_code.apply(c, FILE, expected="3-0")),
    ("roles-as-code-in-python", "it raises", lambda c, _: as_code.apply(c, FILE, max_removals=0)),
    ("threads", "at once get a", in_threads),
]


@pytest.mark.parametrize(("page", "phrase", "call"), RAISED)
async def test_raised(page: str, phrase: str, call: Call) -> None:
    """A call raises the error that a page names."""
    account = FakeAccount()
    account.add_role("A", ["ROLE_READ"])
    account.bind("A", user="ada@example.com", resource="Space:ML")
    account.add_user("two@example.com")
    account.add_user("two@example.com", id="VXNlcjox")
    with pytest.raises(RolesError) as caught:
        await call(FakeRolesClient(account), account)
    assert f"{phrase} `{type(caught.value).__name__}`" in flat(page)


def test_not_registered() -> None:
    """Nothing says to install the package by a name that anybody may still register."""
    texts = [README, *(page.read_text("utf-8") for page in ROOT.glob("arize_roles_*/**/*.md"))]
    for text in (*texts, *(path.read_text("utf-8") for path in ROOT.glob("arize_roles_*/**/*.py"))):
        assert not re.search(r"(?i)(install|--from) +.?arize[-_]roles[-_]async(\[|\b[^-])", text)
        assert "arize-roles-async[" not in text


def test_errors() -> None:
    """The page on errors begins with a table of every error."""
    page = (CLIENT_GUIDE / "errors-and-retries.md").read_text("utf-8")
    table = page.partition("\n## ")[0]
    named = set(re.findall(r"`(\w+Error)`", table)) - {"ValueError", "TimeoutError", "ImportError"}

    assert named == {n for n in arize_roles_async.__all__ if n.endswith("Error")}
    for status, error in STATUS_ERRORS.items():
        assert re.search(rf"`{error.__name__}`[^|]*\|[^|]*\b({status}|{status // 100}xx)\b", table)
    assert all(issubclass(getattr(arize_roles_async, name), RolesError) for name in named)
    plain = status_error_class(418, from_service=True).__name__
    assert "Every error is a `RolesError`, " in table
    assert f"plain `{plain}`. So is a gateway's own answer, except a 429 or 5xx." in table
    kept = {s for s in range(400, 600) if status_error_class(s, from_service=False) != StatusError}
    assert kept == {429, *range(500, 600)}


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *ROOT.glob("arize_roles_*/**/*.md")])
def test_names(path: Path) -> None:
    """Every error, warning and permission that a page names is there."""
    known = {*dir(builtins), *dir(aiohttp), *dir(command), *Permission.__members__}
    known |= {*arize_roles_async.__all__, *arize_roles_fake.__all__, *as_code.__all__}
    text = path.read_text("utf-8").partition("\n## [0.5.0]")[0]
    if path.stem == "CHANGELOG":
        text = re.sub(r"(?m)^\|[^|]*", "", text)  # What is gone.
    named = r"`(?:\w+\.)?(\w+(?:Error|Warning)|[A-Z]+_(?:READ|CREATE|UPDATE|DELETE))`"
    assert {*re.findall(named, text)} <= known


def table(page: Path, header: str) -> list[list[str]]:
    """Return the rows of a page's table whose header begins so, each as its cells."""
    rows = page.read_text("utf-8").partition(f"\n| {header} |")[2].partition("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in rows.splitlines()[2:]]


def codes(page: Path, header: str, column: int = 0) -> list[str]:
    """Return what is code in a column of a table."""
    return re.findall(r"`(.+?)`", " ".join(row[column] for row in table(page, header)))


class TestConfiguration:
    """The page that lists every setting."""

    PAGE = CLIENT_GUIDE / "configuration.md"
    TEXT = PAGE.read_text("utf-8")

    def test_arguments(self) -> None:
        """It and the page for migrators have every argument, it with its default, and no other."""
        parameters = inspect.signature(arize_roles_async.AiohttpRolesClient).parameters
        here = codes(CLIENT_GUIDE / "migrating.md", "`ArizeClient` | `AiohttpRolesClient`", 1)

        assert codes(self.PAGE, "argument") == [*parameters]
        for name in ("timeout", "max_concurrency", "allow_http"):
            assert re.search(rf"`{name}` .*\| {parameters[name].default} \|", self.TEXT)
        assert {name.partition("=")[0] for name in here} == {*parameters}

    def test_named(self) -> None:
        """It names every variable that a client reads, and every region."""
        variable = re.compile(r"\b(?:ARIZE|REQUESTS|SSL)_[A-Z_]+\b")
        assert {*variable.findall(self.TEXT)} == {*variable.findall(inspect.getsource(_config))}
        assert re.findall(r"`([a-z]+-[a-z]+-\w+)`", self.TEXT) == [*_config.REGIONS]

    @pytest.mark.parametrize("options", [Timeouts(), RetryPolicy()])
    def test_options(self, options: Timeouts | RetryPolicy) -> None:
        """It has every field of an option with its default."""
        rows = table(self.PAGE, f"field of `{type(options).__name__}`")
        shown = {name.strip("`"): value.removesuffix(" s") for name, value, _ in rows}
        assert shown == {name: str(value) for name, value in attrs.asdict(options).items()}


def test_serving(capsys: pytest.CaptureFixture[str]) -> None:
    """The pages on serving have every option, and every request and member of `--control`."""
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    options = {*re.findall(r"--[a-z-]+", capsys.readouterr().out)} - {"--help"}
    assert {name.split()[0] for name in codes(SERVING, "option")} == options
    with serving("--control") as (url, _):
        served = Served(url)
        requests = served.ask("GET", "/-/other")[1]["detail"].partition(": ")[2]
        served.create("A")
        calls = served.ask("GET", "/-/calls")[1]["calls"]
    for header, there in (
        ("request", requests.split(", ")),
        ("member of a fault", list(inspect.signature(FakeAccount.fail).parameters)[1:]),
        ("member of a call", calls[0]),
    ):
        assert sorted(codes(CONTROL, header)) == sorted(there)


@pytest.mark.parametrize(("column", "change"), [(1, False), (2, True)])
def test_retried(column: int, change: bool) -> None:  # noqa: FBT001 - a parameter
    """The page on retries has every status that is tried again."""
    rows = table(CLIENT_GUIDE / "errors-and-retries.md", "failure of an attempt")
    causes = " ".join(row[0] for row in rows if row[column] == "tried again")
    named = {int(status) for status in re.findall(r"\d+", causes)}
    retried = {
        status
        for status in range(400, 600)
        if retry_delay(RetryPolicy(), StatusError(status=status), attempt=1, change=change)
        is not None
    }
    assert named == retried


async def test_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The page on logging has every field of the records, and its formatter writes them."""
    account = FakeAccount()
    account.fail("list", 503)
    account.fail("list", 429)
    usual = {*vars(logging.makeLogRecord({})), "message"}
    with caplog.at_level(logging.DEBUG, "arize_roles_async"):
        await FakeRolesClient(account).list()
    assert {name for record in caplog.records for name in vars(record)} - usual == {
        *codes(CLIENT_GUIDE / "logging.md", "field")
    }
    names: dict[str, Any] = {}
    exec(PAGES["arize_roles_async/guide/logging.md"].partition("\nhandler =")[0], names)  # noqa: S102 - our own text
    written = [json.loads(names["JsonFormatter"]().format(each)) for each in caplog.records]
    assert {each.get("arize_status") for each in written} == {None, 503, 429, 200}


def test_method_help() -> None:
    """Help on a method of any client is that of its protocol."""
    roles = FakeRolesClient()
    for protocol, client in (
        (arize_roles_async.RolesClient, AiohttpRolesClient),
        (arize_roles_async.RolesClient, FakeRolesClient),
        (arize_roles_async.RoleBindingsClient, roles.role_bindings),
        (arize_roles_async.Directory, roles.directory),
    ):
        for name, method in inspect.getmembers(protocol, inspect.isfunction):
            if not name.startswith("_"):
                assert inspect.getdoc(getattr(client, name)) == inspect.getdoc(method) is not None


def titles(file: Path) -> set[str]:
    """Return the titles of a page, as links name them."""
    found = re.findall("^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in found}


def links(file: Path) -> set[str]:
    """Return what a page links to, which has to be there."""
    found = set(re.findall(r"\]\(([^)]+)\)", file.read_text("utf-8")))
    for link in found:
        name, _, title = link.partition("#")
        target = file.parent / name if name else file
        assert link.startswith("https:") or target.exists(), link
        assert not title or title in titles(target), link
    return found


def test_links() -> None:
    """Every page links to what is there, each index to every page, and `help` names these."""
    assert links(ROOT / "README.md")
    for package in (arize_roles_async, arize_roles_fake):
        index = Path(str(package.__file__)).parent / "guide" / "README.md"
        pages = [*index.parent.glob("[a-z]*.md")]
        assert [page for page in pages if page.stem not in str(package.__doc__)] == []
        assert links(index) >= {page.name for page in pages}
        for page in pages:
            links(page)
            assert re.match(r"# \w", page.read_text("utf-8")), page


@pytest.mark.parametrize(
    ("picture", "draw"), [(pictures.PLAN, pictures.plan), (pictures.REPORT, pictures.report)]
)
def test_picture(picture: Path, draw: Callable[[], str]) -> None:
    """A picture shows what the command prints today."""
    assert picture.read_text("utf-8").splitlines() == draw().splitlines()


def sentences(text: str) -> list[str]:
    """Return the sentences of a page, without its headings and examples."""
    text = re.sub(r"(?ms)^```.*?^```$|^#.*?$", "\n", text)
    blocks = (" ".join(each.split()) for each in re.split(r"\n\s*\n|\n(?=- )", text))
    found = [re.split(r"(?<=[.:])\s+(?=[A-Z`])", each.removeprefix("- ")) for each in blocks]
    return [each for block in found for each in block if each]


@pytest.mark.parametrize("page", SECURITY)
def test_security(page: str) -> None:
    """Each sentence about security is listed, and the tests that hold it are there."""
    text = (ROOT / page).read_text("utf-8")
    if page == "README.md":
        text = text.partition("## Security\n")[2].partition("\n## ")[0]
    for sentence, (beginning, tests) in zip(sentences(text), SECURITY[page].items(), strict=True):
        assert sentence.startswith(beginning)
        for name in tests.split():
            file, _, test = name.partition(":")
            assert f"def {test}(" in (ROOT / f"tests/client/test_{file}.py").read_text("utf-8")
