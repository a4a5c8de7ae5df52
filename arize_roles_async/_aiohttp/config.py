"""Settings of the connection: from arguments, then the environment, then defaults.

The environment variables are those that Arize's own clients read.
"""

import functools
import itertools
import os
import platform
import re
import warnings
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, cast
from urllib.parse import SplitResult, urlsplit

from arize_roles_async._calls.api_key import ApiKey, KeySource
from arize_roles_async._clients.notices import warned
from arize_roles_async._values.errors import ConfigurationError, InsecureWarning
from arize_roles_async._values.options import check_type
from arize_roles_async._version import __version__
from arize_roles_async._wire.secrets import Secret

REGIONS: Final = ("ca-central-1a", "eu-west-1a", "us-central-1a", "us-east-1b")

_VERIFY: Final = "ARIZE_REQUEST_VERIFY"
_DEFAULT_HOST: Final = "api.arize.com"
_HOST: Final = r"(?:[a-z0-9_-]+\.)*[a-z0-9_-]+\.?"
_PATH: Final = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*"
_EXCLUSIVE: Final = (
    ("ARIZE_REGION",),
    ("ARIZE_SINGLE_HOST", "ARIZE_SINGLE_PORT"),
    ("ARIZE_BASE_DOMAIN",),
)
_RESERVED: Final = frozenset(
    {
        *("accept", "accept-encoding", "authorization", "connection", "content-encoding"),
        *("content-length", "content-type", "cookie", "expect", "host", "language-version"),
        *("proxy-authorization", "sdk-language", "sdk-package-name", "sdk-retry-count"),
        *("sdk-version", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)


class Config:
    """Settings of connections, from the arguments of `AiohttpRolesClient` and the environment.

    With a lent session, the environment decides about neither certificates nor the proxy.
    """

    def __init__(
        self,
        *,
        api_key: ApiKey | None = None,
        base_url: str | None = None,
        region: str | None = None,
        verify: bool | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        proxy: str | None = None,
        headers: Mapping[str, str] | None = None,
        allow_http: bool = False,
        lent_session: bool = False,
        lent_proxy: str | None = None,
    ) -> None:
        text = str | None
        check_type("base_url", base_url, text, "a string")
        check_type("region", region, text, "a string")
        check_type("verify", verify, bool | None, "True or False")
        check_type("ca_file", ca_file, str | os.PathLike | None, "a path")
        check_type("proxy", proxy, text, "a string")
        check_type("headers", headers, Mapping | None, "a mapping")
        check_type("allow_http", allow_http, bool, "True or False")
        key = os.environ.get("ARIZE_API_KEY") if api_key is None else api_key
        if key is None or key == "":
            raise ConfigurationError("no API key: pass api_key, or set ARIZE_API_KEY")
        self.key_source = KeySource(key)
        url = _proxy(proxy, lent_session=lent_session)
        self.proxy = None if url is None else Secret(url)
        self.allow_http = allow_http
        self.base_url = _checked_url(*_base_url(base_url, region))
        flaw = flaw_of_plain_http(*_hosts(self.base_url, url or lent_proxy))
        if self.base_url.startswith("http:") and not allow_http and flaw is not None:
            raise ConfigurationError(flaw)
        self.verify = verify
        """None if a lent session decides."""
        if verify is None and not lent_session:
            self.verify = _verify(self.base_url, url)
        self.headers = Secret(_headers(headers or {}))
        """Headers of each request, beside the key."""
        self.ca_file = _ca_file(ca_file, lent_session=lent_session)
        # An argument that turns the check off wins over the variable.
        has_authorities = ca_file is not None or (verify is None and _set("ARIZE_SSL_CA_CERT"))
        if self.verify is False and has_authorities:
            name = "ARIZE_SSL_CA_CERT" if ca_file is None else "ca_file"
            off = "verify=False" if verify is False else f"{_VERIFY}={os.environ[_VERIFY]}"
            raise ConfigurationError(
                f"{name} says whom to trust, and {off} to trust everybody: leave one out"
            )


def _base_url(base_url: str | None, region: str | None) -> tuple[str, list[str]]:
    """Return the URL of the service, and the environment variables that it comes from."""
    if base_url is not None:
        if region is not None:
            raise ConfigurationError("base_url and region cannot both be given")
        return base_url, []
    get = os.environ.get
    scheme = get("ARIZE_API_SCHEME") or "https"
    if region is not None:
        url = f"{scheme}://{_regional_host(region, 'region')}{_port('ARIZE_API_PORT')}"
        return url, _set("ARIZE_API_SCHEME", "ARIZE_API_PORT")
    if given := get("ARIZE_BASE_URL"):
        return given, ["ARIZE_BASE_URL"]
    chosen = [
        names for names in _EXCLUSIVE if any(get(name, "0") not in {"", "0"} for name in names)
    ]
    if len(chosen) > 1:
        named = " and ".join(next(n for n in names if get(n)) for names in chosen)
        raise ConfigurationError(f"{named} cannot both be set")
    host, port = get("ARIZE_API_HOST") or _DEFAULT_HOST, _port("ARIZE_API_PORT")
    if region := get("ARIZE_REGION"):
        host = _regional_host(region, "ARIZE_REGION")
    elif domain := get("ARIZE_BASE_DOMAIN"):
        host = f"api.{domain}"
    else:
        host = get("ARIZE_SINGLE_HOST") or host
        port = _port("ARIZE_SINGLE_PORT") or port
    alternatives = itertools.chain.from_iterable(_EXCLUSIVE)
    names = _set("ARIZE_API_SCHEME", "ARIZE_API_HOST", "ARIZE_API_PORT", *alternatives)
    return f"{scheme}://{host}{port}", names


def _set(*names: str) -> list[str]:
    """Return those of the environment variables that are set."""
    return [name for name in names if os.environ.get(name)]


def _from(variables: list[str]) -> str:
    return f" (from {', '.join(variables)})" if variables else ""


def _regional_host(region: str, source: str) -> str:
    if region not in REGIONS:
        # Not quoted, since it may be the key, by mistake.
        raise ConfigurationError(f"{source} must be one of {', '.join(REGIONS)}")
    return f"api.{region}.arize.com"


def _port(variable: str) -> str:
    value = os.environ.get(variable) or "0"
    if not re.fullmatch("[0-9]{1,5}", value) or int(value) >= 1 << 16:
        raise ConfigurationError(f"{variable} must be a port, 0 to 65535, not {value!r}")
    return f":{int(value)}" if int(value) else ""


def _checked_url(url: str, variables: list[str]) -> str:
    if flaw := _flaw_of_base_url(url):
        raise ConfigurationError(f"the base URL{_from(variables)} {flaw}")
    return urlsplit(url.rstrip("/")).geturl()


def flaw_of_plain_http(host: str, proxy: str | None = None) -> str | None:
    """Return what is wrong with plain http to a host, perhaps through a proxy, or None."""
    for each, what in ((host, ""), (proxy, "the proxy ")):
        if each and not is_loopback(each):
            return (
                f"plain http would send the API key to {what}{each} unprotected; use https, or "
                "pass allow_http=True"
            )
    return None


def _hosts(url: str, proxy: str | None) -> list[str]:
    """Return the host of the service, and the proxy's if there is one."""
    return [urlsplit(each).hostname or "" for each in (url, proxy) if each is not None]


def _flaw_of_base_url(url: str) -> str | None:
    # Before parsing, since urlsplit removes some of the characters refused here.
    if not re.fullmatch("[!-~]+", url):
        return "must be printable ASCII without spaces"
    parts = _split(url)
    if parts is None:
        return "must be http:// or https:// with a host and, where needed, a port"
    if "@" in parts.netloc or "?" in url or "#" in url:
        return "must have no user, query or fragment"
    if not re.fullmatch(_PATH, parts.path):
        return "has a path with characters that must be percent-encoded"
    if added := re.fullmatch("(.*)/v2(/roles)?/*", parts.path):
        root = f"{parts.scheme}://{parts.netloc}{added[1]}"
        return f"must end before /v2, which the client adds: use {root}"
    return None


def _proxy(proxy: str | None, *, lent_session: bool) -> str | None:
    names = _set("ARIZE_PROXY_URL") if proxy is None and not lent_session else []
    url = os.environ[names[0]] if names else proxy
    if url is None:
        return None
    parts = _split(url) if re.fullmatch("[!-~]+", url) else None
    if parts is None or parts.path not in {"", "/"} or "?" in url or "#" in url:
        # The URL is not quoted, since it may have a password.
        raise ConfigurationError(
            f"the proxy{_from(names)} must be an http:// or https:// URL with a host and no path "
            "or query"
        )
    return url


def _split(url: str) -> SplitResult | None:
    """Return the parts of an HTTP URL that has a valid host and port, or None."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if "[" in parts.netloc:
            # urlsplit of Python 3.11 ignores what stands between the bracket and the port.
            is_host = re.search(r"(^|@)\[[^]@]+\](:\d*)?$", parts.netloc)
            IPv6Address(host)
        else:
            is_host = re.fullmatch(_HOST, host)
    except ValueError:
        return None
    is_whole = port != 0 and not parts.netloc.endswith(":")
    return parts if parts.scheme in {"http", "https"} and is_host and is_whole else None


@functools.lru_cache  # Each attempt asks, and reading an address takes a fifteenth of a call.
def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own."""
    # Resolvers ask DNS for `*.localhost`, so that may be any machine.
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _verify(url: str, proxy: str | None) -> bool:
    """Return whether the environment has certificates checked, and warn once if it has not."""
    given = os.environ.get(_VERIFY) or "true"
    value = given.lower()
    if value not in {"true", "1", "yes", "on", "false", "0", "no", "off"}:
        raise ConfigurationError(f"{_VERIFY} must be true or false, not {value!r}")
    elsewhere = [host for host in _hosts(url, proxy) if not is_loopback(host)]
    is_checked = value in {"true", "1", "yes", "on"}
    if not is_checked and elsewhere and _VERIFY not in warned:
        message = (
            f"{_VERIFY}={given}: the certificate of {elsewhere[0]} is not checked, so whoever "
            "intercepts the connection gets the API key"
        )
        warnings.warn(message, InsecureWarning, stacklevel=5)  # where the client is made
        # Only now: a warning that a filter turned into an error comes again.
        warned.add(_VERIFY)
    return is_checked


def _ca_file(ca_file: str | os.PathLike[str] | None, *, lent_session: bool) -> str | None:
    if ca_file is None:
        names = _set("ARIZE_SSL_CA_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        return os.environ[names[0]] if names and not lent_session else None
    path = os.fspath(ca_file)
    if not path:
        raise ConfigurationError("ca_file must not be empty")
    return path


def _headers(headers: Mapping[Any, Any]) -> Mapping[str, str]:
    for name, value in cast("Mapping[object, object]", headers).items():
        if (flaw := _flaw_of_header(name, value)) is not None:
            raise ConfigurationError(flaw)
    return {
        **headers,
        "Accept": "application/json, application/problem+json",
        "sdk-language": "python",
        "sdk-package-name": "arize-roles-async",
        "sdk-version": __version__,
        "language-version": platform.python_version(),
    }


def _flaw_of_header(name: object, value: object) -> str | None:
    if not isinstance(name, str):
        return f"the name of a header must be a string, not {type(name).__name__}"
    if not isinstance(value, str):
        return f"the value of header {name!r} must be a string, not {type(value).__name__}"
    if name.lower() in _RESERVED:
        return f"the header {name!r} is set by the client itself"
    if not re.fullmatch("[A-Za-z0-9_-]+", name):
        return f"{name!r} is not a valid header name"
    if not (value.isascii() and value.isprintable()):
        return f"the value of header {name!r} must be printable ASCII"
    return None
