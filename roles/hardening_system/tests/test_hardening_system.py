"""What is closed on the machine: seen from accounts that might want it open."""

import json
import shlex
from datetime import date

import pytest
import yaml

from hangar.paths import REPO

UNITS = ("hangar-mounts.service",)

BECOME_ROOT = {
    "/usr/bin/fusermount3",
    "/usr/bin/newgidmap",
    "/usr/bin/newuidmap",
    "/usr/bin/passwd",
    "/usr/bin/sudo",
    "/usr/lib/dbus-1.0/dbus-daemon-launch-helper",
}
"""What keeps the right to become root: sudo, passwords, the bus, and what rootless containers are made with."""

OWN = {
    "hangar.airbyte-filter": "/etc/hangar/airbyte-filter.cfg",
    "hangar.airflow-live": "/usr/local/sbin/airflow-live",
    "hangar.alertmanager": "/etc/hangar/monitoring/alertmanager.yml",
    "hangar.measure": "/etc/hangar/monitoring/described.json",
    "hangar.node-exporter": "/srv/monitoring/secrets/web.yml",
    "hangar.prometheus": "/etc/hangar/monitoring/prometheus.yml",
    "hangar.warehouse": "/etc/hangar/warehouse/postgresql.conf",
}
"""A file that each profile is to leave readable."""

READ_BY = {"/etc/cron.allow": "crontab", "/etc/at.allow": "daemon"}
"""Who may use them, and the group that each program has whoever calls it (`crontab` and `at` are set-group-id)."""

CLOSED = ("/etc/shadow", "/etc/sudoers", "/etc/ssh/ssh_host_ed25519_key")
"""Files that root reads, and nobody under a profile."""

ATTEMPT = """
import errno, json, os, sys

def outcome(attempt, *given):
    try:
        attempt(*given)
    except OSError as problem:
        return errno.errorcode[problem.errno]
    return "done"

def look(path):
    os.close(os.open(path, os.O_RDONLY))

def write():
    path = "/etc/hangar/attempt"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    os.unlink(path)

def attempts(paths):
    found = {path: outcome(look, path) for path in paths}
    found["write"] = outcome(write)
    found["shell"] = outcome(os.execv, "/bin/sh", ["sh", "-c", ":"])
    return found

told = {}
for profile, paths in json.loads(sys.argv[1]).items():
    said, says = os.pipe()
    if not os.fork():
        with open("/proc/self/attr/current", "w") as current:
            current.write("changeprofile " + profile)
        os.write(says, json.dumps(attempts(paths)).encode())
        os._exit(0)
    os.close(says)
    told[profile] = json.loads(os.read(said, 65536) or "{}")
    os.wait()
print(json.dumps(told))
"""
"""As root, under each profile: what it may read and write, and whether it may start a shell. A program that is started
under a profile would at most show that it may not start; this one changes over while it runs.
"""


@pytest.fixture(scope="module")
def table():
    return yaml.safe_load((REPO / "roles/hardening_system/vars/main.yml").read_text())


@pytest.fixture(scope="module")
def confined(host, table):
    """The units that run on this machine of those that are to be confined, by profile."""
    units = table["__hardening_system_confined"]
    states = host.run(f"systemctl is-active {' '.join(units.values())}").stdout.split()
    running = {
        profile: units[profile] for profile, state in zip(units, states, strict=True) if state == "active"
    }
    if not running:
        pytest.skip("nothing of ours runs all the time on this machine")
    return running


def test_mounts_carry_no_more_than_they_need(host, table):
    """Data, shared memory and temporary files carry no devices and no programs that become root"""
    told = host.check_output("cat /proc/self/mounts").splitlines()
    mounted = {line.split()[1]: set(line.split()[3].split(",")) for line in told}
    assert "/dev/shm" in mounted
    for path, flags in table["__hardening_system_mounts"].items():
        if path in mounted:
            assert set(flags.split(",")) <= mounted[path], path
    assert host.run("systemctl is-enabled hangar-mounts.service").stdout.strip() == "enabled"


def test_few_programs_become_root(host):
    """Few programs become root, and each of them is known"""
    told = host.check_output("find /usr -xdev -perm -4000 -type f").splitlines()
    assert set(told) <= BECOME_ROOT
    assert "/usr/bin/sudo" in told


def test_units_have_no_rights_that_they_do_not_need(host):
    """What we run all the time has no rights that it does not need (at most 3.0 of 10 for systemd-analyze)"""
    # What we say how to start; Debian's own units are Debian's to confine. Whether it runs just now does not matter.
    folder = "/etc/systemd/system --include=*.service --include=*.conf"
    ours = f"grep -rl 'Written by Hangar' {folder} | xargs --no-run-if-empty grep -l ^ExecStart= || true"
    found = {
        path.removeprefix("/etc/systemd/system/").split("/")[0].removesuffix(".d")
        for path in host.check_output(ours).splitlines()
    }
    assert found, "the search itself finds none"
    kinds = host.check_output(f"systemctl show --property Id,LoadState,Type {' '.join(sorted(found))}")
    shown = [dict(line.split("=", 1) for line in one.splitlines()) for one in kinds.split("\n\n")]
    lasting = sorted(one["Id"] for one in shown if one["Type"] != "oneshot" and one["LoadState"] == "loaded")
    if not lasting:
        pytest.skip("nothing of ours runs all the time on this machine")
    scores = {}
    for name in lasting:
        told = host.check_output(f"systemd-analyze security --no-pager {name} | tail --lines=1")
        scores[name] = float(told.split(": ")[1].split()[0])
    assert {name: score for name, score in scores.items() if score > 3.0} == {}


@pytest.mark.vm
def test_what_runs_all_the_time_is_confined(host, confined):
    """Services of ours that run all the time are confined by AppArmor, with every process of theirs"""
    # A process that has ended meanwhile says nothing.
    script = (
        f"for unit in {' '.join(confined.values())}; do "
        "group=/sys/fs/cgroup/$(systemctl show --property ControlGroup --value $unit); "
        "for process in $(cat $group/cgroup.procs); do "
        'now=$(cat /proc/$process/attr/current 2>/dev/null) && [ -n "$now" ] && echo "$unit $now"; done; done; true'
    )
    found = set(host.check_output(script).splitlines())
    assert found == {f"{unit} {profile} (enforce)" for profile, unit in confined.items()}


@pytest.mark.vm
def test_a_confined_service_does_nothing_that_is_not_its_own(host, confined):
    """Under the profile of a service not even root reads a password, writes a setting or starts a shell"""
    wanted = {profile: [OWN[profile], *CLOSED] for profile in confined}
    given = shlex.quote(json.dumps(wanted))
    told = json.loads(host.check_output(f"python3 -I -c {shlex.quote(ATTEMPT)} {given}"))
    refused = dict.fromkeys((*CLOSED, "write", "shell"), "EACCES")
    assert told == {profile: {OWN[profile]: "done", **refused} for profile in confined}
    # The same attempts without a profile, so that it is the profile that refuses.
    assert host.run(f"cat {' '.join([*CLOSED, *(OWN[one] for one in confined)])} > /dev/null").rc == 0


def test_su_opens_no_account_to_people(host, options):
    """su opens no account to people and services, and works for root"""
    user = options["service_users_accounts"][0]["name"]
    assert host.run(f"runuser -u {user} -- su --command true root </dev/null").rc != 0
    assert host.run("su --shell /bin/sh --command true nobody").rc == 0


def test_an_upgrade_does_not_bring_the_rights_back(host, table):
    told = host.check_output("dpkg-statoverride --list")
    there = host.check_output(
        f"ls {' '.join(table['__hardening_system_setuid'])} 2>/dev/null; true"
    ).splitlines()
    assert there
    assert [path for path in there if f"0755 {path}" not in told and f"755 {path}" not in told] == []


def test_the_files_that_decide_who_may_do_what_belong_to_root(host, options):
    """The files that decide who may do what belong to root, and no service can change one"""
    assert host.check_output("/usr/local/lib/hangar/hardening-system look") == ""
    user = options["service_users_accounts"][0]["name"]
    files = "/etc/passwd /etc/sudoers.d /etc/pam.d/common-auth /etc/ssh /root"
    script = f"for file in {files}; do test -w $file && echo $file; done; true"
    assert host.check_output(f"runuser -u {user} -- sh -c '{script}'") == ""
    assert host.run(f"runuser -u {user} -- cat /etc/shadow").rc != 0


def test_what_a_package_brings_for_cron_is_closed_to_others(host, table):
    """Folders of cron's are closed to others before a package comes with work for it"""
    folders = [path for path in table["__hardening_system_files"] if path.startswith("/etc/cron.")]
    assert len(folders) == 6
    told = host.check_output(f"stat --format '%n %U %a' {' '.join(folders)}").splitlines()
    found = {path: (owner, int(mode, 8) & 0o007) for path, owner, mode in map(str.split, told)}
    assert found == dict.fromkeys(folders, ("root", 0))


def test_only_root_uses_cron_and_at(host, options):
    for name in ("cron", "at"):
        assert (
            host.file(f"/etc/{name}.allow").content_string.split() == options["hardening_system_schedulers"]
        )
        assert not host.file(f"/etc/{name}.deny").exists


def test_who_may_use_cron_and_at_is_read_by_these_alone(host):
    """Who may use cron and at is read by these alone, and by no account of its own"""
    for path, group in READ_BY.items():
        assert host.check_output(f"stat --format '%U %G %a' {path}") == f"root {group} 640"
        read = f"setpriv --reuid nobody --regid {{}} --clear-groups cat {path}"
        assert host.run(read.format(group)).rc == 0, path
        assert host.run(read.format("nogroup")).rc != 0, path


def test_the_banner_names_no_system(host, options):
    """The banner names neither the system nor its version"""
    for path in ("/etc/issue", "/etc/issue.net", "/etc/motd"):
        text = host.file(path).content_string
        assert text.strip() == options["hardening_system_banner"].strip()
        assert "debian" not in text.lower()
        assert "\\" not in text


def test_what_has_no_place_here_is_not_installed(host, options):
    names = " ".join(options["hardening_system_packages_absent"])
    told = host.run(f"dpkg-query --show --showformat '${{Package}} ${{db:Status-Status}}\\n' {names}").stdout
    assert [line for line in told.splitlines() if line.endswith(" installed")] == []


def test_no_daemon_of_rsync_can_start(host):
    """rsync copies over SSH, and its daemon cannot be started"""
    assert host.run("systemctl is-enabled rsync.service").stdout.strip() == "masked"
    assert host.run("systemctl start rsync.service").rc != 0


def test_what_root_calls_by_name_is_roots(host, client):
    """What root calls by its name lies in folders that root alone writes"""
    folders = client.ssh(command="sudo printenv PATH").stdout.strip().split(":")
    assert "/usr/bin" in folders
    assert all(folder.startswith("/") for folder in folders), folders
    for folder in folders:
        # One that is not there yet is made by root: what is above it is root's as well.
        told = host.run(f"stat --dereference --format '%U %a %F' {folder}").stdout.split(maxsplit=2)
        if told:
            assert (told[0], told[2].strip()) == ("root", "directory"), folder
            assert int(told[1], 8) & 0o022 == 0, folder


def test_the_programs_that_guard_the_machine_are_debians(host):
    """The programs that guard the machine are those that Debian shipped"""
    told = host.run("debsums --silent sudo openssh-server nftables libpam-modules login passwd systemd")
    assert told.stdout.strip() == ""
    assert told.rc == 0, told.stderr


def test_what_is_left_open_is_written_down_on_the_machine(host, options):
    written = json.loads(host.file("/etc/hangar/exceptions.json").content_string)
    wanted = [*options["hardening_system_exceptions"], *options["hardening_system_own_exceptions"]]
    assert [entry["control"] for entry in written] == [entry["control"] for entry in wanted]
    assert all(entry["reason"] for entry in written)


@pytest.mark.settings
def test_no_exception_has_run_out(options):
    """No exception of platform.yml has run out"""
    today = date.today().isoformat()
    over = [
        f"{entry['control']}: {entry['owner']} answered for it until {entry['until']}"
        for entry in options["hardening_system_own_exceptions"]
        if entry["until"] < today
    ]
    assert over == [], "renew or remove them in platform.yml (hardening.exceptions)"
