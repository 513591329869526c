# Written by Hangar (role warehouse). Changes made here are lost at the next run.
"""The running server: its unit, and questions to it as the owner through its socket."""

import re
import subprocess
from pathlib import Path
from typing import Any

from hangar_bounds import Unbounded, run

from .described import OWNER, SOCKETS, UNIT, Described, Refused

ANSWERED = 300.0
"""Seconds for an answer of the server's."""

REPLACED = re.compile(r"\s/usr/\S+ \(deleted\)$", re.MULTILINE)
"""A program or library in a process's memory whose file has been replaced."""


def state() -> dict[str, str]:
    """The unit as systemd has it."""
    names = "ActiveState,UnitFileState,MainPID,NeedDaemonReload"
    shown = subprocess.run(
        ["systemctl", "show", UNIT, "--property", names], capture_output=True, text=True, check=True
    )
    return dict(line.split("=", 1) for line in shown.stdout.splitlines())


def look(described: Described) -> list[str]:
    """What keeps the server from answering as it is described; nothing when it does."""
    found = state()
    if found["ActiveState"] != "active" or found["UnitFileState"] != "enabled":
        return [f"is {found['ActiveState']} and {found['UnitFileState']}"]
    if is_replaced(found["MainPID"]):
        return ["runs code that has been replaced on the disk"]
    asked = psql(described, "postgres", "select count(*) from pg_settings where pending_restart")
    if asked.returncode != 0:
        return ["does not answer on the socket of its port"]
    return ["has settings that count only after a restart"] if asked.stdout.strip() != "0" else []


def is_replaced(pid: str, proc: Path = Path("/proc")) -> bool:
    """Tell whether a process runs code that a newer package has replaced."""
    try:
        return bool(REPLACED.search((proc / pid / "maps").read_text(errors="replace")))
    except OSError:
        return False  # it has just ended, so it runs nothing


def ensure(described: Described) -> None:
    """Start the server, or start it anew where it is not as described; returns when it answers."""
    if not (wrong := look(described)):
        return
    # One that is just starting may be replaying its log after a crash: it is waited for, not begun again.
    verb = "restart" if state()["ActiveState"] == "active" else "start"
    for argv in (["daemon-reload"], ["enable", "--quiet", UNIT], [verb, UNIT]):
        done = subprocess.run(["systemctl", *argv], capture_output=True, text=True)
        if done.returncode != 0:
            raise Refused(f"{UNIT} {wrong[0]}, and does not start: {done.stderr.strip()}\n{last_words()}")
    if left := look(described):
        raise Refused(f"{UNIT} was started, but {left[0]}.\n{last_words()}")


def last_words() -> str:
    """The end of the server's log."""
    argv = ["journalctl", "--unit", UNIT, "--lines", "8", "--no-pager", "--quiet", "--output", "cat"]
    return subprocess.run(argv, capture_output=True, text=True).stdout.strip()


def renew() -> None:
    """Let the server start from the code that is on the disk now; does not wait for it."""
    found = state()
    if found["ActiveState"] == "active" and is_replaced(found["MainPID"]):
        print(f"{UNIT}: restarting, since its packages were upgraded")
        subprocess.run(["systemctl", "--no-block", "try-restart", UNIT], check=True)


def command(described: Described, database: str) -> list[str]:
    """The client, as the owner."""
    return [
        str(described.programs / "psql"), "--host", str(SOCKETS), "--port", str(described.port),
        "--username", OWNER, "--dbname", database,
    ]  # fmt: skip


def account(described: Described) -> dict[str, Any]:
    """How a process becomes the owner. Its sessions look for nothing in a schema that is not named: an operator that
    fits better than Postgres' own would run as the owner of everything.
    """
    return {
        "user": described.uid, "group": described.uid, "extra_groups": [], "cwd": "/",
        "env": {
            "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "PGCONNECT_TIMEOUT": "10",
            "PGOPTIONS": "-c search_path=",
        },
    }  # fmt: skip


def psql(described: Described, database: str, sql: str) -> subprocess.CompletedProcess[str]:
    """Run statements as the owner; they go through a pipe, so that no list of processes shows them.

    Raises:
        Refused: the server does not come to an end, in what it says or with it: whoever works there can lock things.
    """
    plain = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1",
             "--set", "VERBOSITY=terse", "--file", "-"]  # fmt: skip
    try:
        return run([*command(described, database), *plain], seconds=ANSWERED, text=sql, **account(described))
    except Unbounded as problem:
        raise Refused(f"The warehouse's server was given up: it {problem}") from None
