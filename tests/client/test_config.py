"""Where a client connects: arguments over environment over defaults."""

import os
import platform
from pathlib import Path
from typing import Any

import pytest

from arize_roles_async import AiohttpRolesClient, ConfigurationError, __version__
from arize_roles_async._config import Config, configure

GLOBAL = "https://api.arize.com"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith("ARIZE_") or name in {"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}:
            monkeypatch.delenv(name)


def configured(**arguments: Any) -> Config:  # noqa: ANN401 - also what is refused
    given: dict[str, Any] = {
        "api_key": "a-key",
        "base_url": None,
        "region": None,
        "verify": None,
        "ca_file": None,
        "proxy": None,
        "headers": None,
        "allow_http": False,
    }
    return configure(**(given | arguments))


def base_url(**environment: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return configured().base_url


# The key


def test_a_key_comes_from_the_argument_before_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ARIZE_API_KEY", "from-the-environment")
    assert configured(api_key=None).api_key == "from-the-environment"
    assert configured(api_key="from-the-argument").api_key == "from-the-argument"


def test_a_missing_key_names_the_argument_and_the_variable() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^no API key: pass api_key, or set ARIZE_API_KEY$"
    ):
        AiohttpRolesClient()


@pytest.mark.parametrize("key", ["two words", "a\nline", "schlüssel", "a\x7f"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_quoted(key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configured(api_key=key)
    assert str(refused.value) == "the API key holds characters that no header can carry"


# The host


def test_the_global_host_is_the_default() -> None:
    assert base_url() == "https://api.arize.com"


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({"ARIZE_API_HOST": "arize.internal"}, "https://arize.internal"),
        (
            {"ARIZE_API_HOST": "arize.internal", "ARIZE_API_PORT": "8443"},
            "https://arize.internal:8443",
        ),
        ({"ARIZE_API_PORT": "0"}, "https://api.arize.com"),
        ({"ARIZE_API_SCHEME": "http", "ARIZE_API_HOST": "127.0.0.1"}, "http://127.0.0.1"),
        ({"ARIZE_REGION": "eu-west-1a"}, "https://api.eu-west-1a.arize.com"),
        ({"ARIZE_BASE_DOMAIN": "private.example"}, "https://api.private.example"),
        ({"ARIZE_SINGLE_HOST": "one.example"}, "https://one.example"),
        (
            {"ARIZE_SINGLE_HOST": "one.example", "ARIZE_SINGLE_PORT": "9000"},
            "https://one.example:9000",
        ),
        ({"ARIZE_SINGLE_PORT": "9000"}, "https://api.arize.com:9000"),
        (
            {"ARIZE_BASE_URL": "https://typescript.example/prefix/"},
            "https://typescript.example/prefix",
        ),
        (
            {"ARIZE_BASE_URL": "https://a.example", "ARIZE_REGION": "eu-west-1a"},
            "https://a.example",
        ),
    ],
)
def test_the_environment_of_arizes_clients_counts(environment: dict[str, str], url: str) -> None:
    assert base_url(**environment) == url


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        (
            {"ARIZE_REGION": "eu-west-1a", "ARIZE_SINGLE_HOST": "one.example"},
            "ARIZE_REGION and ARIZE_SINGLE_HOST exclude one another",
        ),
        (
            {"ARIZE_REGION": "eu-west-1a", "ARIZE_SINGLE_PORT": "9000"},
            "ARIZE_REGION and ARIZE_SINGLE_PORT exclude one another",
        ),
        (
            {"ARIZE_REGION": "eu-west-1a", "ARIZE_BASE_DOMAIN": "private.example"},
            "ARIZE_REGION and ARIZE_BASE_DOMAIN exclude one another",
        ),
        (
            {"ARIZE_SINGLE_HOST": "one.example", "ARIZE_BASE_DOMAIN": "private.example"},
            "ARIZE_SINGLE_HOST and ARIZE_BASE_DOMAIN exclude one another",
        ),
    ],
)
def test_two_ways_to_name_the_host_are_an_error_that_names_both(
    environment: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        base_url(**environment)
    assert str(refused.value) == named


def test_an_argument_wins_over_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ARIZE_REGION", "eu-west-1a")
    monkeypatch.setenv("ARIZE_BASE_DOMAIN", "private.example")
    monkeypatch.setenv("ARIZE_BASE_URL", "https://typescript.example")
    assert configured(base_url="https://mine.example").base_url == "https://mine.example"
    assert configured(region="us-east-1b").base_url == "https://api.us-east-1b.arize.com"


def test_base_url_and_region_exclude_one_another() -> None:
    with pytest.raises(ConfigurationError, match=r"^base_url and region exclude one another$"):
        configured(base_url=GLOBAL, region="eu-west-1a")


@pytest.mark.parametrize("region", ["", "mars-1a", "eu-west-1a.evil.example/"])
def test_an_unknown_region_is_refused_and_the_known_ones_are_named(region: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configured(region=region)
    assert str(refused.value) == (
        "region must be one of ca-central-1a, eu-west-1a, us-central-1a, us-east-1b, "
        f"not {region!r}"
    )


@pytest.mark.parametrize("port", ["-1", "65536", "http", "\uff18\uff10", "9" * 5000])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^ARIZE_API_PORT must be a port, 0 to 65535, not "
    ):
        base_url(ARIZE_API_PORT=port)


@pytest.mark.parametrize(
    "url",
    [
        "api.arize.com",
        "ftp://api.arize.com",
        "https://",
        "https://api.arize.com:port",
        "https://[::1",
        "https://user:word@api.arize.com",
        "https://api.arize.com?region=eu",
        "https://api.arize.com#roles",
    ],
)
def test_a_base_url_that_is_more_or_less_than_an_origin_and_path_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^the base URL "):
        configured(base_url=url)


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost", "arize.localhost", "[::1]:8080"])
def test_plain_http_is_fine_on_loopback(host: str) -> None:
    assert configured(base_url=f"http://{host}").base_url == f"http://{host}"


@pytest.mark.parametrize("host", ["10.0.0.1", "arize.internal", "localhost.example", "[fe80::1]"])
def test_plain_http_elsewhere_has_to_be_asked_for_by_name(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"use https, or pass allow_http=True$"):
        configured(base_url=f"http://{host}")
    assert configured(base_url=f"http://{host}", allow_http=True).base_url == f"http://{host}"


# Certificates and proxies


@pytest.mark.parametrize(
    ("value", "verifies"),
    [("true", True), ("1", True), ("", True), ("FALSE", False), ("0", False), ("no", False)],
)
def test_certificates_are_checked_unless_the_environment_says_no(
    monkeypatch: pytest.MonkeyPatch, value: str, *, verifies: bool
) -> None:
    monkeypatch.setenv("ARIZE_REQUEST_VERIFY", value)
    assert configured().verify is verifies
    assert configured(verify=True).verify is True


def test_a_word_that_is_neither_true_nor_false_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIZE_REQUEST_VERIFY", "maybe")
    with pytest.raises(
        ConfigurationError, match=r"^ARIZE_REQUEST_VERIFY must be true or false, not 'maybe'$"
    ):
        configured()


def test_the_ca_file_of_the_first_variable_that_is_set_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert configured().ca_file is None
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "ARIZE_SSL_CA_CERT"):
        monkeypatch.setenv(variable, f"/{variable}.pem")
        assert configured().ca_file == f"/{variable}.pem"
    assert configured(ca_file=Path("/mine.pem")).ca_file == "/mine.pem"


def test_a_ca_file_that_cannot_be_read_is_an_error_with_its_cause(tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    with pytest.raises(ConfigurationError, match=r"^cannot read certificates from ") as refused:
        AiohttpRolesClient("a-key", ca_file=missing)
    assert isinstance(refused.value.__cause__, FileNotFoundError)


def test_the_proxy_comes_from_the_argument_before_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert configured().proxy is None
    monkeypatch.setenv("ARIZE_PROXY_URL", "http://environment.example:3128")
    assert configured().proxy == "http://environment.example:3128"
    assert configured(proxy="http://mine.example").proxy == "http://mine.example"


@pytest.mark.parametrize(
    "proxy", ["proxy.example:3128", "socks5://proxy.example", "http://[", "http://"]
)
def test_a_proxy_that_is_no_http_url_is_refused_and_not_quoted(proxy: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configured(proxy=proxy)
    assert str(refused.value) == "the proxy must be an http:// or https:// URL with a host"


# Headers


def test_the_identity_headers_of_arizes_clients_are_sent() -> None:
    assert configured().headers == {
        "Accept": "application/json, application/problem+json",
        "Authorization": "Bearer a-key",
        "sdk-language": "python",
        "sdk-package-name": "arize-roles-async",
        "sdk-version": __version__,
        "language-version": platform.python_version(),
    }


def test_more_headers_may_be_added() -> None:
    assert configured(headers={"X-Team": "platform"}).headers["X-Team"] == "platform"


@pytest.mark.parametrize("name", ["Authorization", "HOST", "content-type", "sdk-version", "Cookie"])
def test_a_header_that_is_the_clients_own_is_refused(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"^the header '{name}' is the client's own to set$"
    ):
        configured(headers={name: "x"})


@pytest.mark.parametrize("name", ["", "X Team", "X:Team", "X-Team\r\n", "\uff38"])
def test_what_is_no_name_for_a_header_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r" is no name for a header$"):
        configured(headers={name: "x"})


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "ü"])
def test_a_header_value_that_could_be_more_than_one_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^the value of header 'X-Team' is not printable"):
        configured(headers={"X-Team": value})


def test_the_configuration_shows_neither_key_nor_password() -> None:
    shown = repr(configured(proxy="http://user:word@proxy.example"))
    assert shown == "<Config for https://api.arize.com>"
