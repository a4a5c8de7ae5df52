"""The programs that stand in between: what is not there, what does not start, and how they end."""

import socket
from contextlib import ExitStack

import pytest

from tests.support.processes import HOST
from tests.support.proxies import Nginx, folder, missing


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def test_missing() -> None:
    """A program that is not installed is named."""
    assert missing("no-such-proxy", "no-such-cache") == (
        "no-such-proxy and no-such-cache not installed"
    )


@pytest.mark.skipif(missing("nginx") != "", reason=missing("nginx"))
class TestNginx:
    def test_ends(self) -> None:
        """It ends with its block, however that ends, and its folder is gone."""
        with ExitStack() as stack:
            stack.enter_context(pytest.raises(KeyError))
            directory = stack.enter_context(folder())
            server = f"server {{ listen {HOST}:{{port}}; }}"
            nginx = stack.enter_context(Nginx(directory, server))
            assert listens(nginx.port)
            raise KeyError

        assert not listens(nginx.port)
        assert not directory.exists()

    def test_refuses(self) -> None:
        """The error contains its message about a configuration that it refuses."""
        with (
            folder() as directory,
            pytest.raises(RuntimeError, match="no_such_directive"),
            Nginx(directory, "no_such_directive;"),
        ):
            pass

    def test_reloads(self) -> None:
        """A reload is over when its old workers are gone."""
        with folder() as directory:
            server = f"server {{ listen {HOST}:{{port}}; }}"
            with Nginx(directory, server) as nginx:
                nginx.reload()

                assert listens(nginx.port)
                assert nginx.log.read_text().count("exited with code 0") == 2
