"""The reader of logs, root over what the code of DAGs writes: neither led elsewhere, nor held up, nor ended."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hangar_words
import pytest
from hangar_monitoring import entries, logs, newest, programs, task_logs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AIRFLOW = {"name": "airflow", "project": "airflow", "user": "airflow"}
ASKED = {"sources": [AIRFLOW], "lines": 100, "since": 3600}
TASK = "dag_id=sales/run_id=manual__1/task_id=load"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a place for a task's log, with a good one beside it; containers say nothing."""
    folder = tmp_path / "logs"
    monkeypatch.setattr(logs, "TASKS", folder)
    monkeypatch.setattr(logs, "_commands", lambda *_, **__: iter(()))
    monkeypatch.setattr(hangar_words, "KEPT", (f"{tmp_path}/secrets/*",))

    def place(path: str = f"{TASK}/attempt=2.log", text: str | None = None) -> Path:
        made = folder / path
        made.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            made.write_text(text)
        return made

    place(f"{TASK}/attempt=1.log", "all is well\n")
    return place


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    def read(**asked: object) -> list[str]:
        logs.read({**ASKED, **asked})
        return capsys.readouterr().out.splitlines()

    return read


Written, Shown = Callable[..., Path], Callable[..., list[str]]


def said(lines: list[str]) -> set[str]:
    return {line.split(": ", 1)[1].split("  [")[0] for line in lines}


def test_a_log_of_a_task_is_shown_with_what_its_path_says(written: Written, shown: Shown) -> None:
    written(f"{TASK}/map_index=3/attempt=4.log", "one of many\n")
    assert sorted(line.split(" ", 2)[2] for line in shown()) == [
        "airflow/task: all is well  [dag=sales run=manual__1 task=load try=1]",
        "airflow/task: one of many  [dag=sales run=manual__1 task=load try=4]",
    ]


def test_what_is_searched_is_found_before_the_last_lines_are_taken(written: Written, shown: Shown) -> None:
    written(text="the one that is sought\n" + "another\n" * 300)
    assert said(shown(since=None, lines=2, grep="sought")) == {"the one that is sought"}
    assert len(shown(since=None, lines=2, grep="another")) == 2


def test_a_run_is_found_by_its_name(written: Written, shown: Shown) -> None:
    written("dag_id=sales/run_id=manual__2/task_id=load/attempt=1.log", "of the other run\n")
    assert said(shown(grep="run=manual__2")) == {"of the other run"}
    assert shown(grep="no such words") == []


def test_a_secret_is_not_found_by_asking_for_it(tmp_path: Path, written: Written, shown: Shown) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/one").write_text("correct-horse-battery")
    written(text="login with correct-horse-battery\n")
    assert said(shown(grep="login")) == {"login with ***"}
    assert shown(grep="correct-h") == []


def test_a_link_leads_to_no_file_of_roots(tmp_path: Path, written: Written, shown: Shown) -> None:
    (tmp_path / "elsewhere").mkdir()
    secret = tmp_path / "elsewhere/attempt=9.log"
    secret.write_text("root:$y$hash\n")
    written().symlink_to(secret)
    written("dag_id=sales/run_id=manual__1/task_id=away").symlink_to(secret.parent)
    written(f"{TASK}/attempt=3.log").symlink_to("/nowhere")
    assert said(shown()) == {"all is well"}


def test_a_file_that_becomes_a_link_is_not_followed(tmp_path: Path, written: Written) -> None:
    path = written(text="mine\n")
    (found,) = (one for one in task_logs.find(logs.TASKS, 0) if one.parts[-1] == path.name)
    path.unlink()
    path.symlink_to(tmp_path / "shadow")
    (tmp_path / "shadow").write_text("root:$y$hash\n")
    with pytest.raises(OSError, match="symbolic links"):
        task_logs.read(logs.TASKS, found)


def test_a_pipe_in_the_place_of_a_log_holds_nobody_up(written: Written, shown: Shown) -> None:
    path = written(text="mine\n")
    (found,) = (one for one in task_logs.find(logs.TASKS, 0) if one.parts[-1] == path.name)
    path.unlink()
    os.mkfifo(path)
    free = threading.Timer(
        5, lambda: os.close(os.open(path, os.O_RDWR))
    )  # lets go what waits, so that it fails
    free.start()
    with pytest.raises(OSError, match="it is no file"):
        task_logs.read(logs.TASKS, found)
    assert said(shown()) == {"all is well"}
    free.cancel()


def test_of_an_endless_file_the_end_is_read(written: Written, shown: Shown) -> None:
    with written().open("wb") as stream:
        stream.truncate(1 << 40)
        stream.seek(0, os.SEEK_END)
        stream.write(b"\nthe end\n")
    assert said(shown()) == {"all is well", "the end"}


def test_lines_without_end_do_not_fill_the_memory(
    written: Written, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST", 3)
    os.utime(written(text="a\nb\nc\nd\n"), (datetime.now().timestamp() + 5,) * 2)
    assert said(shown()) == {"b", "c", "d", "WARNING more than 3 lines: older ones are left out"}


@pytest.mark.parametrize(
    "line",
    [
        '{"error_detail": 5}',
        '{"event": "x", "timestamp": "0001-01-01T00:00:00+23:00"}',
        '{"event": "x", "timestamp": "9999-12-31T23:59:59-23:00"}',
        '{"event": ' + "[" * 100_000,
        '{"event": ' + "[" * 900 + "]" * 900 + "}",
        '{"event": ' + "9" * 5000 + "}",
        '{"level": {}, "event": []}',
        '{"event": "\\ud800", "dag_id": [1]}',
    ],
)
def test_a_strange_line_ends_nobodys_reading(line: str, written: Written, shown: Shown) -> None:
    written(text=f"{line}\nafterwards\n")
    assert {"all is well", "afterwards"} <= said(shown())


def test_no_field_acts_on_the_terminal(written: Written, shown: Shown) -> None:
    evil = "\x1b]52;c;ZXZpbA==\x07\ud800"
    line = json.dumps({"event": evil, "level": evil, "dag_id": evil, "run_id": "x\x9b2J"})
    written(text=f"{line}\n")
    written("dag_id=\x1b]52;c;x\x07/run_id=\udcff/task_id=\x1b[2J/attempt=1.log", "named\n")
    for as_json in (False, True):
        lines = shown(json=as_json)
        assert len(lines) == 3
        assert all(line.isprintable() for line in lines)


def test_secrets_are_hidden_wherever_they_stand(tmp_path: Path, written: Written, shown: Shown) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/one").write_text("correct-horse-battery\n")
    line = dict.fromkeys(("event", "level", "dag_id", "run_id"), "correct-horse-battery")
    written("dag_id=correct-horse-battery/run_id=r/task_id=t/attempt=1.log", f"{json.dumps(line)}\nmine\n")
    lines = shown()
    assert len(lines) == 3
    assert [line for line in lines if "horse" in line] == []
    assert sum("dag=***" in line for line in lines) == 2


def test_a_long_message_is_asked_for_whole() -> None:
    """Without it journalctl tells null in place of what has more than 4096 bytes: a traceback, say."""
    asked = {"since": 60, "lines": 10}
    for follow in (False, True):
        ((command, _),) = logs._commands({"name": "ssh", "units": ["ssh.service"]}, asked, follow=follow)
        assert command[0] == "journalctl"
        assert "--all" in command


def test_nobody_else_logs_in_the_name_of_a_unit() -> None:
    """UNIT and USER_UNIT are whatever a writer says, and a person may have a unit `docker.service`."""
    source = {"name": "x", "units": ["a.service"], "user_units": ["docker.service"], "accounts": [2001, 2002]}
    ((command, _),) = logs._commands(source, {"since": 60, "lines": 10}, follow=False)
    asked = " ".join(command[command.index("--all") + 2 :]).split(" + ")
    assert asked == [
        "_SYSTEMD_UNIT=a.service", "UNIT=a.service _PID=1",
        "_SYSTEMD_USER_UNIT=docker.service _UID=2001 _UID=2002", "USER_UNIT=docker.service _UID=2001 _UID=2002",
    ]  # fmt: skip


def test_what_the_kernel_says_is_asked_for_by_where_it_comes_from() -> None:
    ((command, parse),) = logs._commands(
        {"name": "kernel", "kernel": True}, {"since": 60, "lines": 10}, follow=False
    )
    assert command[command.index("--all") + 2 :] == ["_TRANSPORT=kernel"]
    line = {"__REALTIME_TIMESTAMP": "1764000000000000", "PRIORITY": "3", "SYSLOG_IDENTIFIER": "kernel",
            "MESSAGE": "Out of memory: Killed process 42 (worker)"}  # fmt: skip
    assert parse(json.dumps(line)).as_text() == (
        "2025-11-24 16:00:00 kernel: ERROR Out of memory: Killed process 42 (worker)"
    )


def test_a_person_who_writes_to_the_journal_ends_nobodys_reading() -> None:
    """journalctl gives a field that was sent twice as a list."""
    line = json.dumps({"__REALTIME_TIMESTAMP": "1764000000000000", "MESSAGE": ["a", "\x1b[2Jb"]})
    found = logs._understanding(lambda said: entries.of_journal(said, "ssh"), "ssh")(line)
    assert found is not None
    assert found.message == line


def test_what_follows_goes_on_past_strange_files_and_lines(
    tmp_path: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Running:
        looks = 3

        def poll(self) -> int | None:
            self.looks -= 1
            if self.looks == 1:
                (tmp_path / "secret").write_text("root:$y$hash\n")
                written(f"{TASK}/attempt=3.log").symlink_to(tmp_path / "secret")
                os.mkfifo(written(f"{TASK}/attempt=4.log"))
                written(f"{TASK}/attempt=5.log", '{"error_detail": 5}\nafterwards\nhalf a li')
            return None if self.looks >= 0 else 0

    monkeypatch.setattr(logs, "LOOK", 0.0)
    monkeypatch.setattr(logs, "_nobody_reads", lambda: False)
    shown: list[entries.Entry] = []
    logs._follow_tasks(shown.append, True, [Running()])
    assert [one.message for one in shown if one.about["try"] != "1"] == ["", "afterwards"]


def test_what_a_followed_program_complains_of_acts_on_no_terminal_and_hides_secrets(
    tmp_path: Path, written: Written, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever rules a service user's Docker chooses those words too."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/one").write_text("correct-horse-battery")
    script = r"printf 'a\033[2Kb\n'; printf '\033]0;title\007no daemon \033[2J correct-horse-battery\n\n' >&2; exit 1"
    monkeypatch.setattr(logs, "_nobody_reads", lambda: False)
    monkeypatch.setattr(logs, "_commands", lambda source, asked, follow: [(["sh", "-c", script], entry_of)])
    logs.read({"sources": [{"name": "airbyte"}], "lines": 10, "follow": True})
    said = capfd.readouterr()
    assert said.err == ""
    assert sorted(line.split(" ", 2)[2] for line in said.out.splitlines()) == [
        "airbyte: WARNING  ]0;title no daemon  ***", "airbyte: ab",
    ]  # fmt: skip


def entry_of(line: str) -> entries.Entry:
    return entries.Entry(NOW, "airbyte", "info", line)


SOURCE = {"name": "ssh", "units": ["ssh.service"]}


def entry(line: str) -> entries.Entry:
    """`3 words`: said so many seconds after NOW."""
    return entries.Entry(NOW + timedelta(seconds=int(line.split()[0])), "ssh", "info", line)


@pytest.fixture
def program(written: Written, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Stands in for journalctl: a program's text in Python."""

    def runs(text: str) -> None:
        commands = [([sys.executable, "-c", text], entry)]
        monkeypatch.setattr(logs, "_commands", lambda *_, **__: iter(commands))

    return runs


Runs = Callable[[str], None]


def test_of_what_a_program_says_the_newest_lines_are_kept(
    program: Runs, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their time: containers are told one after the other. What was left out is told."""
    program("for second in (5, 1, 4, 2, 3, 4): print(second, 'said')")
    monkeypatch.setattr(newest, "MOST", 3)
    lines = [line.split(": ", 1)[1] for line in shown(sources=[SOURCE])]
    assert lines == [
        "4 said",
        "4 said",
        "5 said",
        "WARNING more than can be held at once; older lines left out: 3",
    ]
    assert [line.split(": ", 1)[1] for line in shown(sources=[SOURCE], since=None, lines=2)] == [
        "4 said",
        "5 said",
    ]


def test_few_long_lines_do_not_fill_the_memory_either(
    program: Runs, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("for second in range(1, 5): print(second, 'x' * 3000)")
    monkeypatch.setattr(newest.Newest.__init__, "__defaults__", (7000,))
    for since in (3600, None):
        lines = [line.split(": ", 1)[1][:30] for line in shown(sources=[SOURCE], since=since)]
        assert lines == [
            "3 " + "x" * 28,
            "4 " + "x" * 28,
            "WARNING more than can be held ",
        ]


def test_only_what_is_sought_takes_room(program: Runs, shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    program("print('1 sought'); [print(second, 'another') for second in range(2, 100)]")
    monkeypatch.setattr(newest, "MOST", 3)
    assert [line.split(": ", 1)[1] for line in shown(sources=[SOURCE], grep="sought")] == ["1 sought"]


def test_of_a_line_without_end_the_beginning_is_taken(
    program: Runs, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "LINE", 20)
    program("print('1', 'x' * 1_000_000); print('2 afterwards')")
    assert [line.split(": ", 1)[1] for line in shown(sources=[SOURCE])] == ["1 " + "x" * 18, "2 afterwards"]


def test_a_program_that_complains_at_length_and_fails_is_told_with_its_last_words(
    program: Runs, shown: Shown
) -> None:
    program("import sys; print('1 said'); sys.stderr.write('x' * 1_000_000 + ' no such unit'); sys.exit(3)")
    found = [line.split(": ", 1)[1] for line in shown(sources=[SOURCE])]
    assert found[0] == "1 said"
    assert found[1].startswith("WARNING cannot be read: xxx")
    assert found[1].endswith("x no such unit")
    assert len(found[1]) < 400


def test_a_program_that_is_not_there_is_told(
    written: Written, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_commands", lambda *_, **__: iter([(["/nowhere"], entry)]))
    (line,) = shown(sources=[SOURCE])
    assert line.endswith("ssh: WARNING cannot be read: [Errno 2] No such file or directory: '/nowhere'")
