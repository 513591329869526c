"""The lifecycle of a machine on Compute Engine: stop, start, snapshots, a restored disk, the cost."""

import time
from contextlib import AbstractContextManager, suppress

from hangar.cloud.base import Report
from hangar.cloud.gcp import cost, requests, snapshots
from hangar.cloud.gcp.comparison import RUNNING, STOPPING, SUSPENDED
from hangar.cloud.gcp.driver import GoogleCloud, nobody
from hangar.cloud.gcp.errors import NotThere, OutOfStock
from hangar.cloud.gcp.machine import power_on, settle
from hangar.cloud.gcp.names import LABEL, Names
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import Wanted
from hangar.cloud.gcp.work import Step, Work, call, elsewhere
from hangar.config import Config
from hangar.errors import HangarError, MachineMissing
from hangar.plan import Cost


class InstanceLifecycle:
    """The verbs beside plan, up and destroy, for one environment."""

    def __init__(self, config: Config, cloud: GoogleCloud | None = None) -> None:
        self._cloud = cloud or GoogleCloud(config)
        self._api, self._names = self._cloud.api, self._cloud.names

    def hold(self, command: str, *, break_lock: bool = False) -> AbstractContextManager[None]:
        return self._cloud.hold(command, break_lock=break_lock)

    def stop(self, report: Report) -> bool:
        names, was = self._names, self._status()
        status = self._settled(report) if was == STOPPING else was
        if status in SUSPENDED:
            raise HangarError(
                f"{names.machine} is suspended, not stopped.",
                "* Somebody did that beside Hangar. Google keeps its memory for it, which costs money.",
                f"Wake it, then stop it: ./provision.py start {names.environment}, then"
                f" ./provision.py stop {names.environment}",
            )
        if status not in RUNNING:
            return was == STOPPING
        self._do(report, call(self._api, "stop the machine", "stop", self._names.instance))
        return True

    def _settled(self, report: Report) -> str:
        """The status of a machine that somebody else stops, once it is off.

        Raises:
            HangarError: it is not off yet. MachineMissing: it was being deleted.
        """
        report("wait until the machine is off")
        with suppress(NotThere):
            settle(self._api, self._names.instance)
        status = self._status()
        if status == STOPPING:
            raise HangarError(
                f"{self._names.machine} is still stopping.",
                "* Somebody or something else stops it; Google lets a machine take its time to end.",
                f"Wait for it with the same command: ./provision.py stop {self._names.environment}",
            )
        return status

    def start(self, report: Report) -> bool:
        if self._status() in RUNNING:
            return False
        status = settle(self._api, self._names.instance)
        try:
            self._do(report, power_on(self._api, self._names.instance, status))
        except OutOfStock as error:
            there = Existing(instance=self._api.compute.get(self._names.instance))
            elsewhere(error, self._cloud.other_zones(), there, self._names)
            raise
        return True

    def snapshots(self) -> list[snapshots.Snapshot]:
        return snapshots.found(self._api, self._names)

    def take_snapshot(self, report: Report) -> str:
        name = snapshots.new_name(self._api, self._names, time.time())
        self._do(report, snapshots.step(self._api, self._names, name, self._wanted(self._names).labels))
        return name

    def delete_snapshot(self, name: str, report: Report) -> None:
        report(f"delete the snapshot {name}")
        snapshots.delete(self._api, self._names, name)

    def restore(self, name: str, environment: str, report: Report) -> str:
        taken = snapshots.require(self._api, self._names, name)
        size, wanted = int(taken["diskSizeGb"]), self._cloud.config.gcp.data_disk.size_gb
        if wanted < size:
            raise HangarError(
                f"The snapshot {name} is of a disk of {size} GiB, and gcp.data_disk.size_gb says {wanted}.",
                resolution=f"Say so in platform.yml, or for this call: --set gcp.data_disk.size_gb={size}",
            )
        names = Names(environment, self._names.project, self._names.zone)
        # Its schedule is made by `up`, which finds the disk and adds it.
        body = requests.data_disk(self._wanted(names), f"{names.everywhere}/snapshots/{name}")
        del body["resourcePolicies"]
        path = f"{names.in_zone}/disks"
        if self._has_disk_of(names, name):
            return names.data_disk
        self._do(
            report,
            Step(f"make the disk {names.data_disk}", lambda: self._api.compute.begin("insert", path, body)),
        )
        return names.data_disk

    def _has_disk_of(self, names: Names, snapshot: str) -> bool:
        """Whether an earlier call, one that was killed say, has made the disk.

        Raises:
            HangarError: there is a disk of that name, and it is another or not made to its end.
        """
        path = f"{names.in_zone}/disks/{names.data_disk}"
        disk = self._api.compute.find(path)
        if disk is None:
            return False
        of_it = str(disk.get("sourceSnapshot", "")).endswith(f"/{snapshot}")
        if not of_it or disk.get("labels", {}).get(LABEL) != names.environment:
            raise HangarError(
                f"There is a disk {names.data_disk} already, and it does not come from {snapshot}.",
                resolution="Name another environment (--to NEW), or delete it if nobody needs it: gcloud compute disks"
                f" delete {names.data_disk} --project {names.project} --zone {names.zone}",
            )
        if disk.get("status") != "READY":
            raise HangarError(
                f"Google is still making the disk {names.data_disk}.",
                f"* Its status: {disk.get('status')}",
                "Run the same command again in a minute: it goes on from there.",
            )
        return True

    def cost(self) -> Cost:
        return cost.estimate(self._wanted(self._names), Existing())

    def _wanted(self, names: Names) -> Wanted:
        return Wanted(names, self._cloud.config.gcp, nobody(names))

    def _status(self) -> str:
        instance = self._api.compute.find(self._names.instance)
        if instance is None:
            raise MachineMissing(self._names.environment)
        return str(instance["status"])

    def _do(self, report: Report, step: Step) -> None:
        Work(self._api, report).wave([step])
