# Written by Hangar (role secret_manager). Changes made here are lost at the next run.
"""The verbs of the program `google-secrets`."""

import fcntl
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import kept
from .google import Google, Refused

DESCRIBED = Path("/etc/hangar/secrets.json")
AT_ONCE = 8


def main(arguments: Sequence[str], usage: str | None) -> None:
    """Run a verb. What a person has to decide ends it with status 1 and a line for each secret."""
    if os.geteuid() != 0:
        sys.exit("google-secrets: only root can do this. Try: sudo google-secrets " + " ".join(arguments))
    match list(arguments):
        case ["look"]:
            _end(run(write=False))
        case ["fetch"]:
            with _alone():
                _end(run(write=True))
        case ["list"]:
            print(json.dumps(kept.record(), indent=1, sort_keys=True))
        case _:
            sys.exit(usage)


def run(*, write: bool) -> list[str]:
    """Read every secret, print what changes, and make it so; returns why some could not be read."""
    described = json.loads(DESCRIBED.read_text())
    wanted = described["secrets"]
    found, problems = read(
        wanted, Google(described["endpoint"], described["identity"], described["patience"])
    )
    lines = kept.changes(wanted, found)
    if write:
        kept.write(wanted, found)
    for line in lines:
        print(line)
    return problems


def read(wanted: dict[str, Any], google: Google) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """All side by side: name → version and text, and for each of the others why it could not be read."""
    try:
        google.sign_in()
    except Refused as refused:
        return {}, [str(refused)]
    found, problems = {}, []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = {
            name: pool.submit(google.access, one["secret"], one["version"]) for name, one in wanted.items()
        }
    for name, answer in sorted(asked.items()):
        try:
            found[name] = answer.result()
        except Refused as refused:
            problems.append(f"{name}: {refused}")
    return found, problems


@contextmanager
def _alone() -> Iterator[None]:
    """The timer's call and a person's do not meet."""
    with (kept.FOLDER / kept.LOCK).open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _end(problems: list[str]) -> None:
    if problems:
        sys.exit("\n".join(f"google-secrets: {one}" for one in problems))
