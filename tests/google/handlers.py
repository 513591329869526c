"""Every handler there is: importing a module registers what it answers."""

from tests.google import iam, kms, monitoring, operations, projects, secretmanager, services, storage
from tests.google.compute import catalog, disks, images, instances, networks, policies, snapshots

LOADED = (
    iam,
    kms,
    monitoring,
    operations,
    projects,
    secretmanager,
    services,
    storage,
    catalog,
    disks,
    images,
    instances,
    networks,
    policies,
    snapshots,
)
