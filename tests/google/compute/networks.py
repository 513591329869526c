"""Networks, subnetworks, firewall rules, routers with their NATs."""

import ipaddress
from typing import Any

from tests.google import operations
from tests.google.compute import link
from tests.google.compute.resources import KINDS, find, keep, merge, new, refer, require_unused, required_body
from tests.google.errors import GoogleError, invalid, required, stale
from tests.google.operations import effect
from tests.google.state import fingerprint
from tests.google.world import PERMISSIONS, Call, World, handles

NETWORKS, SUBNETWORKS = KINDS["networks"], KINDS["subnetworks"]
FIREWALLS, ROUTERS = KINDS["firewalls"], KINDS["routers"]

LOG_DEFAULTS = {
    "aggregationInterval": "INTERVAL_5_SEC",
    "flowSampling": 0.5,
    "metadata": "EXCLUDE_ALL_METADATA",
}
NAT_DEFAULTS = {
    "type": "PUBLIC",
    "enableEndpointIndependentMapping": False,
    "enableDynamicPortAllocation": False,
    "endpointTypes": ["ENDPOINT_TYPE_VM"],
    "autoNetworkTier": "PREMIUM",
    "logConfig": {"enable": False, "filter": "ALL"},
}


@handles("compute.networks.insert")
def insert_network(call: Call) -> dict[str, Any]:
    body = call.body
    if "autoCreateSubnetworks" not in body:
        raise required("resource.autoCreateSubnetworks")
    path, network = new(call, NETWORKS)
    network.setdefault("routingConfig", {}).setdefault("routingMode", "REGIONAL")
    network.setdefault("networkFirewallPolicyEnforcementOrder", "AFTER_CLASSIC_FIREWALL")
    network["selfLinkWithId"] = link(f"projects/{call.project}/global/networks/{network['id']}")
    return keep(call, path, network)


@handles("compute.networks.patch")
def patch_network(call: Call) -> dict[str, Any]:
    path = NETWORKS.path(call)
    network = find(call, path)
    _fixed(network, call.body, "name", "autoCreateSubnetworks")
    merge(network, call.body)
    return operations.begin(call, path)


@handles("compute.networks.delete")
def delete_network(call: Call) -> dict[str, Any]:
    path = NETWORKS.path(call)
    find(call, path)
    require_unused(call, path, by=("subnetworks", "firewalls", "routers", "instances"))
    return operations.begin(call, path, "remove")


@handles("compute.subnetworks.insert")
def insert_subnetwork(call: Call) -> dict[str, Any]:
    required_body(call, "network", "ipCidrRange")
    network = refer(call, "resource.network", call.body["network"], "networks")
    path, subnetwork = new(call, SUBNETWORKS, network=link(network))
    range_ = _range(call.body["ipCidrRange"])
    _require_free(call, subnetwork["network"], range_)
    subnetwork.setdefault("privateIpGoogleAccess", False)
    subnetwork.setdefault("purpose", "PRIVATE")
    subnetwork.setdefault("stackType", "IPV4_ONLY")
    subnetwork["gatewayAddress"] = str(range_.network_address + 1)
    subnetwork["privateIpv6GoogleAccess"] = "DISABLE_GOOGLE_ACCESS"
    _complete_logs(subnetwork)
    return keep(call, path, subnetwork, "list subnetwork")


@effect("list subnetwork")
def list_subnetwork(world: World, operation: dict[str, Any]) -> None:
    """A network names its subnetworks."""
    subnetwork = world.state.resources[operation["_target"]]
    for path, network in world.state.resources.items():
        if link(path) == subnetwork["network"]:
            network.setdefault("subnetworks", []).append(subnetwork["selfLink"])


@effect("remove subnetwork")
def remove_subnetwork(world: World, operation: dict[str, Any]) -> None:
    gone = world.state.resources.pop(operation["_target"])["selfLink"]
    for network in world.state.resources.values():
        if network["kind"] == "compute#network" and gone in network.get("subnetworks", ()):
            network["subnetworks"].remove(gone)
            if not network["subnetworks"]:
                del network["subnetworks"]


@handles("compute.subnetworks.patch")
def patch_subnetwork(call: Call) -> dict[str, Any]:
    path = SUBNETWORKS.path(call)
    subnetwork = find(call, path)
    if call.body.get("fingerprint") != subnetwork["fingerprint"]:
        raise stale("Invalid fingerprint.")
    _fixed(subnetwork, call.body, "name", "ipCidrRange", "network")
    changes = {name: value for name, value in call.body.items() if name not in ("fingerprint", "network")}
    merge(subnetwork, changes)
    _complete_logs(subnetwork)
    return operations.begin(call, path)


@handles("compute.subnetworks.setPrivateIpGoogleAccess")
def set_google_access(call: Call) -> dict[str, Any]:
    path = SUBNETWORKS.path(call)
    subnetwork = find(call, path)
    subnetwork["privateIpGoogleAccess"] = call.body.get("privateIpGoogleAccess", False)
    _complete_logs(subnetwork)
    return operations.begin(call, path)


@handles("compute.subnetworks.delete")
def delete_subnetwork(call: Call) -> dict[str, Any]:
    path = SUBNETWORKS.path(call)
    find(call, path)
    require_unused(call, path, by=("instances",))
    return operations.begin(call, path, "remove subnetwork")


@handles("compute.firewalls.insert")
def insert_firewall(call: Call) -> dict[str, Any]:
    named = call.body.get("network", "global/networks/default")
    network = refer(call, "resource.network", named, "networks")
    path, rule = new(call, FIREWALLS, network=link(network))
    _complete_rule(rule)
    return keep(call, path, rule)


@handles("compute.firewalls.patch", "compute.firewalls.update")
def change_firewall(call: Call) -> dict[str, Any]:
    path = FIREWALLS.path(call)
    rule = find(call, path)
    _fixed(rule, call.body, "name", "direction")
    changed = dict(rule)
    if call.method.id.endswith("update"):
        for name in (
            "allowed",
            "denied",
            "sourceRanges",
            "sourceServiceAccounts",
            "sourceTags",
            "destinationRanges",
            "targetServiceAccounts",
            "targetTags",
        ):
            changed.pop(name, None)
    merge(changed, {name: value for name, value in call.body.items() if name != "network"})
    _complete_rule(changed)
    call.state.resources[path] = changed
    return operations.begin(call, path)


@handles("compute.firewalls.delete", "compute.routers.delete")
def delete_plain(call: Call) -> dict[str, Any]:
    path = (FIREWALLS if "firewall" in call.values else ROUTERS).path(call)
    find(call, path)
    return operations.begin(call, path, "remove")


@handles("compute.routers.insert")
def insert_router(call: Call) -> dict[str, Any]:
    network = refer(call, "resource.network", call.body["network"], "networks")
    path, router = new(call, ROUTERS, network=link(network))
    router.setdefault("encryptedInterconnectRouter", False)
    router["nats"] = [_nat(call, nat) for nat in call.body.get("nats", [])]
    if not router["nats"]:
        del router["nats"]
    return keep(call, path, router)


@handles("compute.routers.patch", "compute.routers.update")
def change_router(call: Call) -> dict[str, Any]:
    path = ROUTERS.path(call)
    router = find(call, path)
    _fixed(router, call.body, "name", "network")
    changes = {name: value for name, value in call.body.items() if name != "network"}
    if "nats" in changes:
        changes["nats"] = [_nat(call, nat) for nat in changes["nats"] or []]
    merge(router, changes)
    return operations.begin(call, path)


def _nat(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    for name in ("name", "sourceSubnetworkIpRangesToNat", "natIpAllocateOption"):
        if not given.get(name):
            raise required(f"resource.nats[0].{name}")
    listed = given.get("subnetworks", [])
    if (given["sourceSubnetworkIpRangesToNat"] == "LIST_OF_SUBNETWORKS") != bool(listed):
        raise invalid("resource.nats[0].subnetworks", listed, "Subnetworks go with LIST_OF_SUBNETWORKS only.")
    nat = {**NAT_DEFAULTS, **given}
    if listed:
        nat["subnetworks"] = [
            {**one, "name": link(refer(call, "resource.nats[0].subnetworks", one["name"], "subnetworks"))}
            for one in listed
        ]
    return nat


def _complete_rule(rule: dict[str, Any]) -> None:
    """What Google fills in, after what it refuses."""
    if bool(rule.get("allowed")) == bool(rule.get("denied")):
        raise invalid("resource", rule["name"], "Exactly one of 'allowed' and 'denied' must be given.")
    by_account = rule.get("targetServiceAccounts") or rule.get("sourceServiceAccounts")
    if by_account and (rule.get("targetTags") or rule.get("sourceTags")):
        raise invalid("resource", rule["name"], "Tags and service accounts cannot be used together.")
    rule.setdefault("direction", "INGRESS")
    ingress = rule["direction"] == "INGRESS"
    if rule.get("destinationRanges" if ingress else "sourceRanges") and not ingress:
        raise invalid("resource.sourceRanges", rule["sourceRanges"], "An EGRESS rule has no source.")
    ranges = "sourceRanges" if ingress else "destinationRanges"
    if not any(rule.get(name) for name in (ranges, "sourceTags", "sourceServiceAccounts")):
        rule[ranges] = ["0.0.0.0/0"]
    if len({_range(one, ranges).version for one in rule.get(ranges, ())}) > 1:
        raise invalid(
            f"resource.{ranges}", rule[ranges], "A rule holds IPv4 ranges or IPv6 ranges, not both."
        )
    rule.setdefault("priority", 1000)
    rule.setdefault("disabled", False)
    rule.setdefault("logConfig", {"enable": False})
    if rule["logConfig"].get("enable"):
        rule["logConfig"].setdefault("metadata", "INCLUDE_ALL_METADATA")


def _complete_logs(subnetwork: dict[str, Any]) -> None:
    logs = subnetwork.setdefault("logConfig", {"enable": subnetwork.get("enableFlowLogs", False)})
    if logs.get("enable"):
        subnetwork["logConfig"] = {**LOG_DEFAULTS, **logs}
    subnetwork["enableFlowLogs"] = logs.get("enable", False)
    content = {name: value for name, value in subnetwork.items() if name != "fingerprint"}
    subnetwork["fingerprint"] = fingerprint(content)


def _range(text: str, field: str = "ipCidrRange") -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise invalid(f"resource.{field}", text, f"Must be a valid IP range: {error}.") from None


def _require_free(call: Call, network: str, wanted: Any) -> None:
    for other in call.state.resources.values():
        if other["kind"] != SUBNETWORKS.kind or other["network"] != network:
            continue
        if wanted.overlaps(_range(other["ipCidrRange"])):
            text = f"Invalid IPCidrRange: {wanted} conflicts with existing subnetwork '{other['name']}' in region"
            raise GoogleError(400, f"{text} '{other['region'].split('/')[-1]}'.", "invalidParameter")


def _fixed(resource: dict[str, Any], body: dict[str, Any], *names: str) -> None:
    """What can only be chosen at the making."""
    for name in names:
        given = body.get(name)
        same = given in (None, resource.get(name)) or (
            isinstance(given, str) and str(resource.get(name)).endswith("/" + given.split("/v1/")[-1])
        )
        if not same:
            raise invalid(f"resource.{name}", given, "It cannot be changed.")


def _with_policy(own: str) -> Any:
    return lambda call: [own, "compute.networks.updatePolicy"]


for _method, _own in (("insert", "create"), ("patch", "update"), ("update", "update"), ("delete", "delete")):
    PERMISSIONS[f"compute.firewalls.{_method}"] = _with_policy(f"compute.firewalls.{_own}")
    PERMISSIONS[f"compute.routers.{_method}"] = _with_policy(f"compute.routers.{_own}")
for _method, _own in (("insert", "create"), ("delete", "delete")):
    PERMISSIONS[f"compute.subnetworks.{_method}"] = _with_policy(f"compute.subnetworks.{_own}")
