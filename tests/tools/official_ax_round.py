"""Arize's command line, `ax`, with role bindings and names, on the server in the environment.

A script for an interpreter that has `ax`, which takes seconds to start, so that one process runs
every command. Its arguments are the IDs of two roles; it prints `passed` at its end.

`ax profiles create --single-host … --single-port …` makes a profile with the scheme https, which no
option changes, and a command then waits for a TLS handshake. Only a file sets the scheme.
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

PROFILE = """
[auth]
api_key = "{ARIZE_API_KEY}"
[routing]
single_host = "{ARIZE_API_HOST}"
single_port = "{ARIZE_API_PORT}"
api_scheme = "{ARIZE_API_SCHEME}"
[output]
format = "json"
[update]
enabled = false
"""

app: Any = import_module("ax.cli").app
runner: Any = import_module("typer.testing").CliRunner()


def run(*arguments: str) -> Any:  # noqa: ANN401 - JSON
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout or "null")


def refused(status: int, *arguments: str) -> None:
    done = runner.invoke(app, arguments)
    assert done.exit_code != 0
    assert f"Error: {status} " in done.output, done.output


def main(first: str, second: str) -> None:
    file = Path.home() / "served.toml"
    file.write_text(PROFILE.format_map(os.environ), "utf-8")
    assert runner.invoke(app, ["profiles", "create", "served", "--from-file", str(file)])
    create = (
        *("role-bindings", "create", "--user-id", "VXNlcjphZGE="),  # User:ada
        *("--resource-type", "SPACE", "--resource-id", "U3BhY2U6MQ==", "--role-id"),  # Space:1
    )
    made = run(*create, first)
    assert (made["user_id"], made["role_id"]) == ("VXNlcjphZGE=", first)
    refused(409, *create, second)
    listed = run("role-bindings", "list", "--resource-type", "SPACE", "--user-id", "VXNlcjphZGE=")
    assert listed["role_bindings"] == [made]
    assert run("role-bindings", "get", made["id"]) == made
    assert run("role-bindings", "update", made["id"], "--role-id", second)["role_id"] == second
    runner.invoke(app, ["role-bindings", "delete", made["id"], "--force"])
    refused(404, "role-bindings", "get", made["id"])
    users = run("users", "list", "--email", "EVE", "--status", "INVITED")["users"]
    assert [user["email"] for user in users] == ["eve@example.com"]
    space = run("spaces", "get", "ML")
    assert space in run("spaces", "list")["spaces"]
    project = run("projects", "get", "churn", "--space", "ML")
    assert run("projects", "list", "--space", space["id"])["projects"] == [project]
    print("passed")


if __name__ == "__main__":
    main(*sys.argv[1:])
