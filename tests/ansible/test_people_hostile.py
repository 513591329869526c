"""Whoever is to leave has chosen what their processes and control groups are called, and what those look like: none of
it keeps anybody from being shut out.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hangar_people import facts, keys, leaving, ledger, sessions

from tests.ansible.mounts import NUMBER, mounted, needs_fuse

NAMED = """
import ctypes, sys, time
ctypes.CDLL(None).prctl(15, b"\\xff\\xfe\\rUid:\\t0")
print("named", flush=True)
time.sleep(60)
"""


@pytest.fixture
def named() -> Iterator[int]:
    """A process of ours whose name is no text, and looks like a line of another's."""
    with subprocess.Popen([sys.executable, "-c", NAMED], stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"named\n"
        yield child.pid
        child.kill()


def test_a_process_whose_name_is_no_text_is_seen_as_what_it_is(named: int) -> None:
    assert facts.processes()[named] == {os.getuid()}
    assert sessions.processes()[named].uid == os.getuid()


def test_a_control_group_whose_name_is_no_text_belongs_to_its_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "PROC", tmp_path)
    (tmp_path / "41").mkdir()
    (tmp_path / "41/status").write_text(
        "Name:\tsleep\nState:\tS\nPPid:\t7\nUid:\t20001\t20001\t20001\t20001\n"
    )
    (tmp_path / "41/cgroup").write_bytes(b"0::/user.slice/session-7.scope/\xff\r0::/system.slice\n")
    group = sessions.processes()[41].group
    assert os.fsencode(group) == b"/user.slice/session-7.scope/\xff\r0::/system.slice"


def test_accounts_are_read_though_a_field_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "ETC", tmp_path)
    (tmp_path / "passwd").write_bytes(b"ana:x:20001:20001:\xff\x1c,:/srv/people/home/ana:/bin/bash\n")
    (tmp_path / "shadow").write_text("ana:*:20000:0:99999:7:::\n")
    assert facts.accounts()["ana"].home == "/srv/people/home/ana"


class Slice:
    """A person's slice with a group below it that tells of no process (threaded), and one that does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "user-20001.slice"
        # To read it fails, as the kernel has it.
        (self.folder / "a-threaded/cgroup.procs").mkdir(parents=True)
        (self.folder / "plain").mkdir()
        (self.folder / "plain/cgroup.procs").write_text("41\n")
        (self.folder / "cgroup.procs").write_text("")
        self.is_populated(True)

    def is_populated(self, there: bool) -> None:
        (self.folder / "cgroup.events").write_text(f"populated {there:d}\nfrozen 0\n")

    @property
    def is_killed(self) -> bool:
        kill = self.folder / "cgroup.kill"
        return kill.exists() and kill.read_text() == "1"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slice:
    monkeypatch.setattr(leaving, "SLICES", tmp_path)
    monkeypatch.setattr(facts, "processes", lambda: {41: {0}, 42: {1000}})
    return Slice(tmp_path)


def test_a_threaded_group_hides_nobody_from_being_ended(own: Slice) -> None:
    assert leaving._end_once(20_001) == {41}
    assert own.is_killed


def test_a_slice_is_ended_before_its_groups_are_looked_through(
    own: Slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = []

    def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        killed.append(own.is_killed)
        yield str(folder), [], []

    monkeypatch.setattr(leaving.os, "walk", walk)
    leaving._end_once(20_001)
    assert killed == [True]


def test_an_empty_slice_is_left_alone(own: Slice) -> None:
    own.is_populated(False)
    assert leaving._end_once(20_001) == set()
    assert not own.is_killed


ADA, MAL = "ssh-ed25519 AAAAC3NzaC1hZGE=", "ssh-ed25519 AAAAC3NzaC1tYWw="


def test_a_key_in_anothers_comment_is_not_taken_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public keys are public: whoever is to leave may have handed one in with an administrator's behind it."""
    ended: list[tuple[set[str], object]] = []
    monkeypatch.setattr(facts, "KEYS", tmp_path)
    monkeypatch.setattr(
        sessions, "end", lambda lost, admitted, closed: ended.append((set(lost), set(closed)))
    )
    (tmp_path / "hangar").write_text(f"{ADA} ada\n{MAL} mal {ADA}\n")
    (tmp_path / "mal").write_text(f'expiry-time="20270101Z" {MAL} mal {ADA}\n')
    keys.take("mal")
    assert (tmp_path / "hangar").read_text() == f"{ADA} ada\n"
    assert ended == [(sessions.fingerprints(["AAAAC3NzaC1tYWw="]), {"hangar"})]
    assert not (tmp_path / "mal").exists()


@pytest.mark.parametrize("parts", ["\x0c", "\r", "\u2028", "\x85", "M\udcfcller "])
def test_what_sshd_takes_for_one_line_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: str
) -> None:
    """Written anew as two lines, a comment would be a key that nobody gave. One that is no UTF-8 keeps nobody in"""
    monkeypatch.setattr(facts, "KEYS", tmp_path)
    monkeypatch.setattr(sessions, "end", lambda lost, admitted, closed: None)
    kept = f"{ADA} ada{parts}ssh-ed25519 AAAAC3NzaC1ldmls evil\n"
    (tmp_path / "hangar").write_bytes(os.fsencode(f"# h\n{MAL} mal{parts}{ADA}\n{kept}"))
    (tmp_path / "mal").write_bytes(os.fsencode(f"{MAL} mal{parts}{ADA}\n"))
    assert os.fsencode(facts.gather().keys["hangar"]) == (tmp_path / "hangar").read_bytes()
    keys.take("mal")
    assert (tmp_path / "hangar").read_bytes() == os.fsencode(f"# h\n{kept}")


def test_a_home_without_an_end_is_archived_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "HOMES", tmp_path / "home")
    monkeypatch.setattr(leaving, "ARCHIVE", tmp_path / "archive")
    (tmp_path / "home/mal").mkdir(parents=True)
    here = os.open(tmp_path / "home/mal", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    leaving.archive("mal")
    assert list((tmp_path / "home").iterdir()) == []
    assert len(list((tmp_path / "archive").iterdir())) == 1


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The homes of two, on a machine that has them as accounts."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "".join(
            f"{name}:x:{uid}:{uid}::/srv/people/home/{name}:/bin/bash\n"
            for name, uid in (("mal", NUMBER), ("ben", 29_872))
        )
    )
    (tmp_path / "etc/shadow").write_text("")
    (tmp_path / "etc/group").write_text("")
    for name, module, place in (
        ("HOMES", ledger, "home"), ("LEDGER", ledger, "ledger"), ("ARCHIVE", leaving, "archive"),
        ("PASSWORDS", leaving, "passwords"), ("ETC", facts, "etc"), ("KEYS", facts, "keys"),
        ("LINGER", facts, "linger"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, tmp_path / place)
    for name in ("SPOOLS", "SCRATCH", "SHARED"):
        monkeypatch.setattr(leaving, name, ())
    monkeypatch.setattr(leaving, "AT_JOBS", tmp_path / "none")
    for name in ("mal", "ben"):
        (tmp_path / "home" / name).mkdir(parents=True)
        os.chown(tmp_path / "home" / name, NUMBER if name == "mal" else 29_872, -1)
    return tmp_path / "home"


@needs_fuse
@pytest.mark.parametrize("runs", [True, False])
def test_what_somebody_mounts_on_their_home_keeps_nobody_in(homes: Path, runs: bool) -> None:
    """It answers nobody but them, root neither, and after its program no one: whoever looks at homes fails over it, and
    the home can neither be packed nor go
    """
    (homes / "mal/a b").mkdir()
    (homes / "mal/work.txt").write_text("work")
    with mounted(homes / "mal/a b") as inner, mounted(homes / "mal") as outer:
        with pytest.raises(PermissionError):
            (homes / "mal").lstat()
        if not runs:
            inner.close()
            outer.close()
        assert facts.gather().homes == {"ben": 29_872, "mal": NUMBER}
        leaving.clear("mal", NUMBER)
        leaving.archive("mal")
    assert [path.name for path in homes.iterdir()] == ["ben"]
    (archive,) = leaving.ARCHIVE.iterdir()
    assert "mal/work.txt" in subprocess.run(["tar", "tf", archive], capture_output=True, text=True).stdout


@needs_fuse
def test_what_a_friend_mounts_in_a_home_keeps_it_from_nothing(homes: Path) -> None:
    (homes / "ben/mals").mkdir()
    with mounted(homes / "ben/mals"):
        leaving.clear("ben", 29_872)
        leaving.archive("ben")
    assert [path.name for path in homes.iterdir()] == ["mal"]


@needs_fuse
def test_a_link_in_the_way_to_a_mount_leads_to_no_other(homes: Path) -> None:
    """A folder above it may be somebody's who put the link there meanwhile: it could lead to the disk itself"""
    for name in ("mal/mine/m", "ben/his/m"):
        (homes / name).mkdir(parents=True)
    with mounted(homes / "mal/mine/m"), mounted(homes / "ben/his/m"):
        numbers = {
            line.split()[4]: line.split()[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()
        }
        number, place = numbers[f"{homes}/mal/mine/m"], os.fsencode(homes / "mal/mine/m")
        (homes / "mal/mine").rename(homes / "mal/moved")
        (homes / "mal/mine").symlink_to(homes / "ben/his")
        with pytest.raises(NotADirectoryError):
            leaving._detach(number, place)
        (homes / "mal/mine").unlink()
        (homes / "ben/his").rename(homes / "mal/mine")
        leaving._detach(number, place)
        there = Path("/proc/self/mountinfo").read_text()
        assert f"{homes}/mal/moved/m " in there
        assert f"{homes}/mal/mine/m " in there
        leaving._detach(number, os.fsencode(homes / "mal/moved/m"))
        assert f"{homes}/mal/moved/m " not in Path("/proc/self/mountinfo").read_text()


@needs_fuse
def test_what_others_mounted_stays(homes: Path) -> None:
    with mounted(homes / "mal"):
        leaving.clear("ben", 29_872)
        with pytest.raises(PermissionError):
            (homes / "mal").lstat()


AGAIN = """
import os
os.setgid({uid}), os.setuid({uid})
print("runs", flush=True)
os.close(1)
while True:
    if os.fork():
        os._exit(0)
"""
"""A process that is another one each time somebody looks."""


@pytest.fixture
def respawning() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", AGAIN.format(uid=NUMBER)], stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"runs\n"
        yield
    while [pid for pid, uids in facts.processes().items() if NUMBER in uids]:
        leaving._end_at_once(NUMBER)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
@pytest.mark.usefixtures("respawning")
def test_what_starts_itself_anew_again_and_again_ends(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of cron's or at's is in nobody's slice, which the kernel would end as a whole"""
    monkeypatch.setattr(leaving, "SLICES", homes / "none")
    monkeypatch.setenv("PATH", str(homes))  # no systemctl of this computer's
    with contextlib.suppress(FileNotFoundError):
        leaving.end("mal", NUMBER)
    assert [pid for pid, uids in facts.processes().items() if NUMBER in uids] == []


def test_whoever_was_ended_leaves_no_unit_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their manager was killed, which systemd takes for its failure, and an alert tells of it"""
    monkeypatch.setattr(leaving, "_end_once", lambda uid: set())
    asked = []
    monkeypatch.setattr(leaving.subprocess, "run", lambda argv, **_: asked.append(argv))
    leaving.end("mal", NUMBER)
    units = [f"user@{NUMBER}.service", f"user-runtime-dir@{NUMBER}.service", f"user-{NUMBER}.slice"]
    assert asked == [["systemctl", "stop", *units], ["systemctl", "reset-failed", *units]]


def test_a_systemd_that_does_not_answer_keeps_nobody_from_being_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "_end_once", lambda uid: set())
    monkeypatch.setattr(leaving, "PATIENCE", 0.1)
    (tmp_path / "systemctl").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    began = time.monotonic()
    leaving.end("mal", NUMBER)
    assert time.monotonic() - began < 30
