"""Where to connect and how: arguments over environment over defaults.

The environment variables are those that Arize's own clients read.
"""

import os
import platform
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import msgspec

from arize_roles_async._errors import ConfigurationError
from arize_roles_async._version import __version__

REGIONS: Final = ("ca-central-1a", "eu-west-1a", "us-central-1a", "us-east-1b")

_DEFAULT_HOST: Final = "api.arize.com"
_EXCLUSIVE: Final = (
    ("ARIZE_REGION",),
    ("ARIZE_SINGLE_HOST", "ARIZE_SINGLE_PORT"),
    ("ARIZE_BASE_DOMAIN",),
)
_RESERVED: Final = frozenset(
    {
        *("accept", "accept-encoding", "authorization", "connection", "content-encoding"),
        *("content-length", "content-type", "cookie", "host", "language-version"),
        *("proxy-authorization", "sdk-language", "sdk-package-name", "sdk-retry-count"),
        *("sdk-version", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What a client needs to know before its first call."""

    base_url: str
    headers: Mapping[str, str]
    api_key: str
    verify: bool
    ca_file: str | None
    proxy: str | None

    def __repr__(self) -> str:
        # Without the headers and the key, nor a proxy's password.
        return f"<Config for {self.base_url}>"


def configure(
    *,
    api_key: str | None,
    base_url: str | None,
    region: str | None,
    verify: bool | None,
    ca_file: str | os.PathLike[str] | None,
    proxy: str | None,
    headers: Mapping[str, str] | None,
    allow_http: bool,
) -> Config:
    """Return the configuration that the arguments and the environment make together.

    Raises:
        ConfigurationError: A value is missing, malformed or excludes another.
    """
    env = os.environ
    key = api_key if api_key is not None else env.get("ARIZE_API_KEY")
    if not key:
        raise ConfigurationError("no API key: pass api_key, or set ARIZE_API_KEY")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError("the API key holds characters that no header can carry")
    return Config(
        base_url=_checked_url(_base_url(base_url, region), allow_http=allow_http),
        headers=_headers(key, headers or {}),
        api_key=key,
        verify=_verify() if verify is None else verify,
        ca_file=_ca_file(ca_file),
        proxy=_checked_proxy(proxy or env.get("ARIZE_PROXY_URL") or None),
    )


def _base_url(base_url: str | None, region: str | None) -> str:
    if base_url is not None and region is not None:
        raise ConfigurationError("base_url and region exclude one another")
    if base_url is not None:
        return base_url
    env = os.environ
    scheme = env.get("ARIZE_API_SCHEME") or "https"
    if region is not None:
        return f"{scheme}://{_regional_host(region, 'region')}{_port('ARIZE_API_PORT')}"
    if url := env.get("ARIZE_BASE_URL"):
        return url
    chosen = [
        names for names in _EXCLUSIVE if any(env.get(name, "0") not in {"", "0"} for name in names)
    ]
    if len(chosen) > 1:
        named = " and ".join(next(n for n in names if env.get(n)) for names in chosen)
        raise ConfigurationError(f"{named} exclude one another")
    host, port = env.get("ARIZE_API_HOST") or _DEFAULT_HOST, _port("ARIZE_API_PORT")
    if region := env.get("ARIZE_REGION"):
        host = _regional_host(region, "ARIZE_REGION")
    elif domain := env.get("ARIZE_BASE_DOMAIN"):
        host = f"api.{domain}"
    else:
        host = env.get("ARIZE_SINGLE_HOST") or host
        port = _port("ARIZE_SINGLE_PORT") or port
    return f"{scheme}://{host}{port}"


def _regional_host(region: str, source: str) -> str:
    if region not in REGIONS:
        raise ConfigurationError(f"{source} must be one of {', '.join(REGIONS)}, not {region!r}")
    return f"api.{region}.arize.com"


def _port(variable: str) -> str:
    value = os.environ.get(variable) or "0"
    if not re.fullmatch("[0-9]{1,5}", value) or int(value) >= 1 << 16:
        raise ConfigurationError(f"{variable} must be a port, 0 to 65535, not {value!r}")
    return f":{int(value)}" if int(value) else ""


def _checked_url(url: str, *, allow_http: bool) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"the base URL is malformed: {error}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError("the base URL must be http:// or https:// with a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationError("the base URL must have no user, query or fragment")
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise ConfigurationError(
            f"plain http would send the API key to {host} unprotected; use https, "
            "or pass allow_http=True"
        )
    return url.rstrip("/")


def _checked_proxy(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        # Not quoted, since it may hold a password.
        raise ConfigurationError("the proxy must be an http:// or https:// URL with a host")
    return url


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _verify() -> bool:
    value = (os.environ.get("ARIZE_REQUEST_VERIFY") or "true").lower()
    if value not in {"true", "1", "yes", "on", "false", "0", "no", "off"}:
        raise ConfigurationError(f"ARIZE_REQUEST_VERIFY must be true or false, not {value!r}")
    return value in {"true", "1", "yes", "on"}


def _ca_file(ca_file: str | os.PathLike[str] | None) -> str | None:
    if ca_file is not None:
        return os.fspath(ca_file)
    variables = ("ARIZE_SSL_CA_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    return next((value for name in variables if (value := os.environ.get(name))), None)


def _headers(api_key: str, extra: Mapping[str, str]) -> dict[str, str]:
    for name, value in extra.items():
        if name.lower() in _RESERVED:
            raise ConfigurationError(f"the header {name!r} is the client's own to set")
        if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
            raise ConfigurationError(f"{name!r} is no name for a header")
        if not (value.isascii() and value.isprintable()):
            raise ConfigurationError(f"the value of header {name!r} is not printable ASCII")
    return {
        **extra,
        "Accept": "application/json, application/problem+json",
        "Authorization": f"Bearer {api_key}",
        "sdk-language": "python",
        "sdk-package-name": "arize-roles-async",
        "sdk-version": __version__,
        "language-version": platform.python_version(),
    }
