"""Backups as the machine's program `backup` leaves them, and a machine that remembers them."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from hangar_backup import making, putting_back, signing, spool, state
from hangar_backup.described import Described, Host
from hangar_backup.records import Backup, Sealed

FIRST, SECOND = "20261101T031500Z", "20261102T031500Z"
HOST = Host("vault.example.org", 22, "hangar-drop", "/drop")
DESCRIBED = Described(
    machine="hangar-local", airflow=True, airbyte=True, warehouse=True, warehouse_port=5432, postgres="17",
    packages=("age",), folders=(), recipients=("age1new",), kept=2, full_days=7,
    max_age_hours=36, sftp=None, gcs=None,
)  # fmt: skip


def sealed(part: str, made: str, size: int = 3) -> Sealed:
    return Sealed(part, f"{part}-{made}.age", size, "0" * 64, made)


def backup(identifier: str, *parts: Sealed) -> Backup:
    return Backup(identifier, "hangar-local", "2026-11-01T03:15:09+00:00", 9.0, parts)


@pytest.fixture
def remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's memory, lock and folders in a place of the test's own."""
    place = tmp_path / "state.json"
    monkeypatch.setattr(state, "read", functools.partial(state.read, place))
    monkeypatch.setattr(state, "write", functools.partial(state.write, path=place))
    monkeypatch.setattr(state, "tell", functools.partial(state.tell, figures=tmp_path / "figures"))
    monkeypatch.setattr(putting_back, "make_work", lambda: None)
    monkeypatch.setattr(signing, "SIGNING_KEY", tmp_path / "secrets" / "signing")
    (tmp_path / "spool").mkdir()
    for module in (making, putting_back):
        for name in ("HOME", "INCOMING", "WORK", "SPOOL"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, tmp_path / name.lower().replace("home", ""))
    monkeypatch.setattr(spool, "prune", lambda kept: None)
    return place
