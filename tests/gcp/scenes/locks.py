"""A lock that another call has."""

from __future__ import annotations

import json
import subprocess

from hangar.cloud.gcp import lock
from tests.gcp.conftest import Environment


def _locked_by(environment: Environment, computer: str, process: int) -> None:
    cloud = environment.cloud()
    holder = {
        "who": "ana@laptop", "computer": computer, "process": process, "command": "provision.py up production",
        "since": 1_700_000_000.0, "call": "another",
    }  # fmt: skip
    cloud.api.rest.call(
        "POST", "upload", f"b/{cloud.names.bucket}/o", content=json.dumps(holder).encode(),
        params={"uploadType": "media", "name": "production"},
    )  # fmt: skip


def lock_out(environment: Environment) -> None:
    """A call on another computer has the lock, or had it when it was killed: nobody here knows."""
    environment.up()
    _locked_by(environment, "laptop/0242ac110002", 1)


def break_lock(environment: Environment) -> None:
    with environment.cloud().hold("provision.py up production", break_lock=True):
        environment.plan()


def die(environment: Environment) -> None:
    """A call of this computer that was killed has it."""
    environment.up()
    with subprocess.Popen(["true"]) as over:
        pass
    _locked_by(environment, str(lock._ourselves()["computer"]), over.pid)


def take_over(environment: Environment) -> None:
    with environment.cloud().hold("provision.py up production"):
        environment.plan()
