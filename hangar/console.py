"""The only printing: colours and a live line on a terminal, plain lines in a pipe.

Under --json, standard output belongs to the program that reads it: everything said to people goes to
standard error.
"""

import io
import json as _json
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from hangar.errors import HangarError, NeedsAnswer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status


DEFECT = "This is a defect in Hangar; --verbose shows where."


COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ACTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What acts on a terminal, or turns the order of letters round. Much of what is said was chosen elsewhere: by whoever
writes DAGs, names tables or answers for a host.
"""


class ReaderLeft(BrokenPipeError):
    """Whoever read standard output has gone (`| head`), and no work is under way that should be finished."""


@dataclass
class _Manner:
    json: bool = False
    yes: bool = False
    status: "Status | None" = None
    works: int = 0
    """How much work is under way whose end matters more than its words."""


_manner = _Manner()


def configure(*, json: bool = False, yes: bool = False) -> None:
    """Set once by the command line, before anything is said."""
    _manner.json, _manner.yes = json, yes
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or pipe that knows no ✓ gets a ? instead of an end.
            stream.reconfigure(errors="replace")


def say(text: str = "", style: str = "") -> None:
    """One or more lines for a person. `style` is a rich style; a pipe does not see it."""
    _print(sys.stderr if _manner.json else sys.stdout, text, style)


def note(text: str) -> None:
    """A word beside the answer: on standard error."""
    _print(sys.stderr, text)


def warn(text: str) -> None:
    _print(sys.stderr, f"warning: {text}", "yellow")


def error(problem: BaseException, *, verbose: bool = False) -> None:
    """Shows what went wrong: brief, details, what to do. The traceback only on demand."""
    if verbose:
        _print(sys.stderr, "".join(traceback.format_exception(problem)).rstrip(), "dim")
    if not isinstance(problem, HangarError):
        _print(sys.stderr, f"error: {type(problem).__name__}: {problem}", "bold red")
        if not verbose:
            _print(sys.stderr, DEFECT)
        return
    _print(sys.stderr, f"error: {problem.brief}", "bold red")
    if problem.details:
        _print(sys.stderr, "\n".join(f"  {line}" for line in problem.details.splitlines()))
    if problem.resolution:
        _print(sys.stderr, problem.resolution, "cyan")


def json(data: Any) -> None:
    """The answer for a program, on standard output."""
    _write(sys.stdout, _escaped(_json.dumps(data, indent=2, ensure_ascii=False)) + "\n")


def pass_on(line: str) -> None:
    """A line of somebody else's answer, for a person or under --json for a program, on standard output either way."""
    _write(sys.stdout, (_escaped(line) if _manner.json else plain(line)) + "\n")


def _escaped(text: str) -> str:
    """JSON without what acts on a terminal; it says the same."""
    return ACTS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def clear() -> None:
    """A new page on a terminal; a blank line in a pipe."""
    stream = sys.stderr if _manner.json else sys.stdout
    _write(stream, "\x1b[H\x1b[2J" if stream.isatty() else "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Rows under headings, aligned; without headings when `columns` are all empty."""
    rows = [[str(cell) for cell in row] for row in rows]
    if title:
        say(title, "bold")
    lines = [list(columns), *rows] if any(columns) else rows
    widths = [max((len(line[n]) for line in lines), default=0) for n in range(len(columns))]
    for number, line in enumerate(lines):
        heading = number == 0 and any(columns)
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        say(f"  {text}", "bold" if heading else "")


def confirm(question: str) -> bool:
    """Asks yes or no; no is the default, and --yes answers.

    Raises:
        NeedsAnswer: nobody is at a terminal to answer.
    """
    if _manner.yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NeedsAnswer(
            "This needs an answer, and there is no terminal to ask on.",
            f"It would have asked: {question}",
            "Say --yes to answer yes beforehand.",
        )
    with _quiet():
        sys.stderr.write(f"{plain(question)} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def typed(question: str, word: str, given: str, option: str) -> bool:
    """Asks for a word to be typed, where yes would be said too lightly; `given` is the answer of `option`, and
    --yes is none.

    Raises:
        NeedsAnswer: nobody is at a terminal to answer, and the option says nothing.
    """
    if given:
        return given == word
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NeedsAnswer(
            "This needs an answer, and there is no terminal to ask on.",
            f"It would have asked: {question}",
            f"Say {option} {word} to answer beforehand (--yes is not enough for this).",
        )
    with _quiet():
        sys.stderr.write(f"{plain(question)} ")
        sys.stderr.flush()
        return sys.stdin.readline().strip() == word


@dataclass(frozen=True)
class Timing:
    stage: str
    seconds: float


@dataclass
class Progress:
    """Stages of long work: which runs, how far it is, how long each took.

    >>> with Progress() as progress:
    ...     with progress.stage("Machine"):
    ...         progress.step("start", 1, 3)
    """

    _timings: list[Timing] = field(default_factory=list)
    _stage: str = ""

    def __enter__(self) -> "Progress":
        _manner.works += 1
        return self

    def __exit__(self, *_: object) -> None:
        _manner.works -= 1
        _stop_status()

    @property
    def timings(self) -> tuple[Timing, ...]:
        return tuple(self._timings)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Names the stage for the time of the block; a failed stage is never called done."""
        began, self._stage = time.monotonic(), name
        self._show(f"{name} …")
        try:
            yield
        except BaseException:
            _stop_status()
            seconds = time.monotonic() - began
            _print(_chatter(), f"✗ {name}  {seconds:.1f} s", "red")
            raise
        seconds = time.monotonic() - began
        self._timings.append(Timing(name, seconds))
        _stop_status()
        say(f"✓ {name}  {seconds:.1f} s", "green")

    def step(self, name: str, done: int | None = None, total: int | None = None) -> None:
        """What is being done now inside the stage, and how far it is where that is known."""
        count = f"{done}/{total} " if done is not None and total else ""
        self._show(f"{self._stage}: {count}{name}")

    def report(self, name: str) -> None:
        """`step` for callers that know no count (the shape of `cloud.base.Report`)."""
        self.step(name)

    def _show(self, text: str) -> None:
        stream = _chatter()
        if not stream.isatty():
            _print(stream, f"  {text}")
            return
        if _manner.status is None:
            _manner.status = _rich(stream).status("", spinner="dots")
            _manner.status.start()
        from rich.text import Text

        _manner.status.update(Text(plain(text), no_wrap=True, overflow="ellipsis"))


def _chatter() -> TextIO:
    return sys.stderr if _manner.json else sys.stdout


def plain(text: str) -> str:
    """The text without what acts on a terminal: colours go, the rest is shown as a question mark."""
    return ACTS.sub("?", COLOURS.sub("", text.replace("\r\n", "\n")))


def _print(stream: TextIO, text: str, style: str = "") -> None:
    text = plain(text)
    if not stream.isatty():
        _write(stream, text + "\n")
        return
    target = _manner.status.console if _manner.status else _rich(stream)
    target.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)


def _write(stream: TextIO, text: str) -> None:
    """Work that is under way goes on when nobody listens any more: it matters more than its words.

    Raises:
        ReaderLeft: nobody reads standard output, and nothing else is done.
    """
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _silence(stream)
        if stream is sys.stdout and not _manner.works:
            raise ReaderLeft from None


def _silence(stream: TextIO) -> None:
    """What is still to be said goes nowhere, so that Python does not complain of it at its end."""
    with suppress(OSError, ValueError):  # a stream of a test's has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _rich(stream: TextIO) -> "Console":
    from rich.console import Console

    return Console(file=stream)


def _stop_status() -> None:
    if _manner.status is not None:
        _manner.status.stop()
        _manner.status = None


@contextmanager
def _quiet() -> Iterator[None]:
    """The live line stands aside, for a question."""
    _stop_status()
    yield
