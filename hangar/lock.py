"""One change at a time on an environment: a lock that the kernel lets go of, however its holder ends."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from hangar import paths
from hangar.errors import LockHeld


@contextmanager
def held(environment: str, command: str) -> Iterator[None]:
    """Holds the environment's lock for the time of the block.

    Raises:
        LockHeld: another call is at work; says which, and since when.
    """
    paths.ensure_state_dir(environment)
    path = paths.lock_file(environment)
    with _acquire(path, environment) as file:
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "command": command, "since": time.time()}, file)
        file.flush()
        yield


def _acquire(path: Path, environment: str) -> IO[str]:
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read()
            file.close()
            raise _at_work(environment, holder) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        # `destroy` removed the file between our opening and our locking it.
        file.close()
        paths.ensure_state_dir(environment)


def _at_work(environment: str, holder: str) -> LockHeld:
    try:
        facts = json.loads(holder)
        since = time.strftime("%H:%M:%S", time.localtime(facts["since"]))
        who = f"`{facts['command']}` (process {facts['pid']}) has been at work since {since}"
        stop = f"Wait for it, or stop it: kill {facts['pid']}"
    except (ValueError, KeyError, TypeError):  # it has just begun and not yet said who it is
        who, stop = "another call has just begun", "Wait for it."
    return LockHeld(f"The environment {environment} is locked: {who}.", resolution=stop)
