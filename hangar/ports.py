"""Ports on this computer's loopback."""

import errno
import socket

LOOPBACK = "127.0.0.1"
LOOPBACK_6 = "::1"


def is_free(port: int, address: str = LOOPBACK) -> bool:
    """Whether nobody listens there. On loopback neither by IPv6: browsers go to ::1 first, and would find whoever
    listens on that alone under our service's name.
    """
    if not _can_have(socket.AF_INET, address, port):
        return False
    return address != LOOPBACK or _can_have(socket.AF_INET6, LOOPBACK_6, port)


def _can_have(family: socket.AddressFamily, address: str, port: int) -> bool:
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        # A computer without IPv6 has nobody there.
        return family == socket.AF_INET6 and error.errno not in (errno.EADDRINUSE, errno.EACCES)
    return True
