"""The relay as ssh starts it: a program of its own, with credentials, certificates and proxies from around it."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hangar.cloud.gcp.relay.__main__ import main
from tests.backends import echo
from tests.far_end import FarEnd, Faults
from tests.token_server import TokenServer

RELAY = Path(__file__).resolve().parents[5] / "hangar/cloud/gcp/relay"
WORDS = ["--project", "p", "--zone", "z-a", "--instance", "vm"]


@pytest.fixture
def port() -> Iterator[int]:
    with echo() as port:
        yield port


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenServer]:
    with TokenServer(tmp_path) as tokens:
        yield tokens


def start(endpoint: str, tokens: TokenServer | None, *options: str, **more: str) -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**kept, "HANGAR_ALLOW_API_HOST": "127.0.0.1", "NO_GCE_CHECK": "true", **more}
    if tokens is not None:
        environment["GOOGLE_APPLICATION_CREDENTIALS"] = str(tokens.file)
    return subprocess.Popen(
        [sys.executable, *options, str(RELAY), *WORDS, "--endpoint", endpoint],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd="/",
    )  # fmt: skip


def talk(relay: subprocess.Popen[bytes]) -> tuple[bytes, str, int]:
    """What an echo gives back for one word; what was said; the exit status."""
    assert relay.stdin
    assert relay.stdout
    assert relay.stderr
    with contextlib.suppress(BrokenPipeError):
        relay.stdin.write(b"hello")
        relay.stdin.flush()
    answer = relay.stdout.read(5)
    relay.stdin.close()
    said = relay.stderr.read().decode()
    relay.stdout.close()
    relay.stderr.close()
    return answer, said, relay.wait(30)


def test_it_carries_bytes_and_ends_in_order(port: int, tokens: TokenServer) -> None:
    with FarEnd(port) as far:
        assert talk(start(far.endpoint, tokens)) == (b"hello", "", 0)
        assert far.requests[0][2]["Authorization"] == "Bearer secret-token-1"
    assert tokens.issued == 1


def test_a_refused_token_is_replaced_by_a_new_one(port: int, tokens: TokenServer) -> None:
    with FarEnd(port, Faults(close_at_connect=[(4004, "expired")])) as far:
        assert talk(start(far.endpoint, tokens)) == (b"hello", "", 0)
        assert [headers["Authorization"] for *_, headers in far.requests] == [
            "Bearer secret-token-1", "Bearer secret-token-2",
        ]  # fmt: skip


def test_a_failure_is_one_line_and_exit_status_1(port: int, tokens: TokenServer) -> None:
    with FarEnd(port, Faults(close_at_connect=[(4003, "failed to connect to backend")])) as far:
        answer, said, status = talk(start(far.endpoint, tokens))
    assert (answer, status) == (b"", 1)
    assert said == (
        "hangar relay: IAP cannot reach port 22 of vm. (code 4003: failed to connect to backend) Is the machine"
        " running and has it booted? A firewall rule has to admit 35.235.240.0/20 to port 22, and sshd has to listen"
        " there.\n"
    )


def test_credentials_go_nowhere_that_was_not_allowed(port: int, tokens: TokenServer) -> None:
    with FarEnd(port) as far:
        answer, said, status = talk(start(far.endpoint, tokens, HANGAR_ALLOW_API_HOST="relay.example.org"))
        assert far.requests == []
    assert (answer, status) == (b"", 1)
    assert said == (
        "hangar relay: 127.0.0.1 is none of Google's hosts, so it gets no Google credential. If you trust it with"
        " yours: export HANGAR_ALLOW_API_HOST=127.0.0.1\n"
    )
    assert tokens.issued == 0


def test_no_credentials_at_all(port: int, tmp_path: Path) -> None:
    with FarEnd(port) as far:
        answer, said, status = talk(start(far.endpoint, None, HOME=str(tmp_path)))
        assert far.requests == []
    assert (answer, status) == (b"", 1)
    assert said.startswith("hangar relay: There are no Google credentials here. (")
    assert said.endswith(
        ") Log in with `gcloud auth application-default login`; where there is no gcloud, name the file of such a"
        " login or of a service account in GOOGLE_APPLICATION_CREDENTIALS.\n"
    )
    assert len(said.splitlines()) == 1


def test_credentials_that_google_does_not_take(port: int, tokens: TokenServer) -> None:
    tokens.refuse = True
    with FarEnd(port) as far:
        answer, said, status = talk(start(far.endpoint, tokens))
        assert far.requests == []
    assert (answer, status) == (b"", 1)
    assert said.startswith("hangar relay: Google does not take your credentials. (invalid_grant: Bad account")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "wrong", [["--port", "0"], ["--port", "ssh"], ["--zone"], ["--project", "p"], ["--what", "x"]]
)
def test_wrong_arguments_end_with_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*WORDS, *wrong] if wrong != ["--project", "p"] else wrong)
    assert ended.value.code == 2
    assert "usage: " in capsys.readouterr().err


def test_a_defect_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("what")

    monkeypatch.setattr("hangar.cloud.gcp.relay.__main__.carry", fail)
    assert main(WORDS) == 1
    assert capsys.readouterr().err == (
        "hangar relay: KeyError: 'what' This is a defect in Hangar; use gcloud for the tunnel.\n"
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ctrl_c_is_not_meant_for_it(port: int, tokens: TokenServer) -> None:
    with FarEnd(port) as far:
        relay = start(far.endpoint, tokens)
        assert relay.stdin
        assert relay.stdout
        relay.stdin.write(b"x")
        relay.stdin.flush()
        assert relay.stdout.read(1) == b"x"
        relay.send_signal(signal.SIGINT)
        assert talk(relay) == (b"hello", "", 0)


AS_ON_WINDOWS = """
import asyncio, importlib.abc, os, runpy, select, signal, ssl, subprocess, sys, types, urllib.request
import google.auth, websockets.asyncio.client
from asyncio import selector_events

UNIX = ("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "posix", "syslog", "readline", "curses", "crypt")

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in UNIX:
            raise ModuleNotFoundError(f"there is no {name} on Windows")

for name in UNIX:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Absent())
for module, names in (
    (os, "fork getuid geteuid getgid getegid getgroups killpg setsid getpgid mkfifo uname chown fchmod openpty ttyname"
         " pipe2 sched_getaffinity getpgrp getsid nice wait3 initgroups"),
    (signal, "SIGKILL SIGHUP SIGPIPE SIGALRM SIGCHLD SIGUSR1 SIGQUIT alarm pause pthread_sigmask sigwait setitimer"),
    (select, "poll epoll"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)

def absent(*_):
    raise NotImplementedError("no event loop of Windows does it")

for name in ("add_reader", "add_writer"):
    setattr(selector_events.BaseSelectorEventLoop, name, absent)
asyncio.SelectorEventLoop.add_signal_handler = absent

set_binary = []
sys.modules["msvcrt"] = types.SimpleNamespace(setmode=lambda descriptor, mode: set_binary.append((descriptor, mode)))
os.O_BINARY = 0x8000
ssl.enum_certificates = lambda store: []
sys.platform = "win32"
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    assert set_binary == [(0, 0x8000), (1, 0x8000)], set_binary
    raise
"""


def test_nothing_on_its_path_is_unix_alone(port: int, tokens: TokenServer) -> None:
    """What Windows lacks is taken away before it starts; bytes and ends arrive all the same."""
    with FarEnd(port) as far:
        assert talk(start(far.endpoint, tokens, "-c", AS_ON_WINDOWS)) == (b"hello", "", 0)
    with FarEnd(port, Faults(close_at_connect=[(4047, "no instance")])) as far:
        answer, said, status = talk(start(far.endpoint, tokens, "-c", AS_ON_WINDOWS))
    assert (answer, status, len(said.splitlines())) == (b"", 1, 1)
    assert said.startswith("hangar relay: Google knows no running instance vm in zone z-a of project p.")


def test_it_starts_fast_and_loads_only_what_it_needs(port: int, tokens: TokenServer) -> None:
    with FarEnd(port) as far:
        begin = time.monotonic()
        answer, loaded, _ = talk(start(far.endpoint, tokens, "-X", "importtime"))
        taken = time.monotonic() - begin
    assert answer == b"hello"
    assert "websockets.asyncio.client" in loaded
    heavy = {
        "ansible",
        "pydantic",
        "paramiko",
        "docker",
        "rich",
        "yaml",
        "jinja2",
        "requests",
        "google.cloud",
    }
    names = {line.rsplit("|", 1)[-1].strip() for line in loaded.splitlines()}
    assert heavy & names == set()
    assert taken < 4  # 0.3 s by itself (python -m bench.relay); the rest is room for a busy machine


def test_it_speaks_tls_to_whom_the_computer_trusts(port: int, tokens: TokenServer, tmp_path: Path) -> None:
    """SSL_CERT_FILE is how a company's authority is named."""
    bundle, context = authority(tmp_path)
    with FarEnd(port, ssl=context) as far:
        assert far.endpoint.startswith("wss://")
        answer, said, status = talk(start(far.endpoint, tokens))
        assert (answer, status) == (b"", 1)
        assert said == (
            f"hangar relay: {far.endpoint} shows a certificate that this computer does not trust. (unable to get"
            " local issuer certificate) If your company looks into TLS, name its authorities: export"
            " SSL_CERT_FILE=/path/to/bundle.pem\n"
        )
        assert talk(start(far.endpoint, tokens, SSL_CERT_FILE=str(bundle))) == (b"hello", "", 0)


@pytest.mark.parametrize(
    ("user", "allowed"), [("", True), ("me:pass@", True), ("", False)], ids=["open", "login", "closed"]
)
def test_it_goes_through_the_proxy_that_the_environment_names(
    port: int, tokens: TokenServer, tmp_path: Path, user: str, allowed: bool
) -> None:
    bundle, context = authority(tmp_path)
    with FarEnd(port, ssl=context) as far, Proxy(allowed) as proxy:
        environment = {"SSL_CERT_FILE": str(bundle), "HTTPS_PROXY": f"http://{user}127.0.0.1:{proxy.port}"}
        answer, said, status = talk(start(far.endpoint, tokens, **environment))
        assert proxy.asked[0].startswith(f"CONNECT 127.0.0.1:{far.port} HTTP/1.1")
        assert ("proxy-authorization: basic bwu6cgfzcw==" in proxy.asked[0].lower()) == bool(user)
        if allowed:
            assert (answer, said, status) == (b"hello", "", 0)
        else:
            assert said.startswith("hangar relay: The proxy wants to know who you are. (HTTP 407) Put user")
        asked = len(proxy.asked)
        direct = {**environment, "NO_PROXY": "127.0.0.1"}
        assert talk(start(far.endpoint, tokens, **direct)) == (b"hello", "", 0)
        assert len(proxy.asked) == asked


def test_a_proxy_of_another_kind_is_named(port: int, tokens: TokenServer) -> None:
    with FarEnd(port) as far:
        _, said, status = talk(
            start(far.endpoint, tokens, ALL_PROXY="socks5h://127.0.0.1:1", WS_PROXY="ftp://x:1")
        )
    assert status == 1
    assert said.startswith("hangar relay: The proxy that this computer names cannot be used. (")


class Proxy:
    """An HTTP proxy that does CONNECT, and writes down what it was asked."""

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Proxy:
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._serving.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone does not wake the thread, which then answered for whoever took the port next.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._serving.join()
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._handle, args=(client,), daemon=True).start()

    def _handle(self, client: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += client.recv(4096)
        self.asked.append(request.decode())
        if not self.allowed:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        host, _, port = request.split()[1].decode().rpartition(":")
        server = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=self._copy, args=(server, client), daemon=True).start()
        self._copy(client, server)

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                sink.sendall(content)
            sink.shutdown(socket.SHUT_WR)


def authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate authority that nobody knows, as a bundle, and a server's context with its certificate."""
    now = datetime.datetime.now(datetime.UTC)

    def certificate(name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey,
                    *extensions: x509.ExtensionType) -> x509.Certificate:  # fmt: skip
        builder = (
            x509.CertificateBuilder().serial_number(x509.random_serial_number()).public_key(key.public_key())
        )
        builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        builder = builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(signer, hashes.SHA256())

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    top = certificate("a company", root, "a company", root, x509.BasicConstraints(ca=True, path_length=None))
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = certificate("127.0.0.1", leaf, "a company", root, here)
    bundle, chain = folder / "bundle.pem", folder / "server.pem"
    bundle.write_bytes(top.public_bytes(serialization.Encoding.PEM))
    private = leaf.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(private + server.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return bundle, context
