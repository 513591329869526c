"""How the service users' daemons are started, with a manager that is a script."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.templates.render import render

MANAGER = """#!/bin/sh
# Stands in for a service user's manager: `start` fails while `slow` is there; each look at the daemon is one more try.
cd "{folder}"
case "$*" in
*" start dbus.socket"*) ;;
*" start "*) echo start >> calls; [ ! -e slow ] ;;
*NRestarts*) echo x >> tries; wc -l < tries ;;
*ActiveState*) if [ -e tries ] && [ "$(wc -l < tries)" -ge "$(cat comes_at)" ]; then rm -f slow; fi
               if [ -e slow ]; then echo {state}; else echo active; fi ;;
esac
"""


def ensure(folder: Path, comes_at: int, state: str = "activating") -> subprocess.CompletedProcess[str]:
    """Runs `docker-hosts ensure` for one user, whose daemon is active from its try number `comes_at` on."""
    programs = folder / "bin"
    programs.mkdir()
    (folder / "comes_at").write_text(str(comes_at))
    if comes_at:
        (folder / "slow").touch()
    user = [{"name": "airflow", "uid": 2001, "subids": 200000}]
    files = {
        "docker-hosts": render("docker_host", "/usr/local/sbin/docker-hosts", docker_host_users=user),
        "as-service": MANAGER.format(folder=folder, state=state),
        "sleep": "#!/bin/sh\n",
    }
    for name, text in files.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.run(
        [programs / "docker-hosts", "ensure"], env=environment, capture_output=True, text=True, timeout=20
    )


def calls(folder: Path) -> int:
    return (folder / "calls").read_text().count("start")


def test_a_daemon_that_starts_is_started_and_no_more(tmp_path: Path) -> None:
    assert ensure(tmp_path, comes_at=0).returncode == 0
    assert not (tmp_path / "tries").exists()


def test_a_daemon_that_comes_at_a_later_try_is_waited_for(tmp_path: Path) -> None:
    """An emulated processor takes longer than the ten seconds that dockerd gives its containerd."""
    assert ensure(tmp_path, comes_at=3).returncode == 0
    assert calls(tmp_path) == 2, "the timers were not started after the daemon"


def test_a_daemon_that_fails_each_time_is_given_up(tmp_path: Path) -> None:
    assert ensure(tmp_path, comes_at=99).returncode != 0


def test_a_daemon_that_its_unit_gave_up_is_given_up_at_once(tmp_path: Path) -> None:
    assert ensure(tmp_path, comes_at=99, state="failed").returncode != 0
    assert not (tmp_path / "tries").exists()
