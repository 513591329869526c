"""The machine's program `airbyte-abctl`: when it runs abctl, when it refuses, and what it does around it."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import secret_files
from hangar_abctl import archive, lifecycle, machine, names, passed
from hangar_abctl.decision import Found, decide

WANTED = {"chart": "2.4.0", "port": 8000, "values": "a", "low_resource": False}
OTHER = {**WANTED, "chart": "2.5.0"}
RUNS = {"node": "running", "healthy": True, "data": True}


def word(**found: Any) -> str:
    return decide(Found(**{"wanted": WANTED, **found})).word


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, "install"),
        ({"data": True, "kept": WANTED}, "install"),
        ({"data": True, "kept": OTHER}, "refuse"),
        ({"node": "running"}, "refuse"),
        # what is installed
        ({"installed": WANTED, **RUNS}, "nothing"),
        ({"installed": WANTED, **RUNS, "healthy": False}, "start"),
        ({"installed": WANTED, **RUNS, "node": "exited"}, "start"),
        ({"installed": WANTED, "data": True}, "refuse"),
        ({"installed": WANTED, "data": True, "allowed": frozenset({"resume"})}, "resume"),
        ({"installed": {**WANTED, "chart": "2.3.9"}, **RUNS}, "refuse"),
        ({"installed": {**WANTED, "chart": "2.3.9"}, **RUNS, "allowed": frozenset({"upgrade"})}, "upgrade"),
        ({"installed": {**WANTED, "values": "b"}, **RUNS}, "refuse"),
        ({"installed": {**WANTED, "values": "b"}, **RUNS, "allowed": frozenset({"upgrade"})}, "upgrade"),
        ({"installed": {**WANTED, "port": 8010}, **RUNS}, "refuse"),
        ({"installed": {**WANTED, "port": 8010}, **RUNS, "allowed": frozenset({"upgrade"})}, "refuse"),
        ({"installed": OTHER, **RUNS, "allowed": frozenset({"upgrade", "resume"})}, "refuse"),
        ({"installed": {**WANTED, "chart": "2.10.0"}, **RUNS, "allowed": frozenset({"upgrade"})}, "refuse"),
        # what was interrupted
        ({"begun": WANTED, "working": True}, "wait"),
        ({"begun": WANTED}, "install"),
        ({"begun": WANTED, "data": True}, "refuse"),
        ({"begun": WANTED, "node": "running"}, "refuse"),
        ({"begun": WANTED, "node": "running", "allowed": frozenset({"resume"})}, "resume"),
        ({"begun": WANTED, "node": "running", "allowed": frozenset({"upgrade"})}, "refuse"),
        ({"begun": WANTED, **RUNS, "deployed": "2.4.0"}, "adopt"),
        ({"begun": WANTED, **RUNS, "deployed": "2.4.0", "healthy": False}, "refuse"),
        ({"begun": OTHER, "installed": WANTED, **RUNS, "deployed": "2.4.0"}, "refuse"),
        ({"begun": WANTED, "installed": WANTED, "data": True}, "refuse"),
    ],
)  # fmt: skip
def test_abctl_is_never_run_on_a_guess(found: dict[str, Any], expected: str) -> None:
    assert word(**found) == expected


def test_a_refusal_says_what_to_do_next() -> None:
    upgrade = decide(Found(wanted=OTHER, installed=WANTED, node="running", healthy=True)).why
    assert upgrade == (
        "Airbyte 2.4.0 is installed and 2.5.0 is described; nothing was changed. Upgrade it, with a backup first:"
        " ./provision.py up ENVIRONMENT --set airbyte.abctl.upgrade=true. Or keep what is there:"
        " airbyte.abctl.chart: 2.4.0 in platform.yml"
    )
    moved = decide(Found(wanted=WANTED, installed={**WANTED, "port": 8010}, node="running", healthy=True)).why
    assert moved.startswith(
        "Airbyte is installed at port 8010 and 8000 is described; abctl keeps a cluster at the port"
    )
    assert "-e airbyte_abctl_state=absent" in moved
    interrupted = decide(Found(wanted=WANTED, begun=WANTED, node="exited")).why
    assert "-e airbyte_abctl_resume=true" in interrupted
    assert "sudo airbyte-abctl uninstall --data" in interrupted


def test_the_clusters_dns_learns_the_machines_name_once() -> None:
    usual = ".:53 {\n    errors\n    forward . /etc/resolv.conf {\n       max_concurrent 1000\n    }\n}\n"
    taught = names.with_name(usual)
    assert taught == (
        ".:53 {\n    errors\n    hosts {\n        10.0.2.2 host.docker.internal\n        fallthrough\n    }\n"
        "    forward . /etc/resolv.conf {\n       max_concurrent 1000\n    }\n}\n"
    )
    assert names.with_name(taught) == taught


def test_a_dns_file_that_is_not_known_is_left_alone() -> None:
    with pytest.raises(SystemExit, match="has no line `forward`"):
        names.with_name(".:53 {\n    errors\n}\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(archive, "FOLDER", tmp_path)
    monkeypatch.setattr(archive, "DOWNLOAD", tmp_path / "download.tar.gz")
    return tmp_path


def packed(folder: Path, *members: str) -> str:
    """An archive with these members, and its checksum."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as one:
        for name in members:
            member = tarfile.TarInfo(name)
            member.size = 4
            one.addfile(member, io.BytesIO(b"abct"))
    (folder / "download.tar.gz").write_bytes(whole.getvalue())
    return hashlib.sha256(whole.getvalue()).hexdigest()


def test_abctl_is_taken_out_of_the_archive_that_was_vouched_for(folder: Path) -> None:
    checksum = packed(folder, "abctl-v0.30.4-linux-amd64/LICENSE", "abctl-v0.30.4-linux-amd64/abctl")
    (folder / "bin/an-older-one").mkdir(parents=True)
    archive.unpack(checksum)
    program = archive.place(checksum)
    assert (program.read_bytes(), program.stat().st_mode & 0o777) == (b"abct", 0o755)
    assert [path.name for path in (folder / "bin").iterdir()] == [checksum[:16]]
    assert not (folder / "download.tar.gz").exists()


def test_nothing_of_another_archive_is_kept(folder: Path) -> None:
    found = packed(folder, "x/abctl")
    with pytest.raises(SystemExit) as refused:
        archive.unpack("b" * 64)
    assert str(refused.value).startswith(f"The archive's checksum is {found}, and {'b' * 64} was described")
    assert list(folder.rglob("*")) == []


@pytest.mark.parametrize("members", [("x/README",), ("x/abctl", "y/abctl"), ()])
def test_an_archive_without_the_program_is_refused(folder: Path, members: tuple[str, ...]) -> None:
    checksum = packed(folder, *members)
    with pytest.raises(SystemExit, match="holds no program abctl"):
        archive.unpack(checksum)
    assert not archive.place(checksum).exists()


def test_what_is_no_archive_is_refused_in_words(folder: Path) -> None:
    (folder / "download.tar.gz").write_bytes(b"<html>")
    with pytest.raises(SystemExit, match="The archive cannot be read"):
        archive.unpack(hashlib.sha256(b"<html>").hexdigest())


@pytest.mark.skipif(os.geteuid() != 0, reason="files of another owner are root's to make")
def test_secrets_that_a_person_brings_become_kubernetes_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passed, "FOLDER", tmp_path)
    monkeypatch.setattr(passed, "keep", lambda path, value, group: secret_files.keep(path, value, "root"))
    wanted = {"secrets": {"hangar-database": {"password": "database_password"}}}
    with pytest.raises(SystemExit, match="database_password is not there"):
        passed.write_secret_files(wanted)
    (tmp_path / "database_password").write_text("hunter2\n")
    passed.write_secret_files(wanted)
    made = tmp_path / "hangar-database.json"
    assert '"password": "aHVudGVyMg=="' in made.read_text()
    assert made.stat().st_mode & 0o777 == 0o440
    passed.remove_secret_files(wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["database_password"]


GIVEN = {
    **WANTED,
    "secrets": {"hangar-database": {"password": "database_password"}, "hangar-google": {"key": "key"}},
}


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of secrets as a call leaves it that dies while abctl is at work, on a machine that answers."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(passed, "FOLDER", tmp_path / "secrets")
    for module in (machine, lifecycle):
        monkeypatch.setattr(module, "STATE", tmp_path / "state")
    for name in ("hangar-database.json", "hangar-google.json", "database_password"):
        (tmp_path / "secrets" / name).write_text("hunter2")
    machine.write_record("begun.json", GIVEN)
    monkeypatch.setattr(lifecycle, "deployed", lambda: GIVEN["chart"])
    monkeypatch.setattr(lifecycle, "start", lambda described: None)
    monkeypatch.setattr(names, "teach", lambda: None)
    return tmp_path / "secrets"


def apply(monkeypatch: pytest.MonkeyPatch, **situation: Any) -> None:
    # Nothing is described that needs a secret any more: what the dead call wrote is on its own record.
    found = Found(**{"wanted": {**WANTED, "secrets": {}}, "begun": GIVEN, **RUNS, **situation})
    monkeypatch.setattr(lifecycle, "found", lambda allowed: found)
    lifecycle.apply(frozenset())


def test_the_call_after_one_that_died_takes_its_secrets_away(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(monkeypatch, deployed=GIVEN["chart"])
    assert [path.name for path in left.iterdir()] == ["database_password"]
    assert machine.read_record("installed.json") == GIVEN
    assert (machine.STATE / "installed.json").stat().st_mode & 0o777 == 0o600, (
        "what Helm is given stands in it"
    )


def test_a_refusal_leaves_no_secrets_either(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="was begun and did not come to its end"):
        apply(monkeypatch, healthy=False)
    assert [path.name for path in left.iterdir()] == ["database_password"]


def test_secrets_stay_while_abctl_reads_them_and_go_when_it_has_ended(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def unit(*argv: str, **_: float) -> subprocess.CompletedProcess[str]:
        seen.append(sorted(path.name for path in left.glob("hangar-*")))
        return subprocess.CompletedProcess(argv, 0, "", "")

    monkeypatch.setattr(lifecycle, "as_airbyte", unit)
    apply(monkeypatch, working=True)
    assert seen[-1] == ["hangar-database.json", "hangar-google.json"]
    assert [path.name for path in left.iterdir()] == ["database_password"]


def test_secrets_go_with_the_platform(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        lifecycle, "as_airbyte", lambda *argv, **_: subprocess.CompletedProcess(argv, 0, "", "")
    )
    monkeypatch.setattr(lifecycle, "node", lambda: "absent")
    lifecycle.uninstall(data=False)
    assert [path.name for path in left.iterdir()] == ["database_password"]
    assert machine.read_record("begun.json") is None
