"""When the machine finishes by itself what updates need: in its window alone, and without ending a task."""

import json

import pytest

UNITS = ("hangar-maintenance.service", "hangar-resume.service")
TIMER = "hangar-maintenance.timer"


def test_updates_are_finished_in_the_window_alone(host, options):
    """The timer is there where a window is named, and only there."""
    known = host.run(f"systemctl is-active {TIMER}").stdout.strip()
    if not options["maintenance_window"]:
        assert known == "inactive"
        assert not host.file(f"/etc/systemd/system/{TIMER}").exists
        return
    assert known == "active"
    opens = options["maintenance_window"].split("-")[0].split()[-1]
    assert f"*-*-* {opens}:00" in host.file(f"/etc/systemd/system/{TIMER}").content_string


def test_tasks_may_begin(host):
    """Nothing of an earlier reboot still keeps Airflow from its work."""
    busy = host.run("systemctl is-active hangar-maintenance.service hangar-resume.service").stdout
    # Whoever is at work holds the lock, and gives the slots back.
    held = host.run("[ ! -e /srv/maintenance/lock ] || flock --nonblock /srv/maintenance/lock true").rc != 0
    known = "activ" in busy.replace("inactive", "")
    assert known or held or not host.file("/srv/maintenance/drained.json").exists


@pytest.mark.parametrize("account", ["nobody", "airflow", "airbyte"])
def test_no_other_account_starts_it_anew(host, account):
    done = host.run(f"runuser -u {account} -- maintenance run --reboot")
    assert done.rc != 0
    assert host.run(f"runuser -u {account} -- ls /srv/maintenance").rc != 0


def test_what_it_waits_for_is_what_the_machine_has(host, options):
    described = json.loads(host.file("/etc/hangar/maintenance.json").content_string)
    assert described["airflow"] == options["maintenance_airflow_port"]
    assert described["airbyte"] is bool(options["maintenance_airbyte"])
    assert 0 < described["minutes"] < 24 * 60


@pytest.mark.disturbs
def test_without_a_need_nothing_happens(host):
    """The word is the monitoring's: while it says nothing, or that no update waits, the machine stays up."""
    began = host.check_output("systemctl show --property=UserspaceTimestampMonotonic --value")
    done = host.run("maintenance run")
    assert ("No update waits for anything." in done.stdout) or ("the monitoring says nothing" in done.stderr)
    assert host.check_output("systemctl show --property=UserspaceTimestampMonotonic --value") == began
