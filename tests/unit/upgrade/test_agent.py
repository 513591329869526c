"""What the machine's end does of an upgrade itself: packages, and nothing stays drained."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hangar_bounds
import pytest

from hangar.serving import Refusal
from hangar.upgrade import agent
from hangar.upgrade.remote import running
from tests.unit.upgrade.stand import Machine, ask


def test_tasks_begin_again_however_the_call_ends(machine: Machine) -> None:
    held = agent.Agent()
    assert held.answer(json.dumps({"op": "drain", "hold": 1800, "again": False})) == {"ok": None}
    lock = machine.root / "srv/maintenance/lock"
    assert machine.asked()[-1] == (
        "systemd-run --quiet --collect --unit=hangar-upgrade-hold /bin/sh -c "
        f"flock {lock} true; sleep 1800; exec systemctl start hangar-resume.service"
    )
    assert ask("drain", hold=1800, again=False)["error"] == {
        "kind": "busy",
        "text": "maintenance is at work (journalctl -u hangar-maintenance), or an upgrade whose call was killed",
    }
    held.answer(json.dumps({"op": "release", "patience": 1}))
    assert machine.asked()[-1] == "systemctl stop hangar-upgrade-hold.service"


def test_pools_keep_their_slots_until_a_backup_is_made(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    did: list[str] = []
    looks = iter([True, True])
    monkeypatch.setattr(agent, "its_airflow", lambda: "airflow")
    monkeypatch.setattr(agent.draining, "begin", lambda airflow: did.append("drained"))
    monkeypatch.setattr(agent.program, "is_at_work", lambda unit: did.append(unit) or next(looks, False))
    monkeypatch.setattr(agent, "LOOK_EVERY", 0.01)
    assert ask("drain", hold=1800, again=False) == {"ok": None}
    assert did == ["hangar-backup.service"] * 3 + ["drained"]
    monkeypatch.setattr(agent.program, "is_at_work", lambda unit: True)
    monkeypatch.setattr(agent, "OTHERS", 0.05)
    assert ask("drain", hold=1800, again=False)["error"]["kind"] == "busy"
    assert did.count("drained") == 1


def test_packages_and_what_still_runs_old_ones(machine: Machine) -> None:
    assert ask("packages", docker=["docker.io"]) == {"ok": [["less", "668-1", "668-2"]]}
    assert not [line for line in machine.asked() if line.startswith(("docker-hosts", "systemctl"))]
    assert machine.asked()[-1] == "maintenance renew"


def test_what_was_left_half_installed_is_finished_first(machine: Machine) -> None:
    ask("packages", docker=[])
    asked = [line for line in machine.asked() if line.startswith(("dpkg --", "apt-get"))]
    assert asked[0] == "dpkg --force-confdef --force-confold --configure --pending"
    assert not [line for line in asked if " remove " in line], "no kernel is too much"
    assert asked[-1].startswith("apt-get --quiet --yes ")
    assert asked[-1].endswith("--force-confold --with-new-pkgs -o DPkg::Lock::Timeout=300 upgrade")


def test_kernels_that_nothing_needs_make_room_before_a_new_one_comes(machine: Machine) -> None:
    """Two years of them fill a disk where Debian's own updates, which remove them, are switched off."""
    (machine.place / "unneeded").write_text(
        "Remv libfoo1 [1]\nRemv linux-headers-6.12.5+deb13-amd64 [6.12.5-1]\n"
        "Remv linux-image-6.12.5+deb13-amd64 [6.12.5-1]\nRemv linux-base-tools [4]\n"
    )
    assert ask("packages", docker=[]) == {"ok": [["less", "668-1", "668-2"]]}
    done = [line for line in machine.asked() if line.startswith("apt-get --quiet --yes")]
    assert done[0] == (
        "apt-get --quiet --yes remove linux-headers-6.12.5+deb13-amd64 linux-image-6.12.5+deb13-amd64"
    )
    assert done[1].endswith(" upgrade")


HOLDS = """
import fcntl, sys
with open(sys.argv[1], "w") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.readline()
"""
"""Installs something, as dpkg would: until it is told to end."""


@contextmanager
def somebody_installs(machine: Machine) -> Iterator[Callable[[], object]]:
    argv = [sys.executable, "-c", HOLDS, str(machine.root / "lock-frontend")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "held\n"
        yield lambda: running.communicate("\n")


def test_whoever_installs_packages_is_waited_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The night's updates take the same lock, and nobody drains for packages alone."""
    with somebody_installs(machine) as ends:
        looked, is_held = [], agent.is_held

        def look(lock: Path) -> bool:
            if held := is_held(lock):
                looked.append(machine.asked())
                ends()
            return held

        monkeypatch.setattr(agent, "is_held", look)
        monkeypatch.setattr(agent, "LOOK_EVERY", 0.0)
        assert ask("packages", docker=[]) == {"ok": [["less", "668-1", "668-2"]]}
    assert looked == [[]], "nothing was asked for while the lock was another's"


def test_who_installs_for_ever_is_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "OTHERS", 0.0)
    monkeypatch.setattr(agent, "LOOK_EVERY", 0.0)
    with somebody_installs(machine) as ends:
        told = ask("packages", docker=[])
        ends()
    assert told == {"error": {
        "kind": "busy",
        "text": f"somebody else has been installing packages for 0 minutes: fuser -v {machine.root}/lock-frontend",
    }}  # fmt: skip
    assert machine.asked() == []


def test_dockers_packages_start_the_daemons_anew(machine: Machine) -> None:
    assert ask("packages", docker=["less"]) == {"ok": [["less", "668-1", "668-2"]]}
    hosts = [line for line in machine.asked() if line.startswith("docker-hosts") or line.endswith("ensure")]
    assert hosts == [
        "docker-hosts reload", "docker-hosts ensure", f"as-service airflow {machine.root}/srv/airflow/stack/ensure",
    ]  # fmt: skip


def test_a_new_postgres_is_taken_by_the_warehouse(machine: Machine) -> None:
    (machine.place / "installed").write_text("ii  postgresql-17 668-1\n")
    ask("packages", docker=[])
    assert "systemctl try-restart warehouse.service" in machine.asked()


def test_a_service_cannot_hold_root_up_nor_fill_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal) as held:
        running.run(["sleep", "60"], check=False, seconds=1)
    assert held.value.answer["text"] == "sleep 60: took longer than 1 seconds"
    monkeypatch.setattr(hangar_bounds, "SAID", 1 << 20)
    with pytest.raises(Refusal) as endless:
        running.run(["yes"])
    assert endless.value.answer["text"] == "yes: says more than 1 MiB"
