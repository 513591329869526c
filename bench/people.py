"""What people wait for: to be let in, to be out, to reach a shell, to be told what is in the way.

``python -m bench.people [CHECKOUT [ENV]]`` takes them on a machine that stands; somebody comes and leaves meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.figure import Figure

NAME = "bench-visitor"
LOOKS = 5
"""How often a shell is reached through the connection that stands. The quickest counts: others share the computer."""

AT_WORK = """
nohup setsid sh -c 'trap "" TERM HUP INT; while :; do sleep 60; done' >/dev/null 2>&1 </dev/null &
echo began
"""
"""What the visitor leaves behind: deaf to every signal that can be."""


def people_figures(home: Path, environment: str) -> list[Figure]:
    """Four rows, of the machine that `home`, a checkout, has in this environment. Nothing of the user's own ~/.ssh is
    touched, and the visitor is out again whatever happens.
    """
    # Near the root: a socket's path is short.
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        key = Path(folder) / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", NAME, "-f", key], check=True)
        try:
            added = _seconds(
                home, "people", "add", NAME, environment, "--role", "developer", "--key", f"{key}.pub"
            )
            _work(home, environment, key)
        except SystemExit:
            with contextlib.suppress(SystemExit):  # what failed first is what is told
                _remove(home, environment)
            raise
        gone = _remove(home, environment)
        if not gone["proven"]:
            sys.exit(f"no login attempt showed that {NAME} is out of {environment}")
        shell = _shell(home, environment, Path(folder))
        doctor = _seconds(home, "doctor", environment)
    return [
        Figure("people add on a running machine", added, 10, "s"),
        Figure("people remove until the last process is gone", gone["seconds"], 5, "s"),
        Figure("ssh hangar-<env> true through the shared connection", shell, 0.15, "s"),
        Figure("doctor <env>", doctor, 6, "s"),
    ]


def _remove(home: Path, environment: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_told(home, "people", "remove", NAME, environment, "--yes", "--json"))
    return found


def _work(home: Path, environment: str, key: Path) -> None:
    """The visitor logs in and leaves something that runs on."""
    config = home / ".hangar" / environment / "ssh_config"
    argv = [
        "ssh",
        "-F",
        str(config),
        "-S",
        "none",
        "-l",
        NAME,
        "-o",
        f"IdentityFile={key}",
        "-o",
        "BatchMode=yes",
    ]
    done = subprocess.run(
        [*argv, f"hangar-{environment}", AT_WORK], capture_output=True, text=True, check=False
    )
    if done.stdout != "began\n":
        sys.exit(f"{NAME} cannot work on {environment}:\n{done.stderr[-4000:]}")


def _shell(home: Path, environment: str, folder: Path) -> float:
    """Seconds for a command through the connection that sessions share."""
    _told(home, "ssh-config", environment, "--yes", HOME=str(folder))
    host = f"hangar-{environment}"
    # The file itself: ssh asks the account for its home, not the environment.
    argv = ["ssh", "-F", str(folder / ".ssh/config.d" / host)]
    try:
        took = []
        for _ in range(LOOKS + 1):
            began = time.monotonic()
            subprocess.run([*argv, host, "true"], check=True, capture_output=True, stdin=subprocess.DEVNULL)
            took.append(time.monotonic() - began)
        return min(took[1:])
    finally:
        subprocess.run([*argv, "-O", "exit", host], capture_output=True, check=False)


def _seconds(home: Path, *words: str) -> float:
    began = time.monotonic()
    _told(home, *words)
    return time.monotonic() - began


def _told(home: Path, *words: str, **environment: str) -> str:
    """What `./provision.py` says on standard output."""
    done = subprocess.run(
        ["./provision.py", *words], cwd=home, env={**os.environ, **environment}, capture_output=True, text=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(
            f"{' '.join(words)} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
    return done.stdout


if __name__ == "__main__":
    where, named = (*sys.argv[1:], *([".", "local"][len(sys.argv) - 1 :]))[:2]
    rows = people_figures(Path(where).resolve(), named)
    for figure in rows:
        print(figure.row())
    sys.exit(0 if all(figure.value <= figure.budget for figure in rows) else 1)
