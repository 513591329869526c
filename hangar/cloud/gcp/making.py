"""From what is there to what is wanted, in waves: account and network first, the machine last."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from hangar.cloud.gcp import admission, disks, policy, requests, secrets, views
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.comparison import wanted_views
from hangar.cloud.gcp.fit import require_image
from hangar.cloud.gcp.machine import change as change_machine
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import Wanted
from hangar.cloud.gcp.watching import making as watching
from hangar.cloud.gcp.work import Step, Work, call

Body = dict[str, Any]


def make(api: Api, wanted: Wanted, existing: Existing, work: Work) -> None:
    """Everything is as wanted, the machine runs. What fits already is not touched.

    Raises:
        Conflict: something was made or changed meanwhile: look again.
    """
    for wave in (_first, _second, _third):
        work.wave(list(wave(api, wanted, existing)))
    if existing.instance is None:
        machine = _new_machine(api, wanted, existing)
        if existing.left_boot_disk:
            disks.discard_boot(api, wanted.names, work)
        work.wave([machine])
    else:
        change_machine(api, wanted, existing, work)


def _first(api: Api, wanted: Wanted, existing: Existing) -> Iterator[Step]:
    """What needs nothing else."""
    names = wanted.names
    if existing.account is None:
        what = f"service account {names.email}"
        yield Step(f"create the {what}", lambda: _account(api, wanted), what)
    if wanted.own_network and existing.network is None:
        yield _insert(api, "network", f"{names.everywhere}/networks", requests.network(wanted))
    body = requests.snapshot_policy(wanted)
    if existing.policy is None:
        yield _insert(api, "snapshot schedule", f"{names.in_region}/resourcePolicies", body)
    elif views.snapshot_policy(existing.policy) != views.snapshot_policy(body):
        path = f"{names.in_region}/resourcePolicies/{names.policy}"
        yield call(api, "change the snapshot schedule", "patch", path, body)


def _second(api: Api, wanted: Wanted, existing: Existing) -> Iterator[Step]:
    """What needs the account, the network or the schedule."""
    names = wanted.names
    if tuple(sorted(existing.roles)) != wanted.roles:
        yield Step("set the account's roles", lambda: policy.ensure(api, names.email, wanted.roles))
    if different := secrets.differing(wanted.secrets, existing.secrets):
        yield Step("set which secrets the machine reads", lambda: secrets.ensure_all(api, names, different))
    if wanted.own_network:
        yield from _subnetwork(api, wanted, existing.subnetwork)
    for body in requests.firewalls(wanted):
        there = existing.firewalls.get(body["name"])
        if there is None:
            yield _insert(api, "firewall rule", f"{names.everywhere}/firewalls", body)
        elif views.firewall(there) != views.firewall(body):
            # The whole rule: a patch would not take away what somebody added.
            path = f"{names.everywhere}/firewalls/{body['name']}"
            yield call(api, f"change the firewall rule {body['name']}", "update", path, body)
    if existing.data_disk is None:
        yield _insert(api, "data disk", f"{names.in_zone}/disks", requests.data_disk(wanted))
    else:
        yield from _data_disk(api, wanted, existing.data_disk)


def _third(api: Api, wanted: Wanted, existing: Existing) -> Iterator[Step]:
    """The router names the subnetwork that it serves; the policy is written after the account's roles."""
    names, users = wanted.names, wanted.tunnel_users
    yield from watching.steps(api, names, wanted.watch, existing.seen)
    if existing.tunnel_users != users:
        yield Step("set who comes through the tunnel", lambda: admission.ensure(api, names, users))
    if not wanted.own_network:
        return
    body = requests.router(wanted)
    if existing.router is None:
        yield _insert(api, "router", f"{names.in_region}/routers", body)
    elif views.router(existing.router) != views.router(body):
        path = f"{names.in_region}/routers/{names.machine}"
        yield call(api, "change the router's NAT", "patch", path, {"nats": body["nats"]})


def _subnetwork(api: Api, wanted: Wanted, there: Body | None) -> Iterator[Step]:
    names, body = wanted.names, requests.subnetwork(wanted)
    path = f"{names.in_region}/subnetworks"
    if there is None:
        yield _insert(api, "subnetwork", path, body)
        return
    old, new = views.subnetwork(there), views.subnetwork(body)
    if old["Private Google Access"] != new["Private Google Access"]:
        yield Step("set the subnetwork's Private Google Access", lambda: _google_access(api, wanted))
    if old["flow logs"] != new["flow logs"]:
        yield Step("switch the subnetwork's flow logs on", lambda: _flow_logs(api, wanted, body))


def _flow_logs(api: Api, wanted: Wanted, body: Body) -> Body:
    """Looks again for the fingerprint: the other setting of the same subnetwork may have changed it."""
    path = f"{wanted.names.in_region}/subnetworks/{wanted.names.machine}"
    changed = {"logConfig": body["logConfig"], "fingerprint": api.compute.get(path)["fingerprint"]}
    return api.compute.begin("patch", path, changed)


def _google_access(api: Api, wanted: Wanted) -> None:
    path = f"{wanted.names.in_region}/subnetworks/{wanted.names.machine}"
    api.compute.do("set_private_ip_google_access", path, {"privateIpGoogleAccess": True})


def _data_disk(api: Api, wanted: Wanted, there: Body) -> Iterator[Step]:
    names, body = wanted.names, requests.data_disk(wanted)
    path = f"{names.in_zone}/disks/{names.data_disk}"
    old, new = views.data_disk(there), views.data_disk(body)
    if old["size"] != new["size"]:
        yield call(api, f"grow the data disk to {new['size']}", "resize", path, {"sizeGb": body["sizeGb"]})
    if old["labels"] != new["labels"]:
        labels = {"labels": body["labels"], "labelFingerprint": there["labelFingerprint"]}
        yield call(api, "set the data disk's labels", "set_labels", path, labels)
    if old["snapshots"] != new["snapshots"]:
        yield Step("set the data disk's snapshot schedule", lambda: _schedule(api, path, there, body))


def _schedule(api: Api, path: str, there: Body, body: Body) -> Body:
    """A disk has one schedule; another's goes first."""
    others = [
        one for one in there.get("resourcePolicies") or () if not one.endswith(body["resourcePolicies"][0])
    ]
    if others:
        api.compute.do("remove_resource_policies", path, {"resourcePolicies": others})
    added = {"resourcePolicies": body["resourcePolicies"]}
    return api.compute.begin("add_resource_policies", path, added)


def _account(api: Api, wanted: Wanted) -> None:
    api.rest.call("POST", "iam", f"v1/{wanted.names.root}/serviceAccounts", requests.service_account(wanted))


def _new_machine(api: Api, wanted: Wanted, existing: Existing) -> Step:
    image = require_image(wanted, existing)
    body = requests.instance(wanted, image, views.pack(wanted_views(wanted)))
    return _insert(api, "machine", f"{wanted.names.in_zone}/instances", body)


def _insert(api: Api, kind: str, path: str, body: Body) -> Step:
    name = f"{kind} {body['name']}"
    return Step(f"create the {name}", partial(api.compute.begin, "insert", path, body), name)
