"""``destroy`` leaves nothing behind but backups, on the laptop either."""

from __future__ import annotations

import socket
from urllib.parse import urlparse

import docker

from .airflow import address
from .conftest import Checkout, laptop


def require_nothing_left(machine: Checkout, port: int) -> None:
    """Neither with the engine nor in the clone, but for backups, their key and what proves them; nothing listens on
    the port.
    """
    engine = docker.from_env()
    mine = {"label": f"hangar.environment={machine.environment}"}
    assert engine.containers.list(all=True, filters=mine) == []
    assert engine.networks.list(filters=mine) == []
    assert engine.volumes.list(filters=mine) == []
    kept = {path.name for path in machine.state.glob("*")}
    assert kept in (set(), {"backup-key", "backup-key.pub", "backup-newest", "backup-signers", "backups"})
    assert not machine.hosts.exists()
    with socket.socket() as forward:
        assert forward.connect_ex(("127.0.0.1", port)) != 0, "the forward is still open"


def require_as_before(place: Checkout) -> None:
    """This computer is as it was before the clone."""
    after = laptop()
    for what, before in place.laptop_before.items():
        changed = sorted(set(before.splitlines()) ^ set(after[what].splitlines()))
        assert changed == [], f"{what} changed"


def test_destroy_leaves_nothing_behind_but_backups(machine: Checkout) -> None:
    port = urlparse(address(machine)).port
    assert port
    machine.hangar("destroy", "--yes")
    require_nothing_left(machine, port)
    assert (machine.state / "backups").is_dir()


def test_a_second_destroy_says_that_there_is_nothing(machine: Checkout) -> None:
    assert machine.hangar("destroy", "--yes").returncode == 0


def test_the_laptop_is_as_it_was(checkout: Checkout) -> None:
    require_as_before(checkout)
