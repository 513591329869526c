"""`up production` from a clone to a machine on a stand-in for Google Cloud, through the tunnel, and its whole life.

The machine is a container behind the stand-in: what only a machine of its own shows is broken there, and only that.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import REPO, Checkout
from tests.e2e.on_google import (
    NAME,
    environment,
    require_another_type,
    require_nothing_left,
    require_nothing_to_do,
    require_proven,
)
from tests.google.client import Google
from tests.google.fixture import google_machines
from tests.matrix.test_operators import people

__all__ = ["google_machines"]

PATIENCE = 2400
KEPT = "/srv/kept-by-a-test"


@pytest.fixture(scope="module")
def production(google_machines: Google, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with environment(google_machines, tmp_path_factory.mktemp("clone") / "hangar") as place:
        yield place


def test_one_command_makes_configures_and_proves_a_machine(production: Checkout) -> None:
    done = production.hangar("up", "--yes", check=False, timeout=PATIENCE)
    assert len(require_proven(production, done)) > 80
    assert "not Google's own address" in " ".join(production.report()["limits"])


def test_the_tunnel_is_the_only_way_in(production: Checkout, google_machines: Google) -> None:
    assert production.ssh("id -un").stdout.strip() == "hangar"
    (link,) = google_machines.resources("instances")[NAME]["networkInterfaces"]
    assert "accessConfigs" not in link


def test_then_there_is_nothing_to_do(production: Checkout) -> None:
    require_nothing_to_do(production)


def test_a_colleague_on_another_laptop_sees_nothing_to_do(
    production: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Another clone, a key of their own, and of the first laptop nothing but platform.yml."""
    laptop = tmp_path_factory.mktemp("colleague")
    key = laptop / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    people(production, "add", "ada", "--role", "admin", "--key", str(production.state / "id_ed25519.pub"))
    people(production, "add", "bea", "--role", "admin", "--key", f"{key}.pub")

    subprocess.run(["git", "clone", "-q", str(REPO), str(laptop / "hangar")], check=True)
    theirs = Checkout(laptop / "hangar", "production")
    theirs.platform.parent.mkdir(exist_ok=True)
    shutil.copy(production.platform, theirs.platform)
    told = json.loads(
        theirs.hangar("plan", "--exit-code", "--json", "--set", f"access.private_key={key}").stdout
    )
    assert {change["action"] for change in told["machine"]} == {"nothing"}
    assert (told["playbook"]["changed"], told["drift"]) == (0, [])
    assert theirs.ssh("sudo -n id -un").stdout.strip() == "root"


def test_another_machine_type_is_planned_with_a_stop_and_made(
    production: Checkout, google_machines: Google
) -> None:
    require_another_type(production, google_machines)


def test_it_stops_starts_and_has_snapshots(production: Checkout) -> None:
    production.hangar("stop")
    assert production.hangar("status", check=False).returncode == 1
    production.hangar("start")
    until = time.monotonic() + 120
    while production.ssh("true", check=False).returncode != 0:
        assert time.monotonic() < until, "it does not answer after its start"
    production.hangar("snapshot", "create")
    listed = json.loads(production.hangar("snapshot", "list", "--json").stdout)
    assert len(listed) == 2


def test_a_machine_from_a_snapshot_stands_beside_the_old_one_with_its_data(
    production: Checkout, google_machines: Google
) -> None:
    """What was written before the snapshot is there, with its owner; what came later is not; the old one notices
    nothing of it.
    """
    look, secret = (
        f"sudo stat -c '%U %a' {KEPT}; sudo cat {KEPT}",
        "sudo sha256sum /srv/airflow/secrets/fernet_key",
    )
    production.ssh(f"echo before | sudo tee {KEPT} && sudo chown airflow {KEPT} && sudo chmod 600 {KEPT}")
    name = json.loads(production.hangar("snapshot", "create", "--json").stdout)["created"]
    production.ssh(f"echo later | sudo tee {KEPT}")

    production.hangar("restore", "--from", name, "--to", "recovered")
    recovered = Checkout(production.path, "recovered")
    try:
        require_proven(recovered, recovered.hangar("up", "--yes", check=False, timeout=PATIENCE))
        assert set(google_machines.resources("instances")) == {NAME, "hangar-recovered"}
        assert recovered.ssh(look).stdout == "airflow 600\nbefore\n"
        assert recovered.ssh(secret).stdout == production.ssh(secret).stdout
        require_nothing_to_do(recovered)
        assert _host_keys(recovered).isdisjoint(_host_keys(production))
    finally:
        recovered.hangar("destroy", "--yes", "--with-data", "--confirm", "recovered", check=False)
    assert set(google_machines.resources("instances")) == {NAME}
    assert production.ssh(look).stdout == "airflow 600\nlater\n"
    require_nothing_to_do(production)
    production.ssh(f"sudo rm {KEPT}")


def _host_keys(place: Checkout) -> set[str]:
    """The keys that are pinned, without the names that they are pinned for."""
    return {line.split()[-1] for line in (place.state / "known_hosts").read_text().splitlines()}


def test_its_data_outlives_it_and_the_operators_key(production: Checkout, google_machines: Google) -> None:
    """Who lost the key gets in again by a machine that is made anew around the same disk."""
    secret = "sudo sha256sum /srv/airflow/secrets/fernet_key"
    before = production.ssh(secret).stdout
    key = production.state / "id_ed25519"
    lost = key.read_bytes()
    kept = production.hangar("destroy", "--yes").stdout
    assert f"kept data disk {NAME}-data, 100 GiB (goes with --with-data)" in kept
    assert google_machines.resources("instances") == {}
    assert set(google_machines.resources("disks")) == {f"{NAME}-data"}

    assert not key.exists()  # as much as lost: `destroy` takes it, and nobody else's opens what comes
    require_proven(production, production.hangar("up", "--yes", check=False, timeout=PATIENCE))
    assert key.read_bytes() != lost
    assert production.ssh(secret).stdout == before


def test_nothing_is_left_in_the_end(production: Checkout, google_machines: Google) -> None:
    production.hangar("destroy", "--yes", "--with-data", "--confirm", "production")
    require_nothing_left(production, google_machines)
    assert google_machines.violations() == []
    assert not Path(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]).is_relative_to(production.path)
