# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""Programs that tell a log: read line by line, however much they say."""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import BinaryIO

LINE = 1 << 20
"""Bytes of a line that are taken in, its first."""

COMPLAINT = 300
"""Letters of what a program complains of, its last."""


class Program:
    """`complaint` is None while nothing is wrong: known once all lines have been read."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = command
        self.complaint: str | None = None

    def lines(self) -> Iterator[str]:
        try:
            process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as problem:
            self.complaint = str(problem)
            return
        said = bytearray()
        # By itself: whoever complains at length would wait for us, and we for its lines.
        listener = threading.Thread(target=_keep_the_last, args=(process.stderr, said), daemon=True)
        listener.start()
        with process:
            try:
                yield from lines(process.stdout)
            except BaseException:
                process.kill()  # nobody reads it to its end
                raise
            listener.join()
        if process.returncode != 0:
            self.complaint = said.decode(errors="replace").strip()[-COMPLAINT:]


def lines(stream: BinaryIO) -> Iterator[str]:
    """As they come; what is beyond the first bytes of a line is left out."""
    while line := stream.readline(LINE):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(LINE)
        # One line may be several for whoever wrote it: what returns the carriage, say.
        yield from line.decode(errors="replace").splitlines()


def _keep_the_last(stream: BinaryIO, said: bytearray) -> None:
    while piece := stream.read1(65536):
        said += piece
        del said[: -4 * COMPLAINT]
