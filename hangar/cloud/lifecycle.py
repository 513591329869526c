"""The lifecycle of a machine in a cloud: stop, start, snapshots, cost."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from hangar.cloud.base import Report
from hangar.errors import HangarError
from hangar.plan import Cost

if TYPE_CHECKING:
    from hangar.cloud.gcp.snapshots import Snapshot
    from hangar.config import Config


class Lifecycle(Protocol):
    """What a driver of such machines can do beside `Cloud`. Every method may raise CloudError."""

    def hold(self, command: str, *, break_lock: bool = False) -> AbstractContextManager[None]:
        """As `Cloud.hold`."""

    def stop(self, report: Report) -> bool:
        """Shuts the machine down in order; returns whether it ran, or somebody was just stopping it. Its
        disks stay, and cost what they cost."""

    def start(self, report: Report) -> bool:
        """Starts it; returns whether it was off."""

    def snapshots(self) -> Sequence["Snapshot"]:
        """Of the data disk, oldest first."""

    def take_snapshot(self, report: Report) -> str:
        """Takes one now and returns its name."""

    def delete_snapshot(self, name: str, report: Report) -> None:
        """Deletes one of the environment's."""

    def restore(self, name: str, environment: str, report: Report) -> str:
        """Makes a data disk from a snapshot for another environment, and returns the disk's name."""

    def cost(self) -> Cost:
        """What the settings cost a month."""


def lifecycle_for(config: "Config") -> Lifecycle:
    """What drives the lifecycle of the environment's machine.

    Raises:
        HangarError: the machine is in no cloud.
    """
    if config.cloud == "gcp":
        from hangar.cloud.gcp.lifecycle import InstanceLifecycle

        return InstanceLifecycle(config)
    raise HangarError(
        f"This needs a machine in a cloud, and {config.server_name} is none (cloud: {config.cloud}).",
        resolution="./provision.py up and destroy make and remove it.",
    )
