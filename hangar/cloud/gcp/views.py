"""What a plan compares: the fields of a resource that Hangar answers for, by their names for people.

The same view is taken of what is wanted (a body of requests.py) and of what is there (Google's answer).
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from hangar.cloud.gcp.names import IMAGE_LABEL, last
from hangar.cloud.gcp.requests import APPLIED, ATTRIBUTES, FIXED_METADATA, HOST_KEYS, OPERATOR, STARTUP

Body = dict[str, Any]
View = dict[str, str]

NONE = "none"
IPV4, READ_WRITE = "IPV4_ONLY", "READ_WRITE"
WAYS_IN = ("ssh-keys", "sshKeys", "startup-script-url", "shutdown-script", "shutdown-script-url", "user-data")
"""Metadata that would admit somebody or run something; Hangar never sets it and takes it away."""

OURS = {*FIXED_METADATA, *WAYS_IN, STARTUP, APPLIED, HOST_KEYS, OPERATOR, ATTRIBUTES}
"""Metadata that a plan answers for. Whatever else there is (an agent's settings, say) stays."""


def network(found: Body) -> View:
    return {"automatic subnetworks": yes(found.get("autoCreateSubnetworks"))}


def subnetwork(found: Body) -> View:
    log = found.get("logConfig") or {}
    return {
        "addresses": str(found.get("ipCidrRange")),
        "Private Google Access": yes(found.get("privateIpGoogleAccess")),
        "flow logs": yes(log.get("enable", found.get("enableFlowLogs"))),
    }


def router(found: Body) -> View:
    """NAT is all that the router is for."""
    return {"NAT": listed(_nat(one) for one in found.get("nats") or ())}


def _nat(nat: Body) -> str:
    names = listed(last(one.get("name", "")) for one in nat.get("subnetworks") or ())
    log = nat.get("logConfig") or {}
    logged = f", logs {log.get('filter')}" if log.get("enable") else ""
    return f"{nat.get('natIpAllocateOption')} for {names}{logged}"


def firewall(found: Body) -> View:
    return {
        "from": listed(found.get("sourceRanges") or ()),
        "from accounts": listed(found.get("sourceServiceAccounts") or ()),
        "from tags": listed(found.get("sourceTags") or ()),
        "admits": listed(_traffic(one) for one in found.get("allowed") or ()),
        "denies": listed(_traffic(one) for one in found.get("denied") or ()),
        "to accounts": listed(found.get("targetServiceAccounts") or ()),
        "to tags": listed(found.get("targetTags") or ()),
        "priority": str(found.get("priority", 1000)),
        "direction": str(found.get("direction", "INGRESS")),
        "in force": yes(not found.get("disabled")),
        "logged": yes((found.get("logConfig") or {}).get("enable")),
        "network": last(found.get("network", "")),
    }


def _traffic(rule: Body) -> str:
    ports = rule.get("ports")
    return f"{rule.get('IPProtocol')}{':' + '+'.join(ports) if ports else ''}"


def snapshot_policy(found: Body) -> View:
    policy = found.get("snapshotSchedulePolicy") or {}
    daily = (policy.get("schedule") or {}).get("dailySchedule") or {}
    kept = policy.get("retentionPolicy") or {}
    return {
        "at": f"{daily.get('startTime', 'never')} UTC",
        "kept for": f"{kept.get('maxRetentionDays', 'ever')} days",
        "when the disk goes": str(kept.get("onSourceDiskDelete")),
    }


def data_disk(found: Body) -> View:
    return {
        "size": f"{found.get('sizeGb')} GiB",
        "type": last(found.get("type", "")),
        "key": key_of(found),
        "snapshots": listed(last(one) for one in found.get("resourcePolicies") or ()),
        "labels": labels(found),
    }


def instance(found: Body, boot_disk: Body | None = None) -> View:
    """`boot_disk` is what is there of it; a body that is wanted holds its own description of it."""
    boot: Body = next((one for one in found.get("disks") or () if one.get("boot")), {})
    made = boot_disk or _from_initial(boot)
    links = found.get("networkInterfaces") or [{}]
    link = links[0]
    accounts = found.get("serviceAccounts") or [{}]
    return {
        "machine type": last(found.get("machineType", "")),
        "boot disk": f"{made.get('sizeGb')} GiB",
        "boot disk type": last(made.get("type", "")),
        "boot disk key": key_of(made),
        "boot disk goes with the machine": yes(boot.get("autoDelete")),
        "network": f"{last(link.get('network', ''))}/{last(link.get('subnetwork', ''))}",
        "external address": yes(any(addresses(one) for one in links)),
        "IP versions": listed({str(one.get("stackType", IPV4)) for one in links}),
        "service account": accounts[0].get("email", NONE),
        "scopes": listed(accounts[0].get("scopes") or ()),
        **_shielded(found.get("shieldedInstanceConfig") or {}),
        **_scheduling(found.get("scheduling") or {}),
        "deletion protection": yes(found.get("deletionProtection")),
        **_data(found),
        "labels": labels(found),
        **_metadata(found),
    }


def addresses(link: Body) -> list[Body]:
    """What of an interface the internet reaches, over IPv4 and over IPv6."""
    return [*(link.get("accessConfigs") or ()), *(link.get("ipv6AccessConfigs") or ())]


def others(found: Body) -> list[Body]:
    """How the disks beside the boot disk are attached; a local SSD belongs to its machine type and is none."""
    return [one for one in found.get("disks") or () if not one.get("boot") and one.get("type") != "SCRATCH"]


def _data(found: Body) -> View:
    """A disk that goes with the machine would be deleted with it, whatever `destroy` promises."""
    attached = others(found)
    ours = [one for one in attached if last(one.get("source", "")) == f"{found.get('name')}-data"]
    return {
        "data disk": listed(last(one.get("source", "")) for one in attached),
        "data disk mode": listed(str(one.get("mode", READ_WRITE)) for one in ours or [{}]),
        "data disk goes with the machine": yes(any(one.get("autoDelete") for one in attached)),
    }


def _scheduling(found: Body) -> View:
    """Whether the machine lasts: Google may stop a spot machine at any time."""
    model = str(found.get("provisioningModel", "STANDARD"))
    return {
        "provisioning": f"{model}, preemptible" if found.get("preemptible") else model,
        "on maintenance": str(found.get("onHostMaintenance", "MIGRATE")),
        "restarts by itself": yes(found.get("automaticRestart")),
    }


def _from_initial(boot: Body) -> Body:
    """A new boot disk as it will be there."""
    given = boot.get("initializeParams") or {}
    return {
        "sizeGb": given.get("diskSizeGb"),
        "type": given.get("diskType", ""),
        "diskEncryptionKey": boot.get("diskEncryptionKey"),
    }


def _shielded(found: Body) -> View:
    return {
        "secure boot": yes(found.get("enableSecureBoot")),
        "virtual TPM": yes(found.get("enableVtpm")),
        "integrity monitoring": yes(found.get("enableIntegrityMonitoring")),
    }


def _metadata(found: Body) -> View:
    values = metadata(found)
    shown = {f"metadata {key}": values.get(key, NONE) for key in (*FIXED_METADATA, *WAYS_IN)}
    return {**shown, "start-up script": values.get(STARTUP, NONE)}


def metadata(found: Body) -> dict[str, str]:
    return {one["key"]: str(one.get("value", "")) for one in (found.get("metadata") or {}).get("items") or ()}


def is_on(value: object) -> bool:
    """Whether a switch in metadata is on: Google takes more words than TRUE for that, in capitals or not
    (https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys, boolean values).
    """
    return str(value).strip().upper() in ("TRUE", "T", "YES", "Y", "1")


def roles(found: Iterable[str]) -> View:
    return {"roles": listed(found)}


def labels(found: Body) -> str:
    """Which image it was made from is no setting."""
    given = found.get("labels") or {}
    return listed(f"{key}={value}" for key, value in given.items() if key != IMAGE_LABEL)


def key_of(disk: Body) -> str:
    """The customer's key, without the version that Google chose."""
    name = str((disk.get("diskEncryptionKey") or {}).get("kmsKeyName") or "")
    return name.partition("/cryptoKeyVersions/")[0] or "Google's"


def listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(map(str, values))) or NONE


def yes(value: object) -> str:
    return "yes" if value else "no"


def pack(views: dict[str, View]) -> str:
    """The views as the instance's metadata keeps them: what the last `up` wanted. Long values by their digest."""
    return json.dumps({what: {name: short(value) for name, value in view.items()} for what, view in views.items()},
                      sort_keys=True, separators=(",", ":"))  # fmt: skip


def unpack(text: str) -> dict[str, View]:
    """Nothing where somebody has damaged it: then no drift can be told from a change of the settings."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and all(isinstance(view, dict) for view in found.values()) else {}


def short(value: str) -> str:
    """A value on one line of a plan; a script by its digest."""
    if "\n" in value or len(value) > 120:
        return f"#{hashlib.sha256(value.encode()).hexdigest()[:12]}"
    return value
