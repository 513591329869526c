"""The interlock's program with journals in a folder of the test's own, and a change that it guards."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from ansible.module_utils import hangar_files as files
from ansible.module_utils import hangar_journal as journals

PROGRAM = Path(__file__).resolve().parents[2] / "roles/interlock/templates/usr/local/lib/hangar/interlock"

STOP_TIMER = journals._stop_timer
"""What asks systemd, which `interlock` takes away."""


@pytest.fixture
def interlock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, imported; systemd is not asked for anything."""
    monkeypatch.setitem(sys.modules, "hangar_journal", journals)
    for name in ("names", "locked", "load", "save", "keep", "undo", "arm"):
        function = getattr(journals, name)
        function = getattr(function, "__wrapped__", function)
        ours = [
            str(tmp_path / "journal") if value == journals.ROOT else value for value in function.__defaults__
        ]
        monkeypatch.setattr(function, "__defaults__", tuple(ours))
    monkeypatch.setattr(journals, "_stop_timer", lambda name, token: None)
    loader = importlib.machinery.SourceFileLoader("interlock_program", str(PROGRAM))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def changed(tmp_path: Path, interlock: ModuleType) -> Path:
    """A file that was changed and is unproven; undoing it leaves a trace."""
    path = tmp_path / "file"
    path.write_text("before\n")
    journal = journals.Journal("trial", state="open", token="t1", command=f"touch {tmp_path}/reloaded")
    journal.before[str(path)] = files.look(str(path))
    with journals.locked("trial"):
        journals.save(journal)
    path.write_text("after\n")
    path.chmod(0o600)
    return path


def journal_of(changed: Path) -> Path:
    return changed.parent / "journal/trial/journal.json"
