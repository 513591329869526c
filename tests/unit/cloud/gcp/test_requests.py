"""Every body, field by field, and judged by Google's own types."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.cloud import compute_v1

from hangar.cloud import startup
from hangar.cloud.gcp import requests
from hangar.cloud.gcp.requests import Wanted

Make = Callable[..., Wanted]
EMAIL = "hangar-production@acme-data-1.iam.gserviceaccount.com"
ROOT = "projects/acme-data-1"
KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"


@pytest.mark.parametrize(
    ("kind", "build"),
    [
        (compute_v1.Network, requests.network),
        (compute_v1.Subnetwork, requests.subnetwork),
        (compute_v1.Router, requests.router),
        (compute_v1.ResourcePolicy, requests.snapshot_policy),
        (compute_v1.Disk, requests.data_disk),
        (compute_v1.AttachedDisk, requests.attached_data),
        (compute_v1.Firewall, lambda wanted: requests.firewalls(wanted)[0]),
        (compute_v1.Firewall, lambda wanted: requests.firewalls(wanted)[3]),
        (compute_v1.Instance, lambda wanted: requests.instance(wanted, "debian-13-trixie-v20260921", "{}")),
        (compute_v1.ShieldedInstanceConfig, lambda wanted: requests.shielded()),
        (compute_v1.ServiceAccount, lambda wanted: requests.service_accounts(wanted)[0]),
    ],
)
def test_google_knows_every_field(kind: Any, build: Callable[[Wanted], dict[str, Any]], wanted: Make) -> None:
    body = build(wanted(kms_key=KEY))
    kind.from_json(json.dumps(body), ignore_unknown_fields=False)
    with pytest.raises(Exception, match="no field named"):
        kind.from_json(json.dumps({**body, "invented": 1}), ignore_unknown_fields=False)


def machine(wanted: Wanted) -> dict[str, Any]:
    return requests.instance(wanted, "debian-13-trixie-v20260921", "{}")


def test_the_machine_is_shielded_completely(wanted: Make) -> None:
    assert machine(wanted())["shieldedInstanceConfig"] == {
        "enableSecureBoot": True, "enableVtpm": True, "enableIntegrityMonitoring": True,
    }  # fmt: skip


def test_the_machine_has_no_address_outside(wanted: Make) -> None:
    (link,) = machine(wanted())["networkInterfaces"]
    assert link == {
        "network": f"{ROOT}/global/networks/hangar-production",
        "subnetwork": f"{ROOT}/regions/europe-west6/subnetworks/hangar-production",
        "stackType": "IPV4_ONLY",
    }
    assert "tags" not in machine(wanted())
    assert machine(wanted())["canIpForward"] is False


def test_nobody_gets_in_by_the_projects_keys_the_serial_port_or_os_login(wanted: Make) -> None:
    metadata = {one["key"]: one["value"] for one in machine(wanted())["metadata"]["items"]}
    assert metadata["block-project-ssh-keys"] == "TRUE"
    assert metadata["serial-port-enable"] == "FALSE"
    assert metadata["enable-oslogin"] == "FALSE"
    assert metadata["enable-guest-attributes"] == "TRUE"
    assert "ssh-keys" not in metadata
    assert metadata["startup-script"] == startup.render(wanted().spec, "/dev/disk/by-id/google-hangar-data")


def test_the_machine_is_made_from_one_exact_image_and_remembers_it(wanted: Make) -> None:
    boot, data = machine(wanted())["disks"]
    assert (
        boot["initializeParams"]["sourceImage"]
        == "projects/debian-cloud/global/images/debian-13-trixie-v20260921"
    )
    assert boot["autoDelete"] is True
    assert machine(wanted())["labels"] == {
        "hangar-environment": "production", "hangar-image": "debian-13-trixie-v20260921",
    }  # fmt: skip
    assert (data["autoDelete"], data["source"]) == (
        False,
        f"{ROOT}/zones/europe-west6-a/disks/hangar-production-data",
    )


def test_the_machine_cannot_be_deleted_by_mistake(wanted: Make) -> None:
    assert machine(wanted())["deletionProtection"] is True


def test_the_machine_acts_as_its_own_account(wanted: Make) -> None:
    assert machine(wanted())["serviceAccounts"] == [
        {"email": EMAIL, "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}
    ]
    assert wanted().roles == ("roles/logging.logWriter", "roles/monitoring.metricWriter")
    assert wanted(service_roles=["roles/bigquery.jobUser"]).roles == (
        "roles/bigquery.jobUser", "roles/logging.logWriter", "roles/monitoring.metricWriter",
    )  # fmt: skip


def test_only_the_tunnel_reaches_the_machine_and_the_rest_is_denied_and_logged(wanted: Make) -> None:
    iap, iap6, deny, deny6 = requests.firewalls(wanted())
    assert [one["sourceRanges"] for one in (iap, iap6)] == [["35.235.240.0/20"], ["2600:2d00:1:7::/64"]]
    assert [one["sourceRanges"] for one in (deny, deny6)] == [["0.0.0.0/0"], ["::/0"]]
    for rule in (iap, iap6):
        assert rule["allowed"] == [{"IPProtocol": "tcp", "ports": ["22"]}]
        assert "denied" not in rule
    for rule in (deny, deny6):
        assert rule["denied"] == [{"IPProtocol": "all"}]
        assert "allowed" not in rule
    for rule in (iap, iap6, deny, deny6):
        assert rule["targetServiceAccounts"] == [EMAIL]
        assert rule["logConfig"]["enable"] is True
        assert rule["direction"] == "INGRESS"
    assert max(iap["priority"], iap6["priority"]) < min(deny["priority"], deny6["priority"])


def test_the_network_logs_its_flows_and_reaches_google_without_the_internet(wanted: Make) -> None:
    subnetwork = requests.subnetwork(wanted())
    assert subnetwork["privateIpGoogleAccess"] is True
    assert subnetwork["logConfig"]["enable"] is True
    assert requests.network(wanted())["autoCreateSubnetworks"] is False
    (nat,) = requests.router(wanted())["nats"]
    assert (nat["natIpAllocateOption"], nat["sourceSubnetworkIpRangesToNat"]) == (
        "AUTO_ONLY",
        "LIST_OF_SUBNETWORKS",
    )


def test_a_network_of_yours_is_used_as_it_is(wanted: Make) -> None:
    yours = wanted(network={"existing": "shared", "subnetwork": "data"})
    assert not yours.own_network
    assert requests.firewalls(yours)[0]["network"] == f"{ROOT}/global/networks/shared"
    assert (
        machine(yours)["networkInterfaces"][0]["subnetwork"]
        == f"{ROOT}/regions/europe-west6/subnetworks/data"
    )


def test_your_own_key_is_on_both_disks(wanted: Make) -> None:
    body = wanted(kms_key=KEY)
    assert machine(body)["disks"][0]["diskEncryptionKey"] == {"kmsKeyName": KEY}
    assert requests.data_disk(body)["diskEncryptionKey"] == {"kmsKeyName": KEY}
    assert "diskEncryptionKey" not in machine(wanted())["disks"][0]
    assert "diskEncryptionKey" not in requests.data_disk(wanted())


def test_snapshots_are_taken_daily_and_outlive_the_disk(wanted: Make) -> None:
    policy = requests.snapshot_policy(wanted(snapshot_schedule={"at": "05:00", "keep_days": 30}))
    schedule = policy["snapshotSchedulePolicy"]
    assert schedule["schedule"] == {"dailySchedule": {"daysInCycle": 1, "startTime": "05:00"}}
    assert schedule["retentionPolicy"] == {
        "maxRetentionDays": 30,
        "onSourceDiskDelete": "KEEP_AUTO_SNAPSHOTS",
    }
    assert requests.data_disk(wanted())["resourcePolicies"] == [
        f"{ROOT}/regions/europe-west6/resourcePolicies/hangar-production-daily"
    ]
