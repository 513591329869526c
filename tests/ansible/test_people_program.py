"""The machine's program `people`: who goes first, and that nobody's trouble keeps the others waiting."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hangar_people import described, facts, keys, leaving, ledger, program, steps
from hangar_people.described import Refused

from tests.ansible.staff import ANA, VIC, settled
from tests.ansible.staff import own_folders as own_folders


def test_nobody_waits_to_be_shut_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another call packs a large home; what ends somebody's access does not wait for it, what follows does."""
    took: list[str] = []
    _, found = settled(ANA)
    monkeypatch.setattr(program, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(program, "REMOVAL_WAIT", 0.0)
    monkeypatch.setattr(described, "forget", lambda name: took.append(f"forget {name}"))
    monkeypatch.setattr(facts, "gather", lambda: found)
    monkeypatch.setattr(leaving, "shut_out", lambda name: took.append(f"shut {name} out"))
    monkeypatch.setattr(leaving, "end", lambda name, uid: took.append(f"end {uid}"))
    monkeypatch.setattr(leaving, "leave", lambda name, uid: took.append(f"leave {uid}"))
    with program.alone(), pytest.raises(Refused) as refused:
        program.remove("ana")
    assert str(refused.value) == "another call is at work; wait for it"
    assert took == ["forget ana", "shut ana out", "end 20001"]
    assert program.remove("ana")["was_there"]
    assert took[-1] == "leave 20001"


@pytest.mark.parametrize("damage", ["a zero", "another form", "no answer"])
def test_a_disk_that_is_damaged_keeps_nobody_in(damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, groups and processes are matters of the other disk, on which alone the access depends"""
    took: list[object] = []
    _, found = settled(ANA, VIC)
    texts = {"a zero": "", "another form": '{"ana": {"number": 1}}', "no answer": "{}"}
    ledger.LEDGER.write_text(texts[damage])
    monkeypatch.setattr(facts, "accounts", lambda: found.accounts)
    if damage == "no answer":
        monkeypatch.setattr(facts, "gather", failing(OSError(5, "Input/output error", str(ledger.HOMES))))
    monkeypatch.setattr(described, "forget", lambda name: took.append(f"forget {name}"))
    for one in (ANA, VIC):
        (facts.KEYS / one.name).write_text(one.key_file())
    monkeypatch.setattr(leaving.accounts, "run", lambda *argv: took.append(argv[-1]))
    monkeypatch.setattr(leaving, "end", lambda name, uid: took.append(uid))
    with pytest.raises(Refused) as refused:
        program.remove("ana")
    assert str(refused.value).startswith("ana is out, and the rest waits for this; ")
    told = (
        "Input/output error"
        if damage == "no answer"
        else f"{ledger.LEDGER}, which says whose number is whose, is"
    )
    assert told in str(refused.value)
    assert took == ["forget ana", "ana", 20001]
    assert [path.name for path in facts.KEYS.iterdir()] == ["vic"]
    with pytest.raises(Refused):
        program.remove("cat")
    assert took == ["forget ana", "ana", 20001, "forget cat"], "an account of the machine's own is nobody's"


def test_a_full_disk_keeps_nobody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever filled it is out all the same, and what could not be written is told"""
    took: list[str] = []
    _, found = settled(ANA)
    monkeypatch.setattr(program, "LOCK", tmp_path / "lock")
    full = OSError(28, "No space left on device", "/etc/hangar/people.json")
    monkeypatch.setattr(described, "forget", failing(full))
    monkeypatch.setattr(facts, "gather", lambda: found)
    monkeypatch.setattr(leaving, "shut_out", lambda name: took.append(f"shut {name} out"))
    monkeypatch.setattr(leaving, "end", lambda name, uid: took.append(f"end {uid}"))
    monkeypatch.setattr(leaving, "leave", lambda name, uid: took.append(f"leave {uid}"))
    with pytest.raises(Refused, match="No space left on device"):
        program.remove("ana")
    assert took == ["shut ana out", "end 20001", "leave 20001"]
    with pytest.raises(Refused, match="No space left on device"):
        program.remove("nobody")


def test_a_stranger_is_not_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a service, not an account of the machine's own: only who is or was one of the people."""
    _, found = settled(ANA)
    monkeypatch.setattr(described, "forget", lambda name: None)
    monkeypatch.setattr(facts, "gather", lambda: found)
    for name in ("cat", "root", "../ana"):
        assert not program.remove(name)["was_there"]


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Refused("no"), "no"),
        (FileNotFoundError(2, "No such file", "/x"), "[Errno 2] No such file: '/x'"),
        (
            subprocess.CalledProcessError(8, ["usermod", "ana"], stderr="busy\n"),
            "usermod ana ended with 8: busy",
        ),
    ],
)
def test_one_who_cannot_be_helped_keeps_nobody_waiting(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    took: list[str] = []
    wanted = [steps.Step("ana: is out", failing(error)), steps.Step("vic: out", lambda: took.append("vic"))]
    monkeypatch.setattr(steps, "needed", lambda *_: wanted)
    monkeypatch.setattr(described, "load", lambda: None)
    monkeypatch.setattr(facts, "gather", lambda: None)
    monkeypatch.setattr(program, "_airflow", failing(Refused("Airflow's accounts: locked")))
    with pytest.raises(Refused) as refused:
        program.apply()
    assert str(refused.value) == f"{told}; Airflow's accounts: locked"
    assert took == ["vic"]
    assert capsys.readouterr().out == "vic: out\n"


def test_whoever_is_removed_leaves_whatever_becomes_of_airflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    took: list[str] = []
    _, found = settled(ANA)
    monkeypatch.setattr(program, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(described, "forget", lambda name: None)
    monkeypatch.setattr(facts, "gather", lambda: found)
    monkeypatch.setattr(leaving, "shut_out", failing(OSError(28, "No space left on device")))
    monkeypatch.setattr(leaving, "end", lambda name, uid: took.append("end"))
    monkeypatch.setattr(leaving, "leave", lambda name, uid: took.append("leave"))
    monkeypatch.setattr(program, "_airflow", failing(Refused("Airflow's accounts: locked")))
    with pytest.raises(Refused) as refused:
        program.remove("ana")
    assert str(refused.value) == "[Errno 28] No space left on device; Airflow's accounts: locked"
    assert took == ["end", "leave"]


def test_who_comes_in_is_decided_before_a_home_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interlock's timer runs meanwhile: whatever takes long waits for the proof."""
    wanted, found = settled(ANA, VIC)
    took: list[str] = []
    monkeypatch.setattr(described, "load", lambda: replace(wanted, people={"ana": ANA}))
    monkeypatch.setattr(facts, "gather", lambda: replace(found, keys={"hangar": "ssh-ed25519 AAAAops\n"}))
    monkeypatch.setattr(leaving, "shut_out", lambda name: took.append(f"shut {name} out"))
    monkeypatch.setattr(leaving, "end", lambda name, uid: took.append(f"end {uid}"))
    monkeypatch.setattr(leaving, "archive", lambda name: took.append("pack"))
    monkeypatch.setattr(program, "_airflow", lambda verb: took.append("airflow") or [])
    monkeypatch.setattr(keys, "give", lambda person: took.append(f"keys of {person.name}"))
    assert program.admit() == ["ana: keys set"]
    assert took == ["shut vic out", "end 20002", "keys of ana"]


def test_what_does_not_work_is_told_by_admit_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, found = settled(ANA, VIC)
    monkeypatch.setattr(described, "load", lambda: replace(wanted, people={"ana": ANA}))
    monkeypatch.setattr(facts, "gather", lambda: found)
    monkeypatch.setattr(leaving, "shut_out", lambda name: None)

    def stays(name: str, uid: int) -> None:
        raise Refused(f"{name}: the processes [7] do not end; restart the machine")

    monkeypatch.setattr(leaving, "end", stays)
    with pytest.raises(Refused, match=r"vic: the processes \[7\] do not end"):
        program.admit()
