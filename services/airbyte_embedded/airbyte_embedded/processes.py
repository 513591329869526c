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


class Unusable(Exception):
    """A program that gives no answer; the words are for people."""


class NotStarted(Unusable):
    """The program is missing or may not be run."""


class TooMuch(Unusable):
    """The program wrote more than the service has room for."""


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
    """Run a program to its end or to the limit; nothing of it is left either way. Raises NotStarted, TooMuch."""
    child = await start(argv, mark, scratch)
    try:
        async with asyncio.timeout(seconds):
            output, errors, _ = await asyncio.gather(
                _whole(child.stdout), _whole(child.stderr), _hand_over(child.stdin, given)
            )
            await child.wait()
        return Finished(child.returncode, output, errors)
    except TimeoutError:
        return Finished(None, b"", b"")
    finally:
        await end(mark, grace=0.5)
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def _whole(stream: asyncio.StreamReader | None) -> bytes:
    """All that comes, as long as it is not more than one line may have: a connector that writes without an end would
    take the memory of the service and of every job beside it.
    """
    assert stream is not None
    kept = bytearray()
    while part := await stream.read(2**16):
        kept += part
        if len(kept) > LINE:
            raise TooMuch(f"it wrote more than {LINE // 2**20} MiB")
    return bytes(kept)


async def _hand_over(stream: asyncio.StreamWriter | None, given: bytes) -> None:
    """Give it its input, as far as it takes it, and end that."""
    assert stream is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(given)
        await stream.drain()
    stream.close()
