"""What Hangar itself wrote of the system's files, so that the daily comparison does not take it for a stranger's.

Each path with the exact state that was wanted, never with what was found: a note lets nothing pass but that. Kept in
the folder of the comparison, which is root's alone. Shared by `apply_tree`, the interlock and the comparison.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

try:  # inside an Ansible module
    from ansible.module_utils import hangar_files as files
except ImportError:  # on the machine, beside the programs that use it
    import hangar_files as files  # type: ignore[import-not-found,no-redef]

FOLDER = "/var/lib/hangar/integrity"
COMPARED = ("/boot/", "/etc/", "/opt/", "/usr/")
_FILE, _LOCK = "written.json", "written.lock"

Note = list[Any]
"""Kind, then owner, group and mode, then the sum of a file or the target of a link; `made` last where it was made."""


def describe(state: files.State) -> Note:
    """Return what a note says of a state."""
    rights = [state.uid, state.gid, state.mode]
    if state.kind == "file":
        return ["file", *rights, hashlib.sha256(state.content).hexdigest()]
    if state.kind == "link":
        return ["link", *rights[:2], os.fsdecode(state.content)]  # a link has no rights of its own
    return ["directory", *rights] if state.kind == "directory" else [state.kind]


def read(folder: str | None = None) -> dict[str, Note]:
    """Return the notes, none where nothing is compared."""
    try:
        with open(os.path.join(folder or FOLDER, _FILE), encoding="utf-8") as stream:
            return dict(json.load(stream))
    except (FileNotFoundError, ValueError):
        return {}  # without notes all is a stranger's


def note(states: Mapping[str, files.State], folder: str | None = None, *, made: bool = False) -> None:
    """Write down what is about to be written, or has just been `made` anew by a program of Debian's from other files.

    A missing note costs a finding, so no run fails for it, and no undo: on a full disk too.
    """
    mark = ["made"] if made else []
    wanted = {path: describe(state) + mark for path, state in states.items() if path.startswith(COMPARED)}
    with contextlib.suppress(OSError, files.FileProblem), _locked(folder or FOLDER):
        if wanted:
            _save(folder or FOLDER, {**read(folder), **wanted})


def forget(spent: Mapping[str, Note], folder: str | None = None) -> None:
    """Drop notes that have served; one that was renewed meanwhile stays."""
    with contextlib.suppress(OSError, files.FileProblem), _locked(folder or FOLDER):
        left = {path: one for path, one in read(folder).items() if spent.get(path) != one}
        _save(folder or FOLDER, left)


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Hold the notes; raises FileNotFoundError where nothing is compared."""
    descriptor = os.open(os.path.join(folder, _LOCK), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _save(folder: str, notes: Mapping[str, Note]) -> None:
    content = json.dumps(notes).encode()
    state = files.State("file", os.geteuid(), os.getegid(), 0o600, content)
    files.stage(os.path.join(folder, _FILE), state).commit()
