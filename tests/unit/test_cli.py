import argparse
import errno
import importlib
import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from hangar import cli, console, paths
from hangar.errors import ConfigError, HangarError, Problem, PromiseBroken

COMMANDS = paths.REPO / "hangar" / "commands"


class Verb:
    """A verb that does what it is told and remembers what it was given."""

    def __init__(self, does: Any = 0) -> None:
        self.does = does
        self.args = argparse.Namespace()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--own", action="store_true")

    def run(self, args: argparse.Namespace) -> int:
        self.args = args
        if isinstance(self.does, BaseException):
            raise self.does
        return int(self.does)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `up` as a stand-in; returns the exit code."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def run(does: Any, *words: str) -> int:
        verb = Verb(does)
        module = types.SimpleNamespace(add_arguments=verb.add_arguments, run=verb.run)
        monkeypatch.setitem(sys.modules, "hangar.commands.up", module)  # type: ignore[arg-type]
        code = cli.main(["up", *words])
        run.args = verb.args  # type: ignore[attr-defined]
        console.configure()
        return code

    return run


def test_every_verb_is_a_module_and_every_module_a_verb() -> None:
    modules = {path.stem.replace("_", "-") for path in COMMANDS.glob("[a-z]*.py")}
    assert modules == set(cli.VERBS)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_of_its_own(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main([verb, "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: provision.py {verb}")
    for option in ("--set PATH=VALUE", "--json", "--yes", "--verbose"):
        assert option in text


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"]):
        with pytest.raises(SystemExit) as done:
            cli.main(words)
        assert done.value.code == 0
        text = capsys.readouterr().out
        assert [verb for verb in cli.VERBS if f"  {verb} " not in text] == []


def test_an_unknown_verb_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(["upp"])
    assert done.value.code == 2
    assert 'there is no verb "upp"; did you mean up?' in capsys.readouterr().err


def test_the_environment_is_local_unless_named(call: Any) -> None:
    assert call(0) == 0
    assert (call.args.environment, call.args.overrides, call.args.rest) == ("local", [], [])
    assert call(0, "sandbox", "--set", "a=1", "--set", "b=2", "--own") == 0
    assert (call.args.environment, call.args.overrides, call.args.own) == ("sandbox", ["a=1", "b=2"], True)


def test_options_may_stand_before_the_verb(monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    call(0)
    assert cli.main(["--yes", "up", "sandbox"]) == 0


def test_the_value_of_an_option_before_the_verb_is_no_verb(
    call: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    call(0)
    assert cli.main(["--set", "airflow.port=8081", "up"]) == 0
    with pytest.raises(SystemExit):
        cli.main(["--set", "airflow.port=8081", "upp", "--", "up"])
    assert 'there is no verb "upp"' in capsys.readouterr().err


def test_what_follows_two_dashes_is_left_alone(call: Any) -> None:
    call(0, "sandbox", "--", "ls", "--yes", "--", "x")
    assert (call.args.environment, call.args.yes, call.args.rest) == (
        "sandbox",
        False,
        ["ls", "--yes", "--", "x"],
    )


@pytest.mark.parametrize(
    ("verb", "line", "words", "environment"),
    [
        ("people", "expire ada --expires 2027-03-31 sandbox", ["expire", "ada", "sandbox"], "local"),
        ("people", "remove ada --yes sandbox", ["remove", "ada", "sandbox"], "local"),
        ("people", "--json list sandbox", ["list", "sandbox"], "local"),
        ("people", "", [], "local"),
    ],
)
def test_options_may_stand_between_the_words(
    verb: str, line: str, words: list[str], environment: str
) -> None:
    command: Any = importlib.import_module(f"hangar.commands.{verb}")
    args = cli.parse(verb, command, line.split())
    assert (args.words, args.environment) == (words, environment)


def test_a_word_too_many_is_refused(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        call(0, "sandbox", "--own", "production")
    assert done.value.code == 2
    assert "unrecognized arguments: production" in capsys.readouterr().err


def test_options_are_not_abbreviated(call: Any) -> None:
    with pytest.raises(SystemExit):
        call(0, "--verb")


def test_an_error_is_shown_once_with_its_cure(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(HangarError("It broke.", "* first\n* second", "Mend it: mend")) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "error: It broke.\n  * first\n  * second\nMend it: mend\n"


def test_a_traceback_comes_on_demand_only(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    call(HangarError("It broke."), "--verbose")
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("platform.yml", [Problem("a", "is wrong")]), 2),
        (PromiseBroken("A promise does not hold."), 3),
        (HangarError("No."), 1),
        (KeyboardInterrupt(), 130),
        (ValueError("unforeseen"), 1),
    ],
)
def test_errors_become_exit_codes(call: Any, error: BaseException, code: int) -> None:
    assert call(error) == code


def test_an_interruption_is_one_line(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    call(KeyboardInterrupt())
    assert capsys.readouterr().err == "interrupted; the same command goes on from here.\n"


def test_what_nobody_foresaw_is_called_a_defect(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    call(ValueError("unforeseen"))
    assert capsys.readouterr().err == (
        "error: ValueError: unforeseen\nThis is a defect in Hangar; --verbose shows where.\n"
    )


def test_a_program_reads_errors_as_data(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    call(ConfigError("platform.yml", [Problem("airflow.port", "is wrong")], "Mend it."), "--json")
    assert json.loads(capsys.readouterr().out) == {
        "error": {
            "brief": "platform.yml has a problem; nothing was touched.",
            "details": "airflow.port: is wrong",
            "resolution": "Mend it.",
            "problems": [{"path": "airflow.port", "message": "is wrong"}],
        }
    }


UNREAD = """
import sys, types
from hangar import cli, console
def work():
    with console.Progress() as progress, progress.stage("Machine"):
        progress.step("start")
    print("finished", file=sys.stderr)
    console.say("done")
    return 0
def listing():
    for number in range(5):
        console.say(str(number))
    print("finished", file=sys.stderr)
    return 0
does = {"work": work, "listing": listing}[sys.argv.pop(1)]
sys.modules["hangar.commands.up"] = types.SimpleNamespace(add_arguments=lambda parser: None, run=lambda args: does())
sys.exit(cli.main(["up", *sys.argv[1:]]))
"""


def unread(*words: str) -> "subprocess.CompletedProcess[str]":
    """A call whose reader has gone before it begins: `provision.py … | true`."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, "-c", UNREAD, *words],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            cwd=paths.REPO,
        )
    finally:
        os.close(writer)


def test_work_is_finished_when_its_reader_goes_away() -> None:
    done = unread("work")
    assert (done.returncode, done.stderr) == (0, "finished\n")


def test_a_listing_ends_when_its_reader_goes_away_and_is_not_called_done() -> None:
    done = unread("listing")
    assert (done.returncode, done.stderr) == (141, "")


def test_a_pipe_of_anything_else_is_no_reader_of_ours(call: Any) -> None:
    assert call(BrokenPipeError()) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/nas/x"),
            "error: There is no room left on the disk.\n  * /nas/x: No space left on device\n"
            "See how full it is: df -h /\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "error: There is no room left on the disk.\n  * REPO: No space left on device\n"
            "See how full it is: df -h REPO\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "REPO/.hangar/local/lock"),
            "error: A file on this computer cannot be used.\n  * REPO/.hangar/local/lock: Permission denied\n"
            "Look at it: ls -ld REPO\nMake it yours again: sudo chown -R UID REPO/.hangar\n",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "REPO/.hangar/local"),
            "error: A file on this computer cannot be used.\n  * REPO/.hangar/local: Read-only file system\n"
            "Look at it: ls -ld REPO\n",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "/nowhere/key"),
            "error: A file on this computer cannot be used.\n  * /nowhere/key: No such file or directory\n"
            "Look at it: ls -ld /\n",
        ),
    ],
)
def test_what_the_system_refuses_is_no_defect_and_has_a_cure(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    error: OSError, said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("hangar.refusals.REPO", tmp_path)
    if error.filename:
        error.filename = error.filename.replace("REPO", str(tmp_path))
    assert call(error) == 1
    said = said.replace("REPO", str(tmp_path)).replace("UID", f"{os.getuid()}:{os.getgid()}")
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), OSError("odd")])
def test_an_error_of_the_network_is_not_blamed_on_a_file(
    call: Any, capsys: pytest.CaptureFixture[str], error: OSError
) -> None:
    assert call(error) == 1
    assert "This is a defect in Hangar; --verbose shows where.\n" in capsys.readouterr().err


def test_a_program_reads_also_what_nobody_foresaw(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(ValueError("unforeseen"), "--json") == 1
    assert json.loads(capsys.readouterr().out) == {
        "error": {
            "brief": "ValueError: unforeseen",
            "details": "",
            "resolution": "This is a defect in Hangar; --verbose shows where.",
        }
    }


@pytest.mark.parametrize("verb", ["", *cli.VERBS])
def test_help_imports_nothing_heavy(verb: str) -> None:
    """Each in a process of its own: none is light only because another one has paid."""
    code = (
        "import sys; from hangar import cli\n"
        f"try: cli.main({[verb, '--help'] if verb else []!r})\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'rich', 'docker', 'paramiko', 'yaml', 'jinja2', 'ansible', 'requests', 'cryptography',\n"
        "         'google', 'google.auth', 'google.cloud', 'websockets', 'urllib.request'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(paths.REPO))
    assert done.stderr.strip() == ""
