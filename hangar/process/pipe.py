"""What goes from one program to another, or into a file."""

import contextlib
import hashlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from hangar.errors import CommandFailed
from hangar.process import Completed, contents, describe, failure, start
from hangar.process.ending import end_if_running


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
            raise failure(Completed(self.argv, self.process.returncode, "", contents(self.errors)))


def _piped(
    held: contextlib.ExitStack,
    argv: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> _Piped:
    errors = tempfile.TemporaryFile()  # noqa: SIM115  the line below closes it
    held.enter_context(errors)
    process = start(argv, stdin=stdin, stdout=stdout, stderr=errors)
    held.callback(end_if_running, process)
    return _Piped(tuple(argv), process, errors)
