"""The client that talks to the service."""

import os
from collections.abc import Mapping

import aiohttp

from arize_roles_async._aiohttp.config import Config
from arize_roles_async._aiohttp.hooks import AiohttpShared
from arize_roles_async._aiohttp.internals import check_aiohttp, proxy_of
from arize_roles_async._aiohttp.transport import AiohttpTransport
from arize_roles_async._arize import BaseArizeClient
from arize_roles_async._calls.api_key import ApiKey
from arize_roles_async._values.errors import ConfigurationError
from arize_roles_async._values.options import DEFAULT_TIMEOUT, RetryPolicy, Timeouts, check_type
from arize_roles_async._wire.secrets import takes_secrets


class AiohttpRolesClient(BaseArizeClient):
    """A `RolesClient` that talks to Arize over HTTP.

    ```python
    async with AiohttpRolesClient() as roles:
        page = await roles.list(is_predefined=False)
    ```

    A client may be made anywhere. Its session opens with the first call, belongs to the event loop
    that runs then and ends with it; the next loop gets a new session. Two loops that are open at
    once need two clients. Settings not passed as arguments come from the environment variables of
    Arize's own clients, then from defaults.

    The logger `arize_roles_async` reports each attempt at DEBUG and each retry at INFO, with the
    fields that the guide's page `logging` lists; `configuration` has all settings, and traces.

    Args:
        api_key: The key, or a function without arguments, synchronous or asynchronous, that
            returns it; else `ARIZE_API_KEY`. A key has letters, digits and `-._~+/`, and `=` at
            its end, at most 4,096 characters. The guide's page `api-keys` says when a function is
            called. A synchronous one must not block.
        base_url: Scheme, host and port of the service, and the path in front of `/v2` where a
            gateway has one, such as `https://gateway.example/arize`; else `ARIZE_BASE_URL`, else
            what `ARIZE_API_SCHEME`, `ARIZE_API_HOST` and `ARIZE_API_PORT` make, with
            `ARIZE_SINGLE_HOST` and `ARIZE_SINGLE_PORT` or `ARIZE_BASE_DOMAIN` in place of the
            host; else `https://api.arize.com`. Excludes `region`.
        region: The name of one of Arize's regions, such as `us-east-1b`; else `ARIZE_REGION`.
        session: A session of the application's own. The client uses it as it is, in its event loop
            only, and never closes it. The guide's page `errors-and-retries` says what its
            middlewares and tracers see and may do. If it sends an `Authorization` header of its
            own, the call is a `ClientStateError`. Waiting for a connection of its pool counts
            towards the limit of the call alone. Its settings for certificates and proxies hold,
            whatever the environment says, unless `verify`, `ca_file` or `proxy` is given. An
            attempt that is given up resets its connection, as on the client's own session; the next
            one may go out on a connection that only others have used so far.
        timeout: Seconds for a whole call; None is no limit. The limits on connecting and on silence
            are then the defaults. `Timeouts` sets every limit.
        retry: Number of attempts and waits between them; `RetryPolicy()` by default.
        max_concurrency: Requests under way at once. Further calls wait in a queue, in the
            order in which they began, and that time counts towards their limit, `timeout`.
        headers: More headers for every request. Headers that the client sets itself are refused,
            except `User-Agent`, which a lent session may set, too.
        verify: Whether the server's certificate is checked; else `ARIZE_REQUEST_VERIFY`, else
            yes. If the variable turns it off for another machine, that is an `InsecureWarning`.
        ca_file: Certificates of the authorities to trust, as a PEM file, or a folder that
            `openssl rehash` was run on; else `ARIZE_SSL_CA_CERT`, `REQUESTS_CA_BUNDLE` or
            `SSL_CERT_FILE`, else the system's. Excludes `verify=False`.
        proxy: The URL of an HTTP proxy; else `ARIZE_PROXY_URL`.
        allow_http: Whether the key may go over plain http to a host, or through a proxy, that is
            not loopback, wherever the proxy comes from.

    Raises:
        ConfigurationError: A value is missing, malformed, of another type, or excludes another.
    """

    _base_url = ""
    """Empty until the client is set up, since a traceback may show it before."""

    @takes_secrets
    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        base_url: str | None = None,
        region: str | None = None,
        session: aiohttp.ClientSession | None = None,
        timeout: float | Timeouts | None = DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = None,
        max_concurrency: int = 40,
        headers: Mapping[str, str] | None = None,
        verify: bool | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        proxy: str | None = None,
        allow_http: bool = False,
    ) -> None:
        check_type("session", session, aiohttp.ClientSession | None, "an aiohttp.ClientSession")
        check_aiohttp(session)
        lent_proxy = None if session is None else proxy_of(session)[0]
        config = Config(
            api_key=api_key,
            base_url=base_url,
            region=region,
            verify=verify,
            ca_file=ca_file,
            proxy=proxy,
            headers=headers,
            allow_http=allow_http,
            lent_session=session is not None,
            lent_proxy=str(lent_proxy) if lent_proxy else None,
        )
        _check_session(session, config)
        # Not the connector's own limit, which would starve some of the calls that wait.
        shared = AiohttpShared(AiohttpTransport(config, session), max_concurrency)
        super().__init__(shared, config.key_source, timeout, retry)
        self._base_url = config.base_url

    def __repr__(self) -> str:
        return f"AiohttpRolesClient(base_url={self._base_url!r})"

    @property
    def base_url(self) -> str:
        """Scheme, host and port of the service that the client talks to."""
        return self._base_url


def _check_session(session: aiohttp.ClientSession | None, config: Config) -> None:
    if session is not None and session.auth is not None:
        why = "session must not have auth of its own: the client sends the API key"
        raise ConfigurationError(why)
    connector = None if session is None else session.connector
    if connector is None or isinstance(connector, aiohttp.TCPConnector):
        return
    given = {"verify": config.verify, "ca_file": config.ca_file, "proxy": config.proxy}
    for name in (name for name, value in given.items() if value is not None):
        raise ConfigurationError(
            f"{name} and session cannot both be given: {name} has no effect on a session with a "
            f"{type(connector).__name__}"
        )
