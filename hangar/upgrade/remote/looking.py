"""What the machine has."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hangar.upgrade.remote.keeping import BEFORE
from hangar.upgrade.remote.prints import prints
from hangar.upgrade.remote.running import CONTAINERS, SRV, in_container, read, recipe, run

DRAINED = Path("/srv/maintenance/drained.json")
INSIDE = """
import glob, json, platform, re
from importlib.metadata import distributions
found, limits = {}, {}
for site in glob.glob("/opt/*/lib/python3*/site-packages") + glob.glob("/opt/*/*/lib/python3*/site-packages"):
    installed = list(distributions(path=[site]))
    named = {one.metadata["Name"].lower().replace("_", "-").replace(".", "-"): one for one in installed}
    found[site.partition("/lib/python3")[0]] = {name: one.version for name, one in named.items()}
    for name, one in named.items():
        limits |= {name: demand for demand in one.requires or () if re.match(r"apache-airflow[^a-z;-][^;]*$", demand)}
with open("/etc/os-release") as release:
    suite = [line.partition("=")[2].strip() for line in release if line.startswith("VERSION_CODENAME=")]
print(json.dumps({"environments": found, "limits": limits, "python": platform.python_version(),
                  "machine": platform.machine(), "suite": "".join(suite)}))
"""
"""Asks a container's own Python what is installed beside it."""


def service(user: str) -> dict[str, Any]:
    """What a service's containers run, and what waits for it."""
    marks = SRV / user / "state"
    asked = run(in_container(user, "python3", "-c", INSIDE), check=False)
    found = json.loads(asked.stdout) if asked.returncode == 0 else {}
    return {
        **found, "running": bool(found), "outdated": (marks / "images-outdated").exists(),
        "waiting": (marks / "stack-changed").exists() or (marks / "settings-changed").exists(),
    }  # fmt: skip


def lint() -> list[str]:
    """What Airflow's own command says of settings that it no longer knows, by the Airflow that runs."""
    if not recipe("airflow"):
        return []
    argv = ["as-service", "airflow", "docker", "exec", "--env", "COLUMNS=1000", CONTAINERS["airflow"]]
    said = run([*argv, "airflow", "config", "lint"], check=False).stdout
    return [line.strip().removeprefix("- ") for line in said.splitlines() if line.startswith("  - ")]


def postgres() -> Iterator[tuple[str, str]]:
    """Whose data are of which major version."""
    found = [path.parent.name for path in (SRV / "airflow/postgres").glob("*/PG_VERSION")]
    # A folder that is called otherwise (`17.new`, a copy of somebody's) is not what the server reads.
    versions = [name for name in found if re.fullmatch("[0-9]{1,3}", name)]
    if versions:
        yield "airflow", max(versions, key=int)
    with contextlib.suppress(OSError):
        yield "warehouse", (SRV / "warehouse/postgres/PG_VERSION").read_text(errors="replace").strip()


def abctl() -> dict[str, Any]:
    """What Airbyte's platform was installed with; empty where there is none."""
    return read(SRV / "airbyte/abctl/state/installed.json")


def platform() -> dict[str, Any] | None:
    """The settings of Airbyte's platform, without what they say."""
    if not (found := abctl()):
        return None
    known = {name: found[name] for name in ("port", "low_resource", "values")}
    return {**known, "settings": prints(found["helm"]) if "helm" in found else None}


def cut() -> dict[str, Any] | None:
    """The upgrade that has not come to its end, if there is one."""
    state = read(BEFORE / "state.json")
    if not state:
        return None
    return {
        "since": state["since"], "revision": state["revision"], "broken": state["broken"], "held": DRAINED.exists(),
    }  # fmt: skip
