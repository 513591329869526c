"""Looking at a machine that is a container on this computer's engine: from inside, at its port, at what it wrote."""

import re
import socket
import time
from collections.abc import Callable

from docker import APIClient

from hangar.errors import CloudError

SSH_TIMEOUT = 30.0
PAUSE = 0.1
"""Seconds between two looks."""

LOOKS = 3
"""Times that a look which says nothing is taken. The engine now and then loses all that a command has said which ended
well (moby/moby#27289; one in some hundred with Docker 20.10 on a busy computer).
"""

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(console: bytes) -> str:
    """What a machine wrote to its console, without colours."""
    return COLOURS.sub("", console.decode(errors="replace")).replace("\r", "")


def answers_in_time(address: str, port: int) -> bool:
    """Whether an SSH server says its name there within `SSH_TIMEOUT`."""
    deadline = time.monotonic() + SSH_TIMEOUT
    while not says_ssh(address, port):
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def says_ssh(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=5) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def execute(client: APIClient, name: str, argv: list[str]) -> tuple[int, str]:
    """Runs a command that only looks in the container, as root; returns its status and what it wrote."""
    status, output = 0, ""
    for _ in range(LOOKS):
        call = client.exec_create(name, argv)["Id"]
        output = client.exec_start(call).decode(errors="replace")
        status = client.exec_inspect(call)["ExitCode"] or 0
        if output or status:
            break
    return status, output


def require_alive(client: APIClient, name: str, console: Callable[[], str]) -> None:
    """Returns while the container runs; `console` reads what the machine wrote.

    Raises:
        CloudError: it has ended.
    """
    state = client.inspect_container(name)["State"]
    # Restarting: it was told to reboot, and the engine starts it again.
    if not (state["Running"] or state.get("Restarting")):
        raise CloudError(
            f"The machine {name} ended while booting (status {state.get('ExitCode')}).",
            console(),
        )
