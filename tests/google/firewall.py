"""What a network's firewall rules let the tunnel's range reach."""

import ipaddress
from typing import Any

from tests.google.world import World

TUNNEL_RANGE = ipaddress.ip_network("35.235.240.0/20")
"""From which Google's tunnel connects to machines."""


def admitted(world: World, path: str, port: int) -> bool:
    """Whether the network's rules let the tunnel's range reach an instance's port."""
    resources = world.state.resources
    rules = [rule for other, rule in resources.items() if other.split("/")[-2] == "firewalls"]
    return decision(rules, resources[path], port)


def decision(rules: list[dict[str, Any]], instance: dict[str, Any], port: int) -> bool:
    """The most urgent rule that matches decides, of two equals the one that denies; without any nothing comes in."""
    fitting = [rule for rule in rules if _matches(rule, instance, port)]
    decisive = min(fitting, key=lambda rule: (rule["priority"], "allowed" in rule), default=None)
    return decisive is not None and "allowed" in decisive


def _matches(rule: dict[str, Any], instance: dict[str, Any], port: int) -> bool:
    networks = [interface["network"] for interface in instance["networkInterfaces"]]
    if rule["disabled"] or rule["direction"] != "INGRESS" or rule["network"] not in networks:
        return False
    accounts = {account["email"] for account in instance.get("serviceAccounts", ())}
    if rule.get("targetServiceAccounts") and not accounts & set(rule["targetServiceAccounts"]):
        return False
    if rule.get("targetTags") and not set(instance["tags"].get("items", ())) & set(rule["targetTags"]):
        return False
    ranges = [ipaddress.ip_network(one) for one in rule.get("sourceRanges", ())]
    denied = "denied" in rule
    covers = any(
        (TUNNEL_RANGE.overlaps(one) if denied else TUNNEL_RANGE.subnet_of(one))
        for one in ranges
        if one.version == TUNNEL_RANGE.version
    )
    return covers and any(_names_port(one, port) for one in rule.get("allowed", rule.get("denied", ())))


def _names_port(entry: dict[str, Any], port: int) -> bool:
    if entry["IPProtocol"].lower() not in ("tcp", "6", "all"):
        return False
    bounds = [one.split("-") for one in entry.get("ports", ())]
    return not bounds or any(
        int(first) <= port <= int(last) for first, *_, last in [(*one, one[-1]) for one in bounds]
    )
