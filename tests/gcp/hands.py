"""What hands beside Hangar do to a machine, for the tests of what becomes of it."""

from __future__ import annotations

from typing import Any

from hangar.plan import Change
from tests.gcp.conftest import ZONE, Environment

NAME = "hangar-production"
DATA, BOOT = f"{NAME}-data", f"{NAME}-boot"


def edit(environment: Environment, **fields: Any) -> None:
    path = f"projects/{environment.google.project}/zones/{ZONE}/instances/{NAME}"
    environment.google.edit(path, **fields)


def attached(environment: Environment, name: str) -> dict[str, Any]:
    disks: list[dict[str, Any]] = environment.instance["disks"]
    return next(one for one in disks if one["source"].endswith(f"/{name}"))


def auto_delete(environment: Environment, name: str, *, on: bool) -> None:
    """As `gcloud compute instances set-disk-auto-delete` does."""
    cloud = environment.cloud()
    device = attached(environment, name)["deviceName"]
    cloud.api.compute.do(
        "set_disk_auto_delete", cloud.names.instance, device_name=device, auto_delete=on
    )  # fmt: skip


def kept_boot_disk(environment: Environment) -> str:
    """The machine is deleted by hand, and its boot disk kept; returns the disk's id."""
    auto_delete(environment, BOOT, on=False)
    cloud = environment.cloud()
    cloud.api.compute.do("set_deletion_protection", cloud.names.instance, deletion_protection=False)
    cloud.api.compute.do("delete", cloud.names.instance)
    found: str = environment.google.resources("disks")[BOOT]["id"]
    return found


def changes(environment: Environment, *overrides: str) -> list[Change]:
    return [one for one in environment.plan(*overrides).changes if one.action != "nothing"]
