"""What `maintenance renew` starts anew after an update, what it lets wait for a reboot, and what it leaves alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hangar_maintenance import renewal


def asked(tmp_path: Path) -> list[str]:
    place = tmp_path / "asked"
    return place.read_text().splitlines() if place.exists() else []


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Lets these run old code, and returns what `renew` says about it."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "needrestart").write_text('#!/bin/sh\n[ "$*" = "-b -l -r l" ] || exit 9\ncat "$0.old"\n')
    (bin / "systemctl").write_text(
        '#!/bin/sh\ncase "$*" in\n'
        "  *--property=Type*hangar-backup.service) echo oneshot;;\n"
        "  *--property=Type*) echo simple;;\n"
        f'  *) echo "$@" >> {tmp_path}/asked\n'
        '     [ "${2:-none}" != "$FAILS" ] || { echo refused >&2; exit 1; }\n'
        '     sed -i "/SVC: ${2:-systemd-manager}$/d" "${0%systemctl}needrestart.old";;\n'
        "esac\n"
    )
    for program_ in bin.iterdir():
        program_.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")

    def renew(*lines: str) -> list[str]:
        (bin / "needrestart.old").write_text(
            "".join(f"NEEDRESTART-{line}\n" for line in ("VER: 3.11", *lines))
        )
        said: list[str] = []
        renewal.run(["airflow", "airbyte"], said.append, tmp_path / "reboot-required")
        return said

    return renew


def test_where_nothing_runs_old_code_nothing_starts_anew(
    old: Callable[..., list[str]], tmp_path: Path
) -> None:
    assert old() == []
    assert asked(tmp_path) == []
    assert not (tmp_path / "reboot-required").exists()


def test_daemons_that_run_old_code_start_anew_and_no_reboot_is_asked_for(
    old: Callable[..., list[str]], tmp_path: Path
) -> None:
    said = old("SVC: prometheus.service", "SVC: ssh.service", "SVC: systemd-manager")
    assert asked(tmp_path) == ["try-restart prometheus.service", "try-restart ssh.service", "daemon-reexec"]
    assert said[0] == "Starting prometheus.service anew: an update has replaced what it runs."
    assert not (tmp_path / "reboot-required").exists()


def test_what_takes_work_or_log_ins_along_waits_for_the_window(
    old: Callable[..., list[str]], tmp_path: Path
) -> None:
    said = old("SVC: dbus.service", "SVC: systemd-logind.service", "SESS: airflow @ user service")
    assert asked(tmp_path) == []
    assert said == [
        "This still runs what an update has replaced, and waits for a reboot: Docker of airflow, dbus.service, "
        "systemd-logind.service"
    ]
    assert (tmp_path / "reboot-required").exists()


def test_work_that_ends_and_what_people_have_open_are_left_alone(
    old: Callable[..., list[str]], tmp_path: Path
) -> None:
    said = old(
        "SVC: hangar-backup.service", "SVC: getty@tty1.service", "SVC: unattended-upgrades.service",
        "SESS: ana @ session #4", "SESS: ana @ user service",
    )  # fmt: skip
    assert (said, asked(tmp_path), (tmp_path / "reboot-required").exists()) == ([], [], False)


def test_a_daemon_that_does_not_start_anew_is_said_and_waits(
    old: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "auditd.service")
    said = old("SVC: auditd.service", "SVC: ssh.service")
    assert said[1:] == [
        "auditd.service does not start anew: refused",
        "Starting ssh.service anew: an update has replaced what it runs.",
        "This still runs what an update has replaced, and waits for a reboot: auditd.service",
    ]
    assert (tmp_path / "reboot-required").exists()


def test_who_cannot_be_asked_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(renewal.Failed, match="nobody looks at what runs old code"):
        renewal.run([], print, tmp_path / "mark")
