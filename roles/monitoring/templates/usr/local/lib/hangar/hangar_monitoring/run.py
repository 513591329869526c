# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""Other programs: asked for an answer, within a time, as nobody more than is needed."""

import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from typing import Any

TIMEOUT = 10.0
MOST = 4 << 20
"""Bytes that anybody's answer has at most: service users speak for their own services, and the memory is ours."""


class Unmeasured(Exception):
    """What could not be measured, and why."""


def answer(
    argv: Sequence[str],
    *,
    uid: int | None = None,
    env: dict[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> str:
    """Standard output of a program, run as root or as the service user `uid`; raises Unmeasured when it fails, takes
    longer than so many seconds or says more than is taken in.
    """
    who = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
    surroundings = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", **(env or {})}
    try:
        process = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=surroundings,
            stdin=subprocess.DEVNULL,
            **who,
        )
        with process:
            try:
                said, complaint = _read(process, time.monotonic() + timeout)
            except BaseException:
                process.kill()  # also one that its user has stopped
                raise
    except (OSError, subprocess.SubprocessError) as problem:
        raise Unmeasured(f"{argv[0]}: {problem}") from None
    if process.returncode != 0:
        raise Unmeasured(f"{argv[0]} ended with {process.returncode}: {complaint.strip()[-300:]}")
    return said


def _read(process: "subprocess.Popen[bytes]", until: float) -> tuple[str, str]:
    """What it says on both ways until it ends, at that moment at the latest."""
    said: dict[Any, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as heard:
        for stream in said:
            heard.register(stream, selectors.EVENT_READ)
        while heard.get_map():
            ready = heard.select(max(0.0, until - time.monotonic()))
            if time.monotonic() >= until:
                raise Unmeasured(f"{process.args[0]} does not come to an end")
            for key, _ in ready:
                piece = os.read(key.fd, 65536)
                said[key.fileobj] += piece
                if not piece:
                    heard.unregister(key.fileobj)
            if sum(map(len, said.values())) > MOST:
                raise Unmeasured(f"{process.args[0]} says more than {MOST >> 20} MiB")
    process.wait(max(0.0, until - time.monotonic()))
    return tuple(bytes(one).decode(errors="replace") for one in said.values())


def as_user(uid: int) -> dict[str, str]:
    """The surroundings in which a service user's own manager is found."""
    return {
        "XDG_RUNTIME_DIR": f"/run/user/{uid}",
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/{uid}/bus",
    }
