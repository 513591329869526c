"""What is asked of Google, built without asking it: from what is wanted to the bodies of API calls.

Their fields are those of the discovery document compute.v1; 64-bit numbers are text there.
"""

from dataclasses import dataclass
from typing import Any

from hangar.cloud import startup
from hangar.cloud.base import MachineSpec
from hangar.cloud.gcp.names import IMAGE_LABEL, LABEL, Names
from hangar.cloud.gcp.watching import Watch
from hangar.config.gcp import Gcp
from hangar.given import Given

Body = dict[str, Any]

IAP_RANGES = ("35.235.240.0/20",)
IAP_RANGES_6 = ("2600:2d00:1:7::/64",)
"""Where IAP's tunnels come from (Google Cloud, Using IAP for TCP forwarding)."""

ROLES = ("roles/logging.logWriter", "roles/monitoring.metricWriter")
"""What the machine itself may do on Google Cloud."""

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""The roles are the limit; narrower scopes are Google's older way to say the same."""

DATA_DEVICE = "hangar-data"
DEVICE_PATH = f"/dev/disk/by-id/google-{DATA_DEVICE}"

STARTUP, ATTRIBUTES = "startup-script", "enable-guest-attributes"
OPERATOR, HOST_KEYS, APPLIED = "hangar-operator-key", "hangar-host-keys", "hangar-applied"
"""Metadata of the instance that Hangar keeps: standing state is the cloud itself."""

FIXED_METADATA = {
    "block-project-ssh-keys": "TRUE",
    "enable-oslogin": "FALSE",
    "serial-port-enable": "FALSE",
}
"""One owner of keys: the start-up script admits the operator, later the roles do; Google's agent admits nobody."""


@dataclass(frozen=True)
class Wanted:
    """All that platform.yml says about the machine and what belongs to it. `tunnel_users` are the addresses of the
    people who come through IAP, `secrets` what it reads from Secret Manager, `watch` what Cloud Monitoring holds of it.
    `unseen` are secrets that it may still read, since nobody with the right to it has taken that back: not forgotten.
    """

    names: Names
    gcp: Gcp
    spec: MachineSpec
    tunnel_users: tuple[str, ...] = ()
    secrets: tuple[Given, ...] = ()
    watch: Watch | None = None
    unseen: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        return {LABEL: self.names.environment, **self.gcp.labels}

    @property
    def own_network(self) -> bool:
        return self.gcp.network.existing is None

    @property
    def network(self) -> str:
        return f"{self.names.everywhere}/networks/{self.gcp.network.existing or self.names.machine}"

    @property
    def subnetwork(self) -> str:
        return f"{self.names.in_region}/subnetworks/{self.gcp.network.subnetwork or self.names.machine}"

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(sorted({*ROLES, *self.gcp.service_roles}))


def network(wanted: Wanted) -> Body:
    return {
        "name": wanted.names.machine,
        "description": wanted.names.description,
        "autoCreateSubnetworks": False,
        "routingConfig": {"routingMode": "REGIONAL"},
    }


def subnetwork(wanted: Wanted) -> Body:
    return {
        "name": wanted.names.machine,
        "description": wanted.names.description,
        "network": wanted.network,
        "ipCidrRange": wanted.gcp.network.cidr,
        "stackType": "IPV4_ONLY",
        "privateIpGoogleAccess": True,
        "logConfig": {
            "enable": True,
            "aggregationInterval": "INTERVAL_10_MIN",
            "flowSampling": 0.5,
            "metadata": "INCLUDE_ALL_METADATA",
        },
    }


def router(wanted: Wanted) -> Body:
    """With the NAT that is the machine's only way out."""
    return {
        "name": wanted.names.machine,
        "description": wanted.names.description,
        "network": wanted.network,
        "nats": [
            {
                "name": wanted.names.machine,
                "natIpAllocateOption": "AUTO_ONLY",
                "sourceSubnetworkIpRangesToNat": "LIST_OF_SUBNETWORKS",
                "subnetworks": [{"name": wanted.subnetwork, "sourceIpRangesToNat": ["ALL_IP_RANGES"]}],
                "logConfig": {"enable": True, "filter": "ERRORS_ONLY"},
            }
        ],
    }


ADMIT, DENY = 100, 200
"""Priorities; lower is stronger. A network of yours may have rules of its own, which are not to open this machine."""


def firewalls(wanted: Wanted) -> tuple[Body, ...]:
    """IAP reaches port 22 of the machine's account, and nobody reaches anything else of it."""
    ssh = [{"IPProtocol": "tcp", "ports": ["22"]}]
    everything = [{"IPProtocol": "all"}]
    iap, iap6, deny, deny6 = wanted.names.firewalls
    return (
        _firewall(wanted, iap, ADMIT, IAP_RANGES, {"allowed": ssh}),
        _firewall(wanted, iap6, ADMIT, IAP_RANGES_6, {"allowed": ssh}),
        _firewall(wanted, deny, DENY, ("0.0.0.0/0",), {"denied": everything}),
        _firewall(wanted, deny6, DENY, ("::/0",), {"denied": everything}),
    )


def _firewall(wanted: Wanted, name: str, priority: int, ranges: tuple[str, ...], what: Body) -> Body:
    return {
        "name": name,
        "description": wanted.names.description,
        "network": wanted.network,
        "direction": "INGRESS",
        "priority": priority,
        "sourceRanges": list(ranges),
        "targetServiceAccounts": [wanted.names.email],
        "disabled": False,
        "logConfig": {"enable": True, "metadata": "INCLUDE_ALL_METADATA"},
        **what,
    }


def snapshot_policy(wanted: Wanted) -> Body:
    schedule = wanted.gcp.snapshot_schedule
    return {
        "name": wanted.names.policy,
        "description": wanted.names.description,
        "snapshotSchedulePolicy": {
            "schedule": {"dailySchedule": {"daysInCycle": 1, "startTime": schedule.at}},
            "retentionPolicy": {
                "maxRetentionDays": schedule.keep_days,
                "onSourceDiskDelete": "KEEP_AUTO_SNAPSHOTS",
            },
            "snapshotProperties": {"labels": wanted.labels, "guestFlush": False},
        },
    }


def data_disk(wanted: Wanted, snapshot: str | None = None) -> Body:
    """What is mounted at /srv; empty, or with what a snapshot holds."""
    disk = wanted.gcp.data_disk
    return {
        "name": wanted.names.data_disk,
        "description": wanted.names.description,
        "sizeGb": str(disk.size_gb),
        "type": f"{wanted.names.in_zone}/diskTypes/{disk.type}",
        "labels": wanted.labels,
        "resourcePolicies": [f"{wanted.names.in_region}/resourcePolicies/{wanted.names.policy}"],
        **({"sourceSnapshot": snapshot} if snapshot else {}),
        **({"diskEncryptionKey": {"kmsKeyName": wanted.gcp.kms_key}} if wanted.gcp.kms_key else {}),
    }


def service_account(wanted: Wanted) -> Body:
    return {
        "accountId": wanted.names.account,
        "serviceAccount": {
            "displayName": f"Hangar {wanted.names.environment}",
            "description": wanted.names.description,
        },
    }


def shielded() -> Body:
    return {"enableSecureBoot": True, "enableVtpm": True, "enableIntegrityMonitoring": True}


def scheduling() -> Body:
    """Google moves it out of the way of its own work, and takes it away for nobody."""
    return {"automaticRestart": True, "onHostMaintenance": "MIGRATE", "provisioningModel": "STANDARD"}


def service_accounts(wanted: Wanted) -> list[Body]:
    return [{"email": wanted.names.email, "scopes": [SCOPE]}]


def metadata(wanted: Wanted) -> dict[str, str]:
    """What a new machine begins with: it may still write its host keys where we read them."""
    return {
        **FIXED_METADATA,
        ATTRIBUTES: "TRUE",
        OPERATOR: wanted.spec.public_key,
        STARTUP: startup.render(wanted.spec, DEVICE_PATH),
    }


def items(values: dict[str, str]) -> list[Body]:
    return [{"key": key, "value": value} for key, value in sorted(values.items())]


def attached_data(wanted: Wanted) -> Body:
    return {
        "boot": False,
        "autoDelete": False,
        "mode": "READ_WRITE",
        "type": "PERSISTENT",
        "deviceName": DATA_DEVICE,
        "source": f"{wanted.names.in_zone}/disks/{wanted.names.data_disk}",
    }


def _boot_disk(wanted: Wanted, image: str) -> Body:
    gcp = wanted.gcp
    return {
        "boot": True,
        "autoDelete": True,
        "mode": "READ_WRITE",
        "type": "PERSISTENT",
        "deviceName": "boot",
        "initializeParams": {
            "diskName": wanted.names.boot_disk,
            "diskSizeGb": str(gcp.boot_disk_gb),
            "diskType": f"{wanted.names.in_zone}/diskTypes/{gcp.boot_disk_type}",
            "sourceImage": f"projects/{gcp.image_project}/global/images/{image}",
            "labels": wanted.labels,
        },
        **({"diskEncryptionKey": {"kmsKeyName": gcp.kms_key}} if gcp.kms_key else {}),
    }


def instance(wanted: Wanted, image: str, applied: str) -> Body:
    """The virtual machine, from one exact image. No access configuration: no external address."""
    names = wanted.names
    return {
        "name": names.machine,
        "description": names.description,
        "machineType": f"{names.in_zone}/machineTypes/{wanted.gcp.machine_type}",
        "labels": {**wanted.labels, IMAGE_LABEL: image},
        "metadata": {"items": items({**metadata(wanted), APPLIED: applied})},
        "disks": [_boot_disk(wanted, image), attached_data(wanted)],
        "networkInterfaces": [
            {"network": wanted.network, "subnetwork": wanted.subnetwork, "stackType": "IPV4_ONLY"}
        ],
        "serviceAccounts": service_accounts(wanted),
        "canIpForward": False,
        "deletionProtection": True,
        "shieldedInstanceConfig": shielded(),
        "scheduling": scheduling(),
        "reservationAffinity": {"consumeReservationType": "NO_RESERVATION"},
    }
