import contextlib
import re
import socket
import time

import pytest

UNITS = ("ssh.service", "systemd-sysctl.service")

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
        deadline = time.monotonic() + 15
        while True:
            assert process.poll() is None, process.stderr.read()
            try:
                connection = socket.create_connection(("127.0.0.1", port), timeout=10)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "the forward did not open"
                time.sleep(0.05)
        with connection:
            yield connection
    finally:
        process.terminate()
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
