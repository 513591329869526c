from __future__ import annotations

import configparser
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hangar.cloud import startup
from hangar.cloud.base import MachineSpec


def test_values_cannot_leave_their_quotes(spec: Callable[..., MachineSpec]) -> None:
    script = startup.render(spec(public_key="ssh-ed25519 AAAA it's $(reboot)"))
    assert "key='ssh-ed25519 AAAA it'\"'\"'s $(reboot)'\n" in script


def test_the_script_is_valid_shell(spec: Callable[..., MachineSpec]) -> None:
    subprocess.run(["sh", "-n"], input=startup.render(spec()), text=True, check=True)


def test_what_ansible_manages_later_is_left_alone(spec: Callable[..., MachineSpec]) -> None:
    script = startup.render(spec())
    assert "if [ ! -e /etc/ssh/sshd_config.d/10-hangar.conf ]; then" in script


def test_a_key_that_the_roles_took_away_does_not_come_back_at_the_next_boot(
    spec: Callable[..., MachineSpec], tmp_path: Path
) -> None:
    """Only until the role ssh_server owns the keys does the script admit anybody."""
    script = startup.render(spec())
    part = script[script.index("admin=") : script.index("getent group")] + script[
        script.index("# Until the role ssh_server") : script.index("ssh-keygen -A")
    ].replace("/etc/ssh", str(tmp_path))
    run = ["sh", "-eu", "-c", part]
    subprocess.run(run, check=True)
    keys = tmp_path / "authorized_keys" / "hangar"
    assert keys.read_text() == f"{spec().public_key}\n"
    subprocess.run(run, check=True)
    assert keys.read_text() == f"{spec().public_key}\n"
    (tmp_path / "sshd_config.d" / "10-hangar.conf").touch()
    keys.write_text("ssh-ed25519 BBBB another\n")
    subprocess.run(run, check=True)
    assert keys.read_text() == "ssh-ed25519 BBBB another\n"


def run_agent_part(spec: MachineSpec, tmp_path: Path, *programs: str, before: str | None = None) -> str:
    """Runs the part of the script that is about Google's agent; returns the agent's file."""
    tools, file = tmp_path / "bin", tmp_path / "instance_configs.cfg"
    tools.mkdir(exist_ok=True)
    if before is not None:
        file.write_text(before)
    for name in ("systemctl", *programs):
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/called\n')
        (tools / name).chmod(0o755)
    script = startup.render(spec)
    part = script[script.index("agent=/etc") : script.index("# What must outlive")].replace(
        "/etc/default/instance_configs.cfg", str(file)
    )
    part = part.replace("/usr/bin/google", f"{tools}/google")
    subprocess.run(["sh", "-eu", "-c", part], env={"PATH": f"{tools}:/usr/bin:/bin"}, check=True)
    return file.read_text() if file.exists() else ""


@pytest.mark.parametrize(
    ("programs", "restart"),
    [
        (("google_guest_agent",), "systemctl --no-block try-restart google-guest-agent.service\n"),
        (("google_guest_agent_manager", "ggactl_plugin"), "ggactl_plugin coreplugin restart\n"),
    ],
)
def test_googles_agent_old_or_new_makes_no_accounts(
    spec: Callable[..., MachineSpec], tmp_path: Path, programs: tuple[str, ...], restart: str
) -> None:
    text = run_agent_part(spec(), tmp_path, *programs, before="[Daemons]\naccounts_daemon = true\n")
    read = configparser.ConfigParser(strict=False)  # of what stands twice the last counts, as for the agent
    read.read_string(text)
    assert read["Daemons"]["accounts_daemon"] == "false"
    assert run_agent_part(spec(), tmp_path, *programs) == text, "the next boot changes nothing"
    assert (tmp_path / "called").read_text() == restart


def test_where_there_is_no_such_agent_no_file_is_made(
    spec: Callable[..., MachineSpec], tmp_path: Path
) -> None:
    assert run_agent_part(spec(), tmp_path) == ""


DEVICE = "/dev/disk/by-id/google-hangar-data"


def run_disk_part(
    spec: MachineSpec,
    tmp_path: Path,
    *,
    device: str = DEVICE,
    mounted: bool = False,
    found: int = 2,
    zeros: bool = True,
    label: str = "",
    counts: bool = True,
) -> list[str]:
    """Runs the part of the script that is about the disk, with programs that only say that they were called."""
    called = tmp_path / "called"
    tools = tmp_path / "bin"
    tools.mkdir()
    ends = {
        "mountpoint": 0 if mounted else 1, "blkid": found, "cmp": 0 if zeros else 1, "modprobe": 0 if counts else 1,
    }  # fmt: skip
    for name in (
        "mountpoint",
        "blkid",
        "cmp",
        "mkfs.ext4",
        "modprobe",
        "fsck.ext4",
        "tune2fs",
        "chattr",
        "systemctl",
        "resize2fs",
        "chmod",
        "sleep",
    ):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\necho "{name} $*" >> {called}\nexit {ends.get(name, 0)}\n')
        tool.chmod(0o755)
    if label:
        with (tools / "blkid").open("r+") as blkid:
            blkid.write(f"#!/bin/sh\ncase $* in *LABEL*) echo {label} ;; esac\nexit {found}\n")
    escape = tools / "systemd-escape"
    escape.write_text("#!/bin/sh\necho systemd-fsck@x.service\n")
    escape.chmod(0o755)
    script = startup.render(spec, device)
    part = script[script.index("device=") :].replace("/etc/systemd/system", str(tmp_path)).replace(
        "/usr/local/sbin/hangar-grow", f"{tools}/hangar-grow"
    ).replace("/run/", f"{tmp_path}/").replace("[ -b ", "[ -n ")  # fmt: skip
    (tools / "hangar-grow").write_text("")
    (tools / "hangar-grow").chmod(0o755)
    done = subprocess.run(
        ["sh", "-eu", "-c", part], env={"PATH": f"{tools}:/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return called.read_text().splitlines() if called.exists() else []


def test_an_empty_disk_is_formatted_and_mounted(spec: Callable[..., MachineSpec], tmp_path: Path) -> None:
    called = run_disk_part(spec(), tmp_path)
    assert f"mkfs.ext4 -q -m 0 -L hangar-srv -O quota -E quotatype=usrquota {DEVICE}" in called
    assert called.index("chattr +i /srv") < called.index("systemctl start srv.mount")
    unit = (tmp_path / "srv.mount").read_text()
    assert f"What={DEVICE}\nWhere=/srv\nType=ext4\nOptions=defaults,discard,usrquota\n" in unit
    assert (
        "WantedBy=local-fs.target" in unit
    )  # wanted, not required: without the disk the machine still boots
    assert "RequiredBy" not in unit


def test_a_kernel_that_cannot_count_gets_a_disk_that_it_can_mount(
    spec: Callable[..., MachineSpec], tmp_path: Path
) -> None:
    called = run_disk_part(spec(), tmp_path, counts=False)
    assert f"mkfs.ext4 -q -m 0 -L hangar-srv {DEVICE}" in called
    assert "Options=defaults,discard\n" in (tmp_path / "srv.mount").read_text()


@pytest.mark.parametrize(
    ("label", "counts", "expected"),
    [("hangar-srv", True, True), ("hangar-srv", False, False), ("mine", True, False)],
)
def test_a_disk_of_hangars_from_before_learns_to_count_and_no_other(
    spec: Callable[..., MachineSpec], tmp_path: Path, label: str, counts: bool, expected: bool
) -> None:
    called = run_disk_part(spec(), tmp_path, found=0, label=label, counts=counts)
    changed = [line for line in called if line.startswith(("tune2fs", "fsck"))]
    assert changed == ([f"fsck.ext4 -p {DEVICE}", f"tune2fs -Q usrquota {DEVICE}"] if expected else [])


@pytest.mark.parametrize(("found", "zeros"), [(0, True), (0, False), (2, False), (8, True), (4, True)])
def test_a_disk_that_may_hold_something_is_never_formatted(
    spec: Callable[..., MachineSpec], tmp_path: Path, found: int, zeros: bool
) -> None:
    called = run_disk_part(spec(), tmp_path, found=found, zeros=zeros)
    assert [line for line in called if line.startswith("mkfs")] == []
    assert "systemctl start srv.mount" in called


def test_where_srv_is_mounted_already_nothing_is_touched(
    spec: Callable[..., MachineSpec], tmp_path: Path
) -> None:
    called = run_disk_part(spec(), tmp_path, mounted=True)
    assert {line.split()[0] for line in called} <= {"mountpoint", "chmod", "resize2fs"}


def test_without_a_data_disk_nothing_is_touched(spec: Callable[..., MachineSpec], tmp_path: Path) -> None:
    assert run_disk_part(spec(), tmp_path, device="") == []
    assert (tmp_path / "hangar-startup-finished").exists()
