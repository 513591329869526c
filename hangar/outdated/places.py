"""Every place where a version is pinned: the one list of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from packaging.markers import Marker

from hangar import installers, paths
from hangar.upgrade.pins import pinned

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""Pythons that a lock may be for, the earliest first: what is newer has to run on the earliest."""


PLOTTING = "roles/monitoring/files/dashboard/uplot/uPlot.iife.min.js"
"""A library that lies here whole; its first line says which."""


@dataclass(frozen=True)
class Place:
    """A lock: where it is, what it is for, and the earliest Python that it is for."""

    path: str
    what: str
    python: str


PLACES = (
    Place("requirements.lock", "Hangar itself", "3.11"),
    Place("requirements-dev.lock", "Hangar's development", "3.11"),
    Place("roles/airflow/files/requirements.lock", "Airflow's image", "3.13"),
    Place("roles/airflow/files/dbt.lock", "dbt in Airflow's image", "3.11"),
    Place("roles/airflow/files/dlt.lock", "dlt in Airflow's image", "3.11"),
    Place("roles/docker_host/files/installer.lock", "the installer in images", "3.13"),
    Place("roles/remote_ssh/files/debugger.lock", "the debugger for people", "3.13"),
    Place("services/airbyte_embedded/requirements.lock", "the embedded engine", "3.11"),
    Place("services/airbyte_embedded/worker.lock", "the embedded engine's jobs", "3.11"),
    Place("services/airbyte_embedded/requirements-dev.lock", "the embedded engine's tests", "3.11"),
    Place("services/airbyte_embedded/airbyte_embedded/connectors/faker.lock", "the connector faker", "3.11"),
    Place("tests/pipelines/requirements.lock", "the DAGs' tests", "3.11"),
)


@dataclass(frozen=True)
class Package:
    """A version of a package, the earliest Python that it has to run on, and the locks that pin it."""

    name: str
    version: str
    python: str
    places: tuple[str, ...]


@dataclass(frozen=True)
class Other:
    """A version that PyPI knows nothing of; `look` is where people see what is newer."""

    name: str
    version: str
    place: str
    look: str


@dataclass
class _Found:
    python: str
    places: list[str] = field(default_factory=list)


def packages(repo: Path = paths.REPO) -> tuple[Package, ...]:
    """Every pinned package, each version once."""
    found: dict[tuple[str, str], _Found] = {}
    for place in PLACES:
        for name, version, marker in pinned((repo / place.path).read_text(encoding="utf-8")):
            python = _earliest(marker, place.python)
            known = found.setdefault((name, version), _Found(python))
            known.python = min(known.python, python, key=PYTHONS.index)
            known.places.append(place.path)
    wheel = installers.PIP_WHEEL.split("-")
    found.setdefault((wheel[0], wheel[1]), _Found("3.11")).places.append("hangar/installers.py")
    return tuple(
        Package(name, version, one.python, tuple(one.places))
        for (name, version), one in sorted(found.items())
    )


def _earliest(marker: Marker | None, python: str) -> str:
    """The first Python from `python` on for which the marker holds."""
    later = PYTHONS[PYTHONS.index(python) :]
    if marker is None:
        return python
    named = ({"python_version": one, "python_full_version": f"{one}.0", "extra": ""} for one in later)
    return next((one["python_version"] for one in named if marker.evaluate(one)), python)


def others(repo: Path = paths.REPO) -> tuple[Other, ...]:
    """What comes from elsewhere."""
    return tuple(_others(repo))


def _others(repo: Path) -> Iterator[Other]:
    abctl, airflow, engine, agent, warehouse = files = tuple(
        f"roles/{name}/main.yml"
        for name in (
            "airbyte_abctl/defaults", "airflow/defaults", "airbyte/vars", "ops_agent/defaults", "warehouse/vars",
        )
    )  # fmt: skip
    pins = {path: yaml.safe_load((repo / path).read_text(encoding="utf-8")) for path in files}
    releases, postgres = "https://www.debian.org/releases/", "https://www.postgresql.org/support/versioning/"
    for name, path, option, look in (
        ("abctl", abctl, "airbyte_abctl_version", "https://github.com/airbytehq/abctl/releases"),
        ("Airbyte's platform", abctl, "airbyte_abctl_chart", "https://airbytehq.github.io/charts/index.yaml"),
        ("Debian of the machine and Airflow's image", airflow, "airflow_debian_suite", releases),
        ("Postgres of Airflow", airflow, "airflow_postgres_version", postgres),
        ("Postgres of the warehouse", warehouse, "__warehouse_version", postgres),
        ("Google's Ops Agent", agent, "ops_agent_version", "https://github.com/GoogleCloudPlatform/ops-agent/releases"),
        ("Debian of the embedded engine's image", engine, "__airbyte_debian_suite", releases),
    ):  # fmt: skip
        yield Other(name, str(pins[path][option]), path, look)
    said = re.search(r"\(v([0-9.]+)\)", (repo / PLOTTING).read_text(encoding="utf-8")[:200])
    yield Other(
        "uPlot of the dashboard",
        said[1] if said else "not said",
        PLOTTING,
        "https://github.com/leeoniya/uPlot/releases",
    )
