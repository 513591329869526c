"""Pure: what is wanted × what is there → the plan."""

from dataclasses import replace
from typing import Any

from hangar.cloud.gcp import admission, host_keys, requests, secrets, views
from hangar.cloud.gcp.fit import require_new
from hangar.cloud.gcp.names import last
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import ATTRIBUTES, OPERATOR, Wanted
from hangar.cloud.gcp.views import View
from hangar.cloud.gcp.watching import views as watching
from hangar.errors import CloudError
from hangar.plan import Action, Change

Body = dict[str, Any]

WITH_A_STOP = {
    "machine type": "a machine type changes only on a stopped machine",
    "service account": "the account changes only on a stopped machine",
    "scopes": "the account changes only on a stopped machine",
    "secure boot": "Shielded VM changes only on a stopped machine",
    "virtual TPM": "Shielded VM changes only on a stopped machine",
    "integrity monitoring": "Shielded VM changes only on a stopped machine",
    "provisioning": "the scheduling changes only on a stopped machine",
    "on maintenance": "the scheduling changes only on a stopped machine",
    "restarts by itself": "the scheduling changes only on a stopped machine",
    "data disk mode": "what is mounted is attached anew only on a stopped machine",
}
ANEW = ("boot disk type", "boot disk key", "network", "image")
"""What an instance is made with; /srv is on another disk and stays."""

DOOR = "guest attributes"
"""Open, the machine may tell its host keys; any process on it may write there, so it is closed afterwards."""

NEVER = {
    "data disk": ("type", "key"),
    "subnetwork": ("addresses",),
    "network": ("automatic subnetworks",),
    "firewall rule": ("network", "direction"),
}
"""What cannot change without losing something that Hangar does not throw away."""

RUNNING = ("PROVISIONING", "STAGING", "RUNNING", "REPAIRING")
STOPPING = "STOPPING"
SUSPENDED = ("SUSPENDING", "SUSPENDED")
"""Off, with its memory kept. Google resumes such a machine; it neither starts nor changes it."""


def adapted(wanted: Wanted, existing: Existing) -> Wanted:
    """The operator whose key the machine was made with stays: a colleague's plan has nothing to do. So does what is
    known of secrets that we may not look at.
    """
    wanted = replace(wanted, unseen=existing.unseen)
    recorded = views.metadata(existing.instance).get(OPERATOR, "") if existing.instance else ""
    return replace(wanted, spec=replace(wanted.spec, public_key=recorded)) if recorded else wanted


def wanted_views(wanted: Wanted) -> dict[str, View]:
    """Every resource that belongs to the environment, in the order of its making; people come and go by themselves."""
    names = wanted.names
    found: dict[str, View] = {f"service account {names.account}": views.roles(wanted.roles)}
    if wanted.own_network:
        found[f"network {names.machine}"] = views.network(requests.network(wanted))
        found[f"subnetwork {names.machine}"] = views.subnetwork(requests.subnetwork(wanted))
        found[f"router {names.machine}"] = views.router(requests.router(wanted))
    for rule in requests.firewalls(wanted):
        found[f"firewall rule {rule['name']}"] = views.firewall(rule)
    found[f"snapshot schedule {names.policy}"] = views.snapshot_policy(requests.snapshot_policy(wanted))
    found[f"data disk {names.data_disk}"] = views.data_disk(requests.data_disk(wanted))
    view = views.instance(requests.instance(wanted, wanted.gcp.image or "", ""))
    view[DOOR] = "closed"
    if wanted.gcp.image:
        view["image"] = wanted.gcp.image
    found[f"machine {names.machine}"] = view
    readable = (*(one.resource for one in wanted.secrets), *wanted.unseen)
    found |= {secrets.named(one): secrets.view(readable=True) for one in readable}
    return found | watching.wanted(names, wanted.watch)


def existing_views(wanted: Wanted, existing: Existing) -> dict[str, View | None]:
    """The same, of what is there; None where there is nothing."""
    names = wanted.names
    found: dict[str, View | None] = {
        f"service account {names.account}": views.roles(existing.roles) if existing.account else None,
        f"network {names.machine}": existing.network and views.network(existing.network),
        f"subnetwork {names.machine}": existing.subnetwork and views.subnetwork(existing.subnetwork),
        f"router {names.machine}": existing.router and views.router(existing.router),
        f"snapshot schedule {names.policy}": existing.policy and views.snapshot_policy(existing.policy),
        f"data disk {names.data_disk}": existing.data_disk and views.data_disk(existing.data_disk),
        f"machine {names.machine}": existing.instance and _machine(wanted, existing),
    }
    for name in names.firewalls:
        rule = existing.firewalls.get(name)
        found[f"firewall rule {name}"] = rule and views.firewall(rule)
    found |= {secrets.named(one): secrets.view(readable=yes) for one, yes in existing.secrets.items()}
    return found | watching.there(names, wanted.watch, existing.seen)


def _machine(wanted: Wanted, existing: Existing) -> View:
    assert existing.instance is not None
    view = views.instance(existing.instance, existing.boot_disk)
    # As long as its host keys are not known, it is to tell them.
    is_open = views.is_on(views.metadata(existing.instance).get(ATTRIBUTES, ""))
    view[DOOR] = "open" if is_open and host_keys.recorded(existing.instance) else "closed"
    if wanted.gcp.image:
        view["image"] = last((existing.boot_disk or {}).get("sourceImage", ""))
    return view


def changes(wanted: Wanted, existing: Existing) -> tuple[Change, ...]:
    """One line a resource.

    Raises:
        CloudError: something would have to change that cannot, such as a disk's size downwards; or the machine would
            be thrown away for one that cannot be made.
    """
    there = existing_views(wanted, existing)
    found = [
        _change(what, view, there[what], existing, wanted.names.environment)
        for what, view in wanted_views(wanted).items()
        if not what.startswith((secrets.KIND, *watching.KINDS))
    ]
    if any(change.action == "replace" for change in found):
        require_new(wanted, existing)
    return (
        *_left_over(existing),
        *found,
        *secrets.changes(wanted.secrets, existing.secrets),
        *admission.change(wanted.names, wanted.tunnel_users, existing.tunnel_users),
        *watching.changes(wanted.names, wanted.watch, existing.seen),
    )


def _left_over(existing: Existing) -> tuple[Change, ...]:
    """A new machine gets a boot disk of its own, by the same name."""
    left = existing.left_boot_disk
    if left is None:
        return ()
    detail = "left by a machine that is gone; the new one gets its own"
    return (Change(f"boot disk {left['name']}", "delete", detail),)


def _change(what: str, wanted: View, there: View | None, existing: Existing, environment: str) -> Change:
    if there is None:
        return Change(what, "create", summary(wanted))
    different = [
        (name, there.get(name, views.NONE), new)
        for name, new in wanted.items()
        if there.get(name, views.NONE) != new
    ]
    fields = tuple((name, views.short(old), views.short(new)) for name, old, new in different)
    names = [name for name, _, _ in different]
    _require_possible(what, fields, environment)
    if not what.startswith("machine "):
        return Change(what, "update" if fields else "nothing", "", fields)
    action, detail = _how(names, existing)
    if action != "replace" and "machine type" in names:
        _require_same_processor(existing)
    return Change(what, action, detail or ("" if fields else summary(wanted)), fields)


def _how(names: list[str], existing: Existing) -> tuple[Action, str]:
    status = (existing.instance or {}).get("status")
    runs, sleeps = status in RUNNING, status in SUSPENDED
    if any(name in ANEW for name in names):
        return "replace", "made again, only with --allow-replace; /srv is kept"
    reasons = list(dict.fromkeys(WITH_A_STOP[name] for name in names if name in WITH_A_STOP))
    if reasons and (runs or sleeps):
        return "restart", "; ".join(("resume it", *reasons) if sleeps else reasons)
    if not runs:
        return "update", "resume it" if sleeps else "start it"
    if "boot disk" in names:
        return "update", "the boot disk's new size is used from the next start on"
    if "start-up script" in names:
        return "update", "the script runs at the next start"
    return ("update" if names else "nothing"), ""


def summary(view: View) -> str:
    """The one or two fields that say most."""
    named = [
        view[name] for name in ("machine type", "size", "type", "addresses", "roles", "at") if name in view
    ]
    return ", ".join(named[:2])


def _require_possible(what: str, fields: tuple[tuple[str, str, str], ...], environment: str) -> None:
    for name, old, new in fields:
        shrinks = name in ("size", "boot disk") and _gib(new) < _gib(old)
        frozen = any(what.startswith(f"{kind} ") and name in never for kind, never in NEVER.items())
        if shrinks or frozen:
            raise CloudError(
                f"The {what} cannot change its {name} from {old} to {new}.",
                "* A disk only grows." if shrinks else "* Google sets it once, when it is made.",
                _grown(name, old, environment)
                if shrinks
                else f"Take the change back in platform.yml{_other_way(name, environment)}",
            )


def _require_same_processor(existing: Existing) -> None:
    """Google would say it only once the machine is off."""
    disk, kind = existing.boot_disk or {}, existing.machine_type or {}
    is_for, has = disk.get("architecture"), kind.get("architecture")
    if is_for and has and is_for != has:
        raise CloudError(
            f"The machine cannot become {kind['name']}: its boot disk is for {is_for} processors.",
            f"* {kind['name']} has {has} ones.",
            "Choose another gcp.machine_type, or have the machine made anew from another image: gcp.image, and"
            " --allow-replace (/srv is kept).",
        )


def _grown(name: str, old: str, environment: str) -> str:
    """Whether platform.yml was changed, or somebody has grown the disk beside it (by hand, or by `--set`)."""
    setting = "gcp.boot_disk_gb" if name == "boot disk" else "gcp.data_disk.size_gb"
    right = f"Say in platform.yml how large it is: {setting}: {_gib(old)}"
    if name == "boot disk":
        up, gone = f"./provision.py up {environment}", f"./provision.py destroy {environment}"
        return f"{right}. Or make the machine anew (what is under /srv stays): {gone}, then {up}"
    return f"{right}. A snapshot fits no smaller disk either."


def _other_way(name: str, environment: str) -> str:
    """How to come to what cannot be changed."""
    return (
        f". To go on with another {name}, take a snapshot (./provision.py snapshot {environment} create) and make a"
        " machine from it beside this one (docs/google-cloud.md, Moving)."
    )


def _gib(size: str) -> int:
    number = size.partition(" ")[0]
    return int(number) if number.isdigit() else 0
