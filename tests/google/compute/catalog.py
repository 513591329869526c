"""What Google has on offer: regions, zones, machine types, disk types, the project itself."""

from typing import Any

from tests.google import operations
from tests.google.compute import link
from tests.google.compute.listing import page, scoped_page
from tests.google.errors import not_found, stale
from tests.google.state import compute_time, fingerprint
from tests.google.world import Call, handles

REGION_ZONES = {
    "us-central1": "abcf",
    "us-east1": "bcd",
    "europe-west1": "bcd",
    "europe-west3": "abc",
    "europe-west4": "abc",
}
REGION_NAMES = tuple(REGION_ZONES)
ZONE_NAMES = tuple(f"{region}-{letter}" for region, letters in REGION_ZONES.items() for letter in letters)

MACHINE_TYPES = {
    "e2-micro": (2, 1024),
    "e2-small": (2, 2048),
    "e2-medium": (2, 4096),
    **{f"e2-standard-{n}": (n, n * 4096) for n in (2, 4, 8, 16, 32)},
    **{f"e2-highmem-{n}": (n, n * 8192) for n in (2, 4, 8, 16)},
    **{f"n2-standard-{n}": (n, n * 4096) for n in (2, 4, 8, 16, 32)},
    **{f"n2d-standard-{n}": (n, n * 4096) for n in (2, 4, 8, 16, 32)},
    **{f"t2a-standard-{n}": (n, n * 4096) for n in (2, 4, 8, 16, 32)},
}
"""Name: vCPUs, MiB."""

DISK_TYPES = {"pd-standard": "10", "pd-balanced": "10", "pd-ssd": "10", "hyperdisk-balanced": "4"}
"""Name: the smallest size in GB."""

QUOTAS = {
    "CPUS": 72.0,
    "N2_CPUS": 72.0,
    "INSTANCES": 720.0,
    "DISKS_TOTAL_GB": 40960.0,
    "SSD_TOTAL_GB": 10240.0,
}
"""The limits of a region, where a test has ordered no others."""

MADE = "1969-12-31T16:00:00.000-08:00"
"""Google dates what it did not make for anyone so."""


def region_of(zone: str) -> str:
    return zone.rsplit("-", 1)[0]


def limit(call: Call, region: str, metric: str) -> float:
    ordered = call.rules.quotas
    return ordered.get(f"{region}/{metric}", ordered.get(metric, QUOTAS[metric]))


def used(call: Call, region: str) -> dict[str, float]:
    """What of a region's quotas is taken: running machines and all disks."""
    usage = dict.fromkeys(QUOTAS, 0.0)
    for path, resource in call.state.resources.items():
        parts = path.split("/")
        if parts[1] != call.project or parts[2] != "zones" or region_of(parts[3]) != region:
            continue
        if parts[4] == "instances" and resource["status"] != "TERMINATED":
            machine = resource["machineType"].split("/")[-1]
            usage["N2_CPUS" if machine.startswith("n2-") else "CPUS"] += MACHINE_TYPES[machine][0]
            usage["INSTANCES"] += 1
        if parts[4] == "disks":
            ssd = not resource["type"].endswith("/pd-standard")
            usage["SSD_TOTAL_GB" if ssd else "DISKS_TOTAL_GB"] += int(resource["sizeGb"])
    return usage


def _region(call: Call, name: str) -> dict[str, Any]:
    path = f"projects/{call.project}/regions/{name}"
    usage = used(call, name)
    return {
        **_offer("region", path),
        "status": "UP",
        "zones": [link(f"projects/{call.project}/zones/{name}-{letter}") for letter in REGION_ZONES[name]],
        "quotas": [
            {"metric": metric, "limit": limit(call, name, metric), "usage": usage[metric]}
            for metric in QUOTAS
        ],
    }


def _zone(call: Call, name: str) -> dict[str, Any]:
    path = f"projects/{call.project}/zones/{name}"
    region = link(f"projects/{call.project}/regions/{region_of(name)}")
    return {**_offer("zone", path), "status": "UP", "region": region}


def _machine_type(call: Call, zone: str, name: str) -> dict[str, Any]:
    cpus, memory = MACHINE_TYPES[name]
    offer = _offer("machineType", f"projects/{call.project}/zones/{zone}/machineTypes/{name}")
    family = name.split("-")[0]
    return {
        **offer,
        "description": f"{cpus} vCPUs, {memory // 1024} GB RAM ({family})",
        "guestCpus": cpus,
        "memoryMb": memory,
        "maximumPersistentDisks": 128,
        "maximumPersistentDisksSizeGb": "263168",
        "isSharedCpu": name in ("e2-micro", "e2-small", "e2-medium"),
        "imageSpaceGb": 0,
        "architecture": "ARM64" if family == "t2a" else "X86_64",
        "zone": zone,
    }


def _disk_type(call: Call, zone: str, name: str) -> dict[str, Any]:
    offer = _offer("diskType", f"projects/{call.project}/zones/{zone}/diskTypes/{name}")
    return {
        **offer,
        "validDiskSize": f"{DISK_TYPES[name]}GB-65536GB",
        "defaultDiskSizeGb": "100",
        "zone": link(f"projects/{call.project}/zones/{zone}"),
    }


def _offer(kind: str, path: str) -> dict[str, Any]:
    name = path.split("/")[-1]
    number = str(1000 + sum(ord(letter) * place for place, letter in enumerate(path, 1)))
    return {
        "kind": f"compute#{kind}",
        "id": number,
        "name": name,
        "description": name,
        "creationTimestamp": MADE,
        "selfLink": link(path),
    }


def _known(call: Call, singular: str, names: tuple[str, ...] | dict[str, Any]) -> str:
    name = call.values[singular]
    if name not in names:
        place = f"zones/{call.values['zone']}/" if singular in ("machineType", "diskType") else ""
        raise not_found(f"projects/{call.project}/{place}{singular}s/{name}")
    return name


@handles("compute.regions.get")
def get_region(call: Call) -> dict[str, Any]:
    return _region(call, _known(call, "region", REGION_NAMES))


@handles("compute.regions.list")
def list_regions(call: Call) -> dict[str, Any]:
    found = [_region(call, name) for name in REGION_NAMES]
    return page(call, "compute#regionList", f"projects/{call.project}/regions", found)


@handles("compute.zones.get")
def get_zone(call: Call) -> dict[str, Any]:
    return _zone(call, _known(call, "zone", ZONE_NAMES))


@handles("compute.zones.list")
def list_zones(call: Call) -> dict[str, Any]:
    found = [_zone(call, name) for name in ZONE_NAMES]
    return page(call, "compute#zoneList", f"projects/{call.project}/zones", found)


@handles("compute.machineTypes.get")
def get_machine_type(call: Call) -> dict[str, Any]:
    return _machine_type(call, _known(call, "zone", ZONE_NAMES), _known(call, "machineType", MACHINE_TYPES))


@handles("compute.machineTypes.list")
def list_machine_types(call: Call) -> dict[str, Any]:
    zone = _known(call, "zone", ZONE_NAMES)
    found = [_machine_type(call, zone, name) for name in MACHINE_TYPES]
    return page(call, "compute#machineTypeList", f"projects/{call.project}/zones/{zone}/machineTypes", found)


@handles("compute.machineTypes.aggregatedList")
def all_machine_types(call: Call) -> dict[str, Any]:
    found = [
        _machine_type(call, zone, name) | {"zone": f"zones/{zone}"}
        for zone in ZONE_NAMES
        for name in MACHINE_TYPES
    ]
    answer = scoped_page(call, "compute#machineTypeAggregatedList", "machineTypes", found)
    for scope in answer["items"].values():
        for item in scope["machineTypes"]:
            item["zone"] = item["zone"].removeprefix("zones/")
    return answer


@handles("compute.diskTypes.get")
def get_disk_type(call: Call) -> dict[str, Any]:
    return _disk_type(call, _known(call, "zone", ZONE_NAMES), _known(call, "diskType", DISK_TYPES))


@handles("compute.diskTypes.list")
def list_disk_types(call: Call) -> dict[str, Any]:
    zone = _known(call, "zone", ZONE_NAMES)
    found = [_disk_type(call, zone, name) for name in DISK_TYPES]
    return page(call, "compute#diskTypeList", f"projects/{call.project}/zones/{zone}/diskTypes", found)


@handles("compute.projects.get")
def get_project(call: Call) -> dict[str, Any]:
    known = call.state.table("projects")[call.project]
    items = known.get("metadata", [])
    path = f"projects/{call.project}"
    return {
        "kind": "compute#project",
        "id": known["number"],
        "name": call.project,
        "creationTimestamp": known.setdefault("made", compute_time()),
        "selfLink": link(path),
        "commonInstanceMetadata": {
            "kind": "compute#metadata",
            "fingerprint": fingerprint(items),
            **({"items": items} if items else {}),
        },
        "defaultServiceAccount": f"{known['number']}-compute@developer.gserviceaccount.com",
        "defaultNetworkTier": "PREMIUM",
        "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
        "vmDnsSetting": "ZONAL_ONLY",
    }


@handles("compute.projects.setCommonInstanceMetadata")
def set_project_metadata(call: Call) -> dict[str, Any]:
    known = call.state.table("projects")[call.project]
    if call.body.get("fingerprint") != fingerprint(known.get("metadata", [])):
        raise stale()
    known["metadata"] = call.body.get("items", [])
    return operations.begin(call, f"projects/{call.project}/global/projects/{call.project}")
