"""The only place that starts other programs."""

import contextlib
import ctypes
import hashlib
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from hangar import bounds
from hangar.errors import CommandFailed, MissingTool

PATIENCE = 10.0
"""Seconds that an interrupted program gets to end by itself."""

LONGEST = 256 << 20
"""Bytes of an answer in a conversation: the machine may be somebody else's by now."""

LEAVE_PATIENCE = 3.0
"""Seconds that a program gets to end by itself once nobody is connected to it."""


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
    argv: Sequence[str], *, input: str, timeout: float, most: int = bounds.SAID, written: int | None = None
) -> Completed:
    """Runs a program that speaks for somebody else to its end; it asks nobody anything. It may say so many bytes, and
    write so many into a file.

    Raises:
        MissingTool: the program is not installed.
        CommandFailed: it ended with another status than 0, or was ended: it said or wrote too much, or took too long.
    """
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
    if done.returncode != 0:
        raise failure(completed)
    return completed


def interactive(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Gives the terminal to a program (ssh, say) and returns its exit status."""
    argv = tuple(argv)
    # Ctrl-C belongs to the program in front; we end when it ends.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.run(
            argv, env=_environment(env), check=False, preexec_fn=_default_interrupt
        ).returncode
    except FileNotFoundError as error:
        raise _missing(argv, error) from error
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def stream(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator["subprocess.Popen[bytes]"]:
    """Starts long work whose whole output is appended to `log`; yields the running process.

    `env` is added to our environment; a name with None is taken out of it.
    Leaving the block waits for its end. Leaving it by an exception (Ctrl-C) ends the work first, and
    should we be killed the kernel ends it: an orphan must not go on changing the machine.
    """
    argv = tuple(argv)
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=_environment(env), cwd=cwd, pass_fds=tuple(pass_fds),
                start_new_session=True, preexec_fn=_die_with(os.getpid()),
            )  # fmt: skip
        except FileNotFoundError as error:
            raise _missing(argv, error) from error
        try:
            yield process
            process.wait()
        except BaseException:
            end(process)
            raise


class Carried(NamedTuple):
    """How much went from one program to another, and its SHA-256."""

    bytes: int
    sha256: str


def carry(source: Sequence[str], sink: Sequence[str] | Path | None, most: int | None = None) -> Carried:
    """What `source` prints goes to the standard input of `sink`, into the file that it is, or nowhere. Where it
    prints more than `most` bytes it is ended.

    Raises:
        MissingTool: one of them is not installed.
        CommandFailed: one of them ended badly; the sink's failure is told first: it ends the source's.
        OSError: the file cannot be written; it names the file.
    """
    with _naming(sink), contextlib.ExitStack() as held:
        giver = _piped(held, source, stdout=subprocess.PIPE)
        taker = _piped(held, sink, stdin=subprocess.PIPE) if sink and not isinstance(sink, Path) else None
        place = (
            held.enter_context(sink.open("wb")) if isinstance(sink, Path) else taker and taker.process.stdin
        )
        assert giver.process.stdout
        digest, count = hashlib.sha256(), 0
        with contextlib.suppress(BrokenPipeError):  # then the taker has ended, and says why
            while block := giver.process.stdout.read(2**20):
                digest.update(block)
                count += len(block)
                if most is not None and count > most:
                    raise CommandFailed(
                        f"{Path(source[0]).name} was ended: it says more than {most} bytes.", describe(source)
                    )
                if place:
                    place.write(block)
            if place:
                place.close()
        giver.process.stdout.close()
        for one in filter(None, (taker, giver)):
            one.require_success()
        return Carried(count, digest.hexdigest())


@contextlib.contextmanager
def _naming(place: object) -> Iterator[None]:
    """The system does not say which file it could not write to."""
    try:
        yield
    except OSError as error:
        if isinstance(place, Path) and error.filename is None:
            error.filename = str(place)
        raise


class _Piped(NamedTuple):
    argv: tuple[str, ...]
    process: "subprocess.Popen[bytes]"
    errors: IO[bytes]

    def require_success(self) -> None:
        if self.process.wait() != 0:
            raise failure(Completed(self.argv, self.process.returncode, "", _read(self.errors)))


def _piped(
    held: contextlib.ExitStack, argv: Sequence[str], *, stdin: int | None = None, stdout: int | None = None
) -> _Piped:
    argv = tuple(argv)
    errors = tempfile.TemporaryFile()  # noqa: SIM115  the line below closes it
    held.enter_context(errors)
    try:
        process = subprocess.Popen(
            argv, stdin=stdin or subprocess.DEVNULL, stdout=stdout or subprocess.DEVNULL, stderr=errors,
            start_new_session=True, preexec_fn=_die_with(os.getpid()),
        )  # fmt: skip
    except FileNotFoundError as error:
        raise _missing(argv, error) from error
    held.callback(_end_if_running, process)
    return _Piped(argv, process, errors)


def _end_if_running(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        end(process)


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
    argv = tuple(argv)
    with log.open("wb") as errors:
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                start_new_session=True, preexec_fn=_die_with(os.getpid()),
            )  # fmt: skip
        except FileNotFoundError as error:
            raise _missing(argv, error) from error
    try:
        yield Conversation(process, argv, log)
        assert process.stdin
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            end(process)


def background(argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> int:
    """Starts a program that outlives us (a tunnel, the Docker engine) and returns its pid."""
    argv = tuple(argv)
    with log.open("ab") as output:
        try:
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=_environment(env), start_new_session=True,
            ).pid  # fmt: skip
        except FileNotFoundError as error:
            raise _missing(argv, error) from error


def heralded(argv: Sequence[str], *, log: Path, timeout: float) -> str:
    """Starts a program that outlives us and returns the first line that it says, or "" if it ended without one or
    said nothing within `timeout` seconds. From then on nobody listens to it.
    """
    argv = tuple(argv)
    with log.open("wb") as errors:
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
        except FileNotFoundError as error:
            raise _missing(argv, error) from error
    assert process.stdout
    with process.stdout as said:
        ready, _, _ = select.select([said], [], [], timeout)
        line = said.readline().decode(errors="replace").strip() if ready else ""
    if ready and not line:  # it ended
        process.wait(PATIENCE)
    return line


Child = subprocess.Popen[bytes]


def child(argv: Sequence[str]) -> Child:
    """Starts a program that ends with us at the latest, and whose output nobody reads."""
    return subprocess.Popen(
        tuple(argv), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=_die_with(os.getpid())
    )


class Connection(NamedTuple):
    """A program's standard input and output, as one socket, and what it has said on standard error."""

    socket: socket.socket
    said: Callable[[], str]


@contextlib.contextmanager
def connected(argv: Sequence[str]) -> Iterator[Connection]:
    """Starts a program that leads somewhere (a proxy command). It ends with the block, or when we are killed."""
    argv = tuple(argv)
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryFile() as errors:
        with theirs:
            try:
                process = subprocess.Popen(
                    argv, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=errors,
                    start_new_session=True, preexec_fn=_die_with(os.getpid()),
                )  # fmt: skip
            except FileNotFoundError as error:
                raise _missing(argv, error) from error
        try:
            yield Connection(ours, lambda: _read(errors))
        finally:
            ours.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LEAVE_PATIENCE)
            _signal(process, signal.SIGKILL)
            process.wait()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace").strip()


def windows_line(argv: Sequence[str]) -> str:
    """The words as one command line for Windows, whatever the system that we are on."""
    return subprocess.list2cmdline(argv)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Interrupts a program, and after `PATIENCE` ever more firmly; what it started and left goes with it."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            _signal(process, signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
    _signal(process, signal.SIGKILL)


def _signal(process: "subprocess.Popen[bytes]", signum: signal.Signals) -> None:
    """To the whole group, which may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signum)


def failure(completed: Completed) -> CommandFailed:
    """The error for a program that ended badly: the command, its status, the end of what it said."""
    said = (completed.stderr.strip() or completed.stdout.strip()).splitlines()[-20:]
    lines = [describe(completed.argv), f"* Exit status: {completed.returncode}"]
    if said:
        lines += ["* It said:", *(f"    {line}" for line in said)]
    name = Path(completed.argv[0]).name
    return CommandFailed(f"{name} failed.", "\n".join(lines), output=completed.stdout + completed.stderr)


def describe(argv: Sequence[str]) -> str:
    return f"* Command: {shlex.join(argv)}"


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


def _die_with(parent: int):  # type: ignore[no-untyped-def]
    """A hook for the child: the kernel sends it SIGTERM when its parent is gone (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    set_parent_death_signal = 1

    def hook() -> None:
        prctl(set_parent_death_signal, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return hook
