"""Where a client connects: arguments over environment over defaults."""

import functools
import itertools
import os
import re
import ssl
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
import pytest

from arize_roles_async import AiohttpRolesClient, ConfigurationError, InsecureWarning
from arize_roles_async._aiohttp.config import Config
from arize_roles_async._clients import notices
from arize_roles_fake import FakeRolesClient

PROXY_RULE = "must be an http:// or https:// URL with a host and no path or query"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    notices.warned.clear()
    for name in [*os.environ]:
        if name.startswith("ARIZE_") or name in {"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}:
            monkeypatch.delenv(name)


configured = functools.partial(Config, api_key="a-key")


def refusal(**arguments: Any) -> str:  # noqa: ANN401
    with pytest.raises(ConfigurationError) as caught:
        configured(**arguments)
    return str(caught.value)


def sources() -> dict[str, list[str]]:
    """Return the variables of each argument, the first that counts first, as the guide has them."""
    page = import_module("arize_roles_async").__file__ or ""
    table = Path(page).with_name("guide").joinpath("configuration.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (`ARIZE_[^|]+) \|", table, re.MULTILINE)
    return {argument: re.findall("[A-Z_]+", variables) for argument, variables in rows}


REGIONS = ("ca-central-1a", "eu-west-1a", "us-central-1a", "us-east-1b")
VALUES: dict[str, Callable[[int], str]] = {
    "api_key": "key-{}".format,
    "base_url": "https://h{}.example".format,
    "region": lambda number: REGIONS[number],
    "verify": lambda number: ("no", "off", "0", "false")[number],
    "ca_file": "/{}.pem".format,
    "proxy": "http://p{}.example".format,
}
"""Some values of each variable."""


def setting(config: Config, argument: str) -> object:
    if argument in {"api_key", "proxy"}:
        secret = config.proxy if argument == "proxy" else config.key_source.fixed[0]
        return None if secret is None else secret.reveal()
    return getattr(config, "base_url" if argument == "region" else argument)


@pytest.mark.filterwarnings("ignore::arize_roles_async.InsecureWarning")
@pytest.mark.parametrize("lent", [False, True])
@pytest.mark.parametrize("argument", VALUES)
def test_sources(argument: str, *, lent: bool) -> None:
    """An argument counts, else the first variable that is set and not empty, else the default."""
    assert VALUES.keys() == sources().keys()
    variables, value = sources()[argument], VALUES[argument]
    defaults: dict[str, object] = {"verify": None if lent else True, "ca_file": None, "proxy": None}
    default = defaults.get(argument, "https://api.arize.com")
    for given in itertools.product((None, "", "set"), repeat=len(variables)):
        environment = {"ARIZE_API_KEY": "key-0"}
        for number, (name, is_set) in enumerate(zip(variables, given, strict=True), 1):
            if is_set is not None:
                environment[name] = value(number) if is_set else ""
        found = next((environment[name] for name in variables if environment.get(name)), None)
        expected: object = found
        if found is None or (lent and argument in defaults):
            expected = default
        elif argument == "region":
            expected = f"https://api.{found}.arize.com"
        elif argument == "verify":
            expected = False
        with patch.dict(os.environ, environment):
            if environment["ARIZE_API_KEY"]:
                assert setting(Config(lent_session=lent), argument) == expected
            own: Any = True if argument == "verify" else value(0)
            taken = f"https://api.{own}.arize.com" if argument == "region" else own
            arguments: dict[str, Any] = {"api_key": "key", argument: own, "lent_session": lent}
            assert setting(Config(**arguments), argument) == taken


SCHEME = {"ARIZE_API_SCHEME": "http"}
HOST = {"ARIZE_API_HOST": "127.0.0.1"}
PORT = {"ARIZE_API_PORT": "8443"}
REGION = {"ARIZE_REGION": "eu-west-1a"}
SINGLE = {"ARIZE_SINGLE_HOST": "127.0.0.2"}
SINGLE_PORT = {"ARIZE_SINGLE_PORT": "9000"}
DOMAIN = {"ARIZE_BASE_DOMAIN": "private.example"}
WHOLE = {"ARIZE_BASE_URL": "https://typescript.example/prefix/"}


class TestHost:
    @pytest.mark.parametrize("rest", [None, ""])
    @pytest.mark.parametrize(
        ("given", "address"),
        [
            ({}, "https://api.arize.com"),
            (HOST, "https://127.0.0.1"),
            (SCHEME | HOST | PORT, "http://127.0.0.1:8443"),
            (PORT, "https://api.arize.com:8443"),
            (REGION, "https://api.eu-west-1a.arize.com"),
            (SCHEME | HOST | PORT | REGION, "http://api.eu-west-1a.arize.com:8443"),
            (SINGLE | HOST | PORT, "https://127.0.0.2:8443"),
            (SINGLE_PORT | HOST | PORT, "https://127.0.0.1:9000"),
            (SINGLE | SINGLE_PORT | SCHEME, "http://127.0.0.2:9000"),
            (DOMAIN | HOST | SCHEME | PORT, "http://api.private.example:8443"),
            (REGION | SINGLE, "ARIZE_REGION and ARIZE_SINGLE_HOST cannot both be set"),
            (REGION | SINGLE_PORT, "ARIZE_REGION and ARIZE_SINGLE_PORT cannot both be set"),
            (DOMAIN | SINGLE_PORT, "ARIZE_SINGLE_PORT and ARIZE_BASE_DOMAIN cannot both be set"),
            (DOMAIN | SINGLE, "ARIZE_SINGLE_HOST and ARIZE_BASE_DOMAIN cannot both be set"),
            (DOMAIN | REGION, "ARIZE_REGION and ARIZE_BASE_DOMAIN cannot both be set"),
            (WHOLE | SCHEME | HOST | PORT | REGION | SINGLE | DOMAIN, WHOLE["ARIZE_BASE_URL"][:-1]),
        ],
    )
    def test_variables(self, given: dict[str, str], address: str, rest: str | None) -> None:
        """Variables make the address that the guide says, or exclude another; none may be empty."""
        if rest is not None:
            every = SCHEME | HOST | PORT | REGION | SINGLE | SINGLE_PORT | DOMAIN | WHOLE
            given = {name: "0" if "PORT" in name else rest for name in every} | given
        with patch.dict(os.environ, given):
            try:
                found = configured(allow_http=True).base_url
            except ConfigurationError as error:
                found = str(error)
            assert found == address
            assert configured(base_url="https://mine").base_url == "https://mine"
            regional = configured(region="us-east-1b", allow_http=True).base_url
            port = ":8443" if "ARIZE_API_PORT" in given and given["ARIZE_API_PORT"] != "0" else ""
            scheme = given.get("ARIZE_API_SCHEME") or "https"
            assert regional == f"{scheme}://api.us-east-1b.arize.com{port}"

    @pytest.mark.parametrize("port", ["-1", "65536", "http", "\uff18\uff10", "9" * 5000])
    def test_bad_port(self, port: str) -> None:
        """A port in the environment is a number from 0, which is none, to 65535."""
        with patch.dict(os.environ, ARIZE_API_PORT=port):
            assert refusal().startswith("ARIZE_API_PORT must be a port, 0 to 65535, not ")


def each(argument: str, message: str, *values: str) -> list[tuple[dict[str, Any], str]]:
    return [({argument: value}, message.format(value)) for value in values]


NO_HOST = "must be http:// or https:// with a host and, where needed, a port"
GATE = "https://arize.example:8443/gate"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"api_key": None}, "no API key: pass api_key, or set ARIZE_API_KEY"),
        (
            {"base_url": "https://api.arize.com", "region": "eu-west-1a"},
            "base_url and region cannot both be given",
        ),
        *each(
            "region",
            "region must be one of ca-central-1a, eu-west-1a, us-central-1a, us-east-1b",
            *("", "mars-1a", "eu-west-1a.evil.example/"),
        ),
        *each(
            "base_url",
            "the base URL must be printable ASCII without spaces",
            *("", "https://h/a\x7f", " https://h", "https://h\n", "https://bücher.example"),
        ),
        *each(
            "base_url",
            f"the base URL {NO_HOST}",
            *("api.arize.com", "ftp://api.arize.com", "https://", "https://api.arize.com:port"),
            *("https://api.arize.com:", "https://api.arize.com:0", "https://api.arize.com:65536"),
            *("https://[::1", "http://[::1].evil.com", "http://[evil]", "http://[127.0.0.1]"),
            *("https://a..example", "https://evil.com%20.localhost", "https://evil\\.localhost"),
        ),
        *each(
            "base_url",
            "the base URL must have no user, query or fragment",
            *("https://user:word@api.arize.com", "https://@h", "https://h?", "https://h#"),
        ),
        *each(
            "base_url",
            "the base URL has a path with characters that must be percent-encoded",
            *("https://h/%zz", 'https://h/"'),
        ),
        *each(
            "base_url",
            f"the base URL must end before /v2, which the client adds: use {GATE}",
            *(f"{GATE}/v2", f"{GATE}/v2/roles/"),
        ),
        *each(
            "proxy",
            f"the proxy {PROXY_RULE}",
            *("", "proxy.example:3128", "socks5://proxy.example", "http://[", "http://"),
            *("http://user:word@[::1].evil.com:3128", "http://proxy.example:0"),
            *("http://proxy/path", "http://proxy?", "http://u:a b@proxy", "http://proxy\n"),
        ),
        *(
            ({"headers": {name: "x"}}, f"the header {name!r} is set by the client itself")
            for name in (
                *("Accept", "Accept-Encoding", "Authorization", "Connection"),
                *("Content-Encoding", "Content-Length", "content-type", "Cookie", "Expect"),
                *("HOST", "Language-Version", "Proxy-Authorization", "SDK-Language"),
                *("SDK-Package-Name", "SDK-Retry-Count", "sdk-version", "TE", "Trailer"),
                *("Transfer-Encoding", "Upgrade"),
            )
        ),
        *(
            ({"headers": {name: "x"}}, f"{name!r} is not a valid header name")
            for name in ("", "X Team", "X:Team", "X-Team\r\n", "X-Team\n", "\uff38")
        ),
        *(
            ({"headers": {"X": value}}, "the value of header 'X' must be printable ASCII")
            for value in ("a\r\nX-Other: b", "ü")
        ),
        ({"headers": [("X", "1")]}, "headers must be a mapping, not list"),
        ({"headers": {"X": 1}}, "the value of header 'X' must be a string, not int"),
        ({"headers": {1: "x"}}, "the name of a header must be a string, not int"),
    ],
)
def test_refused(arguments: dict[str, Any], message: str) -> None:
    """An argument that breaks a rule is refused; no URL and no value, maybe a secret, is quoted."""
    assert refusal(**arguments) == message


class TestBaseUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "https://api.arize.com",
            "https://api.arize.com.",
            "https://api.arize.com:8443",
            "https://h/pre-fix/~a/%20",
            "https://[2001:db8::1]:8443/x",
            "https://under_score.example",
            *("https://h/v2x", "https://h/v2/roles2", "https://h/x-v2"),
            *("http://127.0.0.1:80", "http://127.9.9.9", "http://localhost", "http://[::1]:8080"),
        ],
    )
    def test_accepted(self, url: str) -> None:
        """A URL of scheme, host, port and path is taken as it is; on loopback, of plain http."""
        assert configured(base_url=url).base_url == url

    @pytest.mark.parametrize(
        ("region", "variables", "named"),
        [
            (None, {"ARIZE_BASE_URL": "nope", "ARIZE_API_HOST": "host"}, "ARIZE_BASE_URL"),
            (
                None,
                {"ARIZE_API_SCHEME": "ftp", "ARIZE_API_PORT": "8080"},
                "ARIZE_API_SCHEME, ARIZE_API_PORT",
            ),
            (None, {"ARIZE_API_HOST": "", "ARIZE_BASE_DOMAIN": ":"}, "ARIZE_BASE_DOMAIN"),
            ("us-east-1b", {"ARIZE_API_SCHEME": "ftp"}, "ARIZE_API_SCHEME"),
        ],
    )
    def test_variables(self, region: str | None, variables: dict[str, str], named: str) -> None:
        """Of a URL that the environment makes, the variables are named that are set."""
        with patch.dict(os.environ, variables):
            assert refusal(region=region) == f"the base URL (from {named}) {NO_HOST}"
        with patch.dict(os.environ, ARIZE_PROXY_URL="socks5://proxy.example"):
            assert refusal() == f"the proxy (from ARIZE_PROXY_URL) {PROXY_RULE}"


class TestPlainHttp:
    @pytest.mark.parametrize(
        "host", ["10.0.0.1", "arize.internal", "localhost.example", "a.localhost", "[fe80::1]"]
    )
    def test_elsewhere(self, host: str) -> None:
        """Plain http to another host has to be asked for by name."""
        assert refusal(base_url=f"http://{host}").endswith("use https, or pass allow_http=True")
        assert configured(base_url=f"http://{host}", allow_http=True).base_url == f"http://{host}"

    def test_through_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Plain http through a proxy needs it as well, unless both are loopback."""
        local, proxy = "http://127.0.0.1:8080", "http://user:word@proxy.example:3128"
        message = (
            "plain http would send the API key to the proxy proxy.example unprotected; use https, "
            "or pass allow_http=True"
        )
        assert refusal(base_url=local, proxy=proxy) == message
        assert configured(base_url=local, proxy="http://localhost:3128").base_url == local
        assert configured(base_url=local, proxy=proxy, allow_http=True).base_url == local
        assert configured(base_url="https://h", proxy=proxy).base_url == "https://h"
        monkeypatch.setenv("ARIZE_PROXY_URL", proxy)
        assert refusal(base_url=local) == message


class TestCertificates:
    def test_unverified(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A variable that turns this off is named in a warning, once a process, at the caller."""
        monkeypatch.setenv("ARIZE_REQUEST_VERIFY", "No")
        with pytest.warns(InsecureWarning) as caught:
            AiohttpRolesClient("a-key")
        assert str(caught[0].message) == (
            "ARIZE_REQUEST_VERIFY=No: the certificate of api.arize.com is not checked, so whoever "
            "intercepts the connection gets the API key"
        )
        assert caught[0].filename == __file__
        AiohttpRolesClient("a-key")

    @pytest.mark.parametrize(
        ("arguments", "variables", "message"),
        [
            # Neither the caller's own word, this machine nor a lent session is a reason to warn.
            ({"verify": False}, {"VERIFY": "false"}, ""),
            ({}, {"VERIFY": "false"}, ""),
            ({"proxy": "https://[::1]:2"}, {"VERIFY": "false"}, ""),
            ({"base_url": "https://h", "lent_session": True}, {"VERIFY": "0", "CA": "/a"}, ""),
            # A proxy elsewhere intercepts a connection to this machine.
            ({"proxy": "https://proxy.example"}, {"VERIFY": "0"}, "of proxy.example is not ch"),
            ({}, {"VERIFY": "maybe"}, "ARIZE_REQUEST_VERIFY must be true or false, not 'maybe'"),
            # Two settings that say opposite things, unless an argument overrules one.
            ({"verify": False, "ca_file": "/a"}, {}, "ca_file says whom to trust, and verify="),
            ({"ca_file": "/a"}, {"VERIFY": "0"}, "ca_file says whom to trust, and ARIZE_REQUEST_"),
            ({}, {"VERIFY": "no", "CA": "/a"}, "ARIZE_SSL_CA_CERT says whom to trust, and ARIZE"),
            ({"verify": False}, {"VERIFY": "no", "CA": "/a"}, ""),
            ({"verify": True, "ca_file": "/a"}, {"VERIFY": "0"}, ""),
        ],
    )
    def test_words(
        self, arguments: dict[str, Any], variables: dict[str, str], message: str
    ) -> None:
        """Words for verification that leave the caller unprotected, or say opposite things."""
        names = {"VERIFY": "ARIZE_REQUEST_VERIFY", "CA": "ARIZE_SSL_CA_CERT"}
        arguments = {"base_url": "https://localhost"} | arguments
        said = ""
        with patch.dict(os.environ, {names[name]: value for name, value in variables.items()}):
            try:
                configured(**arguments)
            except (ConfigurationError, InsecureWarning) as caught:
                said = str(caught)
        assert message in said
        assert bool(said) is bool(message)

    @pytest.mark.parametrize(
        ("ca_file", "message", "cause"),
        [
            ("", "ca_file must not be empty", type(None)),
            ("a\0b", r"cannot read certificates from 'a\x00b'", ValueError),
            ("/none.pem", "cannot read certificates from '/none.pem'", FileNotFoundError),
            ("/dev/null", "cannot read certificates from '/dev/null'", ssl.SSLError),
        ],
    )
    def test_unreadable(self, ca_file: str, message: str, cause: type) -> None:
        """A file that cannot be read is an error with its cause."""
        with pytest.raises(ConfigurationError) as caught:
            AiohttpRolesClient("a-key", ca_file=ca_file)
        assert str(caught.value).startswith(message)
        assert isinstance(caught.value.__cause__, cause)


@pytest.mark.parametrize(
    ("name", "value"),
    [("verify", True), ("ca_file", "/mine.pem"), ("proxy", "http://mine.example")],
)
async def test_no_effect(name: str, value: object, tmp_path: Path) -> None:
    """An argument that cannot take effect on the session's connector is refused."""
    connector = aiohttp.UnixConnector(str(tmp_path / "socket"))
    async with aiohttp.ClientSession(connector=connector) as session:
        given: dict[str, Any] = {name: value}
        with pytest.raises(ConfigurationError) as caught:
            AiohttpRolesClient("a-key", session=session, **given)
        assert str(caught.value) == (
            f"{name} and session cannot both be given: {name} has no effect on a session "
            "with a UnixConnector"
        )
        AiohttpRolesClient("a-key", session=session)


KINDS: dict[str, str] = {
    **dict.fromkeys(("base_url", "region", "proxy", "name"), "a string"),
    **dict.fromkeys(("verify", "allow_http", "background"), "True or False"),
    "api_key": "a string or a function that returns one",
    "session": "an aiohttp.ClientSession",
    "retry": "a RetryPolicy",
    "headers": "a mapping",
    "ca_file": "a path",
}


@pytest.mark.parametrize(("argument", "kind"), KINDS.items())
def test_types(argument: str, kind: str) -> None:
    """An argument of a wrong type is refused where it is given, to a client, a copy or the fake."""
    given: dict[str, Any] = {argument: 1}
    real, fake = functools.partial(AiohttpRolesClient, api_key="a-key"), FakeRolesClient
    copies: list[Callable[..., object]] = [real().with_options, fake().with_options]
    makes = copies if argument in {"background", "name"} else [real]
    if argument in {"api_key", "retry"}:
        makes += [fake, *copies]
    for make in makes:
        with pytest.raises(ConfigurationError, match=f"^{argument} must be {kind}, not int$"):
            make(**given)


def test_shown() -> None:
    """No setting shows the key, the password of the proxy, or a header of the caller's."""
    shown = str(vars(configured(proxy="http://user:word@proxy.example", headers={"X-Org": "org"})))
    assert "https://api.arize.com" in shown
    assert not any(secret in shown for secret in ("a-key", "word", "X-Org"))
