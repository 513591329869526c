"""The Docker engine: installed, running, fit for a machine that runs Docker itself."""

from typing import Any

from hangar import engine
from hangar.checks.finding import Finding, needs_packages, ok
from hangar.errors import HangarError

API = (1, 41)
"""Of Docker 20.10: the first that gives a container a cgroup namespace of its own on request."""


def installed() -> Finding:
    if engine.installed():
        return ok("Docker engine", "installed")
    if engine.has_apt():
        return needs_packages("Docker engine", "not installed", "docker.io")
    return Finding("Docker engine", "missing", "not installed", engine.install_hint())


def running() -> Finding:
    """Whether it answers us. What can be started here and now is not `missing` yet: see `checks.prepare`."""
    name = "Docker answers"
    try:
        engine.connect(timeout=10).close()
    except HangarError as error:
        return Finding(name, "missing", error.brief, error.resolution)
    return ok(name, engine.endpoint()[0])


def fit() -> Finding:
    """Whether a machine that runs rootless Docker itself can run here: not in a rootless engine or an old one."""
    name = "Docker is fit"
    facts = engine.facts()
    if facts is None:
        return Finding(name, "missing", "it does not answer", engine.start_hint())
    options = " ".join(facts.get("SecurityOptions") or ())
    if "name=rootless" in options:
        return Finding(
            name, "missing", "it is a rootless engine: the ids that the machine's service users need are not there",
            "Use the system's engine: docker context use default (and unset DOCKER_HOST)",
        )  # fmt: skip
    if _api(facts) < API:
        return Finding(
            name, "missing", f"version {facts['ServerVersion']} is too old", "Install 20.10 or newer."
        )
    if facts.get("OSType") != "linux":
        return Finding(
            name, "missing", "it runs Windows containers", "Switch Docker Desktop to Linux containers."
        )
    return ok(name, f"{facts['ServerVersion']}, cgroup version {facts.get('CgroupVersion', '1')}")


def _api(facts: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(part) for part in str(facts.get("ApiVersion", "0.0")).split("."))
