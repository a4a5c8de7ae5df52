"""The commands of `python -m arize_roles_async`: what they print, and their exit statuses."""

import csv
import io
import json
import logging
import os
import re
import shlex
import sys
import threading
import tomllib
from importlib import import_module
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any, Final

import pytest

from arize_roles_async import __version__, as_code
from arize_roles_async.as_code.schema import FIELDS
from arize_roles_async.as_code.toml import quote
from tests.as_code.accounts import changes, contents
from tests.as_code.shell import DONE, FILE, KEY, MADE, NOTED, TEXT, Shell, ended, masked
from tests.support.processes import ROOT


def test_round(shell: Shell) -> None:
    """Check, plan, apply by checksum, plan again, export: to the state that was declared."""
    assert shell("check roles.toml") == (0, "declared: 3; absent: 1\n", "")
    assert shell("plan --exit-code --comment out roles.toml") == (1, NOTED, "")
    (checksum,) = re.findall(r"(?m)^  checksum (\S+)$", Path("out").read_text("utf-8"))
    said = f"{TEXT}{''.join(MADE)}", 'note: not declared: "Undeclared"\n'
    assert shell(f"apply --checksum {checksum} roles.toml") == (0, *said)
    assert {role.name for role in as_code.loads(shell("export")[1]).roles} == DONE


def test_scripts() -> None:
    """Both commands are installed by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(project["scripts"]) == {"arize-roles", "arize-roles-fake"}
    for target in project["scripts"].values():
        module, _, name = target.partition(":")
        assert callable(getattr(import_module(module), name))


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("destroy", "'destroy'"),
        ("apply --yes --checksum 0 roles.toml", "not allowed"),
        (f"plan --api-key {KEY[:3]} roles.toml", "--api-key"),
        ("plan --comment - --format json .", "--comment - prints Markdown alone: leave "),
        ("apply roles.toml", "apply can ask only on a terminal; pass --yes or --checksum"),
        ("apply --yes any.toml", "these files fit any account: add the anchor that "),
    ],
)
def test_refused(shell: Shell, monkeypatch: pytest.MonkeyPatch, command: str, error: str) -> None:
    """Whatever is wrong with a command is trouble before any request."""
    shell.write("any.toml", 'absent = ["D"]')
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)  # As where the output is a file.
    status, output, errors = shell(command)
    assert (status, output, shell.account.calls) == (2, "", ())
    assert error in errors


HELP, SIGNATURES = (
    (ROOT / f"tests/data/{name}.txt").read_text("utf-8") for name in ("help", "interface")
)
ARGUMENTS: Final = {*re.findall(r"(\w+_\w+)(?==)", SIGNATURES)} - FIELDS.keys()
"""The names of Python's arguments, but for what a file has, too."""
SOUGHT: Final = re.findall(r"\[(--\S+) NAME\] ?", HELP.partition("\narize-roles who ")[2])
WRONG: Final = [
    *(f"who {one} ''" for one in SOUGHT),
    *(f"who {one} Twice {two} Twice" for one, two in combinations_with_replacement(SOUGHT, 2)),
    *(f"apply --yes --max-removals {limit} roles.toml" for limit in "x0"),
    f"apply --checksum 1-{0:064} roles.toml",
    *("apply roles.toml", "apply --yes any.toml", "apply --yes roles.toml", "plan set.toml"),
]
PLACES: Final = {
    "API_KEY": " ,\xe9",
    "BASE_URL": "x,http://example.com,https://h/v2,https://u@h",
    "REGION": "x",
    "API_PORT": "x",
    "SINGLE_HOST": "one",
    "PROXY_URL": "x,http://p.example",
    "REQUEST_VERIFY": "x",
    "SSL_CA_CERT": "/none",
}
"""Values of variables with which no client can be made, or no request sent."""


def test_as_typed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every error names what is typed: options, commands and variables, no argument of Python."""
    for name in ("one", "two"):
        shell.account.add_space("Twice", organization=name)
        shell.account.add_project("Twice", space=name)
        shell.account.add_user("twice", id=name)
    shell.account.bind("D", user="ada", resource="Space:1")
    monkeypatch.setattr("random.uniform", min)  # no waits between attempts
    shell.write("any.toml", 'absent = ["D"]')
    shell.write("set.toml", '[sets]\na = ["ROLE_READ"]\nb = ["a"]')
    said = {command: shell(command) for command in WRONG}
    for variable, values in PLACES.items():
        for value in values.split(","):
            with monkeypatch.context() as patch:
                patch.delenv("ARIZE_BASE_URL")
                patch.setenv(f"ARIZE_{variable}", value.strip())
                said[f"{variable}={value}"] = shell("plan roles.toml")
    for command, (status, _, errors) in said.items():
        assert status > 1, command
        assert not re.search(rf"(?<!-)\b({'|'.join(ARGUMENTS)})\b|\w\.\w+\(", errors), command
        assert {*re.findall("--[a-z-]+", errors)} <= {*re.findall("--[a-z-]+", HELP)}
        for typed in re.findall("`arize-roles (.+?)`", errors):
            assert shell.status(typed) == 0


class TestProcesses:
    def test_head(self, shell: Shell) -> None:
        """A reader that leaves after the plan ends nothing in the middle of a change."""
        reader, writer = os.pipe()

        def read() -> None:
            os.read(reader, 1)
            os.close(reader)

        shell.account.acts = {2: read}
        with shell.running("apply --yes roles.toml", stdout=writer) as process:
            os.close(writer)
            status, _, errors = ended(process)
        assert status == 0
        assert errors.startswith("warning: the standard output cannot be written: [Errno 32] ")
        assert set(contents(shell.account)) == DONE

    def test_no_output(self, shell: Shell) -> None:
        """If nothing can be printed, a sentence says so, and nothing is changed."""
        status, _, errors = shell.script("apply --yes --format=json roles.toml >/dev/full")
        assert (status, errors.count("\n")) == (2, 1)
        assert errors.startswith("error: the standard output cannot be written: [Errno 28] ")
        assert changes(shell.account) == []

    def test_device(self, shell: Shell) -> None:
        """`/dev/stdout` is taken for `-`: what a redirect leads to keeps what it has."""
        shell.write("summary", "before\n")
        assert shell.script("plan --comment /dev/stdout roles.toml >> summary") == (0, "", "")
        summary = masked((shell.folder / "summary").read_text("utf-8"))
        assert summary.startswith("before\n```diff\n")
        assert summary.endswith("\n</details>\n")

    @pytest.mark.parametrize(("command", "status"), [("check", 0), ("plan --exit-code", 2)])
    def test_broken_library(self, shell: Shell, command: str, status: int) -> None:
        """A library that cannot be imported hinders only what needs it, and is no difference."""
        shell.write("aiohttp.py", "raise ImportError('Broken.')")
        shell.environment["PYTHONPATH"] = str(shell.folder)
        ended_with, _, errors = shell.script(f"{command} roles.toml")
        assert (ended_with, errors) == (status, "error: Broken.\n" if status else "")


class TestApply:
    def test_json(self, shell: Shell) -> None:
        """The result is all that is printed, with the kind of its error."""
        shell.account.bind("D", user="ada", resource="Space:1")
        _, output, errors = shell("apply --yes --format=json roles.toml")
        blocked = json.loads(output)
        assert output.startswith(' {"format_version": 2, ')
        assert [each["action"] for each in blocked["made"]] == ["update", "create"]
        assert '\n  delete "D" was not made: users still have the role: DELETE ' in errors
        refused = json.loads(shell("apply --yes --format=json --max-removals x roles.toml")[1])
        assert (refused["kind"], refused["made"]) == ("ValidationError", [])
        assert refused["reason"].startswith("--max-removals: must be a number, or a share ")
        assert refused.keys() == {*blocked, "errors"}

    def test_typed(self, shell: Shell) -> None:
        """An error names a command to type only with an ID, and never what others wrote."""
        for found in ("Um9sZTox", "$(reboot)", "`reboot`", "a b", "-x"):
            detail = f"role_bindings.find(role_id='{found}') shows"
            body = json.dumps({"title": "Conflict", "status": 409, "detail": detail})
            shell.account.fail("list", 409, body=body)
            errors = shell("plan roles.toml")[2]
            assert (f"`arize-roles who --role {found}` shows" in errors) == (found == "Um9sZTox")

    def test_max_removals(self, shell: Shell) -> None:
        """Too many removals are shown and refused; a number or a share allows them."""
        why = "1 of 4 custom roles would be deleted or lose permissions, and the limit is 0; "
        status, output, errors = shell("apply --yes --max-removals 0 roles.toml")
        assert (status, output, changes(shell.account)) == (2, "", [])
        assert errors.startswith(f"{TEXT}error: nothing was changed: {why}")
        assert errors.endswith(" or raise --max-removals\n")
        shell.write("any.toml", 'absent = ["D"]')
        assert shell.status("apply --yes --max-removals 25% --any-account any.toml") == 0

    def test_stale(self, shell: Shell) -> None:
        """A plan that is refused is shown on the standard error, with why."""
        shown = json.loads(shell(f"apply --checksum 3-{0:064} --format json roles.toml")[1])
        there = [shown[each] for each in ("kind", "checksum", "account", "host")]
        assert there == ["StalePlanError", "SUM", "staging", "HOST"]
        for version in ("3-", "1-", ""):
            other = f"another version than {__version__} made the expected checksum, so plan again"
            why = "the plan differs from the expected one" if version == "3-" else other
            why = f"error: nothing was changed: {why}; the plan's checksum is now SUM\n"
            said = shell(f"apply --checksum {version}{0:064} roles.toml")
            assert said == (2, "", f"{TEXT}{why}")


@pytest.mark.parametrize(
    ("command", "numbers", "text"),
    [
        ("apply --yes roles.toml", (2, 3), "waiting for 0 s: an answer"),
        ("apply --yes roles.toml", (3,), "\r\x1b[Kmade 0 of 3"),
        ("plan roles.toml", (2,), "\r\x1b[Kread pages: 1 of roles"),
        ("who", (2,), "\r\x1b[Kread pages: 1 of role bindings"),
    ],
)
def test_progress(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, command: str, numbers: tuple[int, ...], text: str
) -> None:
    """While an answer is late, a line shows why, or on a terminal, written over, how far it is."""
    stream, shown, is_terminal = io.StringIO(), threading.Semaphore(0), text[0] == "\r"

    def write(given: str) -> int:
        io.StringIO.write(stream, given)
        if text in given:
            shown.release()
        return len(given)

    monkeypatch.setattr(stream, "write", write)
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    for name, seconds in {"_PERIOD": 0.001, "_LONG": 60.0 * is_terminal}.items():
        monkeypatch.setattr(f"arize_roles_async.__main__.{name}", seconds)
    seen: list[bool] = []
    shell.account.acts = dict.fromkeys(numbers, lambda: seen.append(shown.acquire(timeout=30)))
    assert shell.status(command) == 0
    assert seen == [True] * len(numbers)
    logger = logging.getLogger("arize_roles_async")
    assert (logger.level, logger.handlers) == (logging.NOTSET, [])
    assert command != "who" or "\r\x1b[Knote: " in stream.getvalue()


class TestPlan:
    def test_comment(self, shell: Shell) -> None:
        """`-` prints the Markdown of a plan or an error, and nothing else."""
        status, output, errors = shell("plan --comment - roles.toml")
        ends = output.startswith("```diff\n  "), output.endswith("\n</details>\n")
        assert (status, ends, errors) == (0, (True, True), "")
        shell.account.fail("list", 403)
        status, output, _ = shell("plan --comment - roles.toml")
        assert (status, output[:16]) == (2, "```diff\n! error:")

    @pytest.mark.parametrize(
        "name",
        [
            'x ##[add-mask]" \\##vso[task.complete]',
            "##teamcity[setParameter name='env.LD_PRELOAD' value='x']",
            "x\n::error::\n```\x1b[2J",
            "```",
        ],
        ids=["Azure", "TeamCity", "GitHub and a terminal", "fence"],
    )
    def test_hostile(self, shell: Shell, name: str) -> None:
        """No output has a command or ends its fence, and what programs read is the name."""
        shell.account.add_role(name, ["ROLE_READ"])
        shell.account.bind(name, user=f"{name}@x", resource="Space:1")
        shell.account.add_space(name, id=(space := shell.account.id("Space:1")))
        shell.write("place.toml", f'[spaces."{space}"]\nabsent = ["y@x"]')
        shell.write(f"{name}.toml", "[roles.{0}]\npermissions = [{0}]".format(json.dumps(name)))
        files = ["roles.toml", bad := shlex.quote(f"{name}.toml"), "place.toml"]
        commands = [
            *(f"plan --comment out{n} {file}" for n, file in enumerate(files)),
            *(f"{each} {bad}" for each in ("check", "fmt", "plan --format json", "apply --yes")),
            *("plan --format json roles.toml", "plan --format json place.toml", "export", "who"),
            *("who --format json", "apply --any-account --yes place.toml"),
            f"who --role {shlex.quote(name + 'x')}",
        ]
        outputs = {each: [*shell(each)[1:]] for each in commands}
        comments = [Path(f"out{n}").read_text("utf-8") for n in range(3)]
        for text in [*comments, *(text for each in outputs.values() for text in each)]:
            assert text.replace("\n", "").isprintable()
            assert not re.search(r"##\w*\[|(?m:^\s*::)", text)
        assert [text.count("```") for text in comments] == [4, 2, 4]
        assert name in json.loads(outputs["plan --format json roles.toml"][0])["undeclared"]
        assert comments[2].count(quote(name)) > 1
        assert "`" in name or name in tomllib.loads(outputs["export"][0])["roles"]

    def test_export(self, shell: Shell) -> None:
        """An export is UTF-8; a role that no file may declare is named, with status 1."""
        shell.account.add_role("Ü", ["ROLE_READ"])
        shell.account.add_role("A", ["ROLE_READ"], description="日本")
        status, output, errors = shell("export")
        assert status == 1
        assert errors.startswith('warning: roles."Ü".name: left out: must not contain ')
        assert output.startswith('# "roles.\\"Ü\\".name: left out: ')
        role = '[roles."A"]\ndescription = "日本"\npermissions = [\n    "ROLE_READ",\n]\n'
        assert f"\n{role}\n" in output
        assert len(as_code.loads(output).roles) == 5

    def test_places(self, shell: Shell) -> None:
        """An account that was made by hand becomes a file whose plan is empty, and is applied."""
        shell.account.bind("Same", user="ada@example.com", resource="Space:ML")
        shell.write("all.toml", shell("export --anchor --bindings")[1])
        assert shell("check all.toml")[1] == "declared: 4; absent: 0; places: 1\n"
        assert shell.status("plan --exit-code all.toml") == 0


PAGE: Final = (ROOT / "arize_roles_async/guide/roles-as-code.md").read_text("utf-8")
STATUSES: Final = re.findall(r"(?m)^\| (\d) \| (.+) \| `(.+)` \|$", PAGE)


@pytest.mark.parametrize(
    ("command", "fault", "meaning"),
    [
        ("plan roles.toml", (), "success"),
        ("plan --exit-code roles.toml", (), "`plan --exit-code`: a change, "),
        ("plan --exit-code none.toml", (), ", or a role that is neither declared nor ignored"),
        ("export", (), "`export`: a role that breaks the rules of a file was left out"),
        ("fmt --check none.toml", (), "`fmt --check`: a file would change"),
        ("apply --yes roles.toml", ("list", 403), "an error, and no change was tried"),
        ("destroy", (), "also wrong arguments"),
        (
            "apply --yes --any-account gone.toml",
            ("delete", 400),
            "not all were made: some were ref",
        ),
        ("apply --yes roles.toml", ("create", 403), ", failed"),
        ("apply --yes roles.toml", ("update", 401), ", or were not reached"),
    ],
)
def test_table(shell: Shell, command: str, fault: Any, meaning: str) -> None:  # noqa: ANN401
    """The guide's table has every exit status, each with what it means."""
    shell.account.add_role("Ü", ["ROLE_READ"])
    shell.write("none.toml", 'absent = ["Z", "Y"]')
    shell.write("gone.toml", 'absent = ["D"]')
    if fault:
        shell.account.fail(*fault, times=None)
    assert [int(status) for status, text, _ in STATUSES if meaning in text] == [
        shell.status(command)
    ]
    assert [status for status, _, _ in STATUSES] == [*"0123"]


@pytest.mark.parametrize("status", range(4))
def test_examples(shell: Shell, status: int) -> None:
    """The guide's table has an example of the JSON of each exit status."""
    shown = json.loads(re.sub(r'(?<!["-])…', "", STATUSES[status][2]))
    if status == 2:
        shell.account.fail("list", 403)
    elif status == 3:
        shell.account.bind("D", user="ada", resource="Space:1")
    command = "plan --exit-code" if status == 1 else "apply --yes"
    ended_with, output, _ = shell(f"{command} --format json roles.toml")
    found = json.loads(output)
    assert (ended_with, found.get("kind")) == (status, shown.get("kind"))
    for name, value in shown.items():
        assert isinstance(found[name], type(value))
    assert [*map(set, shown.get("refused", ()))] == [*map(set, found.get("refused", ()))]


@pytest.mark.parametrize(
    ("command", "given", "ended_with"),
    [
        ("check", f"\ufeff{FILE}", (0, "declared: 3; absent: 1\n")),
        ("check", "[", (2, "")),
        ("fmt", 'absent = ["##[x]"]\n', (0, 'absent = [\n    "##[x]",\n]\n')),
        ("fmt", 'absent = [\n    "x",\n]\n', (0, 'absent = [\n    "x",\n]\n')),
        ("fmt --check", 'absent = ["##[x]"]\n', (1, "not formatted: -\n")),
    ],
)
def test_standard_input(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, command: str, given: str, ended_with: object
) -> None:
    """The file may be the standard input, also with a mark of its encoding."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
    assert shell(f"{command} -")[:2] == ended_with


class TestWho:
    @pytest.fixture
    def bound(self, shell: Shell) -> Shell:
        """Return a shell on an account with five role bindings, which are in no order."""
        shell.account.add_role("Data Analyst")
        shell.account.bind("Data Analyst", user="eve@example.com", resource="Space:ML")
        for place in ("Space:Ops", "Project:Ops/churn", "Space:ML", "Project:ML/zoo"):
            shell.account.bind("Same", user="ada@example.com", resource=place)
        return shell

    def test_text(self, bound: Shell) -> None:
        """It prints a line for each role binding that matches, in columns, by place and user."""
        lines = {
            "": (
                "ada@example.com  Same          space 'ML'\n"
                "eve@example.com  Data Analyst  space 'ML'\n"
                "ada@example.com  Same          space 'Ops'\n"
                "ada@example.com  Same          project 'zoo' in space 'ML'\n"
                "ada@example.com  Same          project 'churn' in space 'Ops'\n"
            ),
            "--role Same --space ML": "ada@example.com  Same  space 'ML'\n",
            "--project churn --in-space Ops": (
                "ada@example.com  Same  project 'churn' in space 'Ops'\n"
            ),
            "--project churn --user eve@example.com": "\n",
        }
        for options, shown in lines.items():
            none = "; it sees none without ROLE_BINDING_READ" if shown == "\n" else ""
            left = f"; those that the key may not see are left out{none}\n"
            note = f"note: {shown.count('@')} role binding{'s' * (shown.count('@') != 1)}{left}"
            assert bound(f"who {options}") == (0, shown, note)

    @pytest.mark.parametrize(
        ("name", "field"),
        [
            *(
                (name, name)
                for name in (
                    *("a\xa0b", "\U0001f469\u200d\U0001f467", "a##[b", "##teamcity[c", "::d"),
                    *('"', "a\r\nb", "a\nb", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u202ea"),
                    *("\0", "\\u0041", " ", "d\u200b", "a, b - c = d; e"),
                )
            ),
            *((name, f"'{name}") for name in ("=1", "+1", "-1", "@SUM(A1)", " =1", "\uff1d1")),
            *(("x;=1", "x;'=1"), ("=1; =1", "'=1;' =1")),
        ],
        ids=ascii,
    )
    def test_data(
        self, bound: Shell, monkeypatch: pytest.MonkeyPatch, name: str, field: str
    ) -> None:
        """JSON and CSV have the name, with an apostrophe before what a spreadsheet would run."""
        monkeypatch.setattr(sys, "stderr", None)  # As after `2>&-`.
        bound.account.add_space(name, id=bound.account.id("Space:ML"))
        command = "who --role 'Data Analyst' --format"
        (found,) = json.loads(bound(f"{command} json")[1])["role_bindings"]
        (row,) = csv.DictReader(io.StringIO(bound(f"{command} csv")[1], newline=""))
        assert found["resource"] == name
        assert row == {**dict.fromkeys(row, ""), **found, "resource": field}
        heading = "id,role_id,user_id,resource_type,resource_id,created_at,updated_at,"
        assert ",".join(row) == f"{heading}user,role,resource,in_space"
