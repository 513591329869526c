# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""Other programs: asked for an answer, within a time, as nobody more than is needed."""

import subprocess
from collections.abc import Sequence

TIMEOUT = 10.0


class Unmeasured(Exception):
    """What could not be measured, and why."""


def answer(
    argv: Sequence[str],
    *,
    uid: int | None = None,
    env: dict[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> str:
    """Standard output of a program, run as root or as the service user `uid`; raises Unmeasured when it fails."""
    who = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
    surroundings = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", **(env or {})}
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            cwd="/",
            env=surroundings,
            stdin=subprocess.DEVNULL,
            **who,
        )
    except (OSError, subprocess.SubprocessError) as problem:
        raise Unmeasured(f"{argv[0]}: {problem}") from None
    if done.returncode != 0:
        raise Unmeasured(f"{argv[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def as_user(uid: int) -> dict[str, str]:
    """The surroundings in which a service user's own manager is found."""
    return {
        "XDG_RUNTIME_DIR": f"/run/user/{uid}",
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/{uid}/bus",
    }
