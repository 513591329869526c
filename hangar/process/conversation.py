"""Programs that answer line by line."""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from hangar.errors import CommandFailed
from hangar.process import COMPLAINT, Completed, describe, failure, start
from hangar.process.ending import PATIENCE, end_if_running

LONGEST = 256 << 20
"""Bytes of an answer in a conversation: the machine may be somebody else's by now."""


class Conversation:
    """A program that answers line by line."""

    def __init__(self, process: "subprocess.Popen[bytes]", argv: Sequence[str], log: Path) -> None:
        self._process = process
        self._argv = tuple(argv)
        self._log = log

    def ask(self, line: str) -> str:
        """Says one line and returns the line that answers it.

        Raises:
            CommandFailed: the program has ended.
        """
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):  # then the answer is empty too
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        answer = self._process.stdout.readline(LONGEST).decode(errors="replace")
        if len(answer) >= LONGEST:
            raise CommandFailed(
                f"{Path(self._argv[0]).name} was given up: its answer has no end.", describe(self._argv)
            )
        if not answer.endswith("\n"):
            said = self._log.read_text(encoding="utf-8", errors="replace")
            raise failure(Completed(self._argv, self._process.wait(PATIENCE), "", said))
        return answer


@contextlib.contextmanager
def conversation(argv: Sequence[str], *, log: Path) -> Iterator[Conversation]:
    """Starts a program to talk with; what it writes to standard error is in `log` until the next time.

    It ends with the block: its input is closed, and if that is not enough it is interrupted.
    """
    with log.open("wb") as errors:
        process = start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, written=COMPLAINT)
    try:
        yield Conversation(process, argv, log)
        assert process.stdin
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    finally:
        end_if_running(process)
