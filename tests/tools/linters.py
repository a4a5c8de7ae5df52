"""Linters of what the type checkers and ruff do not see: each is a command.

    python -m tests.tools.linters [typed_guide | hovers | workflow | audit]

- `typed_guide` has mypy and pyright check the pages of the guides, as a reader pastes them.
- `hovers` asks pyright's language server what an editor shows for the methods of both clients; the
  first line of the protocol's documentation has to be there.
- `workflow` has zizmor look for weaknesses in the workflows of the page on roles as code, offline.
- `audit` has pip-audit look for known vulnerabilities in the packages of this environment. It only
  says so where the data cannot be reached.

Without a name it runs them all. It exits with 1 if one finds a fault.
"""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from arize_roles_async import RolesClient
from tests.support.documentation import ROOT, pages

CALLS: Final = {
    "create": 'create(name="A", permissions=[])',
    "list": "list()",
    "get": 'get(role="A")',
    "update": 'update(role="A")',
    "delete": 'delete(role="A")',
}
IMPORTS: Final = (
    "from arize_roles_async import AiohttpRolesClient",
    "from arize_roles_fake import FakeRolesClient",
)


def run(*command: object, capture: bool = False) -> subprocess.CompletedProcess[bytes]:
    """Run a command of this environment."""
    program, *arguments = map(str, command)
    path = str(Path(sys.executable).with_name(program))
    return subprocess.run([path, *arguments], check=False, capture_output=capture)  # noqa: S603 - our own


def typed_guide() -> bool:
    """Return whether both checkers pass the pages."""
    with TemporaryDirectory() as folder:
        for title, page in pages().items():
            path = Path(folder, re.sub(r"\W", "_", title)).with_suffix(".py")
            path.write_text("# pyright: strict\n" + page, "utf-8")
        mypy = run("mypy", "--strict", "--config-file=", "--cache-dir=/dev/null", folder)
        pyright = run("pyright", "--pythonpath", sys.executable, folder)
    return mypy.returncode == pyright.returncode == 0


def hovers() -> bool:
    """Return whether every hover shows the protocol's documentation."""
    lines, asked = [*IMPORTS], list[tuple[int, str, str]]()
    for each in IMPORTS:
        client = each.rpartition(" ")[2]
        lines.append(f"roles = {client}()")
        for method, call in CALLS.items():
            asked.append((len(lines), client, method))
            lines.append(f"roles.{call}")
    file = (ROOT / "hover.py").as_uri()
    hover = {"hover": {"contentFormat": ["plaintext"]}}
    opened = {"uri": file, "languageId": "python", "version": 1, "text": "\n".join(lines)}
    folder = {"uri": ROOT.as_uri(), "name": "project"}
    command = [str(Path(sys.executable).with_name("pyright-langserver")), "--stdio"]
    missing = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:  # noqa: S603 - our own
        ask(server, "initialize", capabilities={"textDocument": hover}, workspaceFolders=[folder])
        notify(server, "initialized")
        notify(server, "textDocument/didOpen", textDocument=opened)
        for line, client, method in asked:
            position = {"line": line, "character": len("roles.")}
            at = {"textDocument": {"uri": file}, "position": position}
            shown = json.dumps(ask(server, "textDocument/hover", **at))
            if str(inspect.getdoc(getattr(RolesClient, method))).splitlines()[0] not in shown:
                missing += 1
                print(f"{client}.{method}: no documentation: {shown}")
        ask(server, "shutdown")
        notify(server, "exit")
    print(f"{len(asked)} hovers asked for, {missing} without documentation")
    return not missing


def ask(server: subprocess.Popen[bytes], method: str, **params: object) -> object:
    """Return the result of a request to a language server."""
    assert server.stdout is not None
    notify(server, method, id=method, **params)
    while True:
        length = int(server.stdout.readline().partition(b":")[2])
        while server.stdout.readline().strip():
            pass
        message = json.loads(server.stdout.read(length))
        if "method" not in message:  # It answers one request at a time.
            return message["result"]


def notify(server: subprocess.Popen[bytes], method: str, id: str = "", **params: object) -> None:
    """Send a message, with an ID if it is a request."""
    assert server.stdin is not None
    message = {"jsonrpc": "2.0", "method": method, "params": params} | ({"id": id} if id else {})
    body = json.dumps(message).encode()
    server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    server.stdin.flush()


def workflow() -> bool:
    """Return whether zizmor finds nothing."""
    page = (ROOT / "arize_roles_async/guide/roles-as-code.md").read_text("utf-8")
    with TemporaryDirectory() as folder:
        for number, text in enumerate(re.findall(r"(?ms)^```yaml\n(.*?)^```$", page)):
            if "\njobs:" in text:
                Path(folder, f"{number}.yml").write_text(text, "utf-8")
        return not run("zizmor", "--offline", "--no-progress", *Path(folder).iterdir()).returncode


def audit() -> bool:
    """Return whether pip-audit finds nothing, or cannot look."""
    ran = run("pip-audit", "--progress-spinner", "off", "--format", "json", capture=True)
    try:
        packages: list[dict[str, Any]] = json.loads(ran.stdout)["dependencies"]
    except ValueError:
        print(f"no audit: its data cannot be reached: {ran.stderr.decode().splitlines()[-1:]}")
        return True
    audited = [each for each in packages if "vulns" in each]
    found = [f"{each['name']}: {flaw['id']}" for each in audited for flaw in each["vulns"]]
    print(f"{len(audited)} of {len(packages)} packages were audited", *found, sep="\n")
    return not found


LINTERS: Final = {each.__name__: each for each in (typed_guide, hovers, workflow, audit)}


if __name__ == "__main__":
    passed = [LINTERS[name]() for name in sys.argv[1:] or LINTERS]
    sys.exit(not all(passed))
