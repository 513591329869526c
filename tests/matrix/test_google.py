"""Every call of the cloud half broken in every way, and the process killed at twenty places of it. Boots nothing."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hangar import paths
from hangar.errors import HangarError
from tests.gcp.conftest import Environment, environment, google, google_server, own_sockets
from tests.gcp.test_faults import settle
from tests.google.discovery import catalog

__all__ = ["environment", "google", "google_server", "own_sockets"]

REPO = Path(__file__).resolve().parents[2]
PASSING = ("503-before", "503-after", "429", "reset-before", "reset-after")
METHODS = (
    "cloudresourcemanager.projects.getIamPolicy", "cloudresourcemanager.projects.setIamPolicy",
    "compute.disks.aggregatedList", "compute.disks.insert", "compute.firewalls.insert", "compute.firewalls.list",
    "compute.globalOperations.wait", "compute.images.getFromFamily", "compute.instances.get",
    "compute.instances.getGuestAttributes", "compute.instances.insert", "compute.instances.setMetadata",
    "compute.machineTypes.get", "compute.networks.get", "compute.networks.insert", "compute.projects.get",
    "compute.regionOperations.wait", "compute.resourcePolicies.get", "compute.resourcePolicies.insert",
    "compute.routers.get", "compute.routers.insert", "compute.subnetworks.get", "compute.subnetworks.insert",
    "compute.zoneOperations.wait", "iam.projects.serviceAccounts.create", "iam.projects.serviceAccounts.get",
    "storage.buckets.insert", "storage.objects.delete", "storage.objects.insert",
)  # fmt: skip


def refused(*methods: str) -> list[tuple[str, str]]:
    """(method, kind): each is forbidden once; where it begins an operation, that ends in an error once."""
    begins = {one.id: one.begins_operation for one in catalog().by_id.values()}
    return [
        (method, kind)
        for method in methods
        for kind in ("403", "operation-error")
        if kind == "403" or begins.get(method)
    ]


KILLS = 20
PATIENCE = 60.0
HOLD = 12.0
"""Seconds that the stand-in holds a call back, for the blow to fall."""


def test_the_matrix_holds_every_method_that_up_calls(environment: Environment) -> None:
    environment.up()
    called = {call["method"].replace(".v1", "") for call in environment.google.journal()}
    assert called == set(METHODS)


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("method", METHODS)
def test_what_passes_is_not_noticed(environment: Environment, method: str, kind: str) -> None:
    fault = environment.google.fault(f"{method}*", kind)
    environment.up()
    assert environment.google.fired(fault) == 1
    settle(environment)


@pytest.mark.parametrize(("method", "kind"), refused(*METHODS))
def test_what_was_refused_once_is_right_after_the_next_up(
    environment: Environment, method: str, kind: str
) -> None:
    fault = environment.google.fault(f"{method}*", kind, code="INTERNAL_ERROR", message="Something broke.")
    with contextlib.suppress(HangarError):
        environment.up()
    assert environment.google.fired(fault) == 1
    if environment.google.table("objects"):  # the lock itself was what could not be let go
        with environment.cloud().hold("provision.py up production", break_lock=True):
            pass
    settle(environment)


@pytest.mark.parametrize("point", range(KILLS))
def test_a_kill_is_taken_up_by_the_next_up(environment: Environment, point: int) -> None:
    calls = _calls_of_a_whole_up(environment)
    number = 1 + point * calls // KILLS
    moment = "delay-after" if point % 2 else "delay-before"
    fault = environment.google.fault("*", moment, nth=number, seconds=HOLD)
    process = _start()
    until = time.monotonic() + PATIENCE
    while not environment.google.fired(fault) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was through before the blow fell"
    assert environment.google.fired(fault) == 1
    environment.google.clear_faults()
    assert _start().wait(PATIENCE) == 0
    settle(environment)


def _calls_of_a_whole_up(environment: Environment) -> int:
    environment.up()
    count = environment.calls()
    environment.google.reset()
    return count


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.gcp.cloud_half", str(paths.REPO)], cwd=REPO)
