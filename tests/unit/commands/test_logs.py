import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hangar import cli, console, paths
from hangar.commands import _machine
from hangar.commands.logs import LONGEST, check, chosen, seconds_ago
from hangar.errors import HangarError
from hangar.services import SERVICES

NOW = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(("when", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400)])
def test_a_duration_says_how_long_ago(when: str, seconds: int) -> None:
    assert seconds_ago(when, NOW) == seconds


def test_a_time_is_counted_back_from_now() -> None:
    assert seconds_ago("2026-01-31T08:59:00+00:00", NOW) == 60
    local = (NOW - timedelta(minutes=2)).astimezone().replace(tzinfo=None)
    assert seconds_ago(local.isoformat(), NOW) == 120


@pytest.mark.parametrize("when", ["4000000000d", "9" * 5000 + "d", "0001-01-02T00:00:00+00:00"])
def test_what_is_older_than_any_log_is_as_far_back_as_logs_go(when: str) -> None:
    """journalctl and Docker end with an error of their own at such numbers."""
    assert seconds_ago(when, NOW) == LONGEST


def test_the_future_is_now() -> None:
    assert seconds_ago("2027-01-01T00:00:00+00:00", NOW) == 0


@pytest.mark.parametrize("when", ["", "yesterday", "10", "10x", "-5m"])
def test_anything_else_is_refused(when: str) -> None:
    with pytest.raises(HangarError, match="is neither a duration nor a time"):
        seconds_ago(when, NOW)


def test_without_a_service_all_are_read(repo: Path) -> None:
    assert chosen("all", "local") == (list(SERVICES), "local")
    assert chosen("ssh", "sandbox") == (["ssh"], "sandbox")


def test_an_environment_may_stand_where_a_service_would(repo: Path) -> None:
    folder = paths.platform_file("sandbox")
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("")
    assert chosen("sandbox", "local") == (list(SERVICES), "sandbox")
    with pytest.raises(HangarError, match='There is no service "sandbx", and no environment of that name'):
        chosen("sandbx", "local")


def test_what_is_searched_for_must_be_a_regular_expression() -> None:
    check("time ?out")
    with pytest.raises(HangarError, match=r'"\(" is no regular expression'):
        check("(")


@pytest.fixture
def answering(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose answer and whose complaint stand in the files `said` and `complained` of this folder."""
    place = tmp_path / "bin"
    place.mkdir()
    script = f"#!/bin/sh\ncat {place}/complained >&2; cat {place}/said; exit 7\n"
    (place / "ssh").write_text(script)
    (place / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(place), prepend=":")
    monkeypatch.setattr(_machine, "acquaint", lambda args, **how: None)
    return place


def test_a_machine_of_somebody_elses_does_not_act_on_the_terminal(
    answering: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It need not clean what it shows: a word for the clipboard, a title, a line over an earlier one."""
    (answering / "said").write_bytes(
        b"one \x1b]52;c;Y3VybCBldmls\x07 \x1b[31mred\x1b[0m\nover\rwritten \xe2\x80\xae \xff\nlast \xc3\xa9\ttab"
    )
    (answering / "complained").write_bytes(b"\x1b]0;title\x07 no room\n")
    assert cli.main(["logs", "airflow"]) == 7
    said, complained = capsys.readouterr()
    assert said == "one ?]52;c;Y3VybCBldmls? red\nover?written ? \ufffd\nlast \u00e9\ttab\n"
    assert complained == "?]0;title? no room\n"


def test_a_machine_that_cannot_be_reached_is_a_failure_in_sshs_own_words(
    answering: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    why = "ssh: connect to host 127.0.0.1 port 1: Connection refused"
    (answering / "ssh").write_text(f"#!/bin/sh\nprintf '{why}\\r\\n' >&2; exit 255\n")
    assert cli.main(["logs", "airflow"]) == 1
    assert capsys.readouterr() == ("", f"{why}\n")


def test_a_program_gets_what_the_machine_says_as_it_is(
    answering: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (answering / "complained").touch()
    (answering / "said").write_text(json.dumps({"message": "\u202e é \x1b"}, ensure_ascii=False) + "\n")
    try:
        assert cli.main(["logs", "airflow", "--json"]) == 7
    finally:
        console.configure()
    said = capsys.readouterr().out
    assert "\u202e" not in said
    assert json.loads(said) == {"message": "\u202e é \x1b"}


def test_a_line_without_an_end_is_shown_in_pieces_and_whoever_has_seen_enough_ends_it(
    answering: Path,
) -> None:
    """`logs --follow | head`: ssh goes too, and with it what reads on the machine."""
    (answering / "ssh").write_text(f"#!/bin/sh\necho $$ > {answering}/pid\nexec yes | tr -d '\\n'\n")
    code = (
        "import sys; from hangar import process, console\n"
        f"sys.exit(process.relayed(['{answering}/ssh'], lambda line: print(len(line), flush=True), print))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as ours:
        assert ours.stdout is not None
        assert ours.stdout.readline() == f"{1 << 20}\n"
        ours.stdout.close()
        assert ours.wait(60) != 0
    until = time.monotonic() + 60
    while _runs(int((answering / "pid").read_text())):
        assert time.monotonic() < until


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
