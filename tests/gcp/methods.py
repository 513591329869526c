"""The methods of Google's APIs that Hangar calls, by the scenes beside it (scenes/): whatever it calls belongs to one.

A test of tests/gcp during which it calls another fails; so does a method's name in its source that stands nowhere here.
"""

from __future__ import annotations

UP = (
    "cloudresourcemanager.projects.getIamPolicy", "cloudresourcemanager.projects.setIamPolicy",
    "compute.disks.aggregatedList", "compute.disks.insert", "compute.firewalls.insert", "compute.firewalls.list",
    "compute.globalOperations.wait", "compute.images.getFromFamily", "compute.instances.get",
    "compute.instances.getGuestAttributes", "compute.instances.insert", "compute.instances.setMetadata",
    "compute.machineTypes.get", "compute.networks.get", "compute.networks.insert", "compute.projects.get",
    "compute.regionOperations.wait", "compute.resourcePolicies.get", "compute.resourcePolicies.insert",
    "compute.routers.get", "compute.routers.insert", "compute.subnetworks.get", "compute.subnetworks.insert",
    "compute.zoneOperations.wait", "iam.projects.serviceAccounts.create", "iam.projects.serviceAccounts.get",
    "storage.buckets.insert", "storage.objects.delete", "storage.objects.insert",
)  # fmt: skip
"""From an empty project to a machine. The other scenes name what they call beside these, and those of these that they
call in a way of their own.
"""

CHANGE = (
    "compute.disks.addResourcePolicies", "compute.disks.createSnapshot", "compute.disks.removeResourcePolicies",
    "compute.disks.resize", "compute.disks.setLabels", "compute.firewalls.update", "compute.instances.attachDisk",
    "compute.instances.deleteAccessConfig", "compute.instances.detachDisk",
    "compute.instances.setDeletionProtection", "compute.instances.setDiskAutoDelete", "compute.instances.setLabels",
    "compute.instances.setMachineType", "compute.instances.setScheduling", "compute.instances.setServiceAccount",
    "compute.instances.start", "compute.instances.stop", "compute.instances.updateNetworkInterface",
    "compute.instances.updateShieldedInstanceConfig", "compute.resourcePolicies.patch", "compute.routers.patch",
    "compute.snapshots.get", "compute.subnetworks.patch", "compute.subnetworks.setPrivateIpGoogleAccess",
)  # fmt: skip
LIFE = (
    "compute.disks.createSnapshot", "compute.instances.resume", "compute.instances.start", "compute.instances.stop",
    "compute.snapshots.delete", "compute.snapshots.get", "compute.snapshots.list",
)  # fmt: skip
REPLACE = (
    "compute.disks.createSnapshot", "compute.disks.delete", "compute.instances.delete",
    "compute.instances.getGuestAttributes", "compute.instances.insert",
    "compute.instances.setDeletionProtection", "compute.instances.setDiskAutoDelete",
    "compute.instances.setMetadata", "compute.snapshots.get", "compute.zoneOperations.wait",
)  # fmt: skip
RESTORE = (
    "compute.disks.get", "compute.disks.insert", "compute.snapshots.get", "compute.zoneOperations.wait",
    "storage.objects.delete", "storage.objects.insert",
)  # fmt: skip
LEAVE = ("cloudresourcemanager.projects.getIamPolicy", "cloudresourcemanager.projects.setIamPolicy")
SECRETS = (
    "secretmanager.projects.secrets.getIamPolicy", "secretmanager.projects.secrets.setIamPolicy",
    "secretmanager.projects.secrets.versions.get",
)  # fmt: skip
WATCH = (
    "monitoring.projects.alertPolicies.create", "monitoring.projects.alertPolicies.list",
    "monitoring.projects.dashboards.create", "monitoring.projects.dashboards.list",
    "monitoring.projects.notificationChannels.create", "monitoring.projects.notificationChannels.get",
    "monitoring.projects.notificationChannels.list",
)  # fmt: skip
WATCH_OTHERWISE = (
    "monitoring.projects.alertPolicies.delete", "monitoring.projects.alertPolicies.list",
    "monitoring.projects.alertPolicies.patch", "monitoring.projects.dashboards.list",
    "monitoring.projects.dashboards.patch", "monitoring.projects.notificationChannels.list",
    "monitoring.projects.notificationChannels.patch",
)  # fmt: skip
WATCH_NO_MORE = (
    "monitoring.projects.alertPolicies.delete", "monitoring.projects.alertPolicies.list",
    "monitoring.projects.dashboards.delete", "monitoring.projects.dashboards.list",
    "monitoring.projects.notificationChannels.delete", "monitoring.projects.notificationChannels.list",
)  # fmt: skip
BREAK_LOCK = ("storage.objects.delete", "storage.objects.get", "storage.objects.insert")
DEAD_LOCK = ("storage.objects.get", "storage.objects.insert")
EXHAUSTED = ("compute.zones.list",)
SILENT = ("compute.instances.getSerialPortOutput",)
PINNED = ("compute.images.get",)
DOCTOR = (
    "cloudresourcemanager.projects.testIamPermissions", "compute.projects.get", "compute.zones.get",
    "serviceusage.services.batchGet",
)  # fmt: skip
DOCTOR_OF_SECRETS = (
    *DOCTOR,
    "secretmanager.projects.secrets.getIamPolicy", "secretmanager.projects.secrets.testIamPermissions",
    "secretmanager.projects.secrets.versions.get",
)  # fmt: skip
DOCTOR_OF_KEY = (*DOCTOR, "cloudkms.projects.locations.keyRings.cryptoKeys.get")
BACKUPS = ("storage.objects.get", "storage.objects.list")
END = (
    "compute.disks.delete", "compute.firewalls.delete", "compute.instances.delete",
    "compute.instances.setDeletionProtection", "compute.networks.delete", "compute.resourcePolicies.delete",
    "compute.routers.delete", "compute.snapshots.list", "compute.subnetworks.delete",
    "iam.projects.serviceAccounts.delete", "storage.buckets.delete",
)  # fmt: skip

ALL = frozenset(
    (
        *UP, *CHANGE, *LIFE, *REPLACE, *RESTORE, *LEAVE, *SECRETS, *WATCH, *WATCH_OTHERWISE, *WATCH_NO_MORE,
        *BREAK_LOCK, *DEAD_LOCK, *EXHAUSTED, *SILENT, *PINNED, *DOCTOR, *DOCTOR_OF_SECRETS, *DOCTOR_OF_KEY,
        *BACKUPS, *END,
    )
)  # fmt: skip

OF_THE_TESTS = frozenset(
    (
        "cloudkms.projects.locations.keyRings.cryptoKeys.create",
        "cloudkms.projects.locations.keyRings.cryptoKeys.cryptoKeyVersions.patch",
        "compute.projects.setCommonInstanceMetadata", "secretmanager.projects.secrets.addVersion",
        "secretmanager.projects.secrets.create", "secretmanager.projects.secrets.versions.disable",
    )
)  # fmt: skip
"""What they call themselves, to make what Hangar finds."""
