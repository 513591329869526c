"""Questions side by side: each is answered, no more than so many at a time, and nobody waits for what is not wanted."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from hangar.cloud.gcp import abreast
from hangar.paths import REPO

PATIENCE = 20.0

ASKING = """
import os, threading
from hangar.cloud.gcp import abreast

def swallowed():
    os.write(1, b"asked\\n")  # in one piece: two threads that print mix theirs
    threading.Event().wait(600)

abreast.ask({"first": swallowed, "second": swallowed})
"""


def test_each_question_has_its_own_answer_and_so_many_are_asked_at_once() -> None:
    together, under_way, most, guard = threading.Barrier(3), 0, 0, threading.Lock()

    def answer(number: int) -> int:
        nonlocal under_way, most
        with guard:
            under_way += 1
            most = max(most, under_way)
        together.wait(PATIENCE)
        with guard:
            under_way -= 1
        return number

    found = abreast.ask({str(number): partial(answer, number) for number in range(9)}, at_once=3)
    assert (list(found.items()), most) == ([(str(number), number) for number in range(9)], 3)
    assert abreast.ask({}) == {}


def test_of_several_refusals_the_same_one_is_told_each_time() -> None:
    later = threading.Event()

    def refuse(word: str, wait: bool) -> None:
        if wait:
            later.wait(PATIENCE)
        else:
            later.set()
        raise ValueError(word)

    with pytest.raises(ValueError, match="first"):
        abreast.ask({"one": partial(refuse, "first", True), "two": partial(refuse, "second", False)})


def test_a_refusal_does_not_wait_for_answers_that_a_network_swallows() -> None:
    def refuse() -> None:
        raise ValueError("no")

    began, never = time.monotonic(), threading.Event()
    try:
        with pytest.raises(ValueError, match="no"):
            abreast.ask({"refused": refuse, "swallowed": partial(never.wait, 2 * PATIENCE)})
        assert time.monotonic() - began < PATIENCE
    finally:
        never.set()


def test_ctrl_c_ends_the_program_though_answers_are_outstanding() -> None:
    """A pool of the standard library would hold it back, by its own end and by the program's."""
    with subprocess.Popen(
        [sys.executable, "-c", ASKING], cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout is not None
            assert [program.stdout.readline() for _ in range(2)] == ["asked\n"] * 2
            program.send_signal(signal.SIGINT)
            program.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail("it waited for answers that nobody wants any more")
        finally:
            program.kill()
