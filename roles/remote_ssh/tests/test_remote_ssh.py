import contextlib
import json
import re
import socket
import time
from pathlib import Path

import pytest

UNITS = ("ssh.service", "systemd-sysctl.service", "hangar-editors.service", "hangar-homes.service")

ROLES = Path(__file__).resolve().parents[2]

PATIENCE = 60
"""Seconds for a forward to open, and for what answers through it: a login to an emulated processor is slow."""

SOCKS_HELLO = b"\x05\x01\x00"
SOCKS_CONNECT_SSH = b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + (22).to_bytes(2, "big")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def forward(client, *options, port):
    """Keep a forward open for the time of the block; yields a connection to its near end."""
    process = client.start("-N", "-o", "ExitOnForwardFailure=yes", *options)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None, process.stderr.read()
            try:
                connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "the forward did not open"
                time.sleep(0.05)
        with connection:
            yield connection
    finally:
        process.kill()  # a SIGTERM just before its poll would be heard at the next keep-alive
        process.communicate(timeout=10)


def test_an_editor_reaches_a_service_on_the_machines_loopback(client):
    """An editor reaches a service on the machine's loopback through SSH"""
    assert client.ssh("-W", "127.0.0.1:22", input="\n").stdout.startswith("SSH-2.0-")


def test_an_editor_may_use_a_dynamic_forward(client):
    """VS Code's dynamic forward works"""
    port = free_port()
    with forward(client, "-D", f"127.0.0.1:{port}", port=port) as connection:
        connection.sendall(SOCKS_HELLO)
        assert connection.recv(2) == b"\x05\x00"
        connection.sendall(SOCKS_CONNECT_SSH)
        assert connection.recv(10)[:2] == b"\x05\x00"
        assert connection.recv(8) == b"SSH-2.0-"


def test_a_forward_leads_to_loopback_and_nowhere_else(host, client):
    address = host.check_output("hostname --all-ip-addresses").split()[0]
    for target in (f"{address}:22", "169.254.169.254:80"):
        denied = client.ssh("-W", target, input="\n")
        assert denied.returncode == 255
        assert "prohibited" in denied.stderr


def test_nobody_opens_a_port_on_the_machine_through_ssh(client):
    """Nobody opens a port on the machine through SSH"""
    denied = client.ssh("-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22", command="true")
    assert denied.returncode == 255
    assert "remote port forwarding failed" in denied.stderr


def test_a_command_over_ssh_prints_nothing_of_its_own(client):
    """A command over SSH prints nothing of its own, which would confuse an editor"""
    done = client.ssh(command="true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_programs_run_from_the_home_and_from_the_temporary_directory(client):
    script = r"""set -e
    for folder in "${TMPDIR:-/tmp}" "$HOME"; do
        file=$(mktemp -p "$folder"); printf '#!/bin/sh\necho ran\n' > "$file"; chmod 700 "$file"; "$file"; rm "$file"
    done"""
    assert client.ssh(command=script).stdout.split() == ["ran", "ran"]


def test_the_machine_has_what_the_editors_server_needs(client):
    """The machine has what the server of VS Code needs"""
    programs = "for name in bash tar gzip curl git ps; do command -v $name; done"
    done = client.ssh(command=f"{programs}; ldd --version | head -1; ls /usr/lib/*/libstdc++.so.6")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    version = re.search(r"(\d+)\.(\d+)$", lines[6])
    assert (int(version[1]), int(version[2])) >= (2, 28)


@pytest.mark.vm
def test_an_editor_can_watch_a_large_folder(host, options):
    folder = "/proc/sys/fs/inotify"
    found = host.check_output(f"cat {folder}/max_user_watches {folder}/max_user_instances").split()
    assert found == [str(options["remote_ssh_watched_files"]), str(options["remote_ssh_watchers"])]


def test_the_limits_for_watched_files_are_set_at_boot(host, options):
    shown = host.check_output("systemd-analyze cat-config sysctl.d | grep '^fs.inotify'")
    assert f"fs.inotify.max_user_watches = {options['remote_ssh_watched_files']}" in shown
    assert host.run("systemctl is-enabled systemd-sysctl.service").stdout.strip() in ("static", "enabled")


@pytest.fixture(scope="module")
def found(host):
    """What the machine knows of people's limits and of the environment for DAGs, asked once."""
    somebody = 54321  # no account of the machine; a slice has its limits before anybody is in it
    told = host.check_output(f"""
        systemctl show user-{somebody}.slice -p CPUWeight,MemoryHigh,MemoryMax,TasksMax; echo ==
        for name in $(getent group hangar-admins | cut -d: -f4 | tr , ' '); do id -u $name; done; echo ==
        cat /etc/security/limits.d/60-hangar-people.conf; echo ==
        for unit in hangar-editors.timer hangar-homes.timer hangar-homes.path; do
            systemctl is-enabled $unit; systemctl is-active $unit; done; echo ==
        find -L /opt/hangar/airflow -maxdepth 5 -name '*.dist-info' -printf '%f\\n' 2>/dev/null; echo ==
        find -L /opt/hangar/airflow -xdev \\( ! -user root -o -perm /022 \\) ! -type l 2>/dev/null | head -3; echo ==
        echo end""")
    names = ("slice", "admins", "limits", "timer", "packages", "writable")
    return {name: part.strip().splitlines() for name, part in zip(names, told.split("==\n"), strict=False)}


def test_one_person_cannot_take_all_of_the_machine(found, options):
    """Memory, processes and processor time of one person are bounded"""
    limits = dict(line.split("=") for line in found["slice"])
    assert int(limits["TasksMax"]) == options["remote_ssh_processes"]
    assert int(limits["CPUWeight"]) == options["remote_ssh_cpu_weight"] < 100
    assert 0 < int(limits["MemoryHigh"]) <= int(limits["MemoryMax"]) < 2**63


def test_services_and_administrators_are_not_bounded_as_people_are(host, options):
    uids = [account["uid"] for account in options["service_users_accounts"]]
    uids.append(host.check_output(f"id -u {options['ansible_user']}"))
    slices = " ".join(f"user-{uid}.slice" for uid in uids)
    shown = host.check_output(f"systemctl show {slices} -p CPUWeight,MemoryMax").split()
    assert shown.count("MemoryMax=infinity") == shown.count("CPUWeight=400") == len(uids)


@pytest.mark.vm
def test_the_bounds_are_the_kernels(host, client):
    """The bounds are the kernel's, not only systemd's"""
    client.ssh(command="true")
    uid = host.check_output(f"id -u {client.settings['user']}")
    assert host.check_output(f"cat /sys/fs/cgroup/user.slice/user-{uid}.slice/cpu.weight") == "400"


def test_no_program_of_a_person_leaves_its_memory_on_the_disk(found, options):
    for group in options["remote_ssh_groups"]:
        assert f"@{group} - core 0" in found["limits"]
        assert f"@{group} hard nofile {options['remote_ssh_open_files']}" in found["limits"]


def test_old_servers_of_editors_go_and_the_one_that_runs_stays(client, options):
    """Old versions of an editor's server go; the newest ones and one that runs stay, and so does what else is there"""
    kept = options["remote_ssh_servers_kept"]
    script = f"""set -e
    export HOME=$(mktemp -d); trap 'kill $pid; chmod 700 $closed; rm -rf "$HOME"' EXIT
    servers=$HOME/.vscode-server/cli/servers; mkdir -p $servers $HOME/.vscode-server/data/logs/old
    for n in $(seq 0 {kept + 1}); do mkdir $servers/Stable-$n; touch -d "2026-01-0$((n + 1))" $servers/Stable-$n; done
    cp /bin/sleep $servers/Stable-0/server; $servers/Stable-0/server 60 & pid=$!
    touch -d 2020-01-01 $HOME/.vscode-server/data/logs/old $servers/Stable-0
    closed=$HOME/.vscode-server/data/closed; mkdir -m 000 $closed
    mkdir -p $HOME/elsewhere/kept; ln -s $HOME/elsewhere $servers/Stable-link
    until tr '\\0' ' ' < /proc/$pid/cmdline | grep -q Stable-0; do :; done
    /usr/local/lib/hangar/editors home > /dev/null
    ls $servers $HOME/.vscode-server/data/logs $HOME/elsewhere; test -s $HOME/.vscode-server/data/Machine/settings.json
    """
    done = client.ssh(command=script)
    assert done.returncode == 0, done.stderr
    left = [line for line in done.stdout.splitlines() if line.startswith("Stable-")]
    newest = [f"Stable-{number}" for number in range(2, kept + 2)]
    assert left == ["Stable-0", *newest, "Stable-link"]
    assert "old" not in done.stdout.split()
    assert "kept" in done.stdout.split(), "what a link leads to is not touched"


def test_an_editor_recommends_what_the_work_is_easier_with(host):
    """A new home recommends its editor the extensions for DAGs and dbt"""
    found = json.loads(host.check_output("cat /etc/skel/.vscode/extensions.json"))
    assert found == json.loads((ROLES / "remote_ssh/files/extensions.json").read_text())
    assert "ms-python.debugpy" in found["recommendations"]


def test_what_editors_leave_is_cleared_away_every_day(host, found):
    assert found["timer"] == ["enabled", "active"] * 3
    host.check_output("systemctl start hangar-editors.service")


NOBODYS = 29_999
"""The last of the numbers that people get: no account has it for as long as fewer than ten thousand ever came."""

FULL = f"""
import os, runpy, shutil, sys
homes = runpy.run_path("/usr/local/lib/hangar/homes")
disk, place = homes["device"](), "/srv/people/.bounded"
if not disk:
    sys.exit("measured")
shutil.rmtree(place, ignore_errors=True)  # of a run that was killed
os.mkdir(place)
os.chown(place, {NOBODYS}, {NOBODYS})
homes["set_bound"](disk, {NOBODYS}, 2**20)
child = os.fork()
if child == 0:
    os.setgroups([]), os.setgid({NOBODYS}), os.setuid({NOBODYS})
    for name, size in (("fits", 2**19), ("too-much", 2**20)):
        try:
            with open(f"{{place}}/{{name}}", "wb", buffering=0) as file:
                for _ in range(size // 4096):
                    file.write(b"x" * 4096)
            print(name, "written", flush=True)
        except OSError as problem:
            print(name, problem.strerror, flush=True)
    os._exit(0)
os.waitpid(child, 0)
shutil.rmtree(place)
homes["set_bound"](disk, {NOBODYS}, 0)
"""
"""Root's: somebody with a bound of 1 MiB writes half of it, and then the whole."""


def test_one_person_cannot_fill_the_disk_of_all(host, options):
    """What one person may have on the disk is bounded by the kernel, not by good will"""
    if not options["remote_ssh_home_quota"]:
        pytest.skip("switched off (homes.quota)")
    if host.run("test -d /srv/people/home").rc != 0:
        pytest.skip("no people's homes here")
    done = host.run(f"python3 -B - <<'END'\n{FULL}\nEND")
    if done.stderr.strip() == "measured":
        pytest.skip(
            "the file system below /srv does not keep what one account may have; homes are measured instead"
        )
    assert done.stdout.splitlines() == ["fits written", "too-much Disk quota exceeded"], done.stderr


def test_every_persons_share_of_the_disk_is_known(host, options):
    """Every person's share of the disk is known, and only administrators have no bound"""
    if host.run("test -d /srv/people/home").rc != 0:
        pytest.skip("no people's homes here")
    host.check_output("systemctl start hangar-homes.service")
    known = {home["name"]: home for home in json.loads(host.check_output("/usr/local/lib/hangar/homes show"))}
    members = {
        group: set(filter(None, host.run(f"getent group {group} | cut -d: -f4").stdout.strip().split(",")))
        for group in options["remote_ssh_groups"] + options["remote_ssh_admin_groups"]
    }
    people = set().union(*(members[group] for group in options["remote_ssh_groups"]))
    admins = set().union(*(members[group] for group in options["remote_ssh_admin_groups"]))
    assert set(known) == (people - admins if options["remote_ssh_home_quota"] else set())
    assert all(home["used"] > 0 and home["bound"] > 0 for home in known.values())


def test_programs_trust_whom_the_machine_trusts(client):
    """Extensions and Python programs trust the authorities that the machine trusts"""
    names = ("NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    told = client.ssh(command=f"printenv {' '.join(names)}").stdout.split()
    assert told == ["/etc/ssl/certs/ca-certificates.crt"] * 3


@pytest.fixture
def try_dags(options):
    if not options["remote_ssh_try_dags_enabled"]:
        pytest.skip("switched off (remote_ssh_try_dags_enabled)")


@pytest.mark.usefixtures("try_dags")
def test_dags_are_tried_with_the_airflow_of_the_image(found):
    """DAGs are tried with the same packages as in Airflow's image, from the same lock, and a debugger"""
    lock = (ROLES / "airflow/files/requirements.lock").read_text()
    wanted = re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", lock, re.M)
    have = {name.removesuffix(".dist-info").lower().replace("-", "_") for name in found["packages"]}
    missing = [
        f"{name} {version}"
        for name, version in wanted
        if f"{name}_{version}".replace("-", "_").replace(".", "_")
        not in {one.replace(".", "_") for one in have}
    ]
    assert len(wanted) > 50
    assert missing == []
    assert any(name.startswith("debugpy_") for name in have)


@pytest.mark.usefixtures("try_dags")
def test_nobody_but_root_changes_that_environment(found):
    assert found["packages"]
    assert found["writable"] == []
