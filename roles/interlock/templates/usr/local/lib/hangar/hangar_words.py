# Written by Hangar (role interlock). Changes made here are lost at the next run.
"""What may be shown of a log: words only, and none that is a secret."""

import contextlib
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SHORTEST = 8
"""Letters that a secret has at least: shorter ones would hide half the log."""
LARGEST = 65536
"""Bytes of a file that is taken for a secret."""
KEPT = ("/srv/*/secrets/*", "/srv/people/passwords/*", "/run/hangar-secrets/*")
"""Where secrets are: on the disk, with people's first passwords, and in memory what comes from Secret Manager."""


class Masks:
    """Values that nobody is to read in a log: every secret that stands on this machine."""

    def __init__(self, *patterns: str) -> None:
        values = set[str]()
        for path in (path for one in patterns or KEPT for path in Path("/").glob(one.lstrip("/"))):
            # Made anew at this moment, or of another account than the one that reads.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                if path.is_file() and path.stat().st_size < LARGEST:
                    values.update(line.strip() for line in path.read_text(errors="replace").splitlines())
        found = sorted((value for value in values if len(value) >= SHORTEST), key=len, reverse=True)
        self.secret = re.compile("|".join(map(re.escape, found))) if found else None

    def hide(self, text: str) -> str:
        return self.secret.sub("***", text) if self.secret else text


def clean(text: str) -> str:
    """Without colours and what else would act on a terminal."""
    return "".join(
        char if char.isprintable() or char == "\t" else " " for char in ESCAPES.sub("", text.rstrip())
    )


def show(argv: Sequence[str], environment: dict[str, str]) -> int:
    """Run a program and print what it says and complains of, as it may be shown; returns how it ended. Whoever stops
    reading ends us.
    """
    masks = Masks()
    for leaving in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(leaving, signal.SIG_DFL)

    def pass_on(said: IO[str] | None, place: IO[str]) -> None:
        for line in said or ():
            print(masks.hide(clean(line)), file=place)

    with subprocess.Popen(
        argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        complaints = threading.Thread(target=pass_on, args=(process.stderr, sys.stderr), daemon=True)
        complaints.start()
        pass_on(process.stdout, sys.stdout)
        complaints.join()
    return process.returncode
