"""What would be done to the virtual machine: a pure comparison of what is wanted with what is there."""

from dataclasses import dataclass

from hangar.cloud.base import MachineSpec
from hangar.cloud.local.comparison import NEW_ONES, describe, differences
from hangar.config.vm import Vm
from hangar.errors import CloudError
from hangar.plan import Change, Plan

RESTARTED = ("cpus", "memory_bytes", "ssh_port")
"""What changes while the machine is off, on the same disks."""

DISKS = {"boot_disk_gb": "system disk", "data_disk_gb": "data disk"}


@dataclass(frozen=True)
class Observed:
    """A machine that is there: what it was made with."""

    running: bool
    spec: MachineSpec
    sizes: Vm
    recipe: str


def make_plan(spec: MachineSpec, sizes: Vm, recipe: str, observed: Observed | None) -> Plan:
    """The changes that lead from `observed` to what is wanted.

    Raises:
        CloudError: a disk would shrink.
    """
    resource = f"machine {spec.name}"
    if observed is None:
        return Plan((Change(resource, "create", describe(spec)),))
    grown = _growth(sizes, observed.sizes, spec.environment)
    live = (*differences(spec, observed.spec, RESTARTED), *grown)
    fixed = differences(spec, observed.spec, NEW_ONES)
    if observed.recipe != recipe:
        fixed += (("system disk's recipe", observed.recipe[:12], recipe[:12]),)
    if fixed:
        return Plan((Change(resource, "replace", "made again; /srv is kept", fixed + live),))
    if live:
        return Plan((Change(resource, "restart", "it has these only from its next start", live),))
    if not observed.running:
        return Plan((Change(resource, "update", "start it"),))
    return Plan((Change(resource, "nothing", describe(spec)),))


def _growth(sizes: Vm, before: Vm, environment: str) -> tuple[tuple[str, str, str], ...]:
    found = []
    for name, label in DISKS.items():
        old, new = getattr(before, name), getattr(sizes, name)
        if new < old:
            raise CloudError(
                f"A disk only grows: the {label} has {old} GiB.",
                f"* vm.{name}: {new}",
                f"Set vm.{name} to {old} or more in platform.yml, or begin anew: ./provision.py destroy {environment}",
            )
        if new > old:
            found.append((label, f"{old} GiB", f"{new} GiB"))
    return tuple(found)
