"""What a key that was taken opened in the operator's account: found by sshd's log, ended with all that began in it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hangar_people import facts, keys, sessions
from hangar_people.described import Person, Refused
from hangar_people.sessions import Process

ADA, BEA, NEW = "AAAAC3NzaC1hZGE=", "AAAAC3NzaC1iZWE=", "AAAAC3NzaC1uZXc="
OPERATOR = f"ssh-ed25519 {ADA} ada\nssh-ed25519 {BEA} bea\n"


JOURNALCTL = """\
#!/bin/sh
if test "$1" = --sync
then cat {log}.told >> {log}; : > {log}.told
else
    case " $* " in
        *" _UID=0 "*) grep '"_UID": "0"' {log} ;;
        *) cat {log} ;;
    esac
fi
"""
"""Finds what was written, and after `--sync` also what journald has only been told."""


class Rig:
    """A machine with processes that are real, a log of sshd's that is not, and key files."""

    def __init__(self, tmp_path: Path) -> None:
        self.running: dict[int, tuple[subprocess.Popen[bytes], Process]] = {}
        self.titles, self.log = tmp_path / "proc", tmp_path / "log"
        self.log.touch()
        self.told = tmp_path / "log.told"
        self.told.touch()

    def start(
        self, name: str, parent: int = 1, group: str = "/system.slice/ssh.service", uid: int = 0
    ) -> int:
        child = subprocess.Popen(["sleep", "60"])
        self.running[child.pid] = (child, Process(name, parent, uid, group))
        return child.pid

    def connect(self, account: str, blob: str | None, group: str = "/system.slice/ssh.service") -> int:
        pid = self.start("sshd-session", group=group)
        (self.titles / str(pid)).mkdir(parents=True)
        (self.titles / str(pid) / "cmdline").write_text(f"sshd-session: {account} [priv]\0\0")
        if blob:
            self.logged(pid, account, blob)
        return pid

    def logged(self, pid: int, account: str, blob: str, *, uid: int = 0, is_written: bool = True) -> None:
        (fingerprint,) = sessions.fingerprints([blob])
        said = f"Accepted publickey for {account} from 10.0.2.2 port 50022 ssh2: ED25519 {fingerprint}"
        with (self.log if is_written else self.told).open("a") as stream:
            stream.write(json.dumps({"_PID": str(pid), "_UID": str(uid), "MESSAGE": said}) + "\n")

    def processes(self) -> dict[int, Process]:
        return {pid: one for pid, (child, one) in self.running.items() if child.poll() is None}

    @property
    def alive(self) -> set[int]:
        return set(self.processes())


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    made = Rig(tmp_path)
    monkeypatch.setattr(facts, "KEYS", tmp_path / "keys")
    monkeypatch.setattr(facts, "PROC", made.titles)
    monkeypatch.setattr(sessions, "CGROUPS", tmp_path / "cgroups")
    monkeypatch.setattr(sessions, "processes", made.processes)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "journalctl").write_text(JOURNALCTL.format(log=made.log))
    (tools / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    facts.KEYS.mkdir()
    (facts.KEYS / "hangar").write_text(OPERATOR)
    (facts.KEYS / "bea").write_text(f"ssh-ed25519 {BEA} bea\n")
    yield made
    for child, _ in made.running.values():
        child.kill()
        child.wait()


def test_a_fingerprint_is_the_one_in_sshds_log(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    said = subprocess.run(
        ["ssh-keygen", "-lf", tmp_path / "key"], capture_output=True, text=True, check=True
    ).stdout
    blob = (tmp_path / "key.pub").read_text().split()[1]
    assert sessions.fingerprints([blob, "AAAAx"]) == {said.split()[1]}


def test_whoever_leaves_has_no_shell_left_in_the_operators_account(rig: Rig) -> None:
    """bea holds a root shell by the operator's account; ada, and bea's own account, are another matter"""
    hers = rig.connect("hangar", BEA)
    shell = rig.start("bash", parent=rig.start("sudo", parent=rig.start("sshd-session", hers, uid=1000)))
    own, ada = rig.connect("bea", BEA), rig.connect("hangar", ADA)
    work = rig.start("bash", parent=ada)
    keys.take("bea")
    assert rig.alive == {own, ada, work}
    assert shell not in rig.alive
    assert (facts.KEYS / "hangar").read_text() == f"ssh-ed25519 {ADA} ada\n"


def test_what_was_sent_to_the_background_ends_with_its_session(rig: Rig) -> None:
    scope = "/user.slice/user-1000.slice/session-7.scope"
    kill = sessions.CGROUPS / scope.lstrip("/") / "cgroup.kill"
    kill.parent.mkdir(parents=True)
    rig.connect("hangar", BEA, scope)
    rig.start("nohup", group=scope)  # its parent is init by now
    rig.start("inner", group=f"{scope}/deeper")
    other = rig.start("other", group="/user.slice/user-1000.slice/session-70.scope")
    manager = rig.start("systemd", group="/user.slice/user-1000.slice/user@1000.service")
    keys.take("bea")
    assert rig.alive == {other, manager}
    assert kill.read_text() == "1"


def test_the_session_that_asks_goes_on_and_a_second_one_of_the_same_key_ends(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, second = rig.connect("hangar", BEA), rig.connect("hangar", BEA)
    program = rig.start("people", parent=rig.start("sudo", parent=asking))
    monkeypatch.setattr(os, "getpid", lambda: program)
    keys.take("bea")
    assert program in rig.alive
    assert asking in rig.alive
    assert second not in rig.alive


def test_a_removal_that_was_killed_ends_the_sessions_when_it_is_run_again(rig: Rig) -> None:
    """The operator's file has the key no more, the person's own still: the sessions are not known to be gone"""
    hers = rig.connect("hangar", BEA)
    (facts.KEYS / "hangar").write_text(f"ssh-ed25519 {ADA} ada\n")
    keys.take("bea")
    assert hers not in rig.alive
    assert not (facts.KEYS / "bea").exists()


def test_what_an_account_still_admits_goes_on(rig: Rig) -> None:
    """Its last key stays, so that somebody can mend the machine; then its sessions stay too"""
    (facts.KEYS / "hangar").write_text(f"ssh-ed25519 {BEA} bea\n")
    hers = rig.connect("hangar", BEA)
    keys.take("bea")
    assert rig.alive == {hers}


def test_what_the_log_cannot_tell_ends_where_a_key_was_taken(rig: Rig) -> None:
    """A login under way, or one whose line is gone; but no other account's"""
    unknown, elsewhere = rig.connect("hangar", None), rig.connect("carl", None)
    keys.take("bea")
    assert rig.alive == {elsewhere}
    assert unknown not in rig.alive


def test_a_journal_that_hangs_keeps_nobody_in(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Then a colleague's session ends too: it may be opened again"""
    (tmp_path / "tools/journalctl").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(sessions, "LOG_PATIENCE", 0.2)
    rig.connect("hangar", BEA)
    rig.connect("hangar", ADA)
    elsewhere = rig.connect("carl", ADA)
    keys.take("bea")
    assert rig.alive == {elsewhere}


def test_of_a_number_that_was_used_twice_the_last_line_counts(rig: Rig) -> None:
    pid = rig.connect("hangar", BEA)
    rig.logged(pid, "hangar", ADA)
    keys.take("bea")
    assert rig.alive == {pid}


def test_what_a_person_logged_under_that_number_before_is_not_sshds(rig: Rig) -> None:
    """She had the number earlier, and says that it is ada's login: hers, under way, would go on"""
    hers = rig.connect("hangar", None)
    rig.logged(hers, "hangar", ADA, uid=20_001)
    keys.take("bea")
    assert hers not in rig.alive


def test_a_login_that_journald_has_not_written_yet_is_known(rig: Rig) -> None:
    ada = rig.connect("hangar", None)
    rig.logged(ada, "hangar", ADA, is_written=False)
    keys.take("bea")
    assert rig.alive == {ada}


def test_a_key_that_is_replaced_takes_its_sessions_along_and_the_new_one_does_not(rig: Rig) -> None:
    (facts.KEYS / "hangar").write_text(f"{OPERATOR}ssh-ed25519 {NEW} bea\n")
    old, new = rig.connect("hangar", BEA), rig.connect("hangar", NEW)
    keys.give(Person("bea", "admin", (f"ssh-ed25519 {NEW} bea",)))
    assert rig.alive == {new}
    assert old not in rig.alive


def test_an_admin_no_more_keeps_the_own_key_and_no_other_session(rig: Rig) -> None:
    hers, own = rig.connect("hangar", BEA), rig.connect("bea", BEA)
    keys.take_elsewhere("bea")
    assert rig.alive == {own}
    assert hers not in rig.alive
    assert (facts.KEYS / "bea").exists()


def test_what_does_not_end_is_told_and_the_key_is_gone_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    hers = rig.connect("hangar", BEA)
    monkeypatch.setattr(sessions, "_kill", lambda group, inside: None)
    monkeypatch.setattr(sessions, "PATIENCE", 0.0)
    with pytest.raises(Refused) as refused:
        keys.take("bea")
    assert str(refused.value) == (
        f"the processes [{hers}], of a key that was taken, do not end; restart the machine"
    )
    assert not (facts.KEYS / "bea").exists()
    assert BEA not in (facts.KEYS / "hangar").read_text()


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str, str], None]:
    monkeypatch.setattr(facts, "PROC", tmp_path)

    def add(pid: int, state: str, group: str) -> None:
        (tmp_path / str(pid)).mkdir()
        status = f"Name:\tsshd-session\nState:\t{state}\nPPid:\t7\nUid:\t0\t0\t0\t0\n"
        (tmp_path / str(pid) / "status").write_text(status)
        (tmp_path / str(pid) / "cgroup").write_text(group)

    return add


def test_what_runs_is_read_from_the_kernel(proc: Callable[[int, str, str], None], tmp_path: Path) -> None:
    proc(41, "S (sleeping)", "1:name=x:/y\n0::/user.slice/user-1000.slice/session-7.scope\n")
    proc(42, "Z (zombie)", "0::/\n")
    (tmp_path / "43").mkdir()  # it ended while we looked
    (tmp_path / "self").mkdir()
    assert sessions.processes() == {
        41: Process("sshd-session", 7, 0, "/user.slice/user-1000.slice/session-7.scope")
    }
