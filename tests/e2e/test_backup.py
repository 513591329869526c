"""Backups of the machine that is lived in: made, fetched, tried; the second one copies what has changed."""

from __future__ import annotations

import json
import time

from tests.pace import allowed

from .conftest import Checkout

FULL, SECOND = 30, 10
"""Seconds that the machine may take for all of a fresh platform, and for what has changed since."""


def make(machine: Checkout) -> tuple[dict, float]:
    began = time.monotonic()
    made = json.loads(machine.hangar("backup now", "--json").stdout)
    return made, time.monotonic() - began


def test_a_backup_is_made_and_every_part_of_it_opens(machine: Checkout) -> None:
    made, seconds = make(machine)
    print(
        f"backup: {made['seconds']} s on the machine, {seconds:.0f} s with fetching, {made['bytes'] >> 10} KiB"
    )
    assert set(made["new"]) == {"secrets", "airflow", "warehouse", "airbyte", "files"}
    assert made["seconds"] <= allowed(FULL)
    assert [one["state"] for one in json.loads(machine.hangar("backup list", "--json").stdout)] == ["here"]
    tried = json.loads(machine.hangar("backup verify", "--json").stdout)
    assert (tried["backups"], tried["objects"], tried["problems"]) == ([made["made"]], 5, {})


def test_the_next_one_copies_what_changed_alone(machine: Checkout) -> None:
    made, seconds = make(machine)
    print(
        f"second backup: {made['seconds']} s on the machine, {seconds:.0f} s with fetching; new: {made['new']}"
    )
    # Postgres' own housekeeping writes to the warehouse when it likes.
    assert set(made["new"]) <= {"airflow", "warehouse"}
    assert made["seconds"] <= allowed(SECOND)


def test_what_is_fetched_is_sealed_and_a_damaged_object_is_found(machine: Checkout) -> None:
    folder = machine.state / "backups"
    objects = sorted(folder.glob("*.age"))
    assert {place.read_bytes()[:21] for place in objects} == {b"age-encryption.org/v1"}
    whole = objects[0].read_bytes()
    objects[0].write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    done = machine.hangar("backup verify", check=False)
    objects[0].write_bytes(whole)
    assert done.returncode == 3
    assert f"{objects[0].name}: it has changed since it was made" in done.stderr


def test_with_another_key_it_is_said_and_nothing_is_touched(machine: Checkout) -> None:
    key = machine.state / "backup-key"
    ours = key.read_bytes()
    key.write_bytes((machine.state / "id_ed25519").read_bytes())
    done = machine.hangar("backup restore", "--yes", check=False)
    key.write_bytes(ours)
    assert done.returncode == 1
    assert "it was encrypted to another key than backup-key" in done.stderr
    assert "Restore …" not in done.stderr
