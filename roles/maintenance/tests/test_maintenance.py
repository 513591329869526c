"""When the machine finishes by itself what updates need: in its window alone, and without ending a task."""

import json
import time

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


def test_images_get_debians_fixes_every_week(host):
    """Whether a window is named or not: to make images stops nothing"""
    assert host.check_output("systemctl is-active hangar-images.timer") == "active"
    shown = host.check_output("systemctl show hangar-images.timer --property TimersCalendar,Persistent")
    assert "OnCalendar=Mon *-*-* 05:00:00" in shown
    assert "Persistent=yes" in shown


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


def test_daemons_are_renewed_after_the_daily_updates(host):
    """What an update has replaced is looked for after each night's updates, however these ended"""
    shown = host.check_output("systemctl show apt-daily-upgrade.service --property OnSuccess,OnFailure")
    assert sorted(shown.splitlines()) == [
        "OnFailure=hangar-renewal.service",
        "OnSuccess=hangar-renewal.service",
    ]


LIBRARY, OLD = "/usr/local/lib/hangar-contract.so", "hangar-contract-old.service"


@pytest.fixture
def old_daemon(host):
    """A daemon whose library was replaced, as an update does it."""
    host.check_output(f"cp $(ls /usr/lib/*-linux-gnu/libz.so.1 | head -n 1) {LIBRARY}")
    program = f"import ctypes, time; ctypes.CDLL('{LIBRARY}'); time.sleep(3600)"
    unit = f'[Service]\nExecStart=/usr/bin/python3 -c "{program}"\n'
    host.check_output(f"cat > /run/systemd/system/{OLD} <<'END'\n{unit}END")
    host.check_output(f"systemctl daemon-reload && systemctl start {OLD}")
    deadline = time.monotonic() + 30
    while host.run(f"grep -q {LIBRARY} /proc/{main_pid(host)}/maps").rc != 0:
        assert time.monotonic() < deadline, "the daemon has not taken its library"
        time.sleep(0.1)  # between two looks at the condition
    host.check_output(f"cp {LIBRARY} {LIBRARY}.new && mv {LIBRARY}.new {LIBRARY}")
    yield main_pid(host)
    host.run(f"systemctl stop {OLD}; rm -f {LIBRARY} /run/systemd/system/{OLD}; systemctl daemon-reload")


def main_pid(host):
    return host.check_output(f"systemctl show --property MainPID --value {OLD}").strip()


@pytest.mark.disturbs
def test_a_daemon_that_runs_old_code_starts_anew(host, old_daemon):
    """A daemon whose library an update has replaced starts anew, and a Docker daemon that runs on does not"""
    dockers = "pgrep -x dockerd | sort"
    before = host.run(dockers).stdout
    host.check_output("systemctl start hangar-renewal.service")
    assert main_pid(host) not in (old_daemon, "0")
    assert OLD not in host.check_output("needrestart -b -l -r l")
    assert host.run(dockers).stdout == before
