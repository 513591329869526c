"""The smallest change of an instance that is there: in place, with a stop, or thrown away and made again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from hangar import console
from hangar.cloud.gcp import disks, host_keys, requests, snapshots, views
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.comparison import RUNNING, STOPPING, SUSPENDED, WITH_A_STOP, wanted_views
from hangar.cloud.gcp.names import IMAGE_LABEL, Names
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import APPLIED, ATTRIBUTES, HOST_KEYS, OPERATOR, Wanted
from hangar.cloud.gcp.work import Step, Work, call
from hangar.errors import HangarError

Body = dict[str, Any]


def change(api: Api, wanted: Wanted, existing: Existing, work: Work) -> None:
    """The instance is as wanted and runs; one that fits and runs is not touched."""
    assert existing.instance is not None
    if existing.instance["status"] in SUSPENDED:
        existing = replace(existing, instance=_awake(api, wanted.names.instance, work))
    instance = existing.instance
    assert instance is not None
    old = views.instance(instance, existing.boot_disk)
    new = views.instance(requests.instance(wanted, wanted.gcp.image or "", ""))
    differs = {name for name in new if old.get(name) != new[name]}
    _in_place(api, wanted, existing, differs, work)
    stop = differs & set(WITH_A_STOP)
    if stop or instance["status"] not in RUNNING:
        _while_off(api, wanted, instance, stop, work)
    remember(api, wanted, instance, work)


def _awake(api: Api, path: str, work: Work) -> Body:
    """What a suspended machine is once it runs again: nothing of one that sleeps can be changed."""
    status = settle(api, path)
    if status not in RUNNING:
        work.wave([power_on(api, path, status)])
    return api.compute.get(path)


def power_on(api: Api, path: str, status: str) -> Step:
    """A machine that sleeps is resumed, one that is off is started; Google refuses each for the other."""
    if status in SUSPENDED:
        return call(api, "resume the machine", "resume", path)
    return call(api, "start the machine", "start", path)


def _while_off(api: Api, wanted: Wanted, instance: Body, stop: set[str], work: Work) -> None:
    """Stops it if it runs, changes what needs that, starts it."""
    path = wanted.names.instance
    runs = instance["status"] in RUNNING
    if runs:
        _save(api, wanted, work)
    try:
        if runs:
            work.wave([call(api, "stop the machine", "stop", path)])
        else:
            settle(api, path)
        with _told_when_off(wanted.names):
            for step in _stopped_calls(api, wanted, instance, stop):
                work.wave([step])
            work.wave([power_on(api, path, "TERMINATED")])
    except KeyboardInterrupt:
        console.note(
            f"{wanted.names.machine} was stopped for the change, and may be off now. To go on: ./provision.py up"
            f" {wanted.names.environment}"
        )
        raise


@contextmanager
def _told_when_off(names: Names) -> Iterator[None]:
    """What fails also says how the machine is."""
    try:
        yield
    except HangarError as error:
        error.details += f"\n* {names.machine} is off."
        error.resolution += (
            "\nTo start it as it was, take the change back in platform.yml and run `up` again."
        )
        raise


def _in_place(api: Api, wanted: Wanted, existing: Existing, differs: set[str], work: Work) -> None:
    assert existing.instance is not None
    instance, names = existing.instance, wanted.names
    path = names.instance
    if "deletion protection" in differs:
        work.wave([Step("protect the machine from deletion", lambda: protect(api, path, on=True))])
    for step in _without_address(api, path, instance, differs):
        work.wave([step])
    if "data disk goes with the machine" in differs:
        disks.keep_all(api, path, work)
    if "boot disk goes with the machine" in differs:
        boot = next(one for one in instance["disks"] if one.get("boot"))
        work.wave([disks.goes(api, path, boot, with_machine=True)])
    if "data disk" in differs:
        disks.reattach(api, wanted, instance, work)
    if "boot disk" in differs:
        size = {"sizeGb": str(wanted.gcp.boot_disk_gb)}
        disk = f"{names.in_zone}/disks/{names.boot_disk}"
        work.wave([call(api, "grow the boot disk", "resize", disk, size)])
    if "labels" in differs:
        image = (instance.get("labels") or {}).get(IMAGE_LABEL)
        labels = {**wanted.labels, **({IMAGE_LABEL: image} if image else {})}
        body = {"labels": labels, "labelFingerprint": instance["labelFingerprint"]}
        work.wave([call(api, "set the machine's labels", "set_labels", path, body)])


def _stopped_calls(api: Api, wanted: Wanted, instance: Body, stop: set[str]) -> Iterator[Step]:
    """What changes only while it is off."""
    path = wanted.names.instance
    if "machine type" in stop:
        kind = {"machineType": f"zones/{wanted.names.zone}/machineTypes/{wanted.gcp.machine_type}"}
        yield call(api, "change the machine type", "set_machine_type", path, kind)
    if stop & {"service account", "scopes"}:
        account = requests.service_accounts(wanted)[0]
        yield call(api, "change the service account", "set_service_account", path, account)
    if stop & {"secure boot", "virtual TPM", "integrity monitoring"}:
        shielded = requests.shielded()
        yield call(api, "change the Shielded VM settings", "update_shielded_instance_config", path, shielded)
    if stop & {"provisioning", "on maintenance", "restarts by itself"}:
        body = {**requests.scheduling(), "preemptible": False}
        yield call(api, "change the scheduling", "set_scheduling", path, body)
    if "data disk mode" in stop:
        name = next(one["deviceName"] for one in views.others(instance) if disks.is_ours(one, wanted))
        yield call(api, "detach the data disk", "detach_disk", path, device_name=name)
        yield call(api, "attach the data disk", "attach_disk", path, requests.attached_data(wanted))


def _save(api: Api, wanted: Wanted, work: Work) -> None:
    """What a stop could harm is saved first."""
    name = snapshots.new_name(api, wanted.names, time.time())
    work.wave([snapshots.step(api, wanted.names, name, wanted.labels)])


def settle(api: Api, path: str) -> str:
    """Its status, once it is no longer just stopping: only then it can be started."""
    for _ in range(150):
        status = str(api.compute.get(path).get("status"))
        if status not in (STOPPING, "SUSPENDING"):
            break
        api.sleep(2)
    return status


def _without_address(api: Api, path: str, instance: Body, differs: set[str]) -> Iterator[Step]:
    if "external address" in differs:
        for link in instance["networkInterfaces"]:
            for given in link.get("accessConfigs") or ():
                which = {"network_interface": link["name"], "access_config": given["name"]}
                yield call(api, "take the external address away", "delete_access_config", path, **which)
    if "IP versions" in differs:
        for link in instance["networkInterfaces"]:
            if link.get("stackType", views.IPV4) != views.IPV4:
                yield Step("take IPv6 away", partial(_without_ipv6, api, path, link["name"]))


def _without_ipv6(api: Api, path: str, interface: str) -> Body:
    """Looks again for the fingerprint: the address that went before has changed it."""
    links = api.compute.get(path)["networkInterfaces"]
    now = next(one for one in links if one["name"] == interface)
    body = {"stackType": views.IPV4, "fingerprint": now["fingerprint"]}
    return api.compute.begin("update_network_interface", path, body, network_interface=interface)


def remember(api: Api, wanted: Wanted, instance: Body, work: Work) -> None:
    """The metadata is as wanted, and holds what was wanted; what it is not ours to set stays."""
    there = views.metadata(instance)
    values = next_metadata(wanted, there, closed=bool(host_keys.recorded(instance)))
    if values != there:
        body = {"items": requests.items(values), "fingerprint": instance["metadata"]["fingerprint"]}
        work.wave([call(api, "set the machine's metadata", "set_metadata", wanted.names.instance, body)])


def next_metadata(wanted: Wanted, there: dict[str, str], *, closed: bool) -> dict[str, str]:
    """What an instance's metadata has to become; `closed`: its host keys are known, and it is to tell no more."""
    others = {key: value for key, value in there.items() if key not in views.OURS}
    kept = {key: there[key] for key in (HOST_KEYS, OPERATOR, ATTRIBUTES) if key in there}
    door = {ATTRIBUTES: "FALSE"} if closed else {}
    return {
        **requests.metadata(wanted), **others, **kept, **door, APPLIED: views.pack(wanted_views(wanted)),
    }  # fmt: skip


def protect(api: Api, path: str, *, on: bool) -> Body:
    return api.compute.begin("set_deletion_protection", path, deletion_protection=on)


def discard(api: Api, wanted: Wanted, existing: Existing, work: Work) -> None:
    """The instance goes with its boot disk; the data disk is not its own and stays, saved once more."""
    assert existing.instance is not None
    instance, path, name = existing.instance, wanted.names.instance, wanted.names.machine
    _save(api, wanted, work)
    disks.keep_all(api, path, work)
    if instance.get("deletionProtection"):
        work.wave([Step("lift the deletion protection", lambda: protect(api, path, on=False))])
    gone = f"machine {name} (its data disk is kept)"
    work.wave([Step("delete the old machine", lambda: api.compute.begin("delete", path), removes=gone)])
    if existing.boot_disk and not disks.boot_goes(wanted.names, instance):
        disks.discard_boot(api, wanted.names, work)
