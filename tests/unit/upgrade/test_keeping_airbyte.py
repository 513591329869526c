"""What is kept of Airbyte before an upgrade: the engine's records, and the settings of the platform."""

import json
import os
import sqlite3

import pytest

from hangar.upgrade.remote import PLATFORM_BACK, keeping
from tests.unit.upgrade.stand import Machine, ask


@pytest.mark.parametrize("migrated", [True, False])
def test_airbytes_records(machine: Machine, migrated: bool) -> None:
    machine.file("srv/airbyte/stack/image/images.json", json.dumps({"images": ["hangar/airbyte-embedded:1"]}))
    machine.file("srv/airbyte/state/.keep", "")
    place = machine.file("srv/airbyte/data/state.sqlite", "")
    records = sqlite3.connect(place)
    records.execute("create table jobs (id)")
    records.commit()
    ask("keep", broken=[])
    records.execute("insert into jobs values (1)")
    if migrated:
        records.execute("create table later (id)")
    records.commit()
    records.close()
    said = ask("undo")["ok"]
    found = sqlite3.connect(place).execute("select count(*) from jobs").fetchone()[0]
    assert (said[-1], found) == (
        ("Airbyte's records as they were before they were migrated", 0)
        if migrated
        else ("Airbyte's records had not been migrated and were left as they are", 1)
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="what root does in a service's folder")
def test_airbytes_records_go_back_through_no_link(machine: Machine) -> None:
    """The folder is the service's: a link in it, or in its place, would have root write wherever that points."""
    machine.file("srv/airbyte/stack/image/images.json", json.dumps({"images": ["hangar/airbyte-embedded:1"]}))
    machine.file("srv/airbyte/state/.keep", "")
    secret = machine.file("etc/shadow", "root's")
    place = machine.file("srv/airbyte/data/state.sqlite", "")
    sqlite3.connect(place).execute("create table jobs (id)")
    ask("keep", broken=[])
    sqlite3.connect(place).execute("create table later (id)")
    (place.parent / ".restored").symlink_to(secret)
    moved = place.parent.rename(machine.root / "elsewhere")
    place.parent.symlink_to(moved)
    os.chown(place.parent, 2002, 2002, follow_symlinks=False)
    link = "is a symbolic link that root did not make; not followed"
    assert ask("undo") == {"error": {"kind": "failed", "text": f"{place.parent}: {link}"}}
    place.parent.unlink()
    moved.rename(place.parent)
    assert ask("undo")["ok"][-1] == "Airbyte's records as they were before they were migrated"
    assert (secret.read_text(), secret.stat().st_uid) == ("root's", os.geteuid())


def test_airbytes_records_are_kept_through_no_link(machine: Machine) -> None:
    """What root would copy from behind it, Airbyte gets to read on the way back."""
    machine.file("srv/airbyte/stack/image/images.json", json.dumps({"images": ["hangar/airbyte-embedded:1"]}))
    secret = machine.root / "roots.sqlite"
    sqlite3.connect(secret).execute("create table secret (id)")
    place = machine.file("srv/airbyte/data/state.sqlite", "")
    place.unlink()
    place.symlink_to(secret)
    text = f"{place} is no plain file: Airbyte's records cannot be copied"
    assert ask("keep", broken=[])["error"]["text"] == text
    assert not list(machine.root.glob("srv/upgrade/**/*.sqlite"))


def test_records_that_an_upgrade_broke_are_what_they_were(machine: Machine) -> None:
    machine.file("srv/airbyte/stack/image/images.json", json.dumps({"images": ["hangar/airbyte-embedded:1"]}))
    machine.file("srv/airbyte/state/.keep", "")
    place = machine.file("srv/airbyte/data/state.sqlite", "")
    sqlite3.connect(place).execute("create table jobs (id)")
    ask("keep", broken=[])
    place.write_text("no database, but long enough to be taken for one " * 9)
    assert ask("undo")["ok"][-1] == "Airbyte's records as they were before they were migrated"
    assert sqlite3.connect(place).execute("select count(*) from jobs").fetchone()[0] == 0


def with_platform(machine: Machine, said: str, **record: object) -> None:
    """Airbyte's platform as the role leaves it, described by `said`."""
    for name in ("inside", "install", "values.yaml", "wanted.json", "bin/a1/abctl"):
        machine.file(f"srv/airbyte/abctl/{name}", said)
    machine.file("srv/airbyte/abctl/state/installed.json", json.dumps({"chart": "2.4.0", **record}))


def test_settings_of_airbytes_platform_go_back(machine: Machine) -> None:
    with_platform(machine, "old\n")
    machine.file("usr/local/lib/hangar/hangar_abctl/machine.py", "old\n")
    ask("keep", broken=[])
    with_platform(machine, "new\n")
    machine.file("usr/local/lib/hangar/hangar_abctl/machine.py", "new\n")
    machine.file("srv/airbyte/abctl/bin/b2/abctl", "new\n")
    said = ask("undo")["ok"]
    assert said[-1] == PLATFORM_BACK == "Airbyte's platform as it was"
    assert {
        machine.text(f"srv/airbyte/abctl/{name}") for name in ("inside", "values.yaml", "wanted.json")
    } == {"old\n"}
    assert [path.name for path in (machine.root / "srv/airbyte/abctl/bin").iterdir()] == ["a1"]
    assert machine.text("usr/local/lib/hangar/hangar_abctl/machine.py") == "old\n"
    assert machine.asked().index("airbyte-abctl apply --upgrade") < machine.asked().index(
        "airbyte-secrets ensure"
    )


@pytest.mark.parametrize("begun", [True, False])
def test_another_release_of_airbytes_platform_stays(machine: Machine, begun: bool) -> None:
    """Nothing is described that cannot read what is there; nor is one touched that was cut short."""
    with_platform(machine, "old\n")
    ask("keep", broken=[])
    with_platform(machine, "new\n", chart="2.4.0" if begun else "2.5.0")
    if begun:
        machine.file("srv/airbyte/abctl/state/begun.json", json.dumps({"chart": "2.5.0"}))
    assert PLATFORM_BACK not in ask("undo")["ok"]
    assert machine.text("srv/airbyte/abctl/wanted.json") == "new\n"
    assert [line for line in machine.asked() if line.startswith("airbyte-")] == []


def test_records_larger_than_the_memory_stop_no_upgrade_half_way(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping.databases, "LARGEST", 1 << 20)
    machine.file("srv/airbyte/stack/image/images.json", json.dumps({"images": ["hangar/airbyte-embedded:1"]}))
    place = machine.file("srv/airbyte/data/state.sqlite", "")
    with sqlite3.connect(place) as live:
        live.execute("create table jobs as select zeroblob(1 << 20)")
    text = "Copying Airbyte's records failed: they are larger than 1 MiB"
    assert ask("keep", broken=[])["error"]["text"] == text
    assert ask("look")["ok"]["cut"] is None
