"""A fixed port on 127.0.0.1 for the machine's SSH: one that the engine picked would change at each start."""

import zlib
from collections.abc import Iterator

from hangar.cloud.base import MachineSpec
from hangar.ports import is_free

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
