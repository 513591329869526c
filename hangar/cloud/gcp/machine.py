"""The smallest change of an instance that is there: in place, with a stop, or thrown away and made again."""

import time
from typing import Any

from hangar.cloud.gcp import host_keys, requests, snapshots, views
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.comparison import RUNNING, WITH_A_STOP, wanted_views
from hangar.cloud.gcp.names import IMAGE_LABEL
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import APPLIED, ATTRIBUTES, HOST_KEYS, OPERATOR, Wanted
from hangar.cloud.gcp.work import Step, Work, call
from hangar.errors import HangarError

Body = dict[str, Any]


def change(api: Api, wanted: Wanted, existing: Existing, work: Work) -> None:
    """The instance is as wanted and runs; one that fits and runs is not touched."""
    assert existing.instance is not None
    instance = existing.instance
    old = views.instance(instance, existing.boot_disk)
    new = views.instance(requests.instance(wanted, wanted.gcp.image or "", ""))
    differs = {name for name in new if old.get(name) != new[name]}
    _in_place(api, wanted, existing, differs, work)
    stop = differs & set(WITH_A_STOP)
    if stop or instance["status"] not in RUNNING:
        _while_off(api, wanted, instance, stop, work)
    remember(api, wanted, instance, work)


def _while_off(api: Api, wanted: Wanted, instance: Body, stop: set[str], work: Work) -> None:
    """Stops it if it runs, changes what needs that, starts it."""
    path = wanted.names.instance
    if instance["status"] in RUNNING:
        _save(api, wanted, work)
        work.wave([call(api, "stop the machine", "stop", path)])
    else:
        _settle(api, path)
    try:
        for name, arguments in _stopped_calls(wanted, path, stop):
            work.wave([call(api, f"change the {name}", *arguments)])
        work.wave([call(api, "start the machine", "start", path)])
    except HangarError as error:
        error.details += f"\n* {wanted.names.machine} is off."
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
    if "external address" in differs:
        work.wave([_without_address(api, path, instance)])
    if "data disk" in differs:
        _reattach(api, wanted, instance, work)
    if "boot disk" in differs:
        size = {"sizeGb": str(wanted.gcp.boot_disk_gb)}
        disk = f"{names.in_zone}/disks/{names.boot_disk}"
        work.wave([call(api, "grow the boot disk", "resize", disk, size)])
    if "labels" in differs:
        image = (instance.get("labels") or {}).get(IMAGE_LABEL)
        labels = {**wanted.labels, **({IMAGE_LABEL: image} if image else {})}
        body = {"labels": labels, "labelFingerprint": instance["labelFingerprint"]}
        work.wave([call(api, "set the machine's labels", "set_labels", path, body)])


def _stopped_calls(wanted: Wanted, path: str, stop: set[str]) -> list[tuple[str, tuple[str, str, Body]]]:
    """What changes only while it is off."""
    calls: list[tuple[str, tuple[str, str, Body]]] = []
    if "machine type" in stop:
        kind = f"zones/{wanted.names.zone}/machineTypes/{wanted.gcp.machine_type}"
        calls.append(("machine type", ("set_machine_type", path, {"machineType": kind})))
    if stop & {"service account", "scopes"}:
        account = requests.service_accounts(wanted)[0]
        calls.append(("service account", ("set_service_account", path, account)))
    if stop & {"secure boot", "virtual TPM", "integrity monitoring"}:
        shielded = ("update_shielded_instance_config", path, requests.shielded())
        calls.append(("Shielded VM settings", shielded))
    return calls


def _save(api: Api, wanted: Wanted, work: Work) -> None:
    """What a stop could harm is saved first."""
    name = snapshots.new_name(api, wanted.names, time.time())
    work.wave([snapshots.step(api, wanted.names, name, wanted.labels)])


def _settle(api: Api, path: str) -> None:
    """One that is just stopping can be started when it has stopped."""
    for _ in range(150):
        if api.compute.get(path).get("status") not in ("STOPPING", "SUSPENDING"):
            return
        api.sleep(2)


def _without_address(api: Api, path: str, instance: Body) -> Step:
    given = instance["networkInterfaces"][0]
    which = {"network_interface": given["name"], "access_config": given["accessConfigs"][0]["name"]}
    return call(api, "take the external address away", "delete_access_config", path, **which)


def _reattach(api: Api, wanted: Wanted, instance: Body, work: Work) -> None:
    """Exactly our data disk is attached; a stranger's is detached and kept."""
    body, path = requests.attached_data(wanted), wanted.names.instance
    there = [one for one in instance.get("disks") or () if not one.get("boot")]
    for disk in there:
        if not disk["source"].endswith(body["source"]):
            name = disk["deviceName"]
            work.wave([call(api, f"detach the disk {name}", "detach_disk", path, device_name=name)])
    if not any(disk["source"].endswith(body["source"]) for disk in there):
        work.wave([call(api, "attach the data disk", "attach_disk", path, body)])


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


def discard(api: Api, wanted: Wanted, instance: Body, work: Work) -> None:
    """The instance goes with its boot disk; the data disk is not its own and stays, saved once more."""
    path, name = wanted.names.instance, wanted.names.machine
    _save(api, wanted, work)
    if instance.get("deletionProtection"):
        work.wave([Step("lift the deletion protection", lambda: protect(api, path, on=False))])
    gone = f"machine {name} (its data disk is kept)"
    work.wave([Step("delete the old machine", lambda: api.compute.begin("delete", path), removes=gone)])
