"""Checks of this computer: what is missing, and whether that stops a machine."""

from __future__ import annotations

import shutil

import pytest

from hangar.checks import controller


def test_backups_cannot_be_opened_without_age_and_machines_can_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = controller.age()
    assert (found.state, found.packages) == ("warning", ()), "nothing is installed for it"
    assert found.detail == "age: not found; it verifies and restores them"
    assert found.cure == "sudo apt-get install age, or brew install age"
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert (controller.age().state, controller.age().detail) == ("ok", "/usr/bin/age")
