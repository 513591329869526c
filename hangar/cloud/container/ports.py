"""A fixed port on 127.0.0.1 for the machine's SSH: one that the engine picked would change at each start."""

import socket
import zlib
from collections.abc import Iterator

from hangar.cloud.base import MachineSpec
from hangar.cloud.container.request import LOOPBACK

RANGE = range(22022, 23022)
"""Below the ports that outgoing connections take."""


def free_ports(spec: MachineSpec, attempts: int) -> Iterator[int]:
    """The wanted port, or else free ones; an environment begins its search at a place of its own."""
    if spec.ssh_port is not None:
        yield spec.ssh_port
        return
    start = zlib.crc32(spec.environment.encode()) % len(RANGE)
    free = (port for port in [*RANGE[start:], *RANGE[:start]] if is_free(port))
    for _, port in zip(range(attempts), free, strict=False):
        yield port


def is_free(port: int, address: str = LOOPBACK) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
