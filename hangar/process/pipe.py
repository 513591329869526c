"""What goes from one program to another, or into a file."""

import contextlib
import hashlib
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from hangar.errors import CommandFailed
from hangar.process import COMPLAINT, Completed, contents, describe, failure, start
from hangar.process.ending import end_if_running


class Carried(NamedTuple):
    """How much went from one program to another, and its SHA-256."""

    bytes: int
    sha256: str


class Given(NamedTuple):
    """A file that a program reads on its standard input, and the SHA-256 that it was seen to have."""

    place: Path
    sha256: str


def carry(
    source: Sequence[str],
    sink: Sequence[str] | Path | None,
    most: int | None = None,
    given: Given | None = None,
) -> Carried:
    """What `source` prints goes to the standard input of `sink`, into the file that it is, or nowhere. Where it
    prints more than `most` bytes it is ended. `given` is what `source` reads.

    Raises:
        MissingTool: one of them is not installed.
        CommandFailed: one of them ended badly; the sink's failure is told first: it ends the source's. Or what the
            source has read is not what was given: then what has gone to the sink is worth nothing.
        OSError: the file cannot be written; it names the file.
    """
    with _naming(sink), contextlib.ExitStack() as held:
        giver = _piped(
            held, source, stdin=subprocess.PIPE if given else subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        feeding = _Feeding(given, giver.process.stdin) if given and giver.process.stdin else None
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
        if given and not (feeding and feeding.is_over()):
            raise CommandFailed(
                f"{Path(source[0]).name} has read another {given.place.name} than was looked at before.",
                f"* Somebody has changed it meanwhile: {given.place}\n{describe(source)}",
            )
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


class _Feeding:
    """Gives a program a file to read, and notes what it gave: others may write where the file lies, also between two
    looks at it.
    """

    def __init__(self, given: Given, sink: IO[bytes]) -> None:
        self._given, self._digest = given, hashlib.sha256()
        self._thread = threading.Thread(target=self._feed, args=(sink,), daemon=True)
        self._thread.start()

    def _feed(self, sink: IO[bytes]) -> None:
        # Whatever it could not be given shows in the digest.
        with contextlib.suppress(OSError), sink, self._given.place.open("rb") as stream:
            while block := stream.read(2**20):
                self._digest.update(block)
                sink.write(block)

    def is_over(self) -> bool:
        """Waits for the end, and tells whether all of it was given and was as it was seen before."""
        self._thread.join()
        return self._digest.hexdigest() == self._given.sha256


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
    process = start(argv, stdin=stdin, stdout=stdout, stderr=errors, written=COMPLAINT)
    held.callback(end_if_running, process)
    return _Piped(tuple(argv), process, errors)
