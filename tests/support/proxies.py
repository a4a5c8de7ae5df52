"""nginx, haproxy and squid as ordinary processes on the loopback, each in a folder of its own.

They run as whoever runs the tests, and end with their block. Started by root, nginx and haproxy
stay root, and squid, which refuses that, runs as `nobody`.
"""

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path
from typing import Final

from tests.support.processes import HOST, LONGEST_WAIT, Part, await_true

_NOBODY: Final = "nobody"
_WORKERS: Final = 2
_NCSA: Final = Path("/usr/lib/squid/basic_ncsa_auth")


@contextmanager
def folder() -> Generator[Path]:
    """Yield a folder that other users can reach too, and remove it."""
    with tempfile.TemporaryDirectory(prefix="roles-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


class Nginx(Part):
    """nginx with one `http` block, in whose directives `{port}` is its port."""

    program = "nginx"

    def __init__(self, directory: Path, http: str, name: str) -> None:
        super().__init__(directory, name)
        self.write(http)

    def write(self, http: str) -> None:
        """Write its configuration anew, for the next `reload`."""
        temporary = "\n".join(
            f"{each}_temp_path {self.name}-{each};"
            for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        self.configuration.write_text(
            f"""
            {"user root root;" if os.geteuid() == 0 else ""}
            worker_processes {_WORKERS};
            pid {self.name}.pid;
            error_log {self.log} info;
            daemon off;
            events {{ worker_connections 512; }}
            http {{
              {temporary}
              log_format line '$request $status $upstream_status $http_sdk_retry_count $gzip_ratio';
              access_log {self.directory / self.name}-access.log line;
              {http.replace("{port}", str(self.port))}
            }}
            """
        )

    def command(self) -> list[str]:
        return ["-p", f"{self.directory}/", "-c", str(self.configuration), "-e", str(self.log)]

    def reload(self) -> None:
        """Have new workers read the configuration; the old ones end what they have begun and go."""
        gone = self._workers_gone()
        self.signal(signal.SIGHUP)
        await_true(lambda: self._workers_gone() >= gone + _WORKERS, "nginx's reload")

    def _workers_gone(self) -> int:
        return self.log.read_text().count(" exited with code ")

    def drain(self) -> None:
        """End it when what it has begun is done."""
        self.signal(signal.SIGQUIT).wait(LONGEST_WAIT)


class Haproxy(Part):
    """haproxy with one backend, whose section holds these lines."""

    program = "haproxy"

    def __init__(self, directory: Path, backend: str) -> None:
        super().__init__(directory)
        self._admin = directory / "haproxy.sock"
        self.configuration.write_text(
            f"""
global
  stats socket {self._admin} level admin
  maxconn 512
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  timeout connect 2s
  timeout client 10s
  timeout server 10s
  timeout queue 5s
frontend in
  bind {HOST}:{self.port}
  default_backend out
backend out
  {backend}
"""
        )

    def command(self) -> list[str]:
        return ["-db", "-f", str(self.configuration)]

    def run_command(self, command: str) -> str:
        """Return what it answers to a command on its admin socket."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self._admin))
            admin.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: admin.recv(4096), b"")).decode()


class Squid(Part):
    """squid, as a proxy that clients are configured with; it has one user."""

    program = "squid"
    user = _NOBODY
    # Asked, it takes seconds, whatever its shutdown_lifetime is.
    ending = signal.SIGKILL

    def __init__(self, directory: Path, user: str, password: str) -> None:
        own = directory / "squid"
        own.mkdir()
        if os.geteuid() == 0:
            shutil.chown(own, _NOBODY)
        super().__init__(own)
        self._service = f"roles{self.port}"
        # Its helper takes an MD5 without salt, which needs no other program to make.
        users, digest = own / "users", md5(password.encode()).hexdigest()  # noqa: S324
        users.write_text(f"{user}:{digest}\n")
        self.configuration.write_text(
            f"""
http_port {HOST}:{self.port}
auth_param basic program {_NCSA} {users}
auth_param basic children 2
auth_param basic realm proxy
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
cache deny all
cache_mem 8 MB
access_log none
cache_log {own / "cache.log"}
cache_store_log none
pid_filename {own / "squid.pid"}
coredump_dir {own}
netdb_filename none
pinger_enable off
max_filedescriptors 1024
visible_hostname proxy.test
"""
        )

    def command(self) -> list[str]:
        return ["-N", "-n", self._service, "-f", str(self.configuration)]

    def kill(self) -> None:
        super().kill()
        # Left there, it would keep the next squid of this service from its start.
        for shared in Path("/dev/shm").glob(f"{self._service}-*"):  # noqa: S108 - squid's choice
            shared.unlink()
