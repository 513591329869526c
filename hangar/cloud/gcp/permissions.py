"""The permissions that Hangar needs on a project, and for each a role that has it."""

from collections.abc import Iterable

ROLES = {
    "roles/compute.networkAdmin": ("compute.networks.", "compute.subnetworks.", "compute.routers."),
    "roles/compute.securityAdmin": ("compute.firewalls.",),
    "roles/compute.instanceAdmin.v1": ("compute.",),
    "roles/iam.serviceAccountUser": ("iam.serviceAccounts.actAs",),
    "roles/iam.serviceAccountAdmin": ("iam.serviceAccounts.",),
    "roles/resourcemanager.projectIamAdmin": ("resourcemanager.projects.",),
    "roles/storage.admin": ("storage.",),
    "roles/iap.tunnelResourceAccessor": ("iap.",),
    "roles/serviceusage.serviceUsageConsumer": ("serviceusage.",),
    "roles/secretmanager.admin": ("secretmanager.",),
    "roles/monitoring.alertPolicyEditor": ("monitoring.alertPolicies.",),
    "roles/monitoring.notificationChannelEditor": ("monitoring.notificationChannels.",),
    "roles/monitoring.dashboardEditor": ("monitoring.dashboards.",),
}
"""Role → how the permissions begin that it is named for; the first that fits counts."""

NEEDED = (
    "compute.disks.addResourcePolicies", "compute.disks.create", "compute.disks.createSnapshot",
    "compute.disks.delete", "compute.disks.get", "compute.disks.list", "compute.disks.removeResourcePolicies",
    "compute.disks.resize", "compute.disks.setLabels", "compute.disks.use",
    "compute.firewalls.create", "compute.firewalls.delete", "compute.firewalls.get", "compute.firewalls.list",
    "compute.firewalls.update",
    "compute.globalOperations.get", "compute.regionOperations.get", "compute.zoneOperations.get",
    "compute.instances.attachDisk", "compute.instances.create", "compute.instances.delete",
    "compute.instances.deleteAccessConfig", "compute.instances.detachDisk", "compute.instances.get",
    "compute.instances.getGuestAttributes", "compute.instances.getSerialPortOutput", "compute.instances.resume",
    "compute.instances.setDeletionProtection", "compute.instances.setDiskAutoDelete", "compute.instances.setLabels",
    "compute.instances.setMachineType", "compute.instances.setMetadata", "compute.instances.setScheduling",
    "compute.instances.setServiceAccount", "compute.instances.start", "compute.instances.stop",
    "compute.instances.updateNetworkInterface", "compute.instances.updateShieldedInstanceConfig",
    "compute.instances.use",
    "compute.machineTypes.get",
    "compute.networks.create", "compute.networks.delete", "compute.networks.get",
    "compute.networks.updatePolicy", "compute.networks.use",
    "compute.projects.get",
    "compute.resourcePolicies.create", "compute.resourcePolicies.delete", "compute.resourcePolicies.get",
    "compute.resourcePolicies.update", "compute.resourcePolicies.use",
    "compute.routers.create", "compute.routers.delete", "compute.routers.get", "compute.routers.update",
    "compute.snapshots.create", "compute.snapshots.delete", "compute.snapshots.get", "compute.snapshots.list",
    "compute.snapshots.setLabels", "compute.snapshots.useReadOnly",
    "compute.subnetworks.create", "compute.subnetworks.delete", "compute.subnetworks.get",
    "compute.subnetworks.setPrivateIpGoogleAccess", "compute.subnetworks.update", "compute.subnetworks.use",
    "compute.zones.get", "compute.zones.list",
    "iam.serviceAccounts.actAs", "iam.serviceAccounts.create", "iam.serviceAccounts.delete",
    "iam.serviceAccounts.get",
    "iap.tunnelInstances.accessViaIAP",
    "resourcemanager.projects.getIamPolicy", "resourcemanager.projects.setIamPolicy",
    "serviceusage.services.get", "serviceusage.services.use",
    "storage.buckets.create", "storage.buckets.delete", "storage.buckets.get",
    "storage.objects.create", "storage.objects.delete", "storage.objects.get",
)  # fmt: skip
"""On the project, for everything that Hangar does there."""

OWNERS_OTHERWISE = (
    "storage.buckets.get", "storage.objects.create", "storage.objects.delete", "storage.objects.get",
)  # fmt: skip
"""Which of them the role of a project's owner does not hold: Google gives its owners these on each of its buckets
(https://cloud.google.com/storage/docs/access-control/iam-roles, basic roles).
"""

AN_OWNERS = "resourcemanager.projects.delete"
"""Held by an owner. Nothing that Hangar does needs it."""

AT_ONCE = 100
"""How many permissions Google takes in one call of testIamPermissions."""

FOR_SECRETS = (
    "secretmanager.secrets.getIamPolicy", "secretmanager.secrets.setIamPolicy", "secretmanager.versions.get",
)  # fmt: skip
"""On each secret that platform.yml or pipelines/*.yml name, where Secret Manager has them. None reads a value."""

FOR_MONITORING = (
    "monitoring.alertPolicies.create", "monitoring.alertPolicies.delete", "monitoring.alertPolicies.list",
    "monitoring.alertPolicies.update",
    "monitoring.dashboards.create", "monitoring.dashboards.delete", "monitoring.dashboards.list",
    "monitoring.dashboards.update",
    "monitoring.notificationChannels.create", "monitoring.notificationChannels.delete",
    "monitoring.notificationChannels.get", "monitoring.notificationChannels.list",
    "monitoring.notificationChannels.update",
)  # fmt: skip
"""On the project, where platform.yml has Google keep the figures (monitoring.backend). None reads a figure or a log."""


ROLE_ID = 64
"""How long the id of a project's own role may be."""


def role_for(permission: str) -> str | None:
    """A predefined role that has the permission, as narrow as there is one; None where no role is known."""
    for role, beginnings in ROLES.items():
        if permission.startswith(beginnings):
            return role
    return None


def grants(permissions: Iterable[str], project: str, member: str) -> list[str]:
    """The commands that give the member the permissions: by predefined roles, and for what none is known to have by a
    role of the project's own with it alone. A role as wide as the owner's is never among them. Where a policy holds a
    condition, as that of people's tunnel does, gcloud wants to be told that this binding has none.
    """
    bind = f"gcloud projects add-iam-policy-binding {project} --condition None --member {member} --role"
    known: list[str] = []
    own: list[str] = []
    for permission in permissions:
        if role := role_for(permission):
            known.append(f"{bind} {role}")
            continue
        name = f"hangar_{permission.replace('.', '_')}"[:ROLE_ID]
        own.append(f"gcloud iam roles create {name} --project {project} --permissions {permission}")
        own.append(f"{bind} projects/{project}/roles/{name}")
    return list(dict.fromkeys((*known, *own)))
