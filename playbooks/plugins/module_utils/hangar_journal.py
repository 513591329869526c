"""The journal of what stood at a place before a change, and the timer that brings it back.

One journal a name (a role's, usually): `<root>/<name>/journal.json`, readable by
root only. A journal is `open` while its change is unproven, then `kept` or
`undone`; one that was undone in part stays open for what has not come back.
Shared by the module `apply_tree`, which writes it, and by the machine's
interlock program, which closes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

try:  # inside an Ansible module
    from ansible.module_utils import hangar_files as files
    from ansible.module_utils import hangar_reach as reach
    from ansible.module_utils import hangar_written as written
except ImportError:  # on the machine, beside the interlock program
    import hangar_files as files  # type: ignore[import-not-found,no-redef]
    import hangar_reach as reach  # type: ignore[import-not-found,no-redef]
    import hangar_written as written  # type: ignore[import-not-found,no-redef]

ROOT = "/var/lib/hangar/journal"
PROGRAM = "/usr/local/lib/hangar/interlock"
COMMAND_LIMIT = 120.0  # seconds for the command that makes an undo count
ATTEMPTS = 4  # undoings that bring not all back: the timer's, the run's that noticed, and those of two starts
LOGGED_AS = "hangar-interlock"  # one name in the log for the units of all undos, each of which has its own
KEYS = "/etc/ssh/authorized_keys/"
PEOPLE = "/etc/hangar/people.json"
_KEY = re.compile(rb'(?:^|\s)(?:sk-)?(?:ssh|ecdsa)-[^\s"]+\s+(AAAA[^\s"]*)')
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


class JournalProblem(Exception):
    """The journal cannot be used; the message says why."""


PROBLEMS = (JournalProblem, files.FileProblem, OSError, subprocess.SubprocessError)
"""What may stop work on one journal and must not stop work on the others."""


@dataclass
class Journal:
    """What to bring back (`before`, in the order it was changed) and how to make it count (`command`).

    Beside files: the kernel's `network` parameters by path, and what let the operators' `accounts` in. After an undo
    in part (`attempts`) these hold what is left; `back` are the paths that have come back already.
    """

    name: str
    state: str = "kept"
    command: str = ""
    token: str = ""
    changed_at: float = 0.0
    undo_at: float = 0.0
    before: dict[str, files.State] = field(default_factory=dict)
    network: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)  # changed, but what must follow has not run to its end
    attempts: int = 0  # undoings that did not bring all back
    back: list[str] = field(default_factory=list)
    counts: bool = False  # the command has run to its end since something came back last


def check_name(name: str) -> str:
    """Return the name, refused unless it is a plain one."""
    if not _NAME.fullmatch(name):
        raise JournalProblem(f"{name!r} is not a journal's name (small letters, digits, underscores)")
    return name


def names(root: str = ROOT) -> list[str]:
    """Return the names of the journals that exist."""
    found = os.listdir(root) if os.path.isdir(root) else []
    return sorted(name for name in found if _NAME.fullmatch(name))


@contextlib.contextmanager
def locked(name: str, root: str = ROOT) -> Iterator[None]:
    """Hold this journal: an undo never runs into a change, nor a change into an undo.

    Who waits needs no limit of its own: whoever holds an armed journal ends each command that it runs (`HELD` of
    `apply_tree`, `COMMAND_LIMIT` here).
    """
    folder = os.path.join(root, check_name(name))
    os.makedirs(root, mode=0o700, exist_ok=True)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def load(name: str, root: str = ROOT) -> Journal | None:
    """Return the journal of this name, None where there is none."""
    path = os.path.join(root, check_name(name), "journal.json")
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _unreadable(path, error) from error
    try:
        before = {name: files.State.from_json(state) for name, state in data.pop("before").items()}
        return Journal(before=before, **data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> JournalProblem:
    return JournalProblem(
        f"{path}: cannot be read, so nothing of it can be brought back: {error}."
        f" Once new logins work: sudo rm {path}"
    )


def save(journal: Journal, root: str = ROOT) -> None:
    """Write the journal so that it survives a power cut."""
    data = {**vars(journal), "before": {path: state.to_json() for path, state in journal.before.items()}}
    path = os.path.join(root, check_name(journal.name), "journal.json")
    content = json.dumps(data).encode()
    files.stage(path, files.State("file", os.geteuid(), os.getegid(), 0o600, content)).commit()


def note(journal: Journal, *, network: bool = False, accounts: Iterable[str] = ()) -> None:
    """Write down what is no file, before it is changed; the first state counts while the change is unproven."""
    if network:
        journal.network = reach.network() | journal.network
    for name in accounts:
        found = reach.account(name)
        if found is not None:
            keys = files.look(KEYS + name).to_json()
            journal.accounts.setdefault(name, {**found, "keys": keys})


def _unit(name: str, token: str) -> str:
    return f"hangar-undo-{name.replace('_', '-')}-{token}"


def arm(journal: Journal, after: float, root: str = ROOT) -> None:
    """Start the timer that undoes this journal in `after` seconds; an older timer no longer counts.

    The order matters: killed at any point, either the old timer counts or the new one.
    Raises JournalProblem when systemd refuses: nothing may be changed then.
    """
    token, old = secrets.token_hex(4), journal.token
    argv = ["systemd-run", "--quiet", "--collect", f"--unit={_unit(journal.name, token)}"]
    argv += [f"--on-active={after}s", "--timer-property=AccuracySec=100ms"]
    argv += [f"--property=SyslogIdentifier={LOGGED_AS}"]
    argv += [PROGRAM, "undo", journal.name, "--token", token]
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise JournalProblem(f"the timer that undoes the change cannot be started: {said.strip()}") from error
    journal.token, journal.state, journal.undo_at = token, "open", time.time() + after
    journal.attempts, journal.counts = 0, False  # another change, with a way back of its own
    save(journal, root)
    _stop_timer(journal.name, old)


def _stop_timer(name: str, token: str) -> None:
    """Stop a timer; one that fires all the same finds that its token no longer counts."""
    if token:
        argv = ["systemctl", "stop", "--quiet", _unit(name, token) + ".timer"]
        # Fails where the timer has fired or the machine has been restarted: nothing is left to stop then. A machine
        # that is too busy to answer takes back no change that has been proven.
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(argv, check=False, capture_output=True, timeout=30)


def keep(journal: Journal, root: str = ROOT) -> None:
    """Close the journal: the change is proven and stays."""
    journal.state = "kept"
    save(journal, root)
    _stop_timer(journal.name, journal.token)


def restore(journal: Journal) -> list[str]:
    """Bring back what stood there, last change first; return the problems (one path never stops the others)."""
    return list(_restore(journal).values())


def _restore(journal: Journal) -> dict[str, str]:
    """Return the problems by path."""
    problems = {}
    for path, state in reversed(list(journal.before.items())):
        try:
            _restore_one(path, state)
        except files.FileProblem as error:
            problems[path] = str(error)  # it names the path
        except OSError as error:
            problems[path] = f"{path}: {error}"
    for folder in reversed(journal.made):
        # A folder that was made for the change goes only if nothing else has moved in.
        with contextlib.suppress(OSError):
            os.rmdir(folder)
            written.note({folder: files.State()})
    return problems


def _restore_one(path: str, state: files.State) -> None:
    state = _without_revoked(path, state)
    written.note({path: state})
    if state.kind in ("file", "link"):
        _put_back(path, state)
    elif state.kind == "directory":
        files.set_directory(path, state.uid, state.gid, state.mode)
    else:
        files.remove(path)


def _put_back(path: str, state: files.State) -> None:
    """Whole, or else into the room of what is to go: somebody may be locked out by it, and the disk full."""
    try:
        files.stage(path, state).commit()
    except files.FileProblem as problem:
        if getattr(problem.__cause__, "errno", 0) not in (errno.ENOSPC, errno.EDQUOT) or state.kind != "file":
            raise
        files.write_over(path, state)


def _without_revoked(path: str, state: files.State) -> files.State:
    """Return what stood in a file of keys without those that the change took away: a revocation is never rolled back,
    unless none of the earlier keys would be left, and with it nobody to mend the machine. Nor does it bring back
    people: the list of them stays as it is, and only what stood beside it comes back.
    """
    if path == PEOPLE and state.kind == "file":
        return replace(state, content=_same_people(state.content, files.look(path).content))
    if not path.startswith(KEYS) or state.kind != "file":
        return state
    given = set(_blobs(files.look(path).content))
    kept = [line for line in state.content.splitlines(keepends=True) if given & set(_blobs(line))]
    return replace(state, content=b"".join(kept)) if kept else state


def _same_people(before: bytes, now: bytes) -> bytes:
    """Return the earlier description with the people of now, in the form in which the role writes it."""
    try:
        merged = {**json.loads(before), "people": json.loads(now)["people"]}
    except (ValueError, KeyError, TypeError):
        return before  # no description stands there, so nobody is let in or out by it
    return f"{json.dumps(merged, indent=1, sort_keys=True)}\n".encode()


def _restore_account(name: str, before: dict[str, Any]) -> list[str]:
    """Bring back the way in of an operator's account: its keys as `restore` would, and what `usermod` knows of it."""
    problems = []
    keys = files.State.from_json(before["keys"])
    try:
        if keys.kind == "file" and files.look(KEYS + name) != keys:
            _restore_one(KEYS + name, keys)
    except (OSError, files.FileProblem) as error:
        problems.append(f"{KEYS}{name}: {error}")
    try:
        problems += reach.restore_account(name, before)
    except (OSError, subprocess.SubprocessError) as error:
        problems.append(f"the account {name}: {error}")
    return problems


def _blobs(text: bytes) -> list[bytes]:
    """Return the keys themselves, one a line: options before do not matter, nor comments behind, in which somebody may
    have put the key of another who stays.
    """
    lines = (line for line in text.splitlines() if not line.startswith(b"#"))
    return [found[1] for line in lines if (found := _KEY.search(line))]


def _make_it_count(command: str) -> list[str]:
    """Run the command of an undo; return the problem. One that hangs must not keep the rest from coming back."""
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", command], check=False, capture_output=True, text=True, timeout=COMMAND_LIMIT
        )
    except subprocess.TimeoutExpired:
        return [f"{command}: not done after {COMMAND_LIMIT} s"]
    except OSError as error:
        return [f"{command}: {error}"]
    said = done.stderr.strip() or done.stdout.strip()
    return [f"{command}: exit {done.returncode}: {said}"] if done.returncode else []


def undo(journal: Journal, root: str = ROOT, run_command: bool = True) -> list[str]:
    """Restore, run the command that makes it count, close the journal; return the problems.

    With problems it stays open for what they name, and only for that; on a full disk, which takes no such note, for
    all of it. Without the command, before services start, the network is left alone: the kernel has begun anew.
    """
    lost = _restore(journal)
    problems, came_back = list(lost.values()), [path for path in journal.before if path not in lost]
    if run_command and journal.command and (came_back or not journal.counts):
        failed = _make_it_count(journal.command)
        journal.counts = not failed
        problems += failed
    if run_command:
        problems += reach.restore_network(journal.network)
    shut_out = {name: _restore_account(name, before) for name, before in journal.accounts.items()}
    problems += [problem for found in shut_out.values() for problem in found]
    journal.unsettled = [path for path in journal.unsettled if path not in came_back]
    journal.state, journal.attempts = ("open", journal.attempts + 1) if problems else ("undone", 0)
    if problems:
        journal.back += came_back
        journal.before = {path: state for path, state in journal.before.items() if path in lost}
        journal.made = [folder for folder in journal.made if os.path.isdir(folder)]
        left = reach.differing(journal.network) if run_command else []
        journal.network = {path: journal.network[path] for path in left}
        journal.accounts = {name: journal.accounts[name] for name, found in shut_out.items() if found}
    try:
        save(journal, root)
    except (OSError, files.FileProblem) as error:
        problems.append(f"what came back cannot be written down: {error}")
    return problems
