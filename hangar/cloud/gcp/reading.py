"""What there is of an environment: one call a kind of resource, all side by side; changes nothing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from hangar.cloud.gcp import abreast, admission, policy, secrets, views
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.names import LABEL, Names, last
from hangar.cloud.gcp.requests import APPLIED, Wanted
from hangar.cloud.gcp.watching import reading as monitoring
from hangar.cloud.gcp.watching import views as watching
from hangar.errors import CloudError

Body = dict[str, Any]


@dataclass(frozen=True)
class Existing:
    """Google's answers; None where there is nothing."""

    network: Body | None = None
    subnetwork: Body | None = None
    router: Body | None = None
    firewalls: dict[str, Body] = field(default_factory=dict)
    others_rules: tuple[Body, ...] = ()
    """Firewall rules on the machine's network that are not ours."""
    policy: Body | None = None
    data_disk: Body | None = None
    boot_disk: Body | None = None
    instance: Body | None = None
    account: Body | None = None
    roles: tuple[str, ...] = ()
    tunnel_users: tuple[str, ...] = ()
    image: Body | None = None
    machine_type: Body | None = None
    project: Body = field(default_factory=dict)
    secrets: dict[str, bool] = field(default_factory=dict)
    """Whether the machine may read each: those that are wanted, and those of the last `up`."""
    unseen: tuple[str, ...] = ()
    """Secrets of the last `up` that are wanted no more and that we may not look at."""
    seen: monitoring.Seen = field(default_factory=monitoring.Seen)
    """What Cloud Monitoring holds. It is asked where that is wanted, or was at the last `up`."""

    @property
    def left_boot_disk(self) -> Body | None:
        """The boot disk of a machine that is gone, where somebody kept it. One in use belongs to a machine that
        another look will find.
        """
        disk = self.boot_disk
        return disk if disk and self.instance is None and not disk.get("users") else None


def read(api: Api, wanted: Wanted, *, also: Iterable[str] = (), watched: bool = False) -> Existing:
    """Everything at once. `also` are secrets that the machine may have been let read; `watched` says that Cloud
    Monitoring may hold something.

    Raises:
        CloudError: Google refused, or something of our name is not ours.
    """
    names = wanted.names
    api.session.renew()
    found = abreast.ask(_looks(api, wanted))
    disks = found.pop("disks")
    project_policy = found.pop("project_policy")
    rules = {one["name"]: one for one in found.pop("rules")}
    ours = {name: rule for name, rule in rules.items() if name in names.firewalls}
    existing = Existing(
        **found,
        firewalls=ours,
        others_rules=tuple(
            rule for name, rule in rules.items() if name not in ours and _is_on(rule, wanted.network)
        ),
        roles=policy.roles_in(project_policy, names.email, apart=True),
        tunnel_users=admission.users_in(project_policy, names),
        data_disk=_in_our_zone(disks, names.data_disk, names),
        boot_disk=_in_our_zone(disks, names.boot_disk, names),
    )
    require_ours(existing, wanted)
    applied = views.unpack(views.metadata(existing.instance or {}).get(APPLIED, ""))
    if wanted.watch:
        monitoring.require_channels(api, wanted.watch)
    if wanted.watch or watched or any(what.startswith(watching.KINDS) for what in applied):
        existing = replace(existing, seen=monitoring.read(api, names))
    before = dict.fromkeys((*secrets.remembered(applied), *also))
    if not (wanted.secrets or before):
        return existing
    readable, unseen = secrets.read(api, names, wanted.secrets, before)
    return replace(existing, secrets=readable, unseen=unseen)


def _looks(api: Api, wanted: Wanted) -> dict[str, Callable[[], Any]]:
    names = wanted.names
    prefix = f'name eq "{names.machine}(-.*)?"'
    looks: dict[str, Callable[[], Any]] = {
        "subnetwork": lambda: api.compute.find(wanted.subnetwork),
        # All of them: others' rules on the machine's network may open it, and a rule of our name may be on another.
        "rules": lambda: api.compute.items(f"{names.everywhere}/firewalls"),
        "policy": lambda: api.compute.find(f"{names.in_region}/resourcePolicies/{names.policy}"),
        # Over all zones: a disk that stands elsewhere must not be taken for none.
        "disks": lambda: api.compute.items_everywhere("disks", prefix),
        "instance": lambda: api.compute.find(names.instance),
        "account": lambda: api.rest.find("iam", f"v1/{names.root}/serviceAccounts/{names.email}"),
        "project_policy": lambda: policy.get(api),
        "image": lambda: _image(api, wanted),
        "machine_type": lambda: api.compute.find(f"{names.in_zone}/machineTypes/{wanted.gcp.machine_type}"),
        "project": lambda: api.compute.get(names.root),
    }
    if wanted.own_network:
        looks["network"] = lambda: api.compute.find(wanted.network)
        looks["router"] = lambda: api.compute.find(f"{names.in_region}/routers/{names.machine}")
    return looks


def _is_on(rule: Body, network: str) -> bool:
    return str(rule.get("network", "")).endswith(f"/{network}")


def _image(api: Api, wanted: Wanted) -> Body | None:
    """What a new machine would be made from."""
    gcp = wanted.gcp
    if gcp.image:
        return api.compute.find(f"projects/{gcp.image_project}/global/images/{gcp.image}")
    return api.compute.newest_image(gcp.image_project, gcp.image_family)


def _in_our_zone(disks: Iterable[Body], name: str, names: Names) -> Body | None:
    """The disk of that name. Another one may have it in another zone: only instead of ours it stands in the way."""
    found = {last(one["zone"]): one for one in disks if one["name"] == name}
    if not found or names.zone in found:
        return found.get(names.zone)
    zone, disk = next(iter(found.items()))
    raise CloudError(
        f"The disk {disk['name']} stands in the zone {zone}, and platform.yml says {names.zone}.",
        "* A disk does not move to another zone.",
        f"Set gcp.zone back to {zone}; or remove the machine there first and restore a snapshot of its data here"
        " (docs/google-cloud.md, Moving).",
    )


def require_ours(existing: Existing, wanted: Wanted) -> None:
    """Raises CloudError if something bears our name and was not made by us: it would be changed, and `destroy` would
    take it away.
    """
    names = wanted.names
    labelled = (("disk", existing.data_disk), ("disk", existing.boot_disk), ("instance", existing.instance))
    for kind, found in labelled:
        if found and not _is_ours(found, existing.instance, names):
            raise _stranger(kind, found, names, f"label {LABEL}={names.environment}")
    described = {
        "network": existing.network, "router": existing.router, "resource policy": existing.policy,
        "subnetwork": existing.subnetwork if wanted.own_network else None, "service account": existing.account,
        **{f"firewall rule {name}": rule for name, rule in existing.firewalls.items()},
    }  # fmt: skip
    for kind, found in described.items():
        if found and found.get("description") != names.description:
            raise _stranger(kind, found, names, f"description “{names.description}”")


def _is_ours(found: Body, instance: Body | None, names: Names) -> bool:
    """By its label. Anybody may take labels away by hand, which makes nothing a stranger's: the description stays as it
    was made, and a boot disk, which has none, is at our machine.
    """
    if (found.get("labels") or {}).get(LABEL) == names.environment:
        return True
    if found.get("description") == names.description:
        return True
    if instance is None or not _is_ours(instance, None, names):
        return False
    attached = instance.get("disks") or ()
    return any(one.get("boot") and last(one.get("source", "")) == found["name"] for one in attached)


def _stranger(kind: str, found: Body, names: Names, mark: str) -> CloudError:
    return CloudError(
        f"There is a {kind} named {last(found['name'])} in {names.project} that Hangar did not make.",
        f"* It lacks the {mark}.",
        "Rename or remove it, or use an environment of another name: ./provision.py init NAME --cloud gcp",
    )
