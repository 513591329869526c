"""What systemd itself says of the units that run all the time: at most 3.0 of 10, judged without a machine.

A service that Debian brings counts with Hangar's drop-in alone, which says how it starts.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hangar.paths import REPO
from tests.templates.render import render

MOST = 3.0


def understands_files() -> bool:
    """systemd-analyze judges files of units since version 250."""
    if shutil.which("systemd-analyze") is None:
        return False
    told = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.split()[1]) >= 250


pytestmark = pytest.mark.skipif(not understands_files(), reason="needs systemd 250 or later")


def lasting() -> dict[str, str]:
    """The text of each unit of the system's that says what it starts and stays."""
    found = {}
    for path in REPO.glob("roles/*/templates/etc/systemd/system/**/*.j2"):
        role, _, target = str(path.relative_to(REPO / "roles")).removesuffix(".j2").partition("/templates")
        unit = re.search(r"/([\w@.-]+\.service)(\.d/[\w-]+\.conf)?$", target)
        if unit and re.search(r"^ExecStart=", path.read_text(), re.M):
            text = render(role, target, role_path=str(REPO / "roles" / role))
            if "Type=oneshot" not in text:
                found[unit[1]] = text
    return found


def exposure(folder: Path, name: str, text: str) -> float:
    (folder / name).write_text(text)
    argv = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(folder / name)]
    told = subprocess.run(argv, capture_output=True, text=True)
    level = re.search(r"exposure level for \S+: ([0-9.]+)", told.stdout)
    assert level, told.stderr
    return float(level[1])


def test_what_runs_all_the_time_has_no_rights_that_it_does_not_need(tmp_path: Path) -> None:
    units = lasting()
    assert {
        "prometheus.service",
        "hangar-measure.service",
        "warehouse.service",
        "airflow-live.service",
    } <= set(units)
    levels = {name: exposure(tmp_path, name, text) for name, text in units.items()}
    assert {name: level for name, level in levels.items() if level > MOST} == {}
    assert exposure(tmp_path, "bare.service", "[Service]\nExecStart=/bin/true\n") > 2 * MOST
