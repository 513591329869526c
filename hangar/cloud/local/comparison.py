"""What would be done to the container: a pure comparison of what is wanted with what is there."""

from dataclasses import dataclass

from hangar.cloud.base import MachineSpec
from hangar.plan import Change, Plan

IN_PLACE = ("cpus", "memory_bytes")
"""What a running machine can change; everything else needs a new one (with the old /srv)."""

NEW_ONES = ("admin", "public_key")
"""What only a new machine takes on."""

NAMES = {"cpus": "cpus", "memory_bytes": "memory", "ssh_port": "SSH port", "admin": "administrator",
         "public_key": "administrator's key"}  # fmt: skip


@dataclass(frozen=True)
class Observed:
    """What is there now. `spec` is what the machine was made with; `recipe` what its base image was made
    from, and `recipe_now` what a new one would be made from (None where that means nothing).
    """

    exists: bool
    running: bool
    spec: MachineSpec | None = None
    recipe: str | None = None
    recipe_now: str | None = None


def make_plan(spec: MachineSpec, observed: Observed) -> Plan:
    """The changes that lead from `observed` to `spec`. A machine that fits yields action "nothing"."""
    return Plan((_machine(spec, observed),))


def _machine(spec: MachineSpec, observed: Observed) -> Change:
    resource = f"machine {spec.name}"
    if not observed.exists:
        return Change(resource, "create", describe(spec))
    live = differences(spec, observed.spec, IN_PLACE)
    fixed = differences(spec, observed.spec, ("ssh_port", *NEW_ONES))
    if observed.recipe and observed.recipe_now and observed.recipe != observed.recipe_now:
        fixed += (("base image", observed.recipe[:12], observed.recipe_now[:12]),)
    if fixed:
        return Change(resource, "replace", "made again; /srv is kept", fixed + live)
    if live or not observed.running:
        return Change(resource, "update", "" if observed.running else "start it", live)
    return Change(resource, "nothing", describe(spec))


def differences(
    spec: MachineSpec, old: MachineSpec | None, names: tuple[str, ...]
) -> tuple[tuple[str, str, str], ...]:
    """(name, old, new) of what differs, in words."""
    if old is None:
        return ()
    pairs = [(name, getattr(old, name), getattr(spec, name)) for name in names]
    # "Any free port" is content with the one that it got.
    return tuple(
        (NAMES[name], _show(name, before), _show(name, after))
        for name, before, after in pairs
        if before != after and not (name == "ssh_port" and after is None)
    )


def describe(spec: MachineSpec) -> str:
    return f"{_show('cpus', spec.cpus)} CPUs, {_show('memory_bytes', spec.memory_bytes)} memory"


def _show(name: str, value: object) -> str:
    if value is None:
        return "all" if name in IN_PLACE else "any"
    if name == "memory_bytes" and isinstance(value, int):
        return f"{value / 2**30:g} GiB"
    if name == "public_key":
        return f"…{str(value).split()[1][-16:]}" if value else "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
