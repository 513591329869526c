"""Ports on this computer's loopback."""

import errno
import socket

LOOPBACK = "127.0.0.1"
LOOPBACK_6 = "::1"

PATIENCE = 0.5
"""Seconds for an answer of this computer itself."""


def is_free(port: int) -> bool:
    """Whether nobody listens there, nor by IPv6: browsers go to ::1 first, and would find whoever listens on that alone
    under our service's name.
    """
    places = [(socket.AF_INET, LOOPBACK), (socket.AF_INET6, LOOPBACK_6)]
    return all(_can_have(*place, port) and not _answers(*place, port) for place in places)


def _can_have(family: socket.AddressFamily, address: str, port: int) -> bool:
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        # A computer without IPv6 has nobody there.
        return family == socket.AF_INET6 and error.errno not in (errno.EADDRINUSE, errno.EACCES)
    return True


def _answers(family: socket.AddressFamily, address: str, port: int) -> bool:
    """Whether somebody takes connections there. macOS lets an address be bound while another program listens on all of
    them (Docker Desktop, a development server), and a browser would find either.
    """
    try:
        with socket.socket(family) as probe:
            probe.settimeout(PATIENCE)
            return probe.connect_ex((address, port)) == 0
    except OSError:
        return False
