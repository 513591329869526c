"""A network that was there before: used, never changed, never removed."""

from __future__ import annotations

import pytest

from hangar.checks.google import look
from hangar.errors import CloudError
from tests.gcp.conftest import Environment

OVERRIDES = ("gcp.network.existing=shared", "gcp.network.subnetwork=data")


def test_a_network_of_yours_is_left_as_it_was(environment: Environment) -> None:
    api = environment.cloud().api
    root = api.root
    api.compute.do("insert", f"{root}/global/networks", {"name": "shared", "autoCreateSubnetworks": False})
    subnetwork = {"name": "data", "network": f"{root}/global/networks/shared", "ipCidrRange": "10.9.0.0/24"}
    api.compute.do("insert", f"{root}/regions/europe-west3/subnetworks", subnetwork)
    before = {kind: environment.google.resources(kind) for kind in ("networks", "subnetworks", "routers")}

    plan = environment.up(*OVERRIDES)
    assert not [one for one in plan.changes if one.resource.startswith(("network", "subnetwork", "router"))]
    (link,) = environment.instance["networkInterfaces"]
    assert link["subnetwork"].endswith("/subnetworks/data")
    assert {
        rule["network"].split("/")[-1] for rule in environment.google.resources("firewalls").values()
    } == {"shared"}
    assert not environment.plan(*OVERRIDES).has_changes

    cloud = environment.cloud(*OVERRIDES)
    with cloud.hold("provision.py destroy production"):
        cloud.destroy(environment.said.append, with_data=True)
    after = {kind: environment.google.resources(kind) for kind in before}
    assert {kind: set(found) for kind, found in after.items()} == {
        kind: set(found) for kind, found in before.items()
    }
    assert environment.google.resources("firewalls") == {}


def test_a_subnetwork_of_another_network_is_refused_before_anything_is_made(environment: Environment) -> None:
    """The rules would guard the one, and the machine stand on the other."""
    api = environment.cloud().api
    root = api.root
    for name in ("shared", "other"):
        api.compute.do("insert", f"{root}/global/networks", {"name": name, "autoCreateSubnetworks": False})
    subnetwork = {"name": "data", "network": f"{root}/global/networks/other", "ipCidrRange": "10.9.0.0/24"}
    api.compute.do("insert", f"{root}/regions/europe-west3/subnetworks", subnetwork)
    before = environment.calls()
    with pytest.raises(CloudError) as refused:
        environment.up(*OVERRIDES)
    assert refused.value.brief == "The subnetwork data is not one of the network shared."
    assert refused.value.details == "* It is one of other."
    assert environment.writes(before) == []
    (finding,) = [one for one in look(environment.settings(*OVERRIDES)) if one.state != "ok"]
    assert (finding.state, finding.detail) == ("missing", "data is a subnetwork of other, not of shared")


def test_what_opens_a_network_of_yours_is_named_before_the_machine_is_made(environment: Environment) -> None:
    api = environment.cloud().api
    network = f"{api.root}/global/networks/shared"
    api.compute.do(
        "insert", f"{api.root}/global/networks", {"name": "shared", "autoCreateSubnetworks": False}
    )
    subnetwork = {"name": "data", "network": network, "ipCidrRange": "10.9.0.0/24"}
    api.compute.do("insert", f"{api.root}/regions/europe-west3/subnetworks", subnetwork)
    rule = {
        "name": "debug", "network": network, "priority": 50, "sourceRanges": ["0.0.0.0/0"],
        "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
    }  # fmt: skip
    api.compute.do("insert", f"{api.root}/global/firewalls", rule)
    api.compute.do("insert", f"{api.root}/global/firewalls", {**rule, "name": "weak", "priority": 1000})
    assert environment.plan(*OVERRIDES).drift == (
        "firewall rule debug admits tcp:22 from 0.0.0.0/0 to the machine (it stays: Hangar did not make it)",
    )


def test_the_network_cannot_be_exchanged(environment: Environment) -> None:
    environment.up()
    api = environment.cloud().api
    root = api.root
    api.compute.do("insert", f"{root}/global/networks", {"name": "shared", "autoCreateSubnetworks": False})
    subnetwork = {"name": "data", "network": f"{root}/global/networks/shared", "ipCidrRange": "10.9.0.0/24"}
    api.compute.do("insert", f"{root}/regions/europe-west3/subnetworks", subnetwork)
    before = environment.calls()
    with pytest.raises(CloudError) as refused:
        environment.up(*OVERRIDES)
    assert refused.value.brief == (
        "The firewall rule hangar-production-iap cannot change its network from hangar-production to shared."
    )
    assert environment.writes(before) == []
