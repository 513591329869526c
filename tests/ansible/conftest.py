"""Ansible's plugins of ours, run in this process and without a machine."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible.module_utils
import pytest
from ansible.module_utils.testing import patch_module_args

PLUGINS = Path(__file__).resolve().parents[2] / "playbooks/plugins"

# Where Ansible puts them when it runs a module.
ansible.module_utils.__path__.append(str(PLUGINS / "module_utils"))

OWNER, GROUP = str(os.geteuid()), str(os.getegid())


def load(path: Path) -> ModuleType:
    """Import a plugin by its path."""
    spec = importlib.util.spec_from_file_location(f"plugin_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


apply_tree = load(PLUGINS / "modules/apply_tree.py")


def file(path: Path, content: str | bytes = "new\n", mode: str = "0644", **more: Any) -> dict[str, Any]:
    """One wanted file, as the action sends it."""
    from base64 import b64encode

    raw = content.encode() if isinstance(content, str) else content
    entry = {"path": str(path), "kind": "file", "mode": mode, "owner": OWNER, "group": GROUP, "diff": True}
    return {**entry, "content": b64encode(raw).decode(), **more}


def directory(path: Path, mode: str = "0755") -> dict[str, Any]:
    entry = {"path": str(path), "kind": "directory", "mode": mode, "owner": OWNER, "group": GROUP}
    return {**entry, "diff": True}


def absent(path: Path) -> dict[str, Any]:
    return {"path": str(path), "kind": "absent", "diff": True}


Apply = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _on_no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk of backups is not here; whoever tries how it is watched says how full it is."""
    monkeypatch.setattr("hangar_backup.room.LOOK_EVERY", 3600.0)


@pytest.fixture
def apply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Apply:
    """Run the module once; returns its result."""

    def run(
        *entries: dict[str, Any], check: bool = False, diff: bool = True, **options: Any
    ) -> dict[str, Any]:
        args = {"name": "trial", "entries": list(entries), "journal": str(tmp_path / "journal"), **options}
        args |= {"_ansible_check_mode": check, "_ansible_diff": diff}
        with patch_module_args(args), pytest.raises(SystemExit):
            apply_tree.main()
        return dict(json.loads(capsys.readouterr().out))

    return run
