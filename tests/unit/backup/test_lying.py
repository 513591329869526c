"""A place that takes backups and lies: larger files than it lists, names and values that no machine of ours writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from hangar import process
from hangar.backup import folder as folders
from hangar.backup import records
from hangar.backup.folder import Folder
from hangar.backup.host import Host
from hangar.backup.records import LARGEST_INDEX, indexes_of, is_ours, parse
from hangar.config import Config
from hangar.errors import CommandFailed, HangarError
from hangar.process import pipe

from .conftest import Make

FIRST = "20261101T031500Z"
SFTP = """#!{python}
# Stands in for OpenSSH's client and a host behind it that sends more than it lists, without an end.
import shlex, sys
for line in sys.stdin:
    words = shlex.split(line)
    if words and words[0] == "ls":
        while True:
            print("---------- 1 999 999 1 Nov  1 03:15 20261101T031500Z.json")
    if words and words[0] == "get":
        with open(words[2], "wb", 0) as sink:
            while True:
                sink.write(b"x" * 65536)
"""
WHERE = "backup.sftp={host: vault.example.org, host_key: [ssh-ed25519 AAAA]}"


@pytest.fixture
def host(make_config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "sftp").write_text(SFTP.format(python=sys.executable))
    (bin / "sftp").chmod(0o755)
    monkeypatch.setenv("PATH", str(bin), prepend=":")
    return Host(make_config(WHERE))


def test_a_file_that_is_larger_than_was_listed_fills_no_disk(host: Host, tmp_path: Path) -> None:
    with pytest.raises(HangarError) as refused:
        host.get(["files-20261101T031500Z.age"], tmp_path, as_fresh=True, most=100_000)
    assert refused.value.brief == "The host vault.example.org does not hand its backups out."
    assert "sftp" in refused.value.details
    assert (tmp_path / ".files-20261101T031500Z.age.new").stat().st_size == 100_000


def test_an_index_without_an_end_is_none(host: Host) -> None:
    with pytest.raises(HangarError):
        host.indexes([f"{FIRST}.json"])


def test_a_list_without_an_end_fills_no_memory(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        process.bounded, "__kwdefaults__", {**process.bounded.__kwdefaults__, "most": 1 << 20}
    )
    with pytest.raises(HangarError) as refused:
        host.sizes()
    assert isinstance(refused.value.__cause__, CommandFailed)
    assert refused.value.__cause__.brief == "sftp was ended: it says more than 1 MiB."


def test_a_machine_that_sends_without_an_end_fills_no_disk(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"^yes was ended: it says more than 1000 bytes"):
        pipe.carry(["yes"], tmp_path / "object", 1000)
    assert (tmp_path / "object").stat().st_size <= 1000
    assert pipe.carry(["printf", "1234"], tmp_path / "object", 4).bytes == 4


def test_no_more_indexes_are_asked_for_than_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_INDEXES", 2)
    names = [f"2026110{day}T031500Z.json" for day in (1, 2, 3, 4)]
    sizes = dict.fromkeys(names, 10) | {names[3]: LARGEST_INDEX + 1, "files-20261101T031500Z.age": 10}
    assert indexes_of(sizes) == [names[2], names[1]]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (f"{FIRST}.json", True), ("files-20261101T031500Z.age", True), ("99999999T999999Z.json", False),
        ("files-20261301T031500Z.age", False), ("../20261101T031500Z.json", False),
    ],
)  # fmt: skip
def test_a_name_is_a_moment(name: str, is_one: bool) -> None:
    assert is_ours(name) is is_one


@pytest.mark.parametrize(
    "changes",
    [
        {"machine": "\x1b]52;c;ZXZpbA==\x07"}, {"machine": 3}, {"seconds": "9"}, {"seconds": float("nan")},
        {"made": "\x9b2J"}, {"id": "99999999T999999Z"}, {"roles": ["\x1b[2J"]}, {"new": [1]}, {"parts": []},
        {"numbers": {"airflow": "2001"}}, {"numbers": {"airflow": -1}}, {"more": 1}, {"format": 2},
    ],
    ids=str,
)  # fmt: skip
def test_an_index_with_values_that_no_machine_writes_is_none(changes: dict[str, Any], make: Make) -> None:
    good = json.loads(json.dumps(asdict(make(FIRST))))
    assert parse(good) is not None
    assert parse({**good, **changes}) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"bytes": 2**60}, {"bytes": -1}, {"bytes": "9"}, {"sha256": "0"}, {"object": "../key"}, {"part": "../key"},
        {"made": "\x1b"}, {"tables": "\x1b"},
    ],
    ids=str,
)  # fmt: skip
def test_a_part_with_values_that_no_machine_writes_is_none(changes: dict[str, Any], make: Make) -> None:
    good = json.loads(json.dumps(asdict(make(FIRST))))
    good["parts"][0] |= changes
    assert parse(good) is None


def test_what_is_no_index_is_read_without_harm(tmp_path: Path) -> None:
    for content in (b"[" * 60_000, b"\xff\xfe", b"{}" + b" " * LARGEST_INDEX):
        (tmp_path / "index").write_bytes(content)
        assert records.read(tmp_path / "index") is None


def test_a_backup_that_is_said_to_be_larger_than_the_disk_is_not_begun(
    folder: Folder, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(FIRST)
    monkeypatch.setattr(folders, "ROOM", 2**60)
    folder.require_room(made)  # all of it is here
    (folder.path / made.parts[0].object).unlink()
    with pytest.raises(HangarError) as refused:
        folder.require_room(made)
    assert refused.value.brief == f"There is no room for the backup {FIRST}."
