"""Asks pyright's language server what an editor shows for the methods of both clients.

    python -m tests.tools.hovers

Exits with 1 if the first line of the protocol's documentation is missing anywhere.
"""

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

from arize_roles_async import RolesClient

ROOT: Final = Path(__file__).parents[2]
CALLS: Final = {
    "create": 'create(name="A", permissions=[])',
    "list": "list()",
    "get": 'get(role="A")',
    "update": 'update(role="A")',
    "delete": 'delete(role="A")',
}
HEAD: Final = (
    "from arize_roles_async import AiohttpRolesClient",
    "from arize_roles_fake import FakeRolesClient",
    "def use(AiohttpRolesClient: AiohttpRolesClient, FakeRolesClient: FakeRolesClient) -> None:",
)
CLIENTS: Final = ("AiohttpRolesClient", "FakeRolesClient")


class Server:
    """A language server, which speaks JSON-RPC over its standard streams."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pyright.langserver", "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._ids = count(1)

    def notify(self, method: str, params: object) -> None:
        self._write({"method": method, "params": params})

    def ask(self, method: str, params: object) -> Any:  # noqa: ANN401 - JSON
        """Return the result of a request."""
        number = next(self._ids)
        self._write({"id": number, "method": method, "params": params})
        while True:
            message = self._read()
            if "method" not in message and message.get("id") == number:
                return message["result"]
            if message.get("method") == "workspace/configuration":
                python = [{"pythonPath": sys.executable} for _ in message["params"]["items"]]
                self._write({"id": message["id"], "result": python})
            elif "id" in message:
                self._write({"id": message["id"], "result": None})

    def stop(self) -> None:
        self.ask("shutdown", None)
        self.notify("exit", None)
        self._process.communicate()

    def _write(self, message: dict[str, object]) -> None:
        assert self._process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while line := self._process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        message: dict[str, Any] = json.loads(self._process.stdout.read(length))
        return message


def hovers() -> Iterator[tuple[str, str, str]]:
    """Yield client, method, and what the server shows for it."""
    places = [(client, method) for client in CLIENTS for method in CALLS]
    lines = [*HEAD, *(f"    {client}.{CALLS[method]}" for client, method in places)]
    uri = (ROOT / "hover.py").as_uri()
    server = Server()
    server.ask(
        "initialize",
        {
            "processId": None,
            "rootUri": ROOT.as_uri(),
            "workspaceFolders": [{"uri": ROOT.as_uri(), "name": "project"}],
            "capabilities": {
                "workspace": {"configuration": True},
                "textDocument": {"hover": {"contentFormat": ["plaintext"]}},
            },
        },
    )
    server.notify("initialized", {})
    document = {"uri": uri, "languageId": "python", "version": 1, "text": "\n".join(lines)}
    server.notify("textDocument/didOpen", {"textDocument": document})
    for line, (client, method) in enumerate(places, len(HEAD)):
        position = {"line": line, "character": len(f"    {client}.")}
        params = {"textDocument": {"uri": uri}, "position": position}
        shown = server.ask("textDocument/hover", params)
        yield client, method, shown["contents"]["value"] if shown else ""
    server.stop()


def main() -> int:
    """Return 0 if every hover shows the protocol's documentation."""
    missing = 0
    for client, method, shown in hovers():
        documented = inspect.getdoc(getattr(RolesClient, method)) or ""
        if documented.splitlines()[0] not in shown:
            missing += 1
            print(f"{client}.{method}: no documentation: {shown!r}")
    print(f"{len(CLIENTS) * len(CALLS)} hovers asked for, {missing} without documentation")
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(main())
