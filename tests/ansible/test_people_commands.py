"""The commands that people have (hangar-airflow, hangar-logs): which words they take, and what becomes of them."""

from __future__ import annotations

import os
import pwd
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hangar.paths import REPO
from tests.templates.render import render

LIBRARY = REPO / "roles/interlock/templates/usr/local/lib/hangar"
BAD = (
    "", "connections export -", "db shell", "trigger", "trigger a b", "trigger --help", "trigger -c", "trigger a;id",
    "trigger $(id)", "trigger ../a", "pause", "list x", "state -h", "restart now", "logs scheduler 0",
    "logs scheduler 10001", "logs ../x", "logs redis", "logs 5 scheduler", "logs -f", "Trigger a", "shell",
)  # fmt: skip


def program(folder: Path, name: str) -> Any:
    """The command as a module; it is not run."""
    text = render("people", f"/usr/local/bin/{name}")
    assert text.endswith("\nmain()\n")
    (folder / name).write_text(text.removesuffix("main()\n"))
    return SimpleNamespace(**runpy.run_path(str(folder / name)))


@pytest.fixture
def airflow(tmp_path: Path) -> Any:
    return program(tmp_path, "hangar-airflow")


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        ("list", ["airflow", "dags", "list", "--output", "table"]),
        ("state a.dag", ["dags", "list-runs", "a.dag", "--output", "table"]),
        ("trigger a_dag", ["airflow", "dags", "trigger", "a_dag"]),
        ("pause a-dag", ["dags", "pause", "--yes", "a-dag"]),
        ("unpause a-dag", ["dags", "unpause", "--yes", "a-dag"]),
        ("logs", ["logs", "--no-color", "--tail", "200"]),
        ("logs scheduler 50", ["logs", "--no-color", "--tail", "50", "scheduler"]),
        ("restart", ["systemctl", "--user", "restart", "airflow.service"]),
    ],
)
def test_what_is_allowed_is_one_program_with_these_words(airflow: Any, words: str, ends: list[str]) -> None:
    argv = airflow.command(words.split())
    assert argv[-len(ends) :] == ends
    assert not {"sh", "bash", "-c"} & set(argv), "no shell is on the way"


@pytest.mark.parametrize(
    "words", [word.split() for word in BAD] + [["trigger", "a b"], ["trigger", "a\nb"], ["list "]]
)
def test_every_other_word_ends_in_the_usage(airflow: Any, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        airflow.command(words)
    assert str(ended.value).startswith("Airflow for people who are not its service user.")


def with_docker(folder: Path, script: str, limit: float = 180) -> list[str | Path]:
    """The command as its service user runs it, with something else in Docker's place."""
    (folder / "docker").write_text(f"#!/bin/sh\n{script}")
    (folder / "docker").chmod(0o755)
    (folder / "runtime").mkdir()
    text = render("people", "/usr/local/bin/hangar-airflow")
    for before, after in (
        ('SERVICE = "airflow"', f'SERVICE = "{pwd.getpwuid(os.getuid()).pw_name}"'),
        ('"PATH": "', f'"PATH": "{folder}:'),
        ('"/usr/local/lib/hangar"', repr(str(LIBRARY))),
        ('f"/run/user/{account.pw_uid}"', repr(f"{folder}/runtime")),
        ("PATIENCE = 60.0", "PATIENCE = 0.3"),
        ("LIMIT = 180.0", f"LIMIT = {limit}"),
    ):
        assert before in text
        text = text.replace(before, after)
    (folder / "hangar-airflow").write_text(text)
    return [sys.executable, "-IB", folder / "hangar-airflow"]


def test_few_at_once_ask_airflow_which_shares_its_memory_with_the_tasks(tmp_path: Path) -> None:
    """Anybody may ask as often as they like; what is no start of Airflow waits for nobody"""
    gate, began = tmp_path / "gate", tmp_path / "began"
    argv = with_docker(
        tmp_path, f"echo x >> {began}; timeout 20 sh -c 'while [ ! -e {gate} ]; do sleep 0.05; done'\n"
    )
    begun: list[subprocess.Popen[bytes]] = []

    def begin(*words: str) -> subprocess.Popen[bytes]:
        """Returns when its program has begun."""
        person = {"SUDO_USER": ("anna", "ben")[len(begun) % 2]}
        begun.append(subprocess.Popen([*argv, *words], stdout=subprocess.DEVNULL, env=person))
        until = time.monotonic() + 10
        while not began.exists() or len(began.read_text().split()) < len(begun):
            assert time.monotonic() < until, f"{words} did not begin"
            time.sleep(0.02)  # between two looks at the condition
        return begun[-1]

    try:
        first, second = begin("list"), begin("state", "a_dag")
        for words in (["list"], ["state", "a_dag"], ["trigger", "a_dag"]):
            refused = subprocess.run([*argv, *words], capture_output=True, text=True, timeout=10, check=False)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert refused.stderr == (
                "hangar-airflow: anna and ben asked Airflow before you; try again in a minute\n"
            )
        look = begin("state")
        first.kill()  # its turn comes back, however it ended
        first.wait(10)
        after = begin("list")
        gate.touch()
        assert [one.wait(10) for one in (second, look, after)] == [0, 0, 0]
    finally:
        gate.touch()
        for one in begun:
            one.kill()
            one.wait(10)


def test_ctrl_z_stops_nobody_who_has_a_turn(tmp_path: Path) -> None:
    """Two who were stopped would have kept everybody out for as long as they liked"""
    gate, began = tmp_path / "gate", tmp_path / "began"
    script = f"touch {began}; timeout 20 sh -c 'while [ ! -e {gate} ]; do sleep 0.05; done'; echo done\n"
    argv = with_docker(tmp_path, script)
    with subprocess.Popen([*argv, "list"], stdout=subprocess.PIPE, text=True) as asking:
        try:
            until = time.monotonic() + 10
            while not began.exists():
                assert time.monotonic() < until
                time.sleep(0.02)  # between two looks at the condition
            for stop in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
                asking.send_signal(stop)
            gate.touch()
            assert asking.communicate(timeout=10) == ("done\n", None)
        finally:
            asking.kill()


@pytest.mark.parametrize("stderr", [subprocess.DEVNULL, subprocess.PIPE], ids=["stdout", "both"])
def test_a_turn_ends_in_time_also_where_nobody_reads_what_is_said(tmp_path: Path, stderr: int) -> None:
    """Words that wait in a pager would keep the turn, and two of them everybody out"""
    said = "yes | head -c 1000000"
    argv = with_docker(tmp_path, f"{said} >&2 &\n{said}\n", limit=0.5)
    with subprocess.Popen([*argv, "list"], stdout=subprocess.PIPE, stderr=stderr) as asking:
        try:
            assert asking.wait(10) in (1, -signal.SIGALRM)
        finally:
            asking.kill()


def test_whoever_is_ended_by_the_clock_is_told(tmp_path: Path) -> None:
    argv = with_docker(tmp_path, "exec sleep 20\n", limit=0.5)
    done = subprocess.run([*argv, "list"], capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "hangar-airflow: ended after 0.5 seconds, which is all that one call may take\n"


@pytest.mark.parametrize("words", ["list", "state a_dag", "state", "trigger a_dag", "logs"])
def test_what_a_dag_is_called_acts_on_nobodys_terminal(tmp_path: Path, words: str) -> None:
    said = "a_dag | \\033]0;owned\\007\\033[2J me\\n"
    with_docker(tmp_path, f'said=\'{said}\'\nprintf "$said"\nprintf "$said" >&2\nexit 3\n')
    done = subprocess.run(
        [sys.executable, "-IB", tmp_path / "hangar-airflow", *words.split()],
        capture_output=True, text=True, check=False, env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (3, *2 * ["a_dag |  ]0;owned  me\n"])


def test_the_logs_are_those_of_a_service_by_its_name(tmp_path: Path) -> None:
    logs = program(tmp_path, "hangar-logs")
    assert logs.asked(["airflow"]) == ("airflow", "200")
    assert logs.asked(["updates", "5"]) == ("updates", "5")
    for words in (
        [],
        ["../../etc/shadow"],
        ["airflow", "0"],
        ["airflow", "5", "5"],
        ["airflow", "--follow"],
        ["-u"],
    ):
        with pytest.raises(SystemExit):
            logs.asked(words)


def test_nobody_else_logs_in_the_name_of_a_services_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person may have a unit `airflow.service` of their own, and USER_UNIT is whatever a writer says."""
    logs = program(tmp_path, "hangar-logs")
    numbers = {"airflow": 2001}
    monkeypatch.setattr("pwd.getpwnam", lambda name: SimpleNamespace(pw_uid=numbers[name]))
    assert " ".join(logs.matches("airflow-start")).split(" + ") == [
        "_SYSTEMD_USER_UNIT=airflow.service _UID=2001", "USER_UNIT=airflow.service _UID=2001",
    ]  # fmt: skip
    for name, asked in logs.SERVICES.items():
        for match in " ".join(asked).split(" + ") if asked else ():
            assert "_SYSTEMD_UNIT=" in match or "_UID=@" in match, name


def sudo_takes(command: str, user: str) -> bool:
    """Whether the rules have this command for one who may do all that a developer may, as that user."""
    text = render("people", "/etc/sudoers.d/50-hangar-people").replace("\\\n", " ")
    aliases = dict(re.findall(r"^Cmnd_Alias (\w+) = (.*)$", text, re.MULTILINE))
    granted = re.findall(rf"^%hangar-developers ALL = \({user}\) NOPASSWD: (.*)$", text, re.MULTILINE)
    name, _, words = command.partition(" ")
    # Commas stand between commands only: no pattern holds one.
    lines = [aliases[alias] for line in granted for alias in line.split(", ")]
    rules = [rule.split(None, 1) for line in lines for rule in line.split(",")]
    return any(path == name and re.search(pattern.strip(), words) for path, pattern in rules)


@pytest.mark.parametrize(
    "words", [word for word in BAD if word not in ("logs scheduler 0", "logs scheduler 10001")]
)
def test_sudo_refuses_what_the_command_refuses(words: str) -> None:
    """Twice judged; a part that is none and a number that is none are the command's alone to know"""
    passes = {"logs redis"}
    assert sudo_takes(f"/usr/local/bin/hangar-airflow {words}", "airflow") == (words in passes)


def test_sudo_takes_what_the_command_takes_as_that_user_only() -> None:
    for words in (
        "list",
        "state a.dag",
        "trigger a_dag",
        "pause a",
        "unpause a",
        "logs scheduler 50",
        "restart",
    ):
        assert sudo_takes(f"/usr/local/bin/hangar-airflow {words}", "airflow"), words
        assert not sudo_takes(f"/usr/local/bin/hangar-airflow {words}", "root"), words
    assert sudo_takes("/usr/local/bin/hangar-logs airflow 50", "root")
    assert not sudo_takes("/usr/local/bin/hangar-logs airflow 50", "airflow")
    assert not sudo_takes("/bin/sh -c id", "airflow")
