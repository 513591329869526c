from __future__ import annotations

import socket
from collections.abc import Callable

from hangar.cloud.base import MachineSpec
from hangar.cloud.local import ports


def test_a_wanted_port_is_the_only_candidate(spec: Callable[..., MachineSpec]) -> None:
    assert list(ports.free_ports(spec(ssh_port=2200), 10)) == [2200]


def test_an_environment_begins_its_search_at_the_same_place(
    spec: Callable[..., MachineSpec], monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(ports, "is_free", lambda port: True)
    first, second = (list(ports.free_ports(spec(environment=name), 3)) for name in ("local", "local"))
    assert first == second
    assert len(set(first)) == 3
    assert all(port in ports.RANGE for port in first)


def test_a_port_in_use_is_passed_over(spec: Callable[..., MachineSpec], monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (first,) = ports.free_ports(spec(), 1)
    with socket.socket() as taken:
        # A machine that was removed just now leaves connections that wait for their end.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", first))
        taken.listen()
        assert first not in list(ports.free_ports(spec(), 3))
