# Written by Hangar (role secret_manager). Changes made here are lost at the next run.
"""The secrets that are here: one file each, in memory, and a record of their versions."""

import json
import time
from pathlib import Path
from typing import Any

from secret_files import is_right, keep

FOLDER = Path("/run/hangar-secrets")
RECORD, LOCK = ".versions.json", ".lock"


def record(folder: Path = FOLDER) -> dict[str, dict[str, str]]:
    """Name → secret, version, and since when it is here."""
    path = folder / RECORD
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def changes(wanted: dict[str, Any], found: dict[str, tuple[str, str]], folder: Path = FOLDER) -> list[str]:
    """What has to change, a line each, without values. `found` has what could be read: name → version, text."""
    there = record(folder)
    lines = []
    for name, (version, text) in sorted(found.items()):
        noted = there.get(name, {})
        if not is_right(folder / name, text, wanted[name]["group"]) or noted.get("version") != version:
            before = f" (was {noted['version']})" if "version" in noted else ""
            lines.append(f"{name}: version {version}{before}")
    return lines + [f"{name}: no longer named" for name in _strays(wanted, folder)]


def write(wanted: dict[str, Any], found: dict[str, tuple[str, str]], folder: Path = FOLDER) -> None:
    """Keep what was read; what could not be read stays as it was."""
    noted = {name: one for name, one in record(folder).items() if name in wanted}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for name, (version, text) in found.items():
        if not is_right(folder / name, text, wanted[name]["group"]):
            keep(folder / name, text, wanted[name]["group"])
        if noted.get(name, {}).get("version") != version:
            noted[name] = {"secret": wanted[name]["secret"], "version": version, "since": now}
    for name in _strays(wanted, folder):
        (folder / name).unlink()
    keep(folder / RECORD, json.dumps(noted, indent=1, sort_keys=True), "root")


def _strays(wanted: dict[str, Any], folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir() if one.name not in {*wanted, RECORD, LOCK})
