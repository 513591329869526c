"""What `destroy` takes away, in the order in which Google lets it go; the data disk only where that was said."""

from collections.abc import Callable, Iterator
from typing import Any

from hangar.cloud.gcp import admission, disks, machine, policy, secrets, snapshots, views
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.errors import NotThere
from hangar.cloud.gcp.names import last
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import Wanted
from hangar.cloud.gcp.watching import making as watching
from hangar.cloud.gcp.watching import views as watched
from hangar.cloud.gcp.work import Step, Work
from hangar.plan import Removal

Body = dict[str, Any]


def removal(
    wanted: Wanted, existing: Existing, kept: list[snapshots.Snapshot], *, with_data: bool
) -> Removal:
    """What would go, and what would stay."""
    goes = [
        *_watched(wanted, existing),
        *(what for what, _, _ in _resources(wanted, existing, with_data=with_data)),
    ]
    if existing.tunnel_users:
        goes.append(_tunnel(wanted, existing))
    goes += [_reading(one) for one, readable in sorted(existing.secrets.items()) if readable]
    if existing.account:
        goes.append(_account(wanted))
    names, disk = wanted.names, existing.data_disk
    stays = [
        f"disk {name} (attached by somebody else; not Hangar's)" for name in _strangers(wanted, existing)
    ]
    if disk and not with_data:
        stays.append(f"data disk {names.data_disk}, {disk['sizeGb']} GiB (goes with --with-data)")
        if existing.policy:
            stays.append(f"snapshot schedule {names.policy}")
    if wanted.own_network and existing.network:
        stays += [_rule(wanted, one["name"]) for one in existing.others_rules]
    stays += [
        f"snapshot {one.name} (./provision.py snapshot {names.environment} delete {one.name})" for one in kept
    ]
    return Removal(tuple(goes), tuple(stays), takes_data=with_data and disk is not None, guarded=True)


def remove(api: Api, wanted: Wanted, existing: Existing, work: Work, *, with_data: bool) -> list[str]:
    """Returns what was removed. Interrupted, it goes on where it was when it is called again."""
    removed = list(_watched(wanted, existing))
    if removed:  # before the machine, whose silence would be an alert
        work.wave([Step("remove what Cloud Monitoring holds", lambda: watching.remove(api, existing.seen))])
    # While the machine is there: it remembers which secrets it may read.
    for resource in sorted(one for one, readable in existing.secrets.items() if readable):
        work.report(f"no longer let the machine read {resource}")
        try:
            secrets.ensure(api, wanted.names, resource, readable=False)
        except secrets.NotYours:
            continue  # the right stays in somebody else's policy; the account that had it goes
        removed.append(_reading(resource))
    if existing.instance and existing.instance.get("deletionProtection"):
        lift = Step(
            "lift the deletion protection", lambda: machine.protect(api, wanted.names.instance, on=False)
        )
        work.wave([lift])
    if existing.instance:
        disks.keep_all(api, wanted.names.instance, work)
    for what, path, _ in _resources(wanted, existing, with_data=with_data):
        work.wave([Step(f"remove the {what}", _unless_gone(api, path))])
        removed.append(what)
    if existing.account or existing.roles:
        work.report("remove the service account and its roles")
        policy.ensure(api, wanted.names.email, ())
    if existing.tunnel_users:
        work.report("close the tunnel to its people")
        admission.ensure(api, wanted.names, ())
        removed.append(_tunnel(wanted, existing))
    if existing.account:
        _remove_account(api, wanted)
        removed.append(_account(wanted))
    return removed


def _resources(wanted: Wanted, existing: Existing, *, with_data: bool) -> Iterator[tuple[str, str, Body]]:
    """(what, path, what is there), each after what uses it."""
    names = wanted.names
    if existing.instance:
        yield f"machine {names.machine}", names.instance, existing.instance
    goes_along = existing.instance and disks.boot_goes(names, existing.instance)
    if existing.boot_disk and not goes_along:  # somebody kept it
        yield f"boot disk {names.boot_disk}", f"{names.in_zone}/disks/{names.boot_disk}", existing.boot_disk
    if existing.data_disk and with_data:
        yield (
            f"data disk {names.data_disk} and what is on it",
            f"{names.in_zone}/disks/{names.data_disk}",
            existing.data_disk,
        )
    if existing.policy and (with_data or not existing.data_disk):
        yield (
            f"snapshot schedule {names.policy}",
            f"{names.in_region}/resourcePolicies/{names.policy}",
            existing.policy,
        )
    for name, rule in sorted(existing.firewalls.items()):
        yield f"firewall rule {name}", f"{names.everywhere}/firewalls/{name}", rule
    if not wanted.own_network:
        return
    if existing.router:
        yield f"router {names.machine}", f"{names.in_region}/routers/{names.machine}", existing.router
    if existing.subnetwork:
        yield (
            f"subnetwork {names.machine}",
            f"{names.in_region}/subnetworks/{names.machine}",
            existing.subnetwork,
        )
    if existing.network:
        yield f"network {names.machine}", f"{names.everywhere}/networks/{names.machine}", existing.network


def _strangers(wanted: Wanted, existing: Existing) -> list[str]:
    """Disks at the machine that Hangar did not make: they were attached by hand."""
    attached = [last(one.get("source", "")) for one in views.others(existing.instance or {})]
    return sorted(name for name in attached if name and name != wanted.names.data_disk)


def _rule(wanted: Wanted, name: str) -> str:
    """Google keeps a network for as long as any rule is on it."""
    command = f"gcloud compute firewall-rules delete {name} --project {wanted.names.project}"
    return f"firewall rule {name} (not Hangar's; the network goes only once it is gone: {command})"


def _watched(wanted: Wanted, existing: Existing) -> tuple[str, ...]:
    """What Cloud Monitoring holds, in words."""
    return tuple(
        f"{one.resource} ({one.detail})" for one in watched.changes(wanted.names, None, existing.seen)
    )


def _unless_gone(api: Api, path: str) -> Callable[[], Body | None]:
    def begin() -> Body | None:
        try:
            return api.compute.begin("delete", path)
        except NotThere:
            return None

    return begin


def _tunnel(wanted: Wanted, existing: Existing) -> str:
    return f"tunnel {wanted.names.machine} of {', '.join(existing.tunnel_users)}"


def _reading(resource: str) -> str:
    return f"the machine's right to read {resource} (the secret itself stays)"


def _account(wanted: Wanted) -> str:
    return f"service account {wanted.names.email}"


def _remove_account(api: Api, wanted: Wanted) -> None:
    try:
        api.rest.call("DELETE", "iam", f"v1/{wanted.names.root}/serviceAccounts/{wanted.names.email}")
    except NotThere:
        return
