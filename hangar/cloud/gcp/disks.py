"""The disks at an instance: which are attached, and which of them go with it."""

from typing import Any

from hangar.cloud.gcp import requests, views
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.names import Names, last
from hangar.cloud.gcp.requests import Wanted
from hangar.cloud.gcp.work import Step, Work, call

Body = dict[str, Any]


def keep_all(api: Api, path: str, work: Work) -> None:
    """The disks beside the boot disk outlive the machine, however long ago somebody looked at it."""
    instance = api.compute.find(path) or {}
    going = [one for one in views.others(instance) if one.get("autoDelete")]
    work.wave([goes(api, path, one, with_machine=False) for one in going])


def goes(api: Api, path: str, disk: Body, *, with_machine: bool) -> Step:
    """Says whether a disk is deleted with the machine."""
    name = last(str(disk.get("source", disk["deviceName"])))
    what = f"let the disk {name} {'go with' if with_machine else 'outlive'} the machine"
    return call(
        api, what, "set_disk_auto_delete", path, device_name=disk["deviceName"], auto_delete=with_machine
    )


def is_ours(disk: Body, wanted: Wanted) -> bool:
    """Whether it is the data disk that is attached there."""
    return str(disk.get("source", "")).endswith(requests.attached_data(wanted)["source"])


def reattach(api: Api, wanted: Wanted, instance: Body, work: Work) -> None:
    """Exactly our data disk is attached; a stranger's is detached and kept."""
    body, path = requests.attached_data(wanted), wanted.names.instance
    there = views.others(instance)
    for disk in there:
        if not is_ours(disk, wanted):
            name = disk["deviceName"]
            work.wave([call(api, f"detach the disk {name}", "detach_disk", path, device_name=name)])
    if not any(is_ours(disk, wanted) for disk in there):
        work.wave([call(api, "attach the data disk", "attach_disk", path, body)])


def boot_goes(names: Names, instance: Body) -> bool:
    """Whether the boot disk of our name goes with the machine."""
    disks = instance.get("disks") or ()
    return any(one.get("autoDelete") and last(one.get("source", "")) == names.boot_disk for one in disks)


def discard_boot(api: Api, names: Names, work: Work) -> None:
    """Nothing on it is worth keeping: /srv is on the data disk."""
    path, what = f"{names.in_zone}/disks/{names.boot_disk}", f"boot disk {names.boot_disk}"
    work.wave([call(api, f"delete the {what} of a machine that is gone", "delete", path)])
