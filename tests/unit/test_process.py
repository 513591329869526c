import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hangar import process
from hangar.errors import CommandFailed, MissingTool


def test_output_and_input_are_text() -> None:
    done = process.run(["cat"], input="héllo")
    assert (done.stdout, done.returncode, done.argv) == ("héllo", 0, ("cat",))


def test_without_input_a_program_finds_none() -> None:
    assert process.run(["cat"]).stdout == ""


def test_the_environment_is_added_to_ours() -> None:
    done = process.run(["sh", "-c", "echo $ONE $HOME"], env={"ONE": "1"})
    assert done.stdout == f"1 {os.environ['HOME']}\n"


def test_a_failure_shows_command_status_and_last_words() -> None:
    with pytest.raises(CommandFailed) as failed:
        process.run(["sh", "-c", "echo out; echo 'no such thing' >&2; exit 7"])
    assert failed.value == CommandFailed(
        "sh failed.",
        "* Command: sh -c 'echo out; echo '\"'\"'no such thing'\"'\"' >&2; exit 7'\n"
        "* Exit status: 7\n* It said:\n    no such thing",
        output="out\nno such thing\n",
    )


def test_a_failure_may_be_wanted() -> None:
    assert process.run(["false"], check=False).returncode == 1


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingTool, match="no-such-program is not installed"):
        process.run(["no-such-program"])


def test_a_missing_folder_is_not_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"gone does not exist"):
        process.run(["true"], cwd=tmp_path / "gone")


def test_a_program_has_only_so_much_time() -> None:
    with pytest.raises(CommandFailed, match=r"sleep did not finish within 0\.1 s"):
        process.run(["sleep", "5"], timeout=0.1)


def test_long_work_goes_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    with process.stream(["sh", "-c", "echo one; echo two >&2"], log=log) as running:
        pass
    assert running.returncode == 0
    assert log.read_text() == "before\none\ntwo\n"


def test_an_interrupted_block_ends_the_work_and_what_it_started(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "sleep 60 & echo $!; wait"
    child = 0

    def interrupted() -> None:
        nonlocal child
        with process.stream(["sh", "-c", script], log=log):
            child = _first_number(log)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert _is_gone(child)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's promise is Linux's")
def test_work_ends_when_we_are_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import pathlib, sys, time; from hangar import process\n"
        "with process.stream(['sh', '-c', 'echo $$; exec sleep 60'], log=pathlib.Path(sys.argv[1])): time.sleep(60)"
    )
    controller = subprocess.Popen([sys.executable, "-c", code, str(log)])
    worker = _first_number(log)
    controller.send_signal(signal.SIGKILL)
    controller.wait()
    assert _is_gone(worker)


def test_what_runs_in_the_background_outlives_us(tmp_path: Path) -> None:
    pid = process.background(["sleep", "60"], log=tmp_path / "log")
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _first_number(log: Path) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if log.exists() and log.read_text().strip():
            return int(log.read_text().split()[0])
        time.sleep(0.01)  # between two looks at the log
    raise AssertionError("the work never began")


def _is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)  # between two looks at the process
    return False


def test_a_conversation_goes_line_by_line_and_ends_with_its_block(tmp_path: Path) -> None:
    argv = ["sh", "-c", 'while read line; do echo "you said $line"; done; echo bye > ended']
    with process.conversation(["env", "-C", str(tmp_path), *argv], log=tmp_path / "log") as program:
        assert program.ask("one") == "you said one\n"
        assert program.ask("zwölf") == "you said zwölf\n"
    assert (tmp_path / "ended").read_text() == "bye\n"


def test_a_conversation_that_ends_early_says_why(tmp_path: Path) -> None:
    argv = ["sh", "-c", "read line; echo 'no such thing' >&2; exit 3"]
    with process.conversation(argv, log=tmp_path / "log") as program, pytest.raises(CommandFailed) as failed:
        program.ask("one")
    assert failed.value.brief == "sh failed."
    assert failed.value.details.endswith("* Exit status: 3\n* It said:\n    no such thing")


def test_a_conversation_that_is_left_by_an_error_is_ended(tmp_path: Path) -> None:
    argv = ["sh", "-c", "echo $$ > pid; read line; exec sleep 600"]

    def interrupted() -> None:
        with process.conversation(["env", "-C", str(tmp_path), *argv], log=tmp_path / "log"):
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                pass
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here plays a full disk")
def test_a_full_disk_names_the_file_that_found_no_room(tmp_path: Path) -> None:
    place = tmp_path / "backup"
    place.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as full:
        process.carry(["head", "-c", "3000000", "/dev/zero"], place)
    assert full.value.filename == str(place)
