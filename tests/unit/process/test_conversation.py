"""Programs that answer line by line."""

from pathlib import Path

import pytest

from hangar.errors import CommandFailed
from hangar.process import COMPLAINT
from hangar.process.conversation import conversation


def test_a_conversation_goes_line_by_line_and_ends_with_its_block(tmp_path: Path) -> None:
    argv = ["sh", "-c", 'while read line; do echo "you said $line"; done; echo bye > ended']
    with conversation(["env", "-C", str(tmp_path), *argv], log=tmp_path / "log") as program:
        assert program.ask("one") == "you said one\n"
        assert program.ask("zwölf") == "you said zwölf\n"
    assert (tmp_path / "ended").read_text() == "bye\n"


def test_a_conversation_that_ends_early_says_why(tmp_path: Path) -> None:
    argv = ["sh", "-c", "read line; echo 'no such thing' >&2; exit 3"]
    with conversation(argv, log=tmp_path / "log") as program, pytest.raises(CommandFailed) as failed:
        program.ask("one")
    assert failed.value.brief == "sh failed."
    assert failed.value.details.endswith("* Exit status: 3\n* It said:\n    no such thing")


def test_a_conversation_that_is_left_by_an_error_is_ended(tmp_path: Path) -> None:
    argv = ["sh", "-c", "echo $$ > pid; read line; exec sleep 600"]

    def interrupted() -> None:
        with conversation(["env", "-C", str(tmp_path), *argv], log=tmp_path / "log"):
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                pass
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_complaints_without_an_end_do_not_fill_our_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ssh passes on what a machine says there, and it may be somebody else's by now"""
    argv = ["sh", "-c", "echo ready; read line; exec dd if=/dev/zero bs=65536 of=/dev/stderr"]
    with conversation(argv, log=tmp_path / "log") as program:
        assert program.ask("one") == "ready\n"
        with pytest.raises(CommandFailed) as failed:
            program.ask("two")
    assert (tmp_path / "log").stat().st_size == COMPLAINT
    assert "* Exit status: -25" in failed.value.details, "SIGXFSZ"
    assert len(failed.value.details) < 10_000, "and neither do they fill the terminal"
