"""What may be shown of a log."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import hangar_words
import pytest

LIBRARY = Path(__file__).resolve().parents[2] / "roles/interlock/templates/usr/local/lib/hangar"


@pytest.fixture
def secrets(tmp_path: Path) -> str:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "one").write_text("correct-horse-battery\n")
    (folder / "two").write_text("short")
    return f"{folder}/*"


def test_secrets_of_the_machine_are_hidden_and_short_words_are_not(secrets: str) -> None:
    masks = hangar_words.Masks(secrets)
    assert masks.hide("password=correct-horse-battery, short") == "password=***, short"


def test_nothing_in_a_log_acts_on_the_terminal() -> None:
    assert hangar_words.clean("\x1b]0;title\x07\x1b[2Jdone\r") == " ]0;title done"


def shown(secrets: str, script: str) -> subprocess.Popen[str]:
    """A program of the machine that shows what `script` says."""
    program = (
        f"import sys; sys.path.insert(0, {str(LIBRARY)!r}); import hangar_words as words; "
        f"words.KEPT = ({secrets!r},); "
        f"sys.exit(words.show(['sh', '-c', {script!r}], {{'PATH': {os.environ['PATH']!r}}}))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_what_a_program_says_is_shown_without_secrets_and_its_end_is_passed_on(secrets: str) -> None:
    with shown(secrets, "echo a correct-horse-battery; printf '\\033[2Jb\\n'; exit 3") as program:
        said, complained = program.communicate()
    assert (program.returncode, said, complained) == (3, "a ***\nb\n", "")


def test_a_reader_who_leaves_ends_it_without_a_word(secrets: str) -> None:
    with shown(secrets, "while echo line; do :; done") as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.readline()
        program.stdout.close()
        assert program.wait(30) == -13
        assert program.stderr.read() == ""
