"""Programs that go on by themselves once they are started."""

import select
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hangar.process import COMPLAINT, start
from hangar.process.ending import PATIENCE, with_parent

Child = subprocess.Popen[bytes]


def background(argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> int:
    """Starts a program that outlives us (a tunnel, the Docker engine) and returns its pid."""
    with log.open("ab") as output:
        return start(argv, stdout=output, stderr=subprocess.STDOUT, env=env, outlives_us=True).pid


def heralded(argv: Sequence[str], *, log: Path, timeout: float) -> str:
    """Starts a program that outlives us and returns the first line that it says, or "" if it ended without one or
    said nothing within `timeout` seconds. From then on nobody listens to it. It writes to the log's end, and may
    empty it.
    """
    log.write_bytes(b"")
    with log.open("ab") as errors:
        process = start(argv, stdout=subprocess.PIPE, stderr=errors, outlives_us=True, written=COMPLAINT)
    assert process.stdout
    with process.stdout as said:
        ready, _, _ = select.select([said], [], [], timeout)
        line = said.readline().decode(errors="replace").strip() if ready else ""
    if ready and not line:  # it ended
        process.wait(PATIENCE)
    return line


def child(argv: Sequence[str]) -> Child:
    """Starts a program that ends with us at the latest, and whose output nobody reads."""
    return subprocess.Popen(
        tuple(argv), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=with_parent()
    )


def ended(child: Child, seconds: float) -> int | None:
    """The status with which it ended; None where it runs still after that time."""
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
