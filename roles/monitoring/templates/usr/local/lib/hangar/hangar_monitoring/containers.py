# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""The containers of a service user, as that user's own Docker daemon tells of them."""

import json
import re
from collections.abc import Iterator
from typing import Any

from .figures import Figure, figure, named
from .run import MOST, Unmeasured, answer

FORM = [
    "curl", "--silent", "--show-error", "--fail", "--fail-early", "--max-time", "8", "--max-filesize", str(MOST),
]  # fmt: skip
MOST_CONTAINERS = 200
"""Containers of one user that are told apart."""
MAIN_LABEL = "com.docker.compose.service"
KEEPS_AN_IMAGE = "hangar.before"
"""Label of those that an upgrade makes so that an image stays. They never run."""


def states(user: str, uid: int) -> Iterator[Figure]:
    """Which run, and which are well. One that has ended its work with 0 is none that is down."""
    standing = 0
    for one in _listed(uid, "/containers/json?all=1"):
        name = name_of(one)
        if one["State"] == "exited" and one["Status"].startswith("Exited (0)"):
            continue
        if one["Labels"].get("com.docker.compose.oneoff") == "True" or KEEPS_AN_IMAGE in one["Labels"]:
            continue
        standing += 1
        yield figure("hangar_container_up", one["State"] == "running", user=user, container=name)
        health = re.search(r"\((healthy|unhealthy)\)", one["Status"])
        if health:
            yield figure("hangar_container_healthy", health[1] == "healthy", user=user, container=name)
    yield figure("hangar_containers", standing, user=user)


def memory(user: str, uid: int) -> Iterator[Figure]:
    """What the running ones use. Where the kernel gives no such figures, nothing."""
    running = _listed(uid, "/containers/json")
    if not running:
        return
    # A short answer does not say whose it is; curl asks in order and ends with the first that fails.
    said = _asked(uid, *(f"/containers/{one['Id']}/stats?stream=false&one-shot=true" for one in running))
    for one, stats in zip(running, (answered.get("memory_stats") or {} for answered in said), strict=True):
        if used := stats.get("usage"):
            about = {"user": user, "container": name_of(one)}
            # As `docker stats`: what the kernel could drop at once does not count.
            used -= stats.get("stats", {}).get("inactive_file", 0)
            yield figure("hangar_container_memory_bytes", used, **about)
            if stats.get("limit"):
                yield figure("hangar_container_memory_limit_bytes", stats["limit"], **about)


def name_of(one: dict[str, Any]) -> str:
    return named(one["Labels"].get(MAIN_LABEL) or one["Names"][0].removeprefix("/"))


def _listed(uid: int, path: str) -> list[dict[str, Any]]:
    [found] = _asked(uid, path)
    if len(found) > MOST_CONTAINERS:
        raise Unmeasured(f"there are {len(found)} containers; {MOST_CONTAINERS} are measured at most")
    return found


def _asked(uid: int, *paths: str) -> list[Any]:
    """The answers, each a line of JSON. One program asks for all: to start it costs more than what it does."""
    socket = f"/run/user/{uid}/docker.sock"
    argv = [*FORM, "--unix-socket", socket, *(f"http://docker{path}" for path in paths)]
    return [json.loads(line) for line in answer(argv, uid=uid).splitlines()]
