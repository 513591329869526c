"""On the machine, as root: who reaches a port on loopback that somebody without rights listens on."""

import os
import socket

ANA, BEN = 20001, 20002


def as_user(uid, work):
    """What it answers, as that account: a process of its own."""
    ours, theirs = os.pipe()
    if not os.fork():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        os.write(theirs, work().encode())
        os._exit(0)
    os.wait()
    return os.read(ours, 1000).decode()


def reach(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
    except OSError as problem:
        return type(problem).__name__
    return "reached"


def listen():
    """As ana: a port, and nobody answers; the kernel takes connections in all the same."""
    os.setegid(ANA)
    os.seteuid(ANA)
    server = socket.create_server(("127.0.0.1", 0))
    os.seteuid(0)
    os.setegid(0)
    return server


with listen() as server:
    port = server.getsockname()[1]
    for name, uid in (("ana", ANA), ("ben", BEN)):
        print(name, as_user(uid, lambda: reach(port)))
