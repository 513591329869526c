"""`up` on a stand-in for Google Cloud, killed three times on its way, goes all the way to a verified machine."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.conftest import Checkout
from tests.e2e.on_google import NAME, require_nothing_left, require_nothing_to_do, require_proven
from tests.google.client import Google
from tests.matrix.test_google_cloud import PATIENCE, google_machines, production
from tests.matrix.test_interruption import strike

__all__ = ["google_machines", "production"]


@pytest.mark.parametrize("moment", [r"Machine: .*firewall", r"Connection: wait for SSH", r"docker_host: "])
def test_a_struck_run_ends_at_once(production: Checkout, moment: str) -> None:
    assert strike(production, moment, signal.SIGKILL) == -signal.SIGKILL, f"no line matched {moment!r}"


def test_the_next_up_ends_at_a_verified_machine_with_nothing_doubled(
    production: Checkout, google_machines: Google
) -> None:
    done = production.hangar("up", "--yes", check=False, timeout=PATIENCE)
    require_proven(production, done)
    assert set(google_machines.resources("instances")) == {NAME}
    assert len(google_machines.resources("disks")) == 2
    assert len(google_machines.resources("networks")) == 1
    assert google_machines.violations() == []
    require_nothing_to_do(production)


def test_nothing_is_left_in_the_end(production: Checkout, google_machines: Google) -> None:
    production.hangar("destroy", "--yes", "--with-data", "--confirm", "production")
    require_nothing_left(production, google_machines)
