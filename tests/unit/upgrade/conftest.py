"""A machine to be upgraded, in a folder of the test's own."""

import os
from pathlib import Path

import pytest

from hangar.upgrade import agent
from hangar.upgrade.remote import keeping, looking, running
from tests.unit.upgrade.stand import LISTENS, PROGRAMS, Machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    bin = tmp_path / "bin"
    bin.mkdir()
    for name in PROGRAMS:
        (bin / name).write_text(LISTENS.format(place=tmp_path))
        (bin / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    monkeypatch.setenv("FAILS", "nothing")
    monkeypatch.setenv("PRINTS", "")
    monkeypatch.setenv("INSIDE", "{}")
    root = made.root
    for module in (agent, keeping, looking, running):
        monkeypatch.setattr(module, "SRV", root / "srv", raising=False)
    for module in (keeping, running):
        monkeypatch.setattr(module, "DESCRIBED", root / "etc/hangar/maintenance.json")
    monkeypatch.setattr(keeping, "ROOT", root)
    monkeypatch.setattr(keeping, "HOME", root / "srv/upgrade")
    monkeypatch.setattr(keeping, "KEEPING", root / "srv/upgrade/.keeping")
    for module in (keeping, looking):
        monkeypatch.setattr(module, "BEFORE", root / "srv/upgrade/before")
    monkeypatch.setattr(looking, "DRAINED", root / "srv/maintenance/drained.json")
    monkeypatch.setattr(agent, "LOCK", root / "srv/maintenance/lock")
    monkeypatch.setattr(agent, "FRONTEND", root / "lock-frontend")
    return made
