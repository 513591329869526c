import contextlib
import io
import json
import os
import subprocess
import sys

import pytest

from hangar import console, paths
from hangar.errors import HangarError, NeedsAnswer

Captured = pytest.CaptureFixture[str]


def test_a_pipe_gets_plain_lines(capsys: Captured) -> None:
    console.say("[bold]not markup[/bold]", "bold red")
    console.warn("the disk is full")
    assert capsys.readouterr() == ("[bold]not markup[/bold]\n", "warning: the disk is full\n")


def test_what_is_said_to_people_leaves_a_programs_output_alone(capsys: Captured) -> None:
    console.configure(json=True)
    console.say("hello")
    with console.Progress() as progress, progress.stage("Machine"):
        progress.step("start", 1, 2)
    console.json({"a": ["ü", 1]})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": ["ü", 1]}
    assert "hello" in err
    assert "Machine" in err


def test_stages_and_steps_in_a_pipe(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.5])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.Progress() as progress, progress.stage("Playbook"):
        progress.step("base: install", 1, 3)
        progress.report("no count")
    assert capsys.readouterr().out == (
        "  Playbook …\n  Playbook: 1/3 base: install\n  Playbook: no count\n✓ Playbook  2.5 s\n"
    )
    assert progress.timings == (console.Timing("Playbook", 2.5),)


def test_a_failed_stage_is_not_called_done(capsys: Captured) -> None:
    progress = console.Progress()
    with pytest.raises(HangarError), progress, progress.stage("Machine"):
        raise HangarError("no")
    assert "✗ Machine" in capsys.readouterr().out
    assert progress.timings == ()


def test_a_table_is_aligned(capsys: Captured) -> None:
    console.table(("service", "state"), [("ssh", "active"), ("monitoring", "failed")])
    assert capsys.readouterr().out == "  service     state\n  ssh         active\n  monitoring  failed\n"


def test_a_table_without_rows_or_headings_says_nothing(capsys: Captured) -> None:
    console.table(("", ""), [])
    assert capsys.readouterr().out == ""


def test_yes_answers_every_question() -> None:
    console.configure(yes=True)
    assert console.confirm("Remove everything?")


def test_a_question_that_nobody_can_answer_stops_and_says_what_it_was() -> None:
    with pytest.raises(NeedsAnswer) as unasked:
        console.confirm("Remove everything?")
    assert unasked.value == NeedsAnswer(
        "This needs an answer, and there is no terminal to ask on.",
        "It would have asked: Remove everything?",
        "Say --yes to answer yes beforehand.",
    )


@pytest.mark.parametrize(
    ("typed", "answer"), [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_no_is_the_default(typed: str, answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return typed

        def write(self, text: str) -> int:
            return len(text)

        def flush(self) -> None: ...

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert console.confirm("Sure?") is answer


def test_a_narrow_encoding_does_not_stop_us(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    console.configure()
    console.say("✓ done")
    assert raw.getvalue() == b"? done\n"


def test_a_terminal_shows_a_live_line_and_colours() -> None:
    code = (
        "from hangar import console\n"
        "with console.Progress() as progress, progress.stage('Playbook'):\n"
        "    progress.step('base: install', 1, 3)\n"
        "    console.say('beside the live line', 'red')\n"
    )
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    subprocess.run(
        [sys.executable, "-c", code],
        stdout=theirs,
        stderr=theirs,
        cwd=paths.REPO,
        env=environment,
        check=True,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux: the other end is closed
        while read := os.read(ours, 65536):
            shown += read
    os.close(ours)
    text = shown.decode()
    assert "Playbook: 1/3 base: install" in text
    assert "\x1b[31mbeside the live line" in text
    assert "\x1b[32m✓ Playbook" in text


HOSTILE = "gold.\x1b]0;owned\x07a\x1b[2J\x9b31mb\rc\u202ed\x7f"
"""A table's name, say, that whoever writes DAGs has chosen: a window's title, a cleared page, letters turned round."""


def test_nothing_that_was_chosen_elsewhere_acts_on_the_terminal(capsys: Captured) -> None:
    console.say(f"{HOSTILE}\n\tend")
    console.warn(HOSTILE)
    console.table(["name"], [[HOSTILE]])
    console.error(HangarError(HOSTILE, HOSTILE, HOSTILE))
    with console.Progress() as progress, progress.stage(HOSTILE):
        progress.step(HOSTILE)
    out, err = capsys.readouterr()
    assert out.startswith("gold.?]0;owned?a?31mb?c?d?\n\tend\n")
    assert not console.ACTS.search(out + err)
    assert "ü ✓ 名" in console.plain("\x1b[1mü ✓ 名\x1b[0m")


def test_a_programs_answer_says_all_of_it_and_acts_on_no_terminal(capsys: Captured) -> None:
    console.json({"name": HOSTILE, "nice": "ü"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": HOSTILE, "nice": "ü"}
    assert "ü" in out
    assert not console.ACTS.search(out)


def test_a_question_acts_on_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    monkeypatch.setattr(sys, "stderr", asked)
    assert console.confirm(f"Remove {HOSTILE}?")
    assert not console.ACTS.search(asked.getvalue())
