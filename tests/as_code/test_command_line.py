"""The commands of `python -m arize_roles_async`: what they print, and their exit statuses."""

import io
import json
import os
import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from arize_roles_async import __version__, as_code
from arize_roles_async.__main__ import main
from tests.as_code.accounts import changes, contents
from tests.as_code.shell import COMMAND, FILE, KEY, NOTED, TEXT, Shell, masked
from tests.support.processes import MEASURED, ROOT, ran

UNWRITTEN: Final = "the standard output cannot be written: "
DONE: Final = {"B", "New", "Same", "Undeclared"}
"""The roles that the account has after a whole run."""


class TestRound:
    def test_round(self, shell: Shell) -> None:
        """Check, plan, apply by checksum, plan again, export: to the state that was declared."""
        assert shell("check roles.toml") == (0, "declared: 3; absent: 1\n", "")
        assert shell("plan --exit-code roles.toml") == (1, NOTED, "")
        main(["plan", "--comment", "out", "roles.toml"])
        (checksum,) = re.findall(r"(?m)^  checksum (\S+)$", Path("out").read_text("utf-8"))
        assert shell(f"apply --checksum {checksum} roles.toml")[1].endswith(
            f'{TEXT}  made: update "B old" -> "B"\n  made: delete "D"\n  made: create "New"\n'
        )
        shell.write("others.toml", 'ignored = ["Undeclared"]')
        assert shell.status("plan --exit-code roles.toml others.toml") == 0
        status, exported, _ = shell("export")
        assert status == 0
        assert {role.name for role in as_code.loads(exported).roles} == DONE
        assert set(contents(shell.account)) == DONE

    @pytest.mark.parametrize(
        ("command", "error"),
        [
            ("", "are required: command"),
            ("destroy", "'destroy'"),
            ("apply", "are required: file"),
            ("apply --yes --checksum 0 roles.toml", "not allowed"),
            (f"plan --api-key {KEY[:3]} roles.toml", "--api-key"),
            ("plan --format html roles.toml", "'html'"),
            ("plan --comment - --format json .", "--comment - prints Markdown alone: leave "),
            ("export --anchor Um9sZTpB", "unrecognized arguments: Um9sZTpB"),
        ],
    )
    def test_usage(self, shell: Shell, command: str, error: str) -> None:
        """Bad usage is trouble too."""
        status, output, errors = shell(command)
        assert (status, output) == (2, "")
        assert "arize-roles" in errors.splitlines()[0]
        assert error in errors
        assert shell.account.calls == ()

    def test_any_account(self, shell: Shell) -> None:
        """Files that fit any account are applied without a look only if that is said."""
        shell.write("any.toml", 'absent = ["D"]')
        refusal = "these files fit any account: add account or anchor to one, or pass --any-account"
        assert shell("apply --yes any.toml") == (2, "", f"error: {refusal}\n")
        assert shell.account.calls == ()
        status, output, _ = shell("apply --yes --any-account any.toml")
        assert status == 0
        assert output.startswith("  for any account, since no file has account or anchor\n")

    def test_old_variable(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        """A limit in the variable of 0.4 is not passed over."""
        monkeypatch.setenv("ARIZE_ROLES_MAX_REMOVALS", "0")
        old = "ARIZE_ROLES_MAX_REMOVALS limits nothing any more: unset it, pass --max-removals"
        assert shell("apply --yes roles.toml") == (2, "", f"error: {old}\n")
        assert shell.account.calls == ()

    def test_no_key(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a key nothing is sent."""
        monkeypatch.delenv("ARIZE_API_KEY")
        assert shell("plan roles.toml") == (2, "", "error: no API key: set ARIZE_API_KEY\n")

    def test_version(self, shell: Shell) -> None:
        """The version is the package's."""
        assert shell("--version") == (0, f"{__version__}\n", "")

    def test_scripts(self) -> None:
        """Both commands are installed by name."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        assert set(project["scripts"]) == {"arize-roles", "arize-roles-fake"}
        for target in project["scripts"].values():
            module, _, name = target.partition(":")
            assert callable(getattr(import_module(module), name))


class TestProcesses:
    """The command as a process of its own."""

    def test_head(self, shell: Shell) -> None:
        """A reader that leaves after the plan ends nothing in the middle of a change."""
        reader, writer = os.pipe()

        def read() -> None:
            os.read(reader, 1)
            os.close(reader)

        shell.account.acts = {2: read}
        with shell.running("apply --yes roles.toml", shell.environment, stdout=writer) as process:
            os.close(writer)
            status, _, errors = shell.ended(process)
        assert status == 0
        assert errors.startswith(f"warning: {UNWRITTEN}[Errno 32] ")
        assert set(contents(shell.account)) == DONE

    @pytest.mark.parametrize(
        ("command", "error"),
        [
            ("apply --yes --format=json roles.toml >/dev/full", f"error: {UNWRITTEN}[Errno 28] "),
            ("apply --yes roles.toml >&-", "error: the standard output is closed\n"),
            ("apply --yes --format=json roles.toml <&- >/dev/full 2>&-", ""),
        ],
        ids=["json", "closed", "all-closed"],
    )
    def test_no_output(self, shell: Shell, command: str, error: str) -> None:
        """If nothing can be printed, a sentence says so, and nothing is changed."""
        script = f'exec "$0" -m arize_roles_async {command}'
        done = ran("/bin/sh", "-c", script, COMMAND[0], env=shell.environment | MEASURED)
        assert (done.returncode, done.stderr[: len(error)]) == (2, error)
        assert len(done.stderr.splitlines()) == bool(error)
        assert changes(shell.account) == []

    def test_unwritten(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        """Changes that were made and could not be printed are named at the end, on stderr."""

        class Output(io.BytesIO):
            def write(self, data: Any) -> int:  # noqa: ANN401
                if b"made: " in data:
                    raise OSError("No.")
                return super().write(data)

        shell.account.fail("create", 403)
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Output()))
        status, _, errors = shell("apply --yes roles.toml")
        assert status == 3
        assert errors.splitlines()[-4:] == [
            *("made: 2 of 3", '  made: update "B old" -> "B"', '  made: delete "D"'),
            "not reached: 0",
        ]


class TestApply:
    @pytest.mark.parametrize(
        ("failure", "status", "outcome", "kind"),
        [
            (401, 2, "was not", "AuthenticationError"),
            (500, 3, "may have been", "OutcomeUnknownError"),
        ],
    )
    def test_first_fails(
        self, shell: Shell, failure: Literal[401, 500], status: int, outcome: str, kind: str
    ) -> None:
        """Only if the first change fails for certain, nothing was changed."""
        shell.account.fail("update", failure)
        ended, output, errors = shell("apply --yes --format=json roles.toml")
        assert (ended, json.loads(output)["kind"]) == (status, kind)
        assert errors.startswith(f'error: update "B old" -> "B" {outcome} made: ')

    def test_blocked(self, shell: Shell) -> None:
        """A delete that users block stops nothing else; alone, it leaves nothing changed."""
        shell.account.bind("D", user="ada", resource="Space:1")
        status, _, errors = shell("apply --yes roles.toml")
        assert status == 3
        assert errors.startswith('error: delete "D" was not made: users still have the role: DEL')
        advice = "  for who has it: arize-roles who --role=D"
        assert errors.endswith(f"\n{advice}\nmade: 2 of 3\nnot reached: 0\n")
        shell.write("absent.toml", 'absent = ["D"]')
        assert shell.status("apply --yes absent.toml") == 2

    def test_json(self, shell: Shell) -> None:
        """The result is all that is printed, with the kind of its error."""
        shell.account.bind("D", user="ada", resource="Space:1")
        status, output, _ = shell("apply --yes --format=json roles.toml")
        assert output.startswith(' {"format_version": 2, ')
        blocked = json.loads(output)
        assert (status, blocked["kind"], blocked["account"]) == (3, "ApplyError", "staging")
        assert [each["action"] for each in blocked["made"]] == ["update", "create"]
        assert [blocked["failed"], blocked["not_reached"]] == [None, []]
        status, output, _ = shell("apply --yes --format=json --max-removals x roles.toml")
        refused = json.loads(output)
        assert (status, refused["kind"]) == (2, "ValidationError")
        assert [refused["made"], refused["may_have_been_made"]] == [[], False]
        assert refused["reason"].startswith("max_removals: must be a number, or a share ")
        assert refused.keys() == {*blocked, "errors"}

    def test_max_removals(self, shell: Shell) -> None:
        """Too many removals are shown and refused."""
        assert shell("apply --yes --max-removals 0 roles.toml") == (
            2,
            "",
            (
                'delete "D"\n'
                "error: nothing was changed: 1 of 4 custom roles would be deleted or lose "
                "permissions, and the limit is 0; expect a reviewed plan, or raise max_removals "
                "(--checksum, --max-removals)\n"
            ),
        )
        assert changes(shell.account) == []
        assert shell.status("apply --yes --max-removals 25% roles.toml") == 0

    def test_stale(self, shell: Shell) -> None:
        """A plan that is refused is shown on the standard error."""
        command = f"apply --checksum 3-{0:064} roles.toml"
        shown = json.loads(shell(f"{command} --format json")[1])
        there = [shown[each] for each in ("kind", "checksum", "account", "host")]
        assert there == ["StalePlanError", "SUM", "staging", "HOST"]
        why = "the plan differs from the expected one; the plan's checksum is now SUM"
        assert shell(command) == (2, "", f"{TEXT}error: nothing was changed: {why}\n")


class TestPlan:
    @pytest.mark.parametrize("command", ["plan --format json", "apply --yes --format=json"])
    def test_json_error(self, shell: Shell, command: str) -> None:
        """JSON has an error that changed nothing, with its kind."""
        shell.account.fail("list", 403)
        status, output, errors = shell(f"{command} roles.toml")
        shown = json.loads(output)
        assert (status, shown["kind"]) == (2, "ForbiddenError")
        assert errors == f"error: {shown['errors'][0]}\n"

    def test_long_comment(self, shell: Shell) -> None:
        """Of very many errors a comment has as many as fit, and the number of the others."""
        names = [f"Role \u00fc {n} {'x' * 200}" for n in range(600)]
        shell.write("a.toml", "".join(f'[roles."{each}"]\n' for each in names))
        assert shell.status("plan --comment out.md a.toml") == 2
        comment = Path("out.md").read_text("utf-8")
        assert 60_000 < len(comment) <= 65_000
        left_out = 1_200 - comment.count("! error: ")
        assert comment.splitlines()[1] == f"  shortened: {left_out} of 1200 lines are left out"

    def test_comment(self, shell: Shell) -> None:
        """`-` prints the Markdown of a plan or an error, and nothing else."""
        status, output, errors = shell("plan --comment - roles.toml")
        assert (status, errors) == (0, "")
        assert output.startswith('```diff\n  account "staging" at HOST\n! update "B old"')
        assert output.endswith("\n```\n\n</details>\n")
        shell.account.fail("list", 403)
        status, output, _ = shell("plan --comment - roles.toml")
        assert (status, output[:16]) == (2, "```diff\n! error:")

    @pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs /dev/stdout")
    def test_device(self, shell: Shell) -> None:
        """`/dev/stdout` is no file: what a redirect leads to keeps what it has."""
        shell.write("summary", "before\n")
        script = 'exec "$0" -m arize_roles_async plan --comment /dev/stdout roles.toml >> summary'
        environment = shell.environment | MEASURED
        done = ran("/bin/sh", "-c", script, COMMAND[0], env=environment, cwd=shell.folder)
        assert done.returncode == 0
        summary = masked((shell.folder / "summary").read_text("utf-8"))
        assert summary.startswith("before\n```diff\n")
        assert summary.endswith(NOTED)

    def test_github(self, shell: Shell) -> None:
        """For GitHub, notes and what does not fit are annotations at their lines."""
        shell.account.add_role("Reader", ["ROLE_READ"])
        shell.write("a.toml", '\n[roles."reader"]\npermissions = ["ROLE_READ"]')
        status, output, _ = shell("plan --format github a.toml")
        start = '::notice file=a.toml,line=2::a.toml:2: roles."reader": looks like "Reader"; '
        assert (status, output.splitlines()[-1][: len(start)]) == (0, start)
        shell.write("a.toml", '\nabsent = [\n    "B",\n    "Admin",\n]')
        status, output, _ = shell("plan --format github a.toml")
        assert status == 2
        assert output.startswith('::error file=a.toml,line=4::a.toml:4: absent."Admin": ')
        shell.account.fail("list", 403)  # An error without a place.
        assert shell("plan --format github a.toml")[1].startswith("::error::GET /v2/roles ")

    def test_runner(self, shell: Shell) -> None:
        """A runner finds no command of its own in any output, and the names read back the same."""
        hostile = 'x ##[add-mask]" \\##vso[task.complete]'
        broken = r'? "x #\u0023[add-mask]\" \\#\u0023vso[task.complete]" is not declared'
        shell.account.add_role(hostile, ["ROLE_READ"])
        assert f"\n{broken}\n" in shell("plan --comment out roles.toml")[1]
        assert f"\n{broken}\n" in Path("out").read_text("utf-8")
        shown, exported = shell("plan --format json roles.toml")[1], shell("export")[1]
        assert "##[" not in shown + exported
        assert hostile in json.loads(shown)["undeclared"]
        assert hostile in tomllib.loads(exported)["roles"]
        shell.write("a.toml", "[roles]\n'x ##[group]' = {permissions = ['a ##vso[b]']}")
        errors = shell("plan a.toml")[2]
        assert r"#\u0023[group]" in errors
        assert r"#\u0023vso[b]" in errors
        assert "##" not in errors

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

    def test_unforeseen(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever goes wrong, no end is taken for differences."""

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError

        monkeypatch.setattr(as_code, "plan", fail)
        assert shell("plan --exit-code roles.toml") == (2, "", "error: RuntimeError\n")


class TestCheck:
    @pytest.mark.parametrize(
        ("command", "ended"), [("check", 0), ("fmt", 0), ("plan --exit-code", 2)]
    )
    def test_broken_library(self, shell: Shell, command: str, ended: int) -> None:
        """A library that cannot be imported hinders only what needs it, and is no difference."""
        shell.write("aiohttp.py", "raise ImportError('Broken.')")
        broken = shell.environment | MEASURED | {"PYTHONPATH": str(shell.folder)}
        with shell.running(f"{command} roles.toml", broken) as process:
            status, _, errors = shell.ended(process)
        assert (status, errors) == (ended, "error: Broken.\n" if ended else "")

    @pytest.mark.parametrize(
        ("given", "status"),
        [(b"\xef\xbb\xbf" + FILE.encode(), 0), (b"\xff", 2), (b"[", 2), (None, 2)],
    )
    def test_standard_input(
        self, shell: Shell, monkeypatch: pytest.MonkeyPatch, given: bytes | None, status: int
    ) -> None:
        """The file may be the standard input."""
        stdin = None if given is None else io.TextIOWrapper(io.BytesIO(given))
        monkeypatch.setattr(sys, "stdin", stdin)
        assert shell.status("check -") == status

    def test_refuses(self, shell: Shell) -> None:
        """Every violation is on its own line, with its place and its path."""
        shell.write("a.toml", '[roles.A]\n[roles."B\\u001b[31m"]\npermissions = []')
        status, output, errors = shell("check a.toml")
        assert (status, output) == (2, "")
        assert [line.split(": must")[0] for line in errors.splitlines()] == [
            'error: a.toml:1: roles."A".permissions',
            'error: a.toml:2: roles."B\\u001b[31m".name',
            'error: a.toml:3: roles."B\\u001b[31m".permissions',
        ]

    def test_github(self, shell: Shell) -> None:
        """For GitHub, each error and note is an annotation at its line, too."""
        name = "50%:a,b.toml"
        shell.write(name, '[sets]\nall = ["ROLE_READ"]\n[roles."::50%"]\npermissions = []')
        rule = 'roles."::50%25".permissions: must hold at least one permission'
        place = "file=50%25%3Aa%2Cb.toml,line="
        assert shell(f"check --format github {name}") == (
            2,
            f"::error {place}4::50%25:a,b.toml:4: {rule}\n",
            f"error: {name}:4: {rule.replace('%25', '%')}\n",
        )
        shell.write(name, '[sets]\nall = ["ROLE_READ"]')
        status, output, _ = shell(f"check --format github {name}")
        assert status == 0
        assert output.startswith(f"::notice {place}2::")
        assert output.endswith("\ndeclared: 0; absent: 0\n")
