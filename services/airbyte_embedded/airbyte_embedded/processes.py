"""The only place that starts processes, and the only one that ends them.

Every process of a job or a connector carries a mark in its environment. A process group is not enough to find
them again: a connector may leave its group (`setsid`), and the service itself may have been killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "AIRBYTE_EMBEDDED_MARK"
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
             "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")  # fmt: skip
PAGE = os.sysconf("SC_PAGE_SIZE")
LINE = 64 * 2**20  # the longest line that a connector may write: a record or a catalog


class NotStarted(Exception):
    """The program is missing or may not be run."""


def environment(mark: str, scratch: Path) -> dict[str, str]:
    """What a child sees: nothing of the service's own beyond what a network client needs. Telemetry is off."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    kept |= {name: value for name, value in os.environ.items() if name.startswith("UV_")}
    return kept | {
        MARK: mark,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "DO_NOT_TRACK": "1",
        "AIRBYTE_OFFLINE_MODE": "1",
        "NO_LIVE_PROGRESS": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
    }


async def start(
    argv: Sequence[str],
    mark: str,
    scratch: Path,
    *,
    fds: Sequence[int] = (),
    more: Mapping[str, str] | None = None,
) -> asyncio.subprocess.Process:
    """A child in a session of its own, with pipes for its three streams. Raises NotStarted."""
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if fds else asyncio.subprocess.PIPE,
            env=environment(mark, scratch) | dict(more or {}),
            cwd=scratch,
            start_new_session=True,
            pass_fds=tuple(fds),
            limit=LINE,
        )
    except OSError as error:
        raise NotStarted(f"{argv[0]} could not be started: {error.strerror}") from None


def members(mark: str) -> list[int]:
    """The processes of this account that carry the mark, or a mark that begins with it and a slash."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it ended meanwhile, or is another account's
            variables = (entry / "environ").read_bytes().split(b"\0")
            if any(item == wanted or item.startswith(wanted + b"/") for item in variables):
                found.append(int(entry.name))
    return found


def resident(pids: Sequence[int]) -> int:
    """Bytes of memory in use by these processes together; shared pages count once for each."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return total


def send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


async def end(mark: str, grace: float = 2.0) -> None:
    """Nothing that carries the mark runs any more: asked first, killed after `grace` seconds."""
    send(members(mark), signal.SIGTERM)
    deadline = time.monotonic() + grace
    while (left := members(mark)) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    while left := members(mark):
        send(left, signal.SIGKILL)
        await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Finished:
    """What a short program left behind. `code` is None when the time limit ended it."""

    code: int | None
    output: bytes
    errors: bytes


async def run(argv: Sequence[str], mark: str, scratch: Path, seconds: float, given: bytes = b"") -> Finished:
    """Run a program to its end or to the limit; nothing of it is left either way. Raises NotStarted."""
    child = await start(argv, mark, scratch)
    try:
        output, errors = await asyncio.wait_for(child.communicate(given), seconds)
        return Finished(child.returncode, output, errors)
    except TimeoutError:
        return Finished(None, b"", b"")
    finally:
        await end(mark, grace=0.5)
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
