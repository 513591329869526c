"""An upgrade of a machine that is in use: planned, done beside a running task, and undone where it does not hold.

The machine is made from this commit; then the clone gets commits of its own, which are what a `git pull` brings.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.airflow import Airflow
from tests.e2e.conftest import Checkout
from tests.e2e.test_restart import healthy_again
from tests.matrix import patient
from tests.matrix.patient import LONG, task
from tests.matrix.test_data_reliability import until

EXTRA = "tests/data/own_platform/extra.lock"
"""One small package more in Airflow's image: an upgrade of an image, without another Airflow at hand."""

CONTRACT = "roles/airflow/tests/test_airflow.py"
SABOTAGE = """

def test_nobody_sabotaged_the_upgrade(host):
    assert not host.file("/srv/airflow/stack/image/extra.lock").exists
"""
"""Holds beforehand, and is broken by that very package."""

EARLIER = """
set -e
cd "$(mktemp --directory)"
umask 022
apt-get -qq download less
dpkg-deb -R less_*.deb old
sed -i 's/^Version: .*/&~earlier/' old/DEBIAN/control
dpkg-deb --root-owner-group --build old old.deb
sudo dpkg -i old.deb
"""
"""Debian's own package by an earlier version. The next one before it: what is older breaks systemd (less << 563), so
that dpkg leaves it half installed and apt upgrades nothing.
"""

UPGRADED = 2400
"""Seconds for two verifications, a backup, an image and a playbook where the processor is shared."""


def git(machine: Checkout, *words: str) -> str:
    who = ["-c", "user.name=one", "-c", "user.email=one@example.org"]
    done = subprocess.run(["git", *who, *words], cwd=machine.path, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@contextmanager
def committed(machine: Checkout, name: str, more: str) -> Iterator[None]:
    """A commit that adds to a file of the clone, and one afterwards that takes it back."""
    place = machine.path / name
    text = place.read_text()
    place.write_text(text + more)
    git(machine, "commit", "-q", "-a", "-m", f"Change {name}")
    try:
        yield
    finally:
        place.write_text(text)
        git(machine, "commit", "-q", "-a", "-m", f"Take the change of {name} back")


def planned(machine: Checkout, *more: str, code: int) -> dict[str, Any]:
    done = machine.hangar("upgrade plan", "--json", "--exit-code", *more, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def groups(plan: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    return {group["name"]: group["items"] for group in plan["groups"]}


def images(machine: Checkout) -> str:
    """What runs: the image of each of Airflow's containers."""
    form = "'{{.Config.Image}} {{.Image}}'"
    names = "airflow-scheduler-1 airflow-api-server-1 airflow-postgres-1"
    return machine.ssh(f"sudo as-service airflow docker inspect --format {form} {names}").stdout


def pools(airflow: Airflow) -> dict[str, int]:
    return {one["name"]: one["slots"] for one in airflow.call("GET", "/api/v2/pools")["pools"]}


def nothing_is_left(machine: Checkout) -> None:
    machine.ssh("! sudo test -e /srv/maintenance/drained.json && ! sudo test -e /srv/upgrade")
    machine.ssh("! systemctl is-active --quiet hangar-upgrade-hold.service")
    kept = "sudo as-service airflow docker image ls --quiet --filter 'reference=hangar-before/*'"
    assert machine.ssh(kept).stdout == ""


@pytest.fixture
def upgraded(machine: Checkout) -> Checkout:
    """Everything that Debian has in the way of updates is there, and the revision of the clone, whatever an earlier
    test left.
    """
    machine.hangar("upgrade apply", "--yes", "--without-backup", timeout=UPGRADED)
    return machine


def test_a_machine_that_is_up_to_date_has_nothing_to_upgrade(upgraded: Checkout) -> None:
    assert planned(upgraded, code=0)["changes"] is False
    done = upgraded.hangar("upgrade apply")
    assert "Nothing to upgrade." in done.stdout


def with_extra(machine: Checkout) -> tuple[str, str]:
    return ("--set", f"airflow.python_lock={machine.path / EXTRA}")


def test_another_image_is_taken_beside_a_running_task(upgraded: Checkout) -> None:
    more = with_extra(upgraded)
    with patient.deployed(
        upgraded, seconds=420
    ):  # as long as the verification and the backup before it, and more
        assert groups(planned(upgraded, *more, code=4)) == {
            "airflow": [{"name": "humanize", "old": "", "new": "4.13.0"}]
        }
        airflow = Airflow.of(upgraded)
        before, there = images(upgraded), pools(airflow)
        running = patient.begun(airflow)
        done = upgraded.hangar("upgrade apply", "--yes", "--json", *more, timeout=UPGRADED)
        assert json.loads(done.stdout)["backup"]
        until(lambda: healthy_again(upgraded), LONG, "Airflow did not come back")
        airflow = Airflow.of(upgraded)
        ended = task(airflow, running)
        assert (ended["state"], ended["try_number"]) == ("success", 1)
        assert f"{patient.NAME}.work" in done.stderr  # it was waited for
        assert images(upgraded) != before
        assert pools(airflow) == there
        nothing_is_left(upgraded)
        assert planned(upgraded, *more, code=0)["changes"] is False
        # And back, which is an upgrade as well: the package goes.
        assert groups(planned(upgraded, code=4)) == {
            "airflow": [{"name": "humanize", "old": "4.13.0", "new": ""}]
        }
        upgraded.hangar("upgrade apply", "--yes", "--without-backup", timeout=UPGRADED)
        assert [line.split()[0] for line in images(upgraded).splitlines()] == [
            line.split()[0] for line in before.splitlines()
        ]


def test_a_package_that_was_held_back_is_planned_and_comes(upgraded: Checkout) -> None:
    upgraded.ssh(EARLIER)
    plan = planned(upgraded, code=4)
    assert [group["name"] in ("debian", "security") for group in plan["groups"]] == [True]
    ((item,),) = groups(plan).values()
    assert (item["name"], item["old"]) == ("less", f"{item['new']}~earlier")
    began = upgraded.ssh(
        "sudo as-service airflow docker inspect --format '{{.State.StartedAt}}' airflow-scheduler-1"
    )
    upgraded.hangar("upgrade apply", "--yes", "--without-backup", timeout=UPGRADED)
    assert upgraded.ssh("dpkg-query --show --showformat '${Version}' less").stdout == item["new"]
    again = upgraded.ssh(
        "sudo as-service airflow docker inspect --format '{{.State.StartedAt}}' airflow-scheduler-1"
    )
    assert again.stdout == began.stdout


def test_a_verification_that_fails_brings_back_what_was_there(upgraded: Checkout) -> None:
    until(lambda: healthy_again(upgraded), LONG, "Airflow is not healthy")
    before, there = images(upgraded), pools(Airflow.of(upgraded))
    described = "sudo cat /etc/hangar/maintenance.json"
    known = json.loads(upgraded.ssh(described).stdout)
    with committed(upgraded, CONTRACT, SABOTAGE):
        done = upgraded.hangar("upgrade apply", "--yes", *with_extra(upgraded), check=False, timeout=UPGRADED)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "what was there before is in service again, and tasks begin." in done.stderr
    assert "obody sabotaged the upgrade" in done.stderr
    assert "put back: Airflow's database had not been migrated and was left as it is" in done.stderr
    until(lambda: healthy_again(upgraded), LONG, "Airflow did not come back")
    assert images(upgraded) == before
    upgraded.ssh("! sudo test -e /srv/airflow/stack/image/extra.lock")
    assert pools(Airflow.of(upgraded)) == there
    assert json.loads(upgraded.ssh(described).stdout) == known
    nothing_is_left(upgraded)


def test_a_call_that_is_killed_is_finished_by_the_same_one(upgraded: Checkout) -> None:
    with committed(upgraded, "roles/maintenance/README.md", "\n"):
        call = subprocess.Popen(
            ["./provision.py", "upgrade", "apply", upgraded.environment, "--yes", "--without-backup"],
            cwd=upgraded.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        kept = "sudo test -e /srv/upgrade/before/state.json"
        until(lambda: upgraded.ssh(kept, check=False).returncode == 0, UPGRADED, "nothing was kept")
        call.kill()
        call.wait()
        found = planned(upgraded, code=4)
        assert found["cut"]["held"] is True
        done = upgraded.hangar("upgrade apply", "--yes", "--without-backup", timeout=UPGRADED)
        assert "that was cut short goes on" in done.stdout
    nothing_is_left(upgraded)
    assert set(pools(Airflow.of(upgraded)).values()) != {0}


def test_an_older_checkout_is_refused(machine: Checkout) -> None:
    with committed(machine, "roles/maintenance/README.md", "\n"):
        machine.hangar("upgrade apply", "--yes", "--without-backup", timeout=UPGRADED)
        git(machine, "checkout", "-q", "HEAD~1")
        try:
            done = machine.hangar("upgrade apply", "--yes", check=False)
            assert done.returncode == 1, done.stdout + done.stderr
            assert "is older than what the machine was made from" in done.stderr
            assert "git pull" in done.stderr
        finally:
            git(machine, "checkout", "-q", "-")
