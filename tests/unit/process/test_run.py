"""Programs that run to their end."""

import os
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
