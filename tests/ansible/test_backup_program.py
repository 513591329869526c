"""The machine's program `backup`: what it copies again, what one part that fails does to the others, what is told."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hangar_backup import databases, files, making, program, spool, state
from hangar_backup.described import Bucket, Described, Refused
from hangar_backup.parts import Part
from hangar_backup.records import Backup, Sealed
from hangar_backup.sealing import digest

from tests.ansible.backups import DESCRIBED, FIRST, HOST, SECOND, backup, sealed
from tests.ansible.backups import remembered as remembered

AHEAD = "20311101T031500Z"
ROLES = Path(__file__).resolve().parents[2] / "roles"


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the spool is as it was made, whatever these tests put there."""
    monkeypatch.setattr(spool, "is_sound", lambda part, place: True)


def maker(known: list[Backup], prints: dict[str, list[str]], **changes: Any) -> making.Maker:
    before = state.State(prints=prints, delivered=changes.pop("delivered", []))
    return making.Maker(replace(DESCRIBED, **changes), SECOND, known, before)


def part(fingerprint: str) -> Part:
    def make(place: Path) -> None:
        raise AssertionError("it is copied")

    return Part("files", "DAGs", lambda: fingerprint, make)


@pytest.mark.usefixtures("sound")
def test_an_unchanged_part_is_referred_to() -> None:
    old = sealed("files", FIRST)
    found = maker([backup(FIRST, old)], {"files": ["same", old.object]})
    assert found.ensure(part("same")) == old
    assert found.prints == {"files": ["same", old.object]}


@pytest.mark.parametrize(
    ("fingerprint", "prints", "changes"),
    [
        ("other", {"files": ["same", f"files-{FIRST}.age"]}, {}),
        ("", {"files": ["", f"files-{FIRST}.age"]}, {}),
        ("same", {}, {}),
        ("same", {"files": ["same", "files-20200101T000000Z.age"]}, {}),
        ("same", {"files": ["same", f"files-{FIRST}.age"]}, {"full_days": 0}),
        ("same", {"files": ["same", f"files-{AHEAD}.age"]}, {}),
        ("same", {"files": ["same", f"files-{FIRST}.age"]}, {"sftp": HOST}),
        ("same", {"files": ["same", f"files-{FIRST}.age"]}, {"gcs": Bucket("acme-backups", "")}),
    ],
    ids=[
        "changed",
        "cannot tell",
        "not remembered",
        "no longer there",
        "too old",
        "of days to come",
        "not at the host",
        "not in it",
    ],
)
@pytest.mark.usefixtures("sound")
def test_anything_else_is_copied_again(
    fingerprint: str, prints: dict[str, list[str]], changes: dict[str, Any]
) -> None:
    known = [backup(one, sealed("files", one)) for one in (AHEAD, FIRST)]
    found = maker(known, prints, **changes)
    with pytest.raises(AssertionError, match="it is copied"):
        found.ensure(part(fingerprint))


def test_an_object_that_was_damaged_in_the_spool_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A week of backups would refer to it, be called good, and be refused by whoever fetches them."""
    monkeypatch.setattr(making, "SPOOL", tmp_path)
    place = tmp_path / f"files-{FIRST}.age"
    place.write_bytes(b"enc")
    old = Sealed("files", place.name, 3, digest(place), FIRST)
    found = maker([backup(FIRST, old)], {"files": ["same", old.object]})
    assert found.ensure(part("same")) == old
    place.write_bytes(b"eNc")
    with pytest.raises(AssertionError, match="it is copied"):
        found.ensure(part("same"))
    assert not place.exists(), "and what refers to it is listed no more"
    assert f"files-{FIRST}.age: damaged, removed" in capsys.readouterr().out


def failing(name: str, words: str) -> Part:
    def make(place: Path) -> None:
        place.write_text("half")
        raise Refused(f"Dumping {name} failed: canceling statement due to lock timeout")

    return Part(name, words, lambda: "", make)


def whole(name: str) -> Part:
    return Part(name, name, lambda: "", lambda place: files.pack([ROLES / "backup/defaults"], place, ROLES))


@pytest.fixture
def sealing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A seal that every key opens, and a folder to work in."""
    monkeypatch.setattr(making, "WORK", tmp_path)
    monkeypatch.setattr(making, "seal", lambda plain, name, made, spool, tables: sealed(name, made))
    return tmp_path


def test_a_part_that_fails_keeps_no_other_from_being_made(sealing_here: Path) -> None:
    """What anybody can hold up (a lock in a database) is not all that there is."""
    found = maker([], {})
    parts = found.all_of([whole("secrets"), failing("airflow", "Airflow's database"), whole("files")])
    assert [(one.part, one.made) for one in parts] == [("secrets", SECOND), ("files", SECOND)]
    assert found.failed == [
        "Airflow's database: Dumping airflow failed: canceling statement due to lock timeout. "
        f"{SECOND} is without it"
    ]
    assert list(sealing_here.iterdir()) == [], "no plain copy is left"


@pytest.mark.usefixtures("sound")
def test_the_last_good_copy_stands_for_a_part_that_fails(sealing_here: Path) -> None:
    old = sealed("airflow", FIRST)
    found = maker([backup(FIRST, old)], {"airflow": ["", old.object]})
    assert old in found.all_of([whole("secrets"), failing("airflow", "Airflow's database")])
    assert found.failed[0].endswith(f". {SECOND} has the copy of {FIRST}")
    assert found.prints["airflow"] == ["", old.object], "and the next time too"
    found = maker([backup(FIRST, old)], {"airflow": ["", old.object]}, full_days=0)
    assert old not in found.all_of([whole("secrets"), failing("airflow", "Airflow's database")])
    assert found.failed[0].endswith(f". {SECOND} is without it"), "too old to be referred to"


@pytest.mark.parametrize(
    "target", [{"sftp": HOST}, {"gcs": Bucket("acme-backups", "")}], ids=["host", "bucket"]
)
@pytest.mark.usefixtures("sound")
def test_a_copy_whose_transfer_broke_off_is_sent_under_another_name(
    sealing_here: Path, monkeypatch: pytest.MonkeyPatch, target: dict[str, Any]
) -> None:
    """What came of it half is there under the first name, where nothing can be replaced: each transfer was refused."""
    monkeypatch.setattr(making, "SPOOL", sealing_here)
    old = sealed("airflow", FIRST)
    (sealing_here / old.object).write_text("enc")
    lasting = (
        {"airflow": ["print", old.object]},
        [whole("secrets"), failing("airflow", "Airflow's database")],
    )
    found = maker([backup(FIRST, old)], lasting[0], **target)
    stands_for = found.all_of(lasting[1])[1]
    assert stands_for == replace(old, object=f"airflow-{SECOND}.age")
    assert (sealing_here / stands_for.object).read_text() == "enc"
    assert found.prints["airflow"] == ["print", stands_for.object]
    assert found.failed[0].endswith(f". {SECOND} has the copy of {FIRST}")
    there = maker([backup(FIRST, old)], lasting[0], delivered=[old.object], **target)
    assert there.all_of(lasting[1])[1] == old, "what is there to its end is not sent twice"


@pytest.fixture
def copies(remembered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Backups of two parts, the second of which never changes; returns whom they are encrypted to."""
    monkeypatch.setattr(making, "RECIPIENTS", tmp_path / "recipients")
    monkeypatch.setattr(making, "make_work", lambda: making.WORK.mkdir(exist_ok=True))
    monkeypatch.setattr(spool, "backups", functools.partial(spool.backups, making.SPOOL))
    names = iter(f"2026110{day}T031500Z" for day in range(1, 9))
    monkeypatch.setattr(making, "moment", lambda: next(names))
    monkeypatch.setattr(making, "parts", lambda described: [whole("secrets"), fixed])
    monkeypatch.setattr(making, "_roles", lambda described, known: ())
    monkeypatch.setattr(making.signing, "signed", lambda described, made: made)

    def seal(plain: Path, name: str, made: str, place: Path, tables: int) -> Sealed:
        sealed_to = (tmp_path / "recipients").read_text().encode()
        (place / f"{name}-{made}.age").write_bytes(sealed_to)
        found = place / f"{name}-{made}.age"
        return Sealed(name, found.name, len(sealed_to), digest(found), made, tables)

    monkeypatch.setattr(making, "seal", seal)
    fixed = replace(whole("files"), fingerprint=lambda: "same")
    (tmp_path / "recipients").write_text("age1mine\n")
    return tmp_path / "recipients"


def made_for(described: Described = DESCRIBED) -> list[str]:
    """For which backup each part of this one was made."""
    found, failed = making._make(described)
    assert failed == []
    return [one.made for one in found.parts]


def test_to_other_keys_all_is_encrypted_anew(copies: Path) -> None:
    """The new key would open none of what was referred to, and one that was taken out would open it for a week."""
    first, second, third, fourth, fifth = (f"2026110{day}T031500Z" for day in range(1, 6))
    assert made_for() == [first, first]
    assert made_for() == [second, first], "it is unchanged"
    copies.write_text("age1theirs\n")
    assert made_for() == [third, third]
    assert made_for() == [fourth, third]
    assert made_for(replace(DESCRIBED, folders=("/srv/more",))) == [fifth, fifth]


@pytest.mark.parametrize(
    ("there", "named", "offered", "written"),
    [
        ("", (), ["age1first"], "age1first\n"),
        ("age1first\n", (), ["age1colleague"], "age1first\n"),
        ("age1first\n", (), [], "age1first\n"),
        ("age1first\n", ("age1ana", "age1ben"), ["age1first"], "age1ana\nage1ben\n"),
        ("", (), [], ""),
    ],
    ids=["the first", "a colleague's", "of a clone without one", "platform.yml's", "nobody's"],
)
def test_a_key_that_is_offered_never_replaces_the_one_that_is_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    there: str,
    named: tuple[str, ...],
    offered: list[str],
    written: str,
) -> None:
    place = tmp_path / "recipients"
    place.write_text(there)
    monkeypatch.setattr(program, "RECIPIENTS", place)
    wanted = program._recipients(replace(DESCRIBED, recipients=named), offered)
    assert wanted == (None if written == there else written)


def test_a_backup_without_the_keys_is_none(copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else in it could be read."""
    monkeypatch.setattr(making, "parts", lambda described: [failing("secrets", "secrets"), whole("files")])
    with pytest.raises(Refused) as refused:
        making._make(DESCRIBED)
    assert str(refused.value) == (
        "secrets: Dumping secrets failed: canceling statement due to lock timeout. 20261101T031500Z is without it"
    )
    assert spool.backups() == []


def test_a_warehouse_that_does_not_answer_keeps_no_other_part_from_being_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def silent(described: Described, sql: str) -> str:
        raise Refused("Asking the warehouse failed: connection refused")

    monkeypatch.setattr(databases, "ask_warehouse", silent)
    assert making._roles(DESCRIBED, []) == ()
    assert making._roles(DESCRIBED, [replace(backup(FIRST), roles=("dbt",))]) == ("dbt",)
    assert making._roles(replace(DESCRIBED, warehouse=False), []) == ()


def test_an_end_is_no_parts_failure(sealing_here: Path) -> None:
    def make(place: Path) -> None:
        raise making.Ended("it is over")

    with pytest.raises(making.Ended):
        maker([], {}).all_of([Part("airflow", "Airflow", lambda: "", make), part("never")])


@pytest.mark.parametrize("dump", ["airflow", "warehouse"])
def test_a_lock_is_waited_for_no_longer_than_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dump: str
) -> None:
    asked: list[tuple[list[str], float]] = []
    monkeypatch.setattr(
        databases, "run", lambda argv, what, timeout, **other: asked.append((list(argv), timeout))
    )
    if dump == "airflow":
        databases.dump_airflow(tmp_path / "dump")
    else:
        databases.dump_warehouse(DESCRIBED, tmp_path / "dump")
    words, seconds = asked[0]
    assert "--lock-wait-timeout=60s" in words
    assert seconds == 4 * 3600
