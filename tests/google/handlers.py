"""Every handler there is: importing a module registers what it answers."""

from tests.google import operations
from tests.google.compute import catalog, disks, images, instances, networks, policies, snapshots

LOADED = (operations, catalog, disks, images, instances, networks, policies, snapshots)
