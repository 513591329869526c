"""When is a container a machine: systemd has booted and SSH answers. And what to read when it does not come to that."""

import re
import socket
import time

from docker import APIClient
from docker.errors import APIError, NotFound

from hangar.cloud.base import Report
from hangar.cloud.container.request import SSH
from hangar.errors import CloudError, MachineUnreachable

BOOT_TIMEOUT = 120.0
SSH_TIMEOUT = 30.0
PAUSE = 0.1
"""Seconds between two looks."""

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

KEYS = "cat /etc/ssh/ssh_host_*_key.pub"


def wait_until_ready(client: APIClient, name: str, report: Report) -> None:
    """Returns when systemd has finished booting and an SSH server says its name.

    A unit that failed does not stop us: the playbook may be what mends it.

    Raises:
        CloudError: the container ended, or did not boot within `BOOT_TIMEOUT` seconds.
        MachineUnreachable: no SSH server answered within `SSH_TIMEOUT` seconds.
    """
    report("wait for systemd")
    deadline = time.monotonic() + BOOT_TIMEOUT
    while boot_state(client, name) not in ("running", "degraded"):
        _require_alive(client, name)
        if time.monotonic() > deadline:
            raise CloudError(
                f"The machine {name} did not boot within {BOOT_TIMEOUT:g} s.", read_console(client, name)
            )
        time.sleep(PAUSE)
    report("wait for SSH")
    bound = client.inspect_container(name)["NetworkSettings"]["Ports"][SSH][0]
    address, port = bound["HostIp"], int(bound["HostPort"])
    if not answers_in_time(address, port):
        raise MachineUnreachable(
            f"Nothing speaks SSH at {address} port {port}, though the machine {name} has booted.",
            read_console(client, name),
        )


def boot_state(client: APIClient, name: str) -> str:
    """What systemd says of itself: starting, running, degraded, …; empty while it cannot be asked."""
    try:
        _, output = execute(client, name, ["systemctl", "is-system-running"])
    except APIError:
        # 409: between the container's start and its first process, nothing can be run in it.
        return ""
    return output.strip()


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


def host_keys(client: APIClient, name: str) -> tuple[str, ...]:
    """The machine's own keys as `type base64`, read through the engine and not the network."""
    status, output = execute(client, name, ["sh", "-c", KEYS])
    keys = tuple(" ".join(line.split()[:2]) for line in output.splitlines() if line.strip())
    if status != 0 or not keys:
        raise CloudError(f"The machine {name} has no SSH host keys.", output or read_console(client, name))
    return keys


def execute(client: APIClient, name: str, argv: list[str]) -> tuple[int, str]:
    """Runs a command in the container as root; returns its status and what it wrote."""
    call = client.exec_create(name, argv)["Id"]
    output = client.exec_start(call).decode(errors="replace")
    return client.exec_inspect(call)["ExitCode"] or 0, output


def read_console(client: APIClient, name: str) -> str:
    """The end of what the machine wrote while booting, and its failed units where it can still be asked."""
    try:
        text = COLOURS.sub("", client.logs(name, tail=60).decode(errors="replace")).replace("\r", "")
    except NotFound:
        return ""
    try:
        _, failed = execute(client, name, ["systemctl", "--failed", "--plain", "--no-legend", "--no-pager"])
    except APIError:
        # 409: it does not run any more; its log is all there is.
        failed = ""
    return f"{text.strip()}\nFailed units:\n{failed.strip()}" if failed.strip() else text.strip()


def _require_alive(client: APIClient, name: str) -> None:
    state = client.inspect_container(name)["State"]
    # Restarting: it was told to reboot, and the engine starts it again.
    if not (state["Running"] or state.get("Restarting")):
        raise CloudError(
            f"The machine {name} ended while booting (status {state.get('ExitCode')}).",
            read_console(client, name),
        )
