"""Questions side by side, for whose answers nobody waits once they are not wanted any more."""

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

AT_ONCE = 12
HEEDED_WITHIN = 1.0
"""Seconds. A Ctrl-C in the moment in which Python begins to wait is noted and wakes nobody."""


def ask(questions: Mapping[str, Callable[[], Any]], at_once: int = AT_ONCE) -> dict[str, Any]:
    """The answers by their questions' names, `at_once` of them under way at a time.

    A pool of the standard library holds Ctrl-C back, and the end of the program too, until every answer is here: where
    a network swallows them, that is some minutes. Here it ends at once; so does what a question raises, of several the
    one that stands first.
    """
    waiting: queue.SimpleQueue[tuple[str, Callable[[], Any]]] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[str, Any, BaseException | None]] = queue.SimpleQueue()
    ended = threading.Event()
    for named in questions.items():
        waiting.put(named)

    def work() -> None:
        while not ended.is_set():
            try:
                name, question = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answers.put((name, question(), None))
            except BaseException as error:  # it is raised where the answer is wanted
                answers.put((name, None, error))

    for _ in range(min(at_once, len(questions))):
        threading.Thread(target=work, daemon=True).start()
    found: dict[str, tuple[Any, BaseException | None]] = {}
    try:
        return {name: _wanted(name, answers, found) for name in questions}
    finally:
        ended.set()


def _wanted(
    name: str,
    answers: "queue.SimpleQueue[tuple[str, Any, BaseException | None]]",
    found: dict[str, tuple[Any, BaseException | None]],
) -> Any:
    while name not in found:
        with contextlib.suppress(queue.Empty):
            which, answer, error = answers.get(timeout=HEEDED_WITHIN)
            found[which] = (answer, error)
    answer, error = found[name]
    if error is not None:
        raise error
    return answer
