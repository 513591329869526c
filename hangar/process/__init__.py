"""The only place that starts other programs: here those that run to their end; the modules beside have the others."""

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hangar.errors import CommandFailed, MissingTool
from hangar.process.ending import at_its_start, limited, with_parent

COMPLAINT = 16 << 20
"""Bytes of what a program complains of that are kept in a file: of ssh they may be the words of a machine that is
somebody else's by now, and the disk is ours.
"""
TOLD = 8000
"""Characters of what a program said that an error repeats: twenty lines that have an end are shorter."""
LINE = 1 << 20
"""Bytes of a line that are handed on at once."""


@dataclass(frozen=True)
class Completed:
    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str],
    *,
    check: bool = True,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    capture: bool = True,
) -> Completed:
    """Runs a program to its end. `env` is added to our environment; `timeout` is in seconds. For a program that says
    what somebody else wants there is `bounded`.

    Raises:
        MissingTool: the program is not installed.
        CommandFailed: it ended with another status than 0 (unless `check` is false), or ran out of time.
    """
    argv = tuple(argv)
    pipe = subprocess.PIPE if capture else None
    stdin = None if input is not None else subprocess.DEVNULL
    try:
        done = subprocess.run(
            argv, input=input, stdin=stdin, stdout=pipe, stderr=pipe, text=True, errors="replace",
            env=_environment(env), cwd=cwd, timeout=timeout, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise _missing(argv, error) from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(
            f"{Path(argv[0]).name} did not finish within {timeout:g} s.", describe(argv)
        ) from error
    completed = Completed(argv, done.returncode, done.stdout or "", done.stderr or "")
    if check and done.returncode != 0:
        raise failure(completed)
    return completed


def bounded(
    argv: Sequence[str],
    *,
    input: str,
    timeout: float,
    most: int | None = None,
    written: int | None = None,
    check: bool = True,
) -> Completed:
    """Runs a program that speaks for somebody else to its end; it asks nobody anything. It may say `most` bytes (else
    what `bounds.SAID` has), and write `written` into a file.

    Raises:
        MissingTool: the program is not installed.
        CommandFailed: it ended with another status than 0 (unless `check` is false), or was ended: it said or wrote
            too much, or took too long.
    """
    from hangar import bounds  # with Python's web client, which few verbs need and none for its help

    argv = tuple(argv)
    try:
        done = bounds.run(argv, seconds=timeout, text=input, most=most, written=written)
    except bounds.Unbounded as error:
        raise CommandFailed(f"{Path(argv[0]).name} was ended: it {error}.", describe(argv)) from error
    except FileNotFoundError as error:
        raise _missing(argv, error) from error
    completed = Completed(argv, done.returncode, done.stdout, done.stderr)
    if done.returncode == -signal.SIGXFSZ:
        raise CommandFailed(
            f"{Path(argv[0]).name} was ended: it is given a file of more than {written} bytes.",
            describe(argv),
        )
    if check and done.returncode != 0:
        raise failure(completed)
    return completed


def interactive(argv: Sequence[str]) -> int:
    """Gives the terminal to a program (ssh, say) and returns its exit status."""
    argv = tuple(argv)
    # Ctrl-C belongs to the program in front; we end when it ends.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.run(argv, check=False, preexec_fn=_default_interrupt).returncode
    except FileNotFoundError as error:
        raise _missing(argv, error) from error
    finally:
        signal.signal(signal.SIGINT, before)


def relayed(argv: Sequence[str], say: Callable[[str], None], complain: Callable[[str], None]) -> int:
    """As `interactive`, for a program that speaks for somebody else: what it says and complains of is handed on line by
    line, in pieces of `LINE` where there is no end to one. Returns its exit status.

    Raises:
        MissingTool: the program is not installed.
    """
    argv = tuple(argv)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_default_interrupt
        ) as child:
            complaints = threading.Thread(target=_hand_on, args=(child.stderr, complain), daemon=True)
            complaints.start()
            try:
                _hand_on(child.stdout, say)
                complaints.join()
            except BaseException:
                child.terminate()
                raise
        return child.returncode
    except FileNotFoundError as error:
        raise _missing(argv, error) from error
    finally:
        signal.signal(signal.SIGINT, before)


def _hand_on(stream: IO[bytes] | None, say: Callable[[str], None]) -> None:
    while stream and (line := stream.readline(LINE)):
        say(
            line.decode(errors="replace").removesuffix("\n").removesuffix("\r")
        )  # ssh's own words end in both


def start(
    argv: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    outlives_us: bool = False,
    written: int | None = None,
) -> "subprocess.Popen[bytes]":
    """Starts a program at the head of a group of its own, so that a signal reaches what it starts as well. One that
    writes more than `written` bytes into a file is ended by the kernel.

    Raises:
        MissingTool: the program is not installed.
    """
    argv = tuple(argv)
    try:
        return subprocess.Popen(
            argv, stdin=stdin, stdout=stdout, stderr=stderr, env=_environment(env), cwd=cwd,
            pass_fds=tuple(pass_fds), start_new_session=True,
            preexec_fn=at_its_start(None if outlives_us else with_parent(), limited(written)),
        )  # fmt: skip
    except FileNotFoundError as error:
        raise _missing(argv, error) from error


def contents(file: IO[bytes]) -> str:
    """All that was written to a file that a program has as its output."""
    file.seek(0)
    return file.read().decode(errors="replace").strip()


def failure(completed: Completed) -> CommandFailed:
    """The error for a program that ended badly: the command, its status, the end of what it said."""
    said = (completed.stderr.strip() or completed.stdout.strip())[-TOLD:].splitlines()[-20:]
    lines = [describe(completed.argv), f"* Exit status: {completed.returncode}"]
    if said:
        lines += ["* It said:", *(f"    {line}" for line in said)]
    name = Path(completed.argv[0]).name
    return CommandFailed(f"{name} failed.", "\n".join(lines), output=completed.stdout + completed.stderr)


def describe(argv: Sequence[str]) -> str:
    return f"* Command: {shlex.join(argv)}"


def windows_line(argv: Sequence[str]) -> str:
    """The words as one command line for Windows, whatever the system that we are on."""
    return subprocess.list2cmdline(argv)


def _environment(extra: Mapping[str, str | None] | None) -> dict[str, str] | None:
    if extra is None:
        return None
    return {name: value for name, value in {**os.environ, **extra}.items() if value is not None}


def _missing(argv: Sequence[str], error: FileNotFoundError) -> MissingTool | CommandFailed:
    if error.filename not in (None, argv[0]):
        return CommandFailed(f"{error.filename} does not exist.", describe(argv))
    return MissingTool(
        f"{argv[0]} is not installed.",
        describe(argv),
        "Install it with your system's packages; ./provision.py doctor names the package.",
    )


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
