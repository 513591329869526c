"""What the interlock brings back beside files: the network's folder is the test's own, the accounts are stand-ins."""

from __future__ import annotations

import grp
import json
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import hangar_files as files
from ansible.module_utils import hangar_journal as journals
from ansible.module_utils import hangar_reach as reach

from .conftest import Apply, file

UNDO = {"after": 60, "command": "true"}


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's folder: two parameters, one that cannot be written, one that is its secret."""
    root = tmp_path / "net"
    for name, value, mode in (
        ("ipv4/ip_forward", "1", 0o644),
        ("ipv4/conf/eth0/rp_filter", "2", 0o644),
        ("ipv4/tcp_available", "cubic", 0o444),
        ("ipv4/tcp_fastopen_key", "s3cret", 0o600),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
        path.chmod(mode)
    monkeypatch.setattr(reach, "NETWORK", str(root))
    return root


class Machine:
    """Accounts, and what `usermod` and systemd were told."""

    def __init__(self, tmp_path: Path) -> None:
        self.shell, self.uid, self.groups = (
            "/bin/bash",
            1000,
            {"hangar-admins": ["hangar"], "sudo": ["hangar"]},
        )
        self.shadow = tmp_path / "shadow"
        self.told: list[list[str]] = []
        self.fill("*", "")

    def fill(self, password: str, expires: str) -> None:
        self.shadow.write_text(f"root:*:1:0:99999:7:::\nhangar:{password}:20000:0:99999:7::{expires}:\n")

    def run(self, argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if argv[0] == "usermod":
            self.told.append(argv)
        return subprocess.CompletedProcess(argv, 0, "", "")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)

    def getpwnam(name: str) -> Any:
        if name != "hangar":
            raise KeyError(name)
        return pwd.struct_passwd((name, "x", machine.uid, machine.uid, "", "/home/hangar", machine.shell))

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    monkeypatch.setattr(
        grp, "getgrall",
        lambda: [grp.struct_group((name, "x", 900, members)) for name, members in machine.groups.items()],
    )  # fmt: skip
    monkeypatch.setattr(reach, "SHADOW", str(machine.shadow))
    monkeypatch.setattr(journals.subprocess, "run", machine.run)
    monkeypatch.setattr(journals, "KEYS", f"{tmp_path}/keys/")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/hangar").write_text("ssh-ed25519 AAAAops ops\nssh-ed25519 AAAAada ada\n")
    return machine


def loaded(tmp_path: Path) -> journals.Journal:
    found = journals.load("trial", str(tmp_path / "journal"))
    assert found is not None
    return found


def undo(tmp_path: Path, *, starting: bool = False) -> list[str]:
    return journals.undo(loaded(tmp_path), str(tmp_path / "journal"), run_command=not starting)


def test_the_network_is_as_it_was_whatever_a_command_made_of_it(
    apply: Apply, tmp_path: Path, network: Path, machine: Machine
) -> None:
    apply(file(tmp_path / "sysctl.conf"), undo={**UNDO, "network": True})
    (network / "ipv4/ip_forward").write_text("0\n")
    (network / "ipv4/conf/eth0/rp_filter").write_text("1\n")
    assert undo(tmp_path) == []
    assert (network / "ipv4/ip_forward").read_text() == "1\n"
    assert (network / "ipv4/conf/eth0/rp_filter").read_text() == "2\n"
    assert not (tmp_path / "sysctl.conf").exists()


def test_the_kernels_secrets_are_not_in_the_journal(
    apply: Apply, tmp_path: Path, network: Path, machine: Machine
) -> None:
    apply(file(tmp_path / "sysctl.conf"), undo={**UNDO, "network": True})
    written = (tmp_path / "journal/trial/journal.json").read_text()
    assert "rp_filter" in written
    assert "s3cret" not in written
    assert "tcp_available" not in written


def test_a_restart_leaves_the_network_to_the_files(
    apply: Apply, tmp_path: Path, network: Path, machine: Machine
) -> None:
    """The kernel begins anew and reads what was brought back."""
    apply(file(tmp_path / "sysctl.conf"), undo={**UNDO, "network": True})
    (network / "ipv4/ip_forward").write_text("0\n")
    assert undo(tmp_path, starting=True) == []
    assert (network / "ipv4/ip_forward").read_text() == "0\n"
    assert not (tmp_path / "sysctl.conf").exists()


def test_what_forwarding_sets_anew_comes_right_in_the_end(
    tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = reach.network()
    (network / "ipv4/ip_forward").write_text("0\n")
    order: list[str] = []
    ours = open

    def kernel(path: str, mode: str = "r", **more: Any) -> Any:
        if mode == "w":
            order.append(Path(path).name)
            if path.endswith("ip_forward"):
                (network / "ipv4/conf/eth0/rp_filter").write_text("0\n")
        return ours(path, mode, **more)

    monkeypatch.setattr("builtins.open", kernel)
    assert reach.restore_network(before) == []
    assert order == ["ip_forward", "rp_filter"]
    assert (network / "ipv4/conf/eth0/rp_filter").read_text() == "2\n"


def test_a_parameter_that_stays_wrong_is_told(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = reach.network()
    path = network / "ipv4/ip_forward"
    monkeypatch.setattr(reach, "network", lambda root: {**before, str(path): "0"})
    assert reach.restore_network(before) == [f"{path}: is not 1 again"]


def test_an_interface_that_has_gone_is_no_problem(network: Path) -> None:
    before = reach.network()
    (network / "ipv4/conf/eth0/rp_filter").unlink()
    assert reach.restore_network(before) == []


def test_the_operator_gets_back_keys_groups_shell_and_day(
    apply: Apply, tmp_path: Path, machine: Machine
) -> None:
    apply(file(tmp_path / "a"), undo={**UNDO, "accounts": ["hangar", "nobody-here"]})
    (tmp_path / "keys/hangar").unlink()
    machine.groups, machine.shell = {"hangar-admins": [], "sudo": ["hangar"]}, "/usr/sbin/nologin"
    machine.fill("!*", "1")
    assert undo(tmp_path) == []
    assert (tmp_path / "keys/hangar").read_text() == "ssh-ed25519 AAAAops ops\nssh-ed25519 AAAAada ada\n"
    assert machine.told == [
        ["usermod", "--append", "--groups", "hangar-admins", "--shell", "/bin/bash", "--expiredate", "",
         "--unlock", "hangar"]
    ]  # fmt: skip


def test_an_account_that_has_lost_nothing_is_left_alone(
    apply: Apply, tmp_path: Path, machine: Machine
) -> None:
    apply(file(tmp_path / "a"), undo={**UNDO, "accounts": ["hangar"]})
    machine.groups["dags"] = ["hangar"]
    assert undo(tmp_path, starting=True) == []
    assert machine.told == []


def test_a_key_that_was_taken_from_the_operators_account_stays_away(
    apply: Apply, tmp_path: Path, machine: Machine
) -> None:
    apply(file(tmp_path / "a"), undo={**UNDO, "accounts": ["hangar"]})
    (tmp_path / "keys/hangar").write_text("ssh-ed25519 AAAAops ops\n")
    assert undo(tmp_path) == []
    assert (tmp_path / "keys/hangar").read_text() == "ssh-ed25519 AAAAops ops\n"


def test_a_person_is_never_let_in_again(apply: Apply, tmp_path: Path, machine: Machine) -> None:
    """Whoever runs Ansible by a person's account and takes its rights away has taken them away."""
    machine.uid = 20_001
    apply(file(tmp_path / "a"), undo={**UNDO, "accounts": ["hangar"]})
    assert loaded(tmp_path).accounts == {}
    (tmp_path / "keys/hangar").unlink()
    machine.groups = {"hangar-admins": [], "sudo": []}
    assert undo(tmp_path) == []
    assert machine.told == []
    assert not (tmp_path / "keys/hangar").exists()


def test_an_account_that_is_gone_is_told(apply: Apply, tmp_path: Path, machine: Machine) -> None:
    apply(file(tmp_path / "a"), undo={**UNDO, "accounts": ["hangar"]})
    machine.uid = 20_001
    assert undo(tmp_path) == ["the account hangar is gone; it is not made anew"]


def test_parameters_and_accounts_that_do_not_come_back_are_what_is_left(
    apply: Apply, tmp_path: Path, network: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What did come back is not set a second time, whatever the operator has made of it."""
    apply(file(tmp_path / "a"), undo={**UNDO, "network": True, "accounts": ["hangar"]})
    (network / "ipv4/ip_forward").write_text("0\n")
    (network / "ipv4/conf/eth0/rp_filter").write_text("1\n")
    machine.groups = {"hangar-admins": [], "sudo": ["hangar"]}
    ours = open

    def refusing(path: Any, mode: str = "r", **more: Any) -> Any:
        if mode == "w" and str(path).endswith("rp_filter"):
            raise PermissionError("Permission denied")
        return ours(path, mode, **more)

    with monkeypatch.context() as refused:
        refused.setattr("builtins.open", refusing)
        refused.setattr(reach, "restore_account", lambda name, before: [f"the account {name}: usermod: busy"])
        assert undo(tmp_path) == [
            f"{network}/ipv4/conf/eth0/rp_filter: is not 2 again: Permission denied",
            "the account hangar: usermod: busy",
        ]
    left = loaded(tmp_path)
    assert (left.state, list(left.accounts)) == ("open", ["hangar"])
    assert left.network == {f"{network}/ipv4/conf/eth0/rp_filter": "2"}
    (network / "ipv4/ip_forward").write_text("0\n")
    assert undo(tmp_path) == []
    assert (network / "ipv4/conf/eth0/rp_filter").read_text() == "2\n"
    assert (network / "ipv4/ip_forward").read_text() == "0\n"
    assert machine.told[-1][:4] == ["usermod", "--append", "--groups", "hangar-admins"]
    assert loaded(tmp_path).state == "undone"


def test_a_new_change_has_a_way_back_of_its_own_after_an_undo_in_part(
    apply: Apply, tmp_path: Path, machine: Machine
) -> None:
    """The next run proves what is there, so nothing is left to bring back; until then its first state counts."""
    (tmp_path / "a").write_text("first\n")
    apply(file(tmp_path / "a"), file(tmp_path / "b"), undo=UNDO)
    (tmp_path / "b").unlink()
    (tmp_path / "b/inside").mkdir(parents=True)
    assert len(undo(tmp_path)) == 1
    (tmp_path / "b/inside").rmdir()
    (tmp_path / "b").rmdir()
    (tmp_path / "a").write_text("mended\n")
    assert apply(file(tmp_path / "a"), file(tmp_path / "b"), undo=UNDO)["armed"]
    assert loaded(tmp_path).attempts == 0
    assert undo(tmp_path) == []
    assert (tmp_path / "a").read_text() == "mended\n"
    assert not (tmp_path / "b").exists()


BEFORE = {"others": ["hangar"], "people": [{"name": "ada"}, {"name": "ben"}]}


@pytest.mark.parametrize(
    ("now", "brought_back"),
    [
        ({"others": [], "people": [{"name": "ada"}]}, {"others": ["hangar"], "people": [{"name": "ada"}]}),
        ({"others": [], "people": []}, {"others": ["hangar"], "people": []}),
    ],
    ids=["somebody left", "everybody left"],
)
def test_people_who_left_stay_out_when_the_list_of_operators_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: dict[str, Any], brought_back: dict[str, Any]
) -> None:
    path = tmp_path / "people.json"
    monkeypatch.setattr(journals, "PEOPLE", str(path))
    path.write_text(json.dumps(BEFORE))
    journal = journals.Journal("trial", before={str(path): files.look(str(path))})
    path.write_text(json.dumps(now))
    assert journals.restore(journal) == []
    assert json.loads(path.read_text()) == brought_back


def test_only_what_can_lock_out_is_brought_back(apply: Apply, tmp_path: Path, machine: Machine) -> None:
    paths = {**UNDO, "paths": [f"{tmp_path}/guarded/*"]}
    assert apply(file(tmp_path / "guarded/a"), file(tmp_path / "other"), undo=paths)["armed"]
    assert undo(tmp_path) == []
    assert not (tmp_path / "guarded/a").exists()
    assert (tmp_path / "other").read_text() == "new\n"


def test_a_change_of_the_others_alone_needs_no_proof(apply: Apply, tmp_path: Path, machine: Machine) -> None:
    paths = {**UNDO, "paths": [f"{tmp_path}/guarded/*"]}
    result = apply(file(tmp_path / "other"), undo=paths)
    assert (result["changed"], result["armed"]) == (True, False)
    assert loaded(tmp_path).state == "kept"


def test_what_follows_a_file_that_stays_still_runs_at_the_next_call(
    apply: Apply, tmp_path: Path, machine: Machine
) -> None:
    """The way in comes back at once; the rest is written, and its command is not forgotten."""
    wanted = (file(tmp_path / "guarded/a"), file(tmp_path / "other"))
    options: dict[str, Any] = {"undo": {**UNDO, "paths": [f"{tmp_path}/guarded/*"]}}
    said = apply(*wanted, **options, then={str(tmp_path / "other"): "false"})["msg"]
    assert "what could lock out was brought back" in said
    assert not (tmp_path / "guarded/a").exists()
    apply(*wanted, **options, then={str(tmp_path / "other"): f"touch {tmp_path}/followed"})
    assert (tmp_path / "followed").exists()


def test_the_time_for_the_proof_begins_when_all_has_followed(
    apply: Apply, tmp_path: Path, machine: Machine
) -> None:
    apply(file(tmp_path / "a"), undo=UNDO)
    first = loaded(tmp_path)
    journals.keep(first, str(tmp_path / "journal"))
    log = tmp_path / "token"
    command = f"cp {tmp_path}/journal/trial/journal.json {log}"
    apply(file(tmp_path / "a", "newer\n"), undo=UNDO, then={str(tmp_path / "a"): command})
    during, after = json.loads(log.read_text()), loaded(tmp_path)
    assert during["state"] == after.state == "open"
    assert during["token"] != after.token
