"""How a backup is put back: nothing is touched before all is there, and half of it is no backup."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hangar_backup import files, keys_and_people, making, parts, program, putting_back, state
from hangar_backup.described import Described, Refused

from tests.ansible.backups import DESCRIBED, FIRST
from tests.ansible.backups import remembered as remembered


def test_a_restore_waits_for_whoever_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "HOME", tmp_path)
    monkeypatch.setattr(putting_back, "INCOMING", tmp_path / "incoming")
    held = making.alone()
    held.__enter__()
    monkeypatch.setattr(time, "sleep", lambda seconds: held.__exit__(None, None, None))
    putting_back.receive("files", io.BytesIO(b"whole"))
    assert (tmp_path / "incoming/files").read_bytes() == b"whole"


def test_plain_copies_of_a_killed_call_are_seen_and_go_and_those_of_one_at_work_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "HOME", tmp_path)
    for name in ("INCOMING", "WORK"):
        monkeypatch.setattr(putting_back, name, tmp_path / name)
    monkeypatch.setattr(putting_back.scratch, "stop", lambda: None)
    assert not putting_back.is_littered()
    (tmp_path / "INCOMING").mkdir()
    (tmp_path / "INCOMING/secrets").write_text("the Fernet key")
    with making.alone():
        assert not putting_back.is_littered()
        putting_back.clean()
        assert (tmp_path / "INCOMING/secrets").exists()
    assert putting_back.is_littered()
    putting_back.clean()
    assert not (tmp_path / "INCOMING").exists()


@pytest.mark.parametrize("runs", [True, False])
def test_a_backup_that_was_killed_leaves_nothing_and_what_is_given_for_a_restore_stays(
    runs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd calls it when the unit has ended, however it did. Somebody's restore may be at work then."""
    monkeypatch.setattr(making, "HOME", tmp_path)
    stopped: list[str] = []

    def stop() -> None:
        stopped.append("the trial's server")
        if not runs:
            raise Refused("nobody answers")

    monkeypatch.setattr(putting_back.scratch, "stop", stop)
    for name in ("INCOMING", "WORK"):
        monkeypatch.setattr(putting_back, name, tmp_path / name)
        (tmp_path / name).mkdir()
        (tmp_path / name / "warehouse").write_text("plain")
    with making.alone():
        putting_back.tidy()
    assert (tmp_path / "WORK/warehouse").exists()
    assert stopped == []
    putting_back.tidy()
    assert not (tmp_path / "WORK").exists()
    assert stopped == ["the trial's server"]
    assert (tmp_path / "INCOMING/warehouse").exists()


def test_after_half_a_restore_no_backup_is_made_until_it_is_whole(
    remembered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"id": FIRST, "parts": {}, "numbers": {}, "roles": []}
    steps: list[str] = []

    def cut_short(described: Described, wanted: object) -> Any:
        yield "stop what works with the data"
        raise Refused("the disk is full")

    monkeypatch.setattr(putting_back, "_put_back", cut_short)
    with pytest.raises(Refused, match="the disk is full"):
        steps += putting_back.restore(DESCRIBED, wanted)
    assert FIRST in state.read().problem, "the alert says which"
    with pytest.raises(Refused) as refused:
        making.make(DESCRIBED)
    assert str(refused.value) == (
        f"{FIRST} was put back in part: what is here is a mixture, and no backup is made of it. "
        f"Finish that: ./provision.py backup restore --from {FIRST}"
    )
    monkeypatch.setattr(putting_back, "_put_back", lambda described, wanted: iter(["start everything again"]))
    assert list(putting_back.restore(DESCRIBED, wanted)) == ["start everything again"]
    assert (state.read().unfinished, state.read().problem) == ("", "")


def test_a_restore_goes_on_when_nobody_listens_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writing, "w"))
    program.say("stop what works with the data")
    program.say("put back keys and passwords")
    sys.stdout.close()


def test_a_part_that_has_not_come_whole_stops_before_anything_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "HOME", tmp_path)
    monkeypatch.setattr(putting_back, "INCOMING", tmp_path / "incoming")
    putting_back.receive("files", io.BytesIO(b"half"))
    wanted = {"id": FIRST, "parts": {"files": {"bytes": 8, "sha256": "0"}}, "numbers": {}, "roles": []}
    with pytest.raises(Refused) as refused:
        next(putting_back.restore(DESCRIBED, wanted))
    assert str(refused.value) == "The part files has not come whole (4 of 8 bytes); nothing was touched"
    wanted["parts"]["files"]["bytes"] = 4
    with pytest.raises(Refused, match="The part files has changed on its way; nothing was touched"):
        next(putting_back.restore(DESCRIBED, wanted))
    with pytest.raises(Refused, match=r"There is no part '\.\./x'"):
        putting_back.receive("../x", io.BytesIO())


def test_files_of_other_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(putting_back, "numbers", lambda: {"airflow": 2001, "airbyte": 2002})
    putting_back._require_numbers({"airflow": 2001, "warehouse": 700})
    with pytest.raises(
        Refused, match=r"belong to other numbers: airflow 1500 \(here 2001\)\. Nothing was touched"
    ):
        putting_back._require_numbers({"airflow": 1500})


def test_people_of_the_backup_are_known_as_gone_and_take_nobodys_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever was taken out of platform.yml meanwhile is still to leave: the promise on people was broken"""
    here, old = tmp_path / "accounts.json", tmp_path / "old.json"
    here.write_text('{"ana": {"uid": 20001, "came": "2026-11-25", "left": ""}}')
    old.write_text(
        '{"ana": {"uid": 20009, "came": "2026-01-01", "left": ""},'
        ' "ben": {"uid": 20002, "came": "2026-01-01", "left": ""},'
        ' "cy": {"uid": 20001, "came": "2026-01-01", "left": "2026-02-01"},'
        ' "dan": {"uid": 20003, "came": "2026-01-01", "left": "2026-02-01"},'
        ' "eva": {"uid": 20004, "came": "2026-01-01", "left": ""}}'
    )
    (tmp_path / "home/eva").mkdir(
        parents=True
    )  # a disk that outlived the machine, and the list of numbers was lost
    monkeypatch.setattr(keys_and_people, "LEDGER", here)
    today = {str(datetime.now(UTC).date())}
    keys_and_people._merge_ledger(old)
    today.add(str(datetime.now(UTC).date()))  # it may be midnight
    found = json.loads(here.read_text())
    assert {name: line["uid"] for name, line in found.items()} == {
        "ana": 20001, "ben": 20002, "dan": 20003, "eva": 20004,
    }  # fmt: skip
    assert [found[name]["left"] for name in ("ana", "dan", "eva")] == ["", "2026-02-01", ""]
    assert found["ben"]["left"] in today


def test_secrets_go_back_and_of_people_those_who_are_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, people in ((old, ("ana", "ben")), (new, ("ana",))):
        for path in ("airflow/secrets/fernet_key", *(f"people/passwords/{one}" for one in people)):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(folder.name)
            (folder / path).chmod(0o440)
    (old / "airbyte/secrets").mkdir(parents=True)
    (old / "airbyte/secrets/airbyte_client_id").touch()
    (old / "airflow/pipelines").mkdir(mode=0o750)
    (old / "airflow/pipelines/ledger").touch()
    (new / "people/passwords/ana").chmod(0o400)
    for folder, numbers in ((old, {"ana": 20_009, "ben": 20_002}), (new, {"ana": 20_001})):
        lines = {
            name: {"uid": uid, "came": "2026-01-01", "left": "2026-02-01"} for name, uid in numbers.items()
        }
        (folder / "people/accounts.json").write_text(json.dumps(lines))
    files.pack([old / "airflow", old / "people", old / "airbyte"], tmp_path / "secrets", root=old)
    monkeypatch.setattr(keys_and_people, "WORK", tmp_path)
    monkeypatch.setattr(keys_and_people, "LEDGER", new / "people/accounts.json")
    (tmp_path / "archive").mkdir()
    archive = (tmp_path / "secrets").rename(tmp_path / "archive/secrets")
    keys_and_people.put_back(archive, new)
    ledger = json.loads((new / "people/accounts.json").read_text())
    assert {name: line["uid"] for name, line in ledger.items()} == {"ana": 20_001, "ben": 20_002}
    assert (new / "people/accounts.json").stat().st_mode & 0o777 == 0o600
    (new / "people/accounts.json").unlink()
    found = {str(path.relative_to(new)): path for path in new.rglob("*") if path.is_file()}
    assert {name: path.read_text() for name, path in found.items()} == {
        "airflow/secrets/fernet_key": "old", "airflow/pipelines/ledger": "", "people/passwords/ana": "old",
    }  # fmt: skip
    assert found["airflow/secrets/fernet_key"].stat().st_mode & 0o777 == 0o440
    assert (new / "airflow/pipelines").stat().st_mode & 0o777 == 0o750
    assert found["people/passwords/ana"].stat().st_mode & 0o777 == 0o400


def test_pools_of_a_backup_that_was_made_while_no_task_could_begin_get_their_slots_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window, or an upgrade: what is dumped then has pools without slots, and no task would ever begin."""
    old, new = tmp_path / "old", tmp_path / "new"
    drained = Path("/srv/maintenance/drained.json")
    assert drained in parts.SECRETS
    for root in (old, new):
        (root / "maintenance").mkdir(parents=True)
    note = '{"pools": {"default_pool": 128}, "rebooting": ""}'
    (old / "maintenance/drained.json").write_text(note)
    files.pack([old / "maintenance/drained.json"], tmp_path / "packed", old)
    monkeypatch.setattr(keys_and_people, "WORK", tmp_path)
    monkeypatch.setattr(keys_and_people, "LEDGER", new / "people/accounts.json")
    keys_and_people.put_back(tmp_path / "packed", new)
    assert (new / "maintenance/drained.json").read_text() == note
    monkeypatch.setattr(putting_back, "DRAINED", new / "maintenance/drained.json")
    resumes = ["systemctl", "start", "hangar-resume.service"]
    steps = list(putting_back._steps(DESCRIBED))
    assert steps[-1] == resumes, "once Airflow answers, with its people"
    (new / "maintenance/drained.json").unlink()
    assert resumes not in list(putting_back._steps(DESCRIBED))
