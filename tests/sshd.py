"""A real sshd of a test's own, on a free port of loopback; it needs no account but the one that runs it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from hangar.ssh import keys

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
"""Debian's openssh-server; None where it is not installed."""


class Host:
    """An sshd of the test's own that admits us by one key."""

    def __init__(self, folder: Path, admitted: str) -> None:
        folder.mkdir()
        self.folder, self.log = folder, folder / "log"
        self.key = keys.ensure_key(folder / "host", "x")
        (folder / "admitted").write_text(f"{admitted}\n")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *settings: str) -> None:
        lines = [
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.folder / 'host'}", "UsePAM no",
            f"AuthorizedKeysFile {self.folder / 'admitted'}", "StrictModes no", "PermitRootLogin yes",
            "PidFile none", "PasswordAuthentication no", "KbdInteractiveAuthentication no", *settings,
        ]  # fmt: skip
        (self.folder / "config").write_text("\n".join(lines) + "\n")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd asks for it where it begins as root
        assert SSHD
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", self.folder / "config"], stderr=log)
        deadline = time.monotonic() + 10
        while "Server listening" not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)  # between two looks at the condition

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(10)
        self.process = None

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def logins(self) -> int:
        return self.said().count("Accepted publickey")
