"""What this checkout brings for a machine: its locks, its Debian releases, its revision, with platform.yml's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hangar import contracts, paths, revision
from hangar.upgrade.planning import AIRFLOW
from hangar.upgrade.records import Lock, Platform, Wanted
from hangar.upgrade.remote.prints import prints

if TYPE_CHECKING:
    from hangar.config import Config

EMBEDDED = "services/airbyte_embedded"


def wanted(config: "Config", machine: str) -> Wanted:
    """What `up` would make of a machine that was made from the revision `machine`. hosts.yml is written already."""
    options = contracts.effective_options(paths.hosts_file(config.environment))
    embedded = bool(options["airbyte_enabled"]) and options["airbyte_engine"] == "embedded"
    abctl = bool(options["airbyte_enabled"]) and not embedded
    return Wanted(
        environment=config.environment,
        revision=revision.here(),
        relation=revision.relation(machine),
        locks={"airflow": _airflow(options)} | ({"airbyte": _embedded()} if embedded else {}),
        suites={
            "airflow": str(options["airflow_debian_suite"]),
            "airbyte": _constant("airbyte", "__airbyte_debian_suite"),
        },
        postgres={"airflow": str(options["airflow_postgres_version"])} | _warehouse(options),
        docker=tuple(options["base_packages_upgraded_by_hand"]),
        chart=str(options["airbyte_abctl_chart"]) if abctl else "",
        platform=_platform(options) if abctl else None,
    )


def _platform(options: contracts.Options) -> Platform:
    given = contracts.of_role(options, "airbyte_abctl", "__airbyte_abctl_wanted")
    return Platform(
        given["port"],
        given["low_resource"],
        given["values"],
        prints(given["helm"]),
        given["external_database"],
    )


def _airflow(options: Mapping[str, Any]) -> dict[str, tuple[Lock, ...]]:
    """Each environment of Airflow's image with its locks, as roles/airflow/vars has them."""
    folder = paths.REPO / "roles/airflow/files"
    own = str(options["airflow_python_lock"])
    found = {AIRFLOW: (_lock(folder / "requirements.lock"), *([_lock(Path(own))] if own else []))}
    found |= {f"/opt/{tool}": (_lock(folder / f"{tool}.lock"),) for tool in options["airflow_tools"]}
    theirs: Mapping[str, str] = options["airflow_own_tools"]
    return found | {f"/opt/{tool}": (_lock(Path(lock)),) for tool, lock in theirs.items()}


def _embedded() -> dict[str, tuple[Lock, ...]]:
    folder = paths.REPO / EMBEDDED
    return {
        "/opt/airbyte/service": (_lock(folder / "requirements.lock"),),
        "/opt/airbyte/worker": (_lock(folder / "worker.lock"),),
    }


def _warehouse(options: Mapping[str, Any]) -> dict[str, str]:
    if not options["warehouse_enabled"]:
        return {}
    return {"warehouse": _constant("warehouse", "__warehouse_version")}


def _constant(role: str, name: str) -> str:
    """What a role fixes for itself."""
    return str(
        yaml.safe_load((paths.REPO / "roles" / role / "vars/main.yml").read_text(encoding="utf-8"))[name]
    )


def _lock(path: Path) -> Lock:
    return Lock(paths.shown(path), path.read_text(encoding="utf-8"))
