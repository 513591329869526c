"""One machine for the matrices that need one: struck while it is made, put to work, its secrets changed, then lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import checkout, machine

__all__ = ["checkout", "machine"]

ORDER = (
    "test_interruption.py", "test_data_reliability.py", "test_alerts.py", "test_reboot.py", "test_power.py",
    "test_kills.py", "test_dashboard_in_a_browser.py", "test_debugger.py", "test_editor_in_a_browser.py",
    "test_rotation.py", "test_releases.py", "test_operators.py", "test_own_platform.py", "test_upgrade.py",
    "test_restore_drill.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that share the machine in the order of its life; the others stay where they were, after them."""
    here = Path(__file__).parent
    rank = {name: number for number, name in enumerate(ORDER)}
    items.sort(key=lambda item: rank.get(item.path.name, len(ORDER)) if item.path.parent == here else -1)
