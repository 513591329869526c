"""Disks: made empty, from an image or a snapshot; they grow and never shrink."""

from typing import Any

from tests.google import operations
from tests.google.compute import link
from tests.google.compute.catalog import DISK_TYPES, limit, region_of, used
from tests.google.compute.images import source_image
from tests.google.compute.resources import (
    HOST,
    KINDS,
    check_labels,
    describe,
    find,
    find_ready,
    keep,
    new,
    refer,
    require_unused,
    resolve,
)  # fmt: skip
from tests.google.errors import OperationFailed, already_exists, in_use, invalid, required
from tests.google.held import handle, held, later
from tests.google.operations import effect
from tests.google.state import compute_time, fingerprint
from tests.google.world import PERMISSIONS, Call, World, handles

DISKS = KINDS["disks"]
DEFAULT_GB = {"pd-standard": 500, "pd-balanced": 100, "pd-ssd": 100, "hyperdisk-balanced": 100}


@handles("compute.disks.insert")
def insert(call: Call) -> dict[str, Any]:
    path, disk = new(call, DISKS)
    if call.values.get("sourceImage"):
        disk["sourceImage"] = call.values["sourceImage"]
    complete(call, disk, call.values["zone"])
    operation = keep(call, path, disk, "disk ready")
    refuse_beyond_quota(call, call.values["zone"], operation)
    return operation


def complete(call: Call, disk: dict[str, Any], zone: str) -> None:
    """Fills in what Google fills in; refuses what does not fit."""
    scope = f"projects/{call.project}/zones/{zone}"
    kind = resolve(disk.get("type") or f"zones/{zone}/diskTypes/pd-standard", scope, call)
    name = kind.split("/")[-1]
    if kind != f"{scope}/diskTypes/{name}" or name not in DISK_TYPES:
        raise invalid("resource.type", disk.get("type"), f"Disk type does not exist in zone '{zone}'.")
    smallest = _source(call, disk)
    size = int(disk.get("sizeGb") or smallest or DEFAULT_GB[name])
    if smallest and size < smallest:
        raise invalid(
            "resource.sizeGb", size, f"Requested disk size cannot be smaller than the source ({smallest} GB)"
        )
    if size < int(DISK_TYPES[name]):
        raise invalid("resource.sizeGb", size, f"Disk size must be at least {DISK_TYPES[name]} GB.")
    policies = [_policy(call, one, zone) for one in disk.get("resourcePolicies", ())]
    _one_schedule(policies)
    disk.update(
        type=link(kind),
        sizeGb=str(size),
        status="CREATING",
        physicalBlockSizeBytes="4096",
        labelFingerprint=fingerprint(disk.get("labels", {})),
        enableConfidentialCompute=False,
        **({"resourcePolicies": policies} if policies else {}),
    )
    _encrypt(disk)


def from_parameters(
    call: Call, attached: dict[str, Any], zone: str, default_name: str
) -> tuple[str, dict[str, Any]]:
    """The disk that an instance's initializeParams ask for; it is not kept yet."""
    wanted = attached["initializeParams"]
    path = f"projects/{call.project}/zones/{zone}/disks/{wanted.get('diskName') or default_name}"
    if path in call.state.resources:
        raise already_exists(path)
    check_labels(wanted.get("labels", {}))
    fields = {
        "sizeGb": wanted.get("diskSizeGb"),
        "type": wanted.get("diskType"),
        **{name: wanted[name] for name in ("sourceImage", "sourceSnapshot", "labels", "resourcePolicies", "description")
           if wanted.get(name)},
        **({"diskEncryptionKey": attached["diskEncryptionKey"]} if attached.get("diskEncryptionKey") else {}),
    }  # fmt: skip
    disk = describe(call, DISKS, path, fields)
    complete(call, disk, zone)
    return path, disk


def refuse_beyond_quota(call: Call, zone: str, operation: dict[str, Any]) -> None:
    """The operation that is over a region's quota ends in QUOTA_EXCEEDED."""
    region = region_of(zone)
    usage = used(call, region)
    for metric, taken in usage.items():
        most = limit(call, region, metric)
        if taken > most:
            kept = next(one for one in call.state.operations.values() if one["name"] == operation["name"])
            message = f"Quota '{metric}' exceeded.  Limit: {most:.1f} in region {region}."
            quota = {
                "metricName": f"compute.googleapis.com/{metric.lower()}",
                "limitName": f"{metric.replace('_', '-')}-per-project-region",
                "dimensions": {"region": region},
                "limit": most,
            }
            operations.will_fail(kept, "QUOTA_EXCEEDED", message, {"quotaInfo": quota})


@effect("disk ready")
def disk_ready(world: World, operation: dict[str, Any]) -> None:
    path = operation["_target"]
    disk = world.state.resources[path]
    if not held(world, operation, lambda: fill(world, path)):
        disk["status"] = "READY"


def fill(world: World, path: str) -> None:
    """Copies what is in the snapshot that a disk was made from. Blocks."""
    resources = world.state.resources
    source = resources[path].get("sourceSnapshot", "").split("/v1/")[-1]
    if source in resources and world.machines:
        world.machines.copy_disk(handle(source, resources[source]), handle(path, resources[path]))


@handles("compute.disks.delete")
def delete(call: Call) -> dict[str, Any]:
    path = DISKS.path(call)
    disk = find(call, path)
    for user in disk.get("users", ()):
        raise in_use(path, HOST.sub("", user))
    require_unused(call, path, by=("instances",))
    disk["status"] = "DELETING"
    return operations.begin(call, path, "remove disk", undo="disk stays")


@effect("disk stays")
def disk_stays(world: World, operation: dict[str, Any]) -> None:
    world.state.resources[operation["_target"]]["status"] = "READY"


@effect("remove disk")
def remove_disk(world: World, operation: dict[str, Any]) -> None:
    drop(world, operation["_target"])


def drop(world: World, path: str) -> None:
    gone = world.state.resources.pop(path, None)
    machines = world.machines
    if gone is not None and machines is not None:
        name = handle(path, gone)
        later(world, lambda: machines.remove_disk(name))


@handles("compute.disks.resize")
def resize(call: Call) -> dict[str, Any]:
    path = DISKS.path(call)
    disk = find_ready(call, path)
    if not call.body.get("sizeGb"):
        raise required("sizeGb")
    size, now = int(call.body["sizeGb"]), int(disk["sizeGb"])
    if size <= now:
        raise invalid(
            "sizeGb", size, f"New disk size '{size}' GB must be larger than existing size '{now}' GB."
        )
    operation = operations.begin(
        call, path, "resize disk", undo="resize back", size=str(size), before=str(now)
    )
    disk["sizeGb"] = str(size)
    refuse_beyond_quota(call, call.values["zone"], operation)
    return operation


@effect("resize disk")
def resized(world: World, operation: dict[str, Any]) -> None:
    path = operation["_target"]
    if path not in world.state.resources:
        raise OperationFailed("RESOURCE_NOT_FOUND", f"The resource '{path}' was not found")
    for instance in world.state.resources.values():
        for attached in instance.get("disks", ()):
            if attached.get("source") == link(path):
                attached["diskSizeGb"] = operation["_work"]["size"]


@effect("resize back")
def resized_back(world: World, operation: dict[str, Any]) -> None:
    world.state.resources[operation["_target"]]["sizeGb"] = operation["_work"]["before"]


@handles("compute.disks.addResourcePolicies")
def add_policies(call: Call) -> dict[str, Any]:
    path = DISKS.path(call)
    disk = find_ready(call, path)
    asked = [_policy(call, one, call.values["zone"]) for one in call.body.get("resourcePolicies", ())]
    policies = sorted({*disk.get("resourcePolicies", ()), *asked})
    _one_schedule(policies)
    disk["resourcePolicies"] = policies
    return operations.begin(call, path)


@handles("compute.disks.removeResourcePolicies")
def remove_policies(call: Call) -> dict[str, Any]:
    path = DISKS.path(call)
    disk = find_ready(call, path)
    gone = {_policy(call, one, call.values["zone"]) for one in call.body.get("resourcePolicies", ())}
    for one in gone - set(disk.get("resourcePolicies", ())):
        raise invalid("resourcePolicies", one, "The policy is not attached to the disk.")
    disk["resourcePolicies"] = [one for one in disk["resourcePolicies"] if one not in gone]
    if not disk["resourcePolicies"]:
        del disk["resourcePolicies"]
    return operations.begin(call, path)


def attach(disk: dict[str, Any], instance: str) -> None:
    disk.setdefault("users", []).append(link(instance))
    disk["lastAttachTimestamp"] = compute_time()


def detach(disk: dict[str, Any], instance: str) -> None:
    disk["users"] = [user for user in disk.get("users", ()) if user != link(instance)]
    disk["lastDetachTimestamp"] = compute_time()
    if not disk["users"]:
        del disk["users"]


def _source(call: Call, disk: dict[str, Any]) -> int:
    """Completes the source; returns the GB that it needs."""
    if disk.get("sourceImage"):
        image = source_image(resolve(disk["sourceImage"], f"projects/{call.project}/global", call))
        for name in ("guestOsFeatures", "licenses", "licenseCodes", "architecture"):
            disk[name] = image[name]
        disk.update(sourceImage=image["selfLink"], sourceImageId=image["id"])
        return int(image["diskSizeGb"])
    if disk.get("sourceSnapshot"):
        snapshot = call.state.resources[
            refer(call, "resource.sourceSnapshot", disk["sourceSnapshot"], "snapshots")
        ]
        disk.update(sourceSnapshot=snapshot["selfLink"], sourceSnapshotId=snapshot["id"])
        return int(snapshot["diskSizeGb"])
    return 0


def _encrypt(disk: dict[str, Any]) -> None:
    """Google answers with the key's version, whatever it was asked for."""
    name = disk.get("diskEncryptionKey", {}).get("kmsKeyName")
    if not name:
        return
    if "/cryptoKeys/" not in name or not name.startswith("projects/"):
        raise invalid("resource.diskEncryptionKey.kmsKeyName", name, "It is not the name of a Cloud KMS key.")
    if "/cryptoKeyVersions/" not in name:
        disk["diskEncryptionKey"] = {**disk["diskEncryptionKey"], "kmsKeyName": f"{name}/cryptoKeyVersions/1"}


def _policy(call: Call, value: str, zone: str) -> str:
    policy = refer(call, "resourcePolicies", value, "resourcePolicies")
    if policy.split("/")[3] != region_of(zone):
        raise invalid("resourcePolicies", value, f"The policy is not in the region of zone '{zone}'.")
    return link(policy)


def _one_schedule(policies: list[str]) -> None:
    if len(policies) > 1:
        raise invalid("resourcePolicies", len(policies), "A disk can have at most one snapshot schedule.")


def insert_permissions(wanted: dict[str, Any]) -> list[str]:
    """What making a disk asks for, by what it is made with."""
    extra = {
        "labels": ["compute.disks.setLabels"],
        "resourcePolicies": ["compute.disks.addResourcePolicies", "compute.resourcePolicies.use"],
        "sourceSnapshot": ["compute.snapshots.useReadOnly"],
    }
    return [
        "compute.disks.create",
        *(one for name, asked in extra.items() if wanted.get(name) for one in asked),
    ]


PERMISSIONS["compute.disks.insert"] = lambda call: insert_permissions(call.body)
PERMISSIONS["compute.disks.addResourcePolicies"] = lambda call: [
    "compute.disks.addResourcePolicies", "compute.resourcePolicies.use",
]  # fmt: skip
PERMISSIONS["compute.disks.removeResourcePolicies"] = lambda call: [
    "compute.disks.removeResourcePolicies", "compute.resourcePolicies.use",
]  # fmt: skip
