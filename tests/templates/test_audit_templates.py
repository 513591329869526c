import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.templates.render import render

RULES = "/etc/audit/rules.d/50-hangar.rules"
ALWAYS = {"/srv/airflow/secrets", "/srv/airbyte/secrets", "/srv/monitoring/secrets", "/srv/people/passwords"}


def watched(**options: object) -> set[str]:
    lines = [
        line for line in render("hardening_audit", RULES, **options).splitlines() if "key=secrets" in line
    ]
    return {line.split("-F dir=")[1].split()[0] for line in lines}


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({}, {"/srv/warehouse/secrets", "/srv/backup/secrets"}),
        ({"warehouse_enabled": False, "backup_enabled": False}, set()),
        (
            {"backup_enabled": False, "hardening_audit_forward_certificate": "PEM"},
            {"/srv/warehouse/secrets", "/srv/forwarding/secrets"},
        ),
    ],
)
def test_the_secrets_of_every_service_that_is_there_are_watched(
    options: dict[str, object], more: set[str]
) -> None:
    assert watched(**options) == ALWAYS | more


def test_whoever_becomes_root_is_in_the_trail_with_who_they_were() -> None:
    """By the account that logged in (auid), whatever they became since"""
    lines = render("hardening_audit", RULES).splitlines()
    becomes = "-S execve -C uid!=euid -F euid=0 -F auid>=1000 -F auid!=unset -F key=privileged"
    assert {f"-a always,exit -F arch={arch} {becomes}" for arch in ("b64", "b32")} <= set(lines)


def calls(key: str, arch: str, **given: object) -> list[str]:
    """The system calls that a rule of this key records."""
    lines = [
        line for line in render("hardening_audit", RULES, **given).splitlines() if f"arch={arch}" in line
    ]
    wanted = [line.split("-S ")[1].split()[0].split(",") for line in lines if line.endswith(f"key={key}")]
    return sorted({call for some in wanted for call in some})


@pytest.mark.parametrize("arch", ["b64", "b32"])
@pytest.mark.parametrize(
    ("key", "made"),
    [
        ("mounts", {"move_mount", "mount_setattr", "mount", "umount2"}),
        ("rights", {"fchmodat2", "fchmodat", "fchownat"}),
        ("denied", {"openat2", "openat", "open_by_handle_at"}),
        ("time", {"clock_adjtime", "clock_settime", "settimeofday"}),
        ("system", {"sethostname", "setdomainname"}),
    ],
)
def test_what_debians_own_programs_call_is_recorded(key: str, made: set[str], arch: str) -> None:
    """Mount makes no call of the name mount any more, chmod -h and adjtime none of their old ones"""
    assert made <= set(calls(key, arch))


ARM: dict[str, object] = {"__hardening_audit_found": {"stdout_lines": ["dpkg arm64 installed"]}}
AMD: dict[str, object] = {"__hardening_audit_found": {"stdout_lines": ["dpkg amd64 installed"]}}
OLD = {"open", "creat", "chmod", "chown", "lchown", "create_module", "query_module"}
"""Calls that are not in the table of a 64-bit Arm processor."""


def test_no_rule_names_a_call_that_the_processor_has_not() -> None:
    """The whole rule would be left out."""
    keys = ("rights", "denied", "modules", "mounts", "time", "system")
    assert {call for key in keys for call in calls(key, "b64", **ARM)} & OLD == set()
    assert {call for key in keys for call in calls(key, "b64", **AMD)} >= OLD
    assert {"fchmodat", "openat", "init_module"} <= {c for key in keys for c in calls(key, "b64", **ARM)}


VERSION = "6.12.48+deb13-amd64"
IMAGE = f"/boot/initrd.img-{VERSION}"
TABLES, MENU = f"kernel {VERSION}", "generated /boot/grub/grub.cfg"


@pytest.mark.parametrize(
    ("hook", "word", "grub", "noted"),
    [
        ("kernel/postinst.d", f"/boot/vmlinuz-{VERSION}", True, [TABLES, MENU]),
        ("kernel/postinst.d", f"/boot/vmlinuz-{VERSION}", False, [TABLES]),
        ("kernel/postrm.d", f"/boot/vmlinuz-{VERSION}", True, [MENU]),
        ("kernel/postrm.d", f"/boot/vmlinuz-{VERSION}", False, []),
        ("initramfs/post-update.d", IMAGE, True, [f"generated {IMAGE}"]),
    ],
)
def test_a_hook_notes_what_was_made_and_never_stops_an_update(
    tmp_path: Path, hook: str, word: str, grub: bool, noted: list[str]
) -> None:
    program, told = tmp_path / "integrity", tmp_path / "told"
    text = render("hardening_audit", f"/etc/{hook}/zzz-hangar-integrity")
    text = text.replace("/usr/local/lib/hangar/integrity", str(program)).replace("/etc/", f"{tmp_path}/etc/")

    def run() -> int:
        return subprocess.run(["sh", "-c", text, "hook", VERSION, word], check=False).returncode

    assert run() == 0, "the program is not there (yet)"
    program.write_text(f'#!/bin/sh\necho "$@" >> {told}\nexit 1\n')
    program.chmod(0o755)
    told.touch()
    if grub:
        of_grub = tmp_path / f"etc/{hook}/zz-update-grub"
        of_grub.parent.mkdir(parents=True)
        of_grub.touch(mode=0o755)
    assert run() == 0
    assert told.read_text().splitlines() == noted


HOUR, DAY, MIB = 3600, 86400, 2**20


@pytest.fixture
def turn(tmp_path: Path) -> Callable[..., list[str]]:
    """Turns the files of process accounting in this folder, with 8 MiB for all; returns which there are then."""
    text = render(
        "hardening_audit", "/usr/local/lib/hangar/rotate-accounting", hardening_audit_accounting_megabytes=8
    )
    folder = tmp_path / "account"
    folder.mkdir()

    def run(*files: tuple[str, int, int]) -> list[str]:
        for name, age, size in files:
            with (folder / name).open("wb") as stream:
                stream.truncate(size)
            os.utime(folder / name, (time.time() - age,) * 2)
        script = text.replace("/var/log/account", str(folder))
        subprocess.run(["sh", "-c", script], check=True)
        return sorted(path.name for path in folder.iterdir())

    return run


def test_programs_that_ran_are_counted_in_a_file_a_day(turn: Callable[..., list[str]]) -> None:
    young = ("pacct.1", HOUR, 100)
    assert turn(("pacct", 0, 100), young) == ["pacct", "pacct.1"]
    now, yesterdays, new = turn(("pacct.1", DAY, 100))
    assert (now, yesterdays) == ("pacct", "pacct.1")
    assert new.startswith("pacct.20")


def test_what_is_counted_does_not_fill_the_disk(turn: Callable[..., list[str]]) -> None:
    """Many short programs write megabytes within the day: the file is turned then, and the oldest goes."""
    old = [(f"pacct.{number}", number * HOUR, 2 * MIB) for number in range(1, 5)]
    left = turn(("pacct", 0, 2 * MIB), *old, ("pacct.9", 31 * DAY, 100))
    new = [name for name in left if name.startswith("pacct.20")]
    assert len(new) == 1
    assert sorted(set(left) - set(new)) == ["pacct", "pacct.1", "pacct.2", "pacct.3"], "of 10 MiB there are 8"


def test_a_call_that_was_killed_is_made_good_by_the_next(turn: Callable[..., list[str]]) -> None:
    """Before there was a new file."""
    assert turn(("pacct.1", HOUR, 100)) == ["pacct", "pacct.1"]
    assert turn() == ["pacct", "pacct.1"]


def test_the_kernel_is_told_of_the_file_in_the_machines_own_view_of_its_file_systems() -> None:
    """Each time, and after the turn. Told in the unit's own, it stopped counting when that was gone."""
    unit = render("hardening_audit", "/etc/systemd/system/hangar-accounting.service")
    started = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert started == [
        "ExecStart=/usr/local/lib/hangar/rotate-accounting",
        "ExecStart=+/usr/bin/nsenter --target 1 --mount /usr/sbin/accton /var/log/account/pacct",
    ]
