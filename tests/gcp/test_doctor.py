"""What doctor says of a project before anything is made in it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hangar.checks import google
from hangar.checks.finding import Finding
from hangar.cloud.gcp import iap, permissions
from hangar.cloud.gcp.lifecycle import InstanceLifecycle
from tests.gcp.conftest import ZONE, Environment

DELAY = 2.0
"""Seconds that each answer takes in one test."""


def ill(environment: Environment, *overrides: str) -> list[Finding]:
    return [one for one in google.look(environment.settings(*overrides)) if one.state != "ok"]


def test_a_project_that_is_ready_passes(environment: Environment) -> None:
    assert ill(environment) == []


def test_its_questions_go_side_by_side(environment: Environment) -> None:
    """Beside each other and beside the way to the machine: all of doctor has 6 s"""
    google.look(environment.settings())  # Google's client is loaded
    began = time.monotonic()
    assert ill(environment) == []
    by_itself, before = time.monotonic() - began, environment.calls()
    environment.google.fault("*", "delay-before", nth=0, seconds=DELAY)
    began = time.monotonic()
    assert ill(environment) == []
    took = time.monotonic() - began
    asked = environment.calls() - before
    assert asked >= 4
    assert took < by_itself + (asked - 1) * DELAY


def test_every_missing_permission_is_named_with_the_role_that_has_it(environment: Environment) -> None:
    environment.google.deny("compute.routers.*", "iap.*")
    (finding,) = ill(environment)
    assert finding.detail == (
        "missing: compute.routers.create, compute.routers.delete, compute.routers.get, compute.routers.update, "
        "iap.tunnelInstances.accessViaIAP"
    )
    member = "serviceAccount:operator@hangar-test.iam.gserviceaccount.com"
    assert finding.cure.splitlines() == [
        f"gcloud projects add-iam-policy-binding hangar-test --condition None --member {member} --role {role}"
        for role in ("roles/compute.networkAdmin", "roles/iap.tunnelResourceAccessor")
    ]


def test_an_owner_lacks_nothing_though_their_role_holds_no_right_on_objects(environment: Environment) -> None:
    """Google gives it to them on each bucket; whoever is no owner has to be given it"""
    on_buckets = (
        "storage.buckets.get",
        "storage.objects.create",
        "storage.objects.delete",
        "storage.objects.get",
    )
    environment.google.deny(*on_buckets)
    assert ill(environment) == []
    environment.google.deny(*on_buckets, "resourcemanager.projects.delete")
    (finding,) = ill(environment)
    assert finding.detail == f"missing: {', '.join(on_buckets)}"
    assert finding.cure.endswith("--role roles/storage.admin")
    assert len(finding.cure.splitlines()) == 1
    environment.google.deny(*on_buckets, "storage.buckets.create")
    (finding,) = ill(environment)
    assert "storage.buckets.create" in finding.detail, "who can make no bucket is not given anything on it"


def test_more_permissions_than_google_takes_at_once_are_asked_in_parts(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 in one call; the last of 101 counts as the first does"""
    more = tuple(f"dataproc.clusters.verb{number}" for number in range(101 - len(permissions.NEEDED)))
    monkeypatch.setattr(permissions, "NEEDED", (*permissions.NEEDED, *more))
    before = environment.calls()
    assert ill(environment) == []
    asked = environment.google.journal("cloudresourcemanager.projects.testIamPermissions", since=before)
    assert len(asked) == 2
    environment.google.deny(more[-1], permissions.NEEDED[0])
    (finding,) = ill(environment)
    assert finding.detail == f"missing: {permissions.NEEDED[0]}, {more[-1]}"


def test_an_api_that_is_off_is_named(environment: Environment) -> None:
    environment.google.disable("iap.googleapis.com")
    (finding,) = ill(environment)
    assert finding.cure == "gcloud services enable iap.googleapis.com --project hangar-test"


def test_a_zone_that_is_not_there_is_named(environment: Environment) -> None:
    (finding,) = ill(environment, f"gcp.zone={ZONE[:-1]}z")
    assert (finding.name, finding.detail) == ("Zone", f"{ZONE[:-1]}z: there is no such zone")


def test_a_network_of_yours_is_compared_with_what_hangars_own_would_have(environment: Environment) -> None:
    yours = ("gcp.network.existing=shared", "gcp.network.subnetwork=data")
    (finding,) = ill(environment, *yours)
    assert (finding.state, finding.detail) == ("missing", "there is no subnetwork data in europe-west3")
    api = environment.cloud().api
    network = f"{api.root}/global/networks"
    api.compute.do("insert", network, {"name": "shared", "autoCreateSubnetworks": False})
    subnetwork = {"name": "data", "network": f"{network}/shared", "ipCidrRange": "10.9.0.0/24"}
    api.compute.do("insert", f"{api.root}/regions/europe-west3/subnetworks", subnetwork)
    (finding,) = ill(environment, *yours)
    assert (finding.state, finding.detail) == (
        "warning",
        "data has no Private Google Access and no flow logs",
    )
    assert finding.cure == (
        "gcloud compute networks subnets update data --region europe-west3 --project hangar-test"
        " --enable-private-ip-google-access --enable-flow-logs"
    )
    path = f"{api.root}/regions/europe-west3/subnetworks/data"
    environment.google.edit(path, privateIpGoogleAccess=True, logConfig={"enable": True})
    assert ill(environment, *yours) == []


def make_key(environment: Environment, name: str = "disks", purpose: str = "ENCRYPT_DECRYPT") -> str:
    ring = f"projects/{environment.google.project}/locations/europe-west3/keyRings/ring"
    rest = environment.cloud().api.rest
    rest.call("POST", "cloudkms", f"v1/{ring}/cryptoKeys", {"purpose": purpose}, {"cryptoKeyId": name})
    return f"{ring}/cryptoKeys/{name}"


def test_the_key_of_the_disks_is_looked_at(environment: Environment) -> None:
    name = make_key(environment)
    ours = f"gcp.kms_key={name}"
    where = "--location europe-west3 --keyring ring --project hangar-test"
    assert ill(environment, ours) == []
    (finding,) = ill(environment, f"{ours}-2")
    assert (finding.name, finding.state, finding.detail) == ("Key", "missing", f"{name}-2 is not there")
    assert finding.cure == f"gcloud kms keys list {where}"
    (finding,) = ill(environment, f"gcp.kms_key={make_key(environment, 'signs', 'ASYMMETRIC_SIGN')}")
    assert finding.detail.endswith("/signs is not for encrypting disks (its purpose: ASYMMETRIC_SIGN)")
    version, off = f"v1/{name}/cryptoKeyVersions/1", {"state": "DISABLED"}
    environment.cloud().api.rest.call("PATCH", "cloudkms", version, off, {"updateMask": "state"})
    (finding,) = ill(environment, ours)
    assert (finding.state, finding.detail) == ("missing", f"{name}: its primary version 1 is disabled")
    assert finding.cure == f"gcloud kms keys versions enable 1 --key disks {where}"
    environment.google.deny("cloudkms.*")
    (finding,) = ill(environment, ours)
    assert finding.state == "warning", "that is Google's account's business first"
    assert finding.detail == f"{name} has to be there and in force; not looked at: you may not"
    assert finding.cure.splitlines() == [
        f"Ask whoever may: gcloud kms keys describe disks {where}",
        f"They can let you look: gcloud kms keys add-iam-policy-binding disks {where}"
        " --member serviceAccount:operator@hangar-test.iam.gserviceaccount.com --role roles/cloudkms.viewer",
    ]
    environment.google.deny()
    environment.google.disable("cloudkms.googleapis.com")
    (finding,) = ill(environment, ours)
    assert finding.detail.endswith("not looked at: cloudkms.googleapis.com is off in hangar-test")
    assert finding.cure.endswith("gcloud services enable cloudkms.googleapis.com --project hangar-test")


def test_the_program_that_makes_the_tunnel_is_named(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(means: str) -> Finding:
        return google.tunnel(environment.settings(f"gcp.tunnel={means}"))

    program = tmp_path / "bin" / "gcloud"
    monkeypatch.setenv("PATH", str(program.parent))
    assert found("auto").detail == "by Hangar's relay: gcloud is not installed"
    assert (found("gcloud").state, found("gcloud").detail) == (
        "missing",
        "gcp.tunnel is gcloud, which is not installed here",
    )
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert (found("gcloud").state, found("gcloud").detail) == (
        "missing",
        "gcp.tunnel is gcloud, which has no login here",
    )
    assert found("gcloud").cure == "gcloud auth login (or set gcp.tunnel: relay in platform.yml)"
    program.write_text("#!/bin/sh\necho ada@example.org\n")
    iap.account_of.cache_clear()
    assert found("gcloud").detail == "by gcloud, logged in as ada@example.org"
    why = "GOOGLE_APPLICATION_CREDENTIALS is set, which gcloud does not use"
    assert found("auto").detail == f"by Hangar's relay: {why}"
    assert found("relay").detail == "by Hangar's relay: gcp.tunnel says so"


def test_the_tunnel_of_the_machine_is_made_as_platform_yml_says(environment: Environment) -> None:
    environment.up()
    for means, program in (("relay", sys.executable), ("gcloud", "gcloud")):
        server = environment.cloud(f"gcp.tunnel={means}").server()
        assert server is not None
        assert Path(server.proxy_command[0]).name == Path(program).name


def test_without_a_login_the_way_to_one_is_shown(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    (finding,) = ill(environment)
    assert finding.name == "Google login"
    assert finding.cure.startswith("Log in: gcloud auth application-default login")


def test_a_login_whose_calls_count_for_another_project_is_told(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`gcloud auth application-default login` writes down whatever project gcloud had been set to"""
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "acme-office")
    environment.google.deny("iap.*")
    login, missing = ill(environment)
    assert (login.name, login.state) == ("Google login", "warning")
    assert login.detail.endswith("; its calls are counted for acme-office, which needs the APIs too")
    assert login.cure == "gcloud auth application-default set-quota-project hangar-test"
    assert missing.detail == "missing: iap.tunnelInstances.accessViaIAP", "everything else is looked at too"
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "hangar-test")
    environment.google.deny()
    assert ill(environment) == []


def test_what_the_verbs_call_is_what_doctor_asks_for(environment: Environment) -> None:
    """Every permission that the stand-in saw used, by Google's documents, is one that doctor looks at."""
    from hangar.cloud.gcp.permissions import NEEDED

    environment.up()
    environment.up("gcp.machine_type=e2-standard-8", "gcp.data_disk.size_gb=200", "gcp.labels.team=data")
    cloud = environment.cloud("gcp.machine_type=e2-standard-8", "gcp.data_disk.size_gb=200")
    machine = InstanceLifecycle(cloud.config, cloud)
    machine.stop(environment.said.append)
    machine.start(environment.said.append)
    instance = f"projects/{environment.google.project}/zones/{ZONE}/instances/hangar-production"
    environment.google.edit(instance, status="SUSPENDED")
    machine.start(environment.said.append)
    disks: list[dict[str, Any]] = environment.instance["disks"]
    (link,) = environment.instance["networkInterfaces"]
    environment.google.edit(
        instance, disks=[{**one, "autoDelete": True} for one in disks], scheduling={"automaticRestart": False},
        networkInterfaces=[{**link, "stackType": "IPV4_IPV6"}],
    )  # fmt: skip
    environment.up("gcp.machine_type=e2-standard-8", "gcp.data_disk.size_gb=200")
    name = machine.take_snapshot(environment.said.append)
    machine.restore(name, "recovered", environment.said.append)
    machine.delete_snapshot(name, environment.said.append)
    cloud.console()
    cloud.removal(with_data=True)
    with cloud.hold("provision.py destroy production"):
        cloud.destroy(environment.said.append, with_data=True)
    google.look(environment.settings())
    used = {permission for call in environment.google.journal() for permission in call["permissions"]}
    public = {"compute.images.getFromFamily", "compute.images.useReadOnly"}  # in a project that all may read
    assert used - set(NEEDED) - public == set()
