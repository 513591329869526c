"""When is a container a machine: systemd has booted and SSH answers. And what to read when it does not come to that."""

import time

from docker import APIClient
from docker.errors import APIError, NotFound

from hangar.cloud.base import Report
from hangar.cloud.container.request import SSH
from hangar.cloud.local import looking
from hangar.cloud.local.looking import execute, plain
from hangar.errors import CloudError, MachineUnreachable

BOOT_TIMEOUT = 120.0
KEYS = "cat /etc/ssh/ssh_host_*_key.pub"


def wait_until_ready(client: APIClient, name: str, report: Report) -> None:
    """Returns when systemd has finished booting and an SSH server says its name.

    A unit that failed does not stop us: the playbook may be what mends it.

    Raises:
        CloudError: the container ended, or did not boot within `BOOT_TIMEOUT` seconds.
        MachineUnreachable: no SSH server answered within `looking.SSH_TIMEOUT` seconds.
    """
    report("wait for systemd")
    deadline = time.monotonic() + BOOT_TIMEOUT
    while boot_state(client, name) not in ("running", "degraded"):
        looking.require_alive(client, name, lambda: read_console(client, name))
        if time.monotonic() > deadline:
            raise CloudError(
                f"The machine {name} did not boot within {BOOT_TIMEOUT:g} s.", read_console(client, name)
            )
        time.sleep(looking.PAUSE)
    report("wait for SSH")
    bound = client.inspect_container(name)["NetworkSettings"]["Ports"][SSH][0]
    address, port = bound["HostIp"], int(bound["HostPort"])
    if not looking.answers_in_time(address, port):
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


def host_keys(client: APIClient, name: str) -> tuple[str, ...]:
    """The machine's own keys as `type base64`, read through the engine and not the network."""
    status, output = execute(client, name, ["sh", "-c", KEYS])
    keys = tuple(" ".join(line.split()[:2]) for line in output.splitlines() if line.strip())
    if status != 0 or not keys:
        raise CloudError(f"The machine {name} has no SSH host keys.", output or read_console(client, name))
    return keys


def read_console(client: APIClient, name: str) -> str:
    """The end of what the machine wrote while booting, and its failed units where it can still be asked."""
    try:
        text = plain(client.logs(name, tail=60))
    except NotFound:
        return ""
    try:
        _, failed = execute(client, name, ["systemctl", "--failed", "--plain", "--no-legend", "--no-pager"])
    except APIError:
        # 409: it does not run any more; its log is all there is.
        failed = ""
    return f"{text.strip()}\nFailed units:\n{failed.strip()}" if failed.strip() else text.strip()
