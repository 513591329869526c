"""The relay as a ProxyCommand: the real ssh, a real sshd, Ansible and forwards through it, and a line that breaks."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from hangar import inventory, paths
from hangar.cloud.base import Server
from hangar.cloud.gcp import iap
from hangar.ssh import client_config, known_hosts, proof, tunnel
from hangar.ssh.keys import ensure_key
from tests.far_end import FarEnd, Faults
from tests.token_server import TokenServer

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
BULK = os.urandom(20_000_000)

pytestmark = [
    pytest.mark.machine,
    pytest.mark.skipif(SSHD is None, reason="needs an sshd: sudo apt-get install openssh-server"),
]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """An SSH server of the test's own, on a free port, that admits one key; its port and folder."""
    folder = tmp_path_factory.mktemp("sshd")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host")], check=True)
    (folder / "admitted").write_text(ensure_key(folder / "id", "test") + "\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = (
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/admitted\n"
        f"StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\n"
    )
    (folder / "sshd_config").write_text(settings)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where its unprivileged half lives
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield port, folder
    finally:
        server.terminate()
        server.wait(10)


class Way:
    """An environment whose machine is reached through the relay and a far end of the test's own."""

    def __init__(self, far: FarEnd, folder: Path) -> None:
        host_key = " ".join((folder / "host.pub").read_text().split()[:2])
        self.far = far
        self.key = folder / "id"
        self.server = Server(
            name="hangar-relay", environment="relay", cloud="gcp", id="1", address="vm.invalid", port=22,
            admin=getpass.getuser(), host_keys=(host_key,), ssh_sources=(),
            proxy_command=iap.proxy_command("p", "z-a", "vm", endpoint=far.endpoint),
        )  # fmt: skip
        known_hosts.pin(self.server, paths.known_hosts("relay"))
        self.config = client_config.write(self.server, self.key)

    def ssh(self, *words: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self.argv(*words), input=content, capture_output=True, timeout=120, cwd="/")

    def argv(self, *words: str) -> list[str]:
        return ["ssh", "-F", str(self.config), "-o", "BatchMode=yes", self.server.name, *words]

    def relays(self) -> list[int]:
        """The relays that are running for this far end."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if self.far.endpoint.encode() in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found

    def require_none_left(self) -> None:
        deadline = time.monotonic() + 10
        while self.relays() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.relays() == []


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def way(
    sshd: tuple[int, Path], faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Way]:
    port, folder = sshd
    here = tmp_path / "50% of a repository"
    here.mkdir()
    monkeypatch.setenv("HANGAR_ALLOW_API_HOST", "127.0.0.1")
    with TokenServer(tmp_path) as tokens, FarEnd(port, faults) as far:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tokens.file))
        monkeypatch.setattr(paths, "REPO", here)  # what is written; the relay itself stays the repository's
        proxied = Way(far, folder)
        yield proxied
        proxied.require_none_left()


def test_ssh_logs_in(way: Way) -> None:
    done = way.ssh("echo $((6 * 7))")
    assert (done.returncode, done.stdout) == (0, b"42\n"), done.stderr
    assert done.stderr == b""
    assert way.far.requests[0][2]["Authorization"].startswith("Bearer secret-token-")


def test_another_host_key_is_refused(way: Way, tmp_path: Path) -> None:
    line = ensure_key(tmp_path / "stranger", "x").rsplit(" ", 1)[0]
    paths.known_hosts("relay").write_text(f"hangar-relay {line}\n")
    done = way.ssh("echo in")
    assert done.returncode == 255
    assert b"REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr
    assert b"in\n" not in done.stdout


@pytest.mark.parametrize(
    "faults", [Faults(), Faults(drop_after=1_500_000)], ids=["whole line", "broken line"]
)
def test_a_large_transfer_arrives_as_it_was(way: Way, faults: Faults, tmp_path: Path) -> None:
    done = way.ssh("sha256sum", content=BULK)
    assert done.stdout.split()[:1] == [hashlib.sha256(BULK).hexdigest().encode()], done.stderr
    (tmp_path / "bulk").write_bytes(BULK)
    done = way.ssh(f"cat {tmp_path}/bulk")
    assert hashlib.sha256(done.stdout).hexdigest() == hashlib.sha256(BULK).hexdigest()
    reconnects = [path for path, *_ in way.far.requests if path == "/v4/reconnect"]
    assert bool(reconnects) == (faults.drop_after is not None)
    assert len(way.far.sessions) == 2, "one a login, however often the line broke"


def test_a_session_outlives_the_loss_of_its_line(way: Way) -> None:
    with subprocess.Popen(way.argv("cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ssh:
        assert ssh.stdin
        assert ssh.stdout
        for number in range(5):
            ssh.stdin.write(b"%d\n" % number)
            ssh.stdin.flush()
            assert ssh.stdout.readline() == b"%d\n" % number
            way.far.drop_all()
        ssh.stdin.close()
        assert ssh.wait(20) == 0


@pytest.mark.parametrize("faults", [Faults(close_at_connect=[(4033, "not authorized")])])
def test_ssh_shows_why_the_way_is_closed(way: Way, faults: Faults) -> None:
    done = way.ssh("true")
    assert done.returncode == 255
    assert done.stderr.decode().splitlines()[0] == (
        "hangar relay: Your account may not open a tunnel to vm. (code 4033: not authorized) It needs the"
        " permission iap.tunnelInstances.accessViaIAP; the role roles/iap.tunnelResourceAccessor has it: gcloud"
        " projects add-iam-policy-binding p --condition None --member user:YOU@EXAMPLE.ORG"
        " --role roles/iap.tunnelResourceAccessor"
    )
    assert b"secret-token" not in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_token_is_nowhere_to_be_seen(way: Way) -> None:
    with subprocess.Popen(way.argv("echo in; cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ssh:
        assert ssh.stdout
        assert ssh.stdout.readline() == b"in\n"
        (relay,) = way.relays()
        for name in ("cmdline", "environ"):
            assert b"secret-token" not in Path(f"/proc/{relay}/{name}").read_bytes()
        ssh.communicate(timeout=20)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_relay_goes_with_its_ssh(way: Way, how: signal.Signals) -> None:
    with subprocess.Popen(way.argv("echo in; sleep 60"), stdout=subprocess.PIPE) as ssh:
        assert ssh.stdout
        assert ssh.stdout.readline() == b"in\n"
        assert way.relays()
        ssh.send_signal(how)
        ssh.wait(10)
    way.require_none_left()


def test_forwards_go_through_it(way: Way, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Hello(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    service = HTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    try:
        (forward,) = tunnel.ensure(way.server, {"hello": service.server_address[1]})
        way.far.drop_all()
        with urllib.request.urlopen(forward.url, timeout=20) as answer:
            assert answer.read() == b"hello"
        assert tunnel.current("relay") == (forward,)
        assert tunnel.stop("relay")
    finally:
        service.shutdown()


def test_a_shared_connection_goes_through_it_once(way: Way, tmp_path: Path) -> None:
    shared = ["-o", f"ControlPath={tmp_path}/s", "-o", "ControlPersist=60"]
    for _ in range(3):
        done = subprocess.run([*way.argv()[:-1], "-o", "ControlMaster=auto", *shared, way.server.name, "echo in"],
                              capture_output=True, timeout=60)  # fmt: skip
        assert done.stdout == b"in\n", done.stderr
    assert len(way.far.requests) == 1
    subprocess.run(
        [*way.argv()[:-1], *shared, "-O", "exit", way.server.name], capture_output=True, check=True
    )


def test_the_login_proof_goes_through_it(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "COMMAND", "true")
    proof.prove(proof.Target.of("relay"))
    way.require_none_left()


def test_ansible_goes_through_it(way: Way, tmp_path: Path) -> None:
    variables = {
        **inventory.connection(way.server, way.key),
        "ansible_python_interpreter": sys.executable,
        "ansible_control_path_dir": str(tmp_path / "cp"),
    }
    hosts = tmp_path / "hosts.yml"
    hosts.write_text(yaml.safe_dump({"all": {"hosts": {way.server.name: variables}}}))
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible"), "-i", str(hosts), "all", "-m", "ansible.builtin.ping"],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "ANSIBLE_SSH_ARGS": "-o ControlMaster=no", "ANSIBLE_LOCAL_TEMP": str(tmp_path)},
    )  # fmt: skip
    assert '"ping": "pong"' in done.stdout, done.stdout + done.stderr
