"""Create, find nothing to do, change what was changed: the cloud half of `up`."""

from __future__ import annotations

import json

import pytest

from hangar.cloud.gcp import calling
from hangar.errors import CloudError, HangarError
from hangar.plan import Change
from tests.gcp.conftest import KEY, ZONE, Environment

NAME = "hangar-production"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHlldCBhbm90aGVyIG9wZXJhdG9ycyBrZXksIDMyIGJ5 colleague"


def changed(environment: Environment, *overrides: str) -> list[Change]:
    return [change for change in environment.plan(*overrides).changes if change.action != "nothing"]


def test_an_empty_project_becomes_a_machine(environment: Environment) -> None:
    plan = environment.up()
    assert {change.action for change in plan.changes} == {"create"}
    assert [change.resource for change in plan.changes] == [
        "service account hangar-production", "network hangar-production", "subnetwork hangar-production",
        "router hangar-production", "firewall rule hangar-production-iap", "firewall rule hangar-production-iap6",
        "firewall rule hangar-production-deny", "firewall rule hangar-production-deny6",
        "snapshot schedule hangar-production-daily", "data disk hangar-production-data", "machine hangar-production",
    ]  # fmt: skip
    instance = environment.instance
    assert instance["status"] == "RUNNING"
    assert instance["deletionProtection"] is True
    assert all("accessConfigs" not in one for one in instance["networkInterfaces"])
    assert instance["labels"]["hangar-image"].startswith("debian-13-")
    server = environment.cloud().server()
    assert server is not None
    assert (server.id, server.cloud, server.port) == (instance["id"], "gcp", 22)
    assert [key.split()[0] for key in server.host_keys] == ["ssh-ed25519", "ecdsa-sha2-nistp256"]
    # All people come from there: the firewall admits them, and one's failed log-ins shut nobody else out.
    assert server.ssh_sources == ("35.235.240.0/20", "2600:2d00:1:7::/64")


def test_its_account_may_write_logs_and_metrics_and_nothing_else(environment: Environment) -> None:
    environment.up()
    member = f"serviceAccount:hangar-production@{environment.google.project}.iam.gserviceaccount.com"
    (policy,) = environment.google.table("iamPolicies").values()
    held = {one["role"] for one in policy["bindings"] if member in one["members"]}
    assert held == {"roles/logging.logWriter", "roles/monitoring.metricWriter"}


def test_a_second_up_changes_nothing(environment: Environment) -> None:
    environment.up()
    before = environment.calls()
    again = environment.up()
    assert [change for change in again.changes if change.action != "nothing"] == []
    assert again.drift == ()
    assert environment.writes(before) == []


def test_a_plan_with_nothing_to_do_asks_once_for_each_kind(environment: Environment) -> None:
    environment.up()
    before = environment.calls()
    cloud = environment.cloud()
    cloud.plan(environment.spec())
    assert cloud.server() is not None
    kinds = [call["method"].rpartition(".")[0] for call in environment.google.journal(since=before)]
    assert len(kinds) > 10
    assert sorted(kinds) == sorted(set(kinds))


def test_a_colleague_sees_nothing_to_do(environment: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    """From another computer, with a key of their own or none yet; the machine stays as it was made."""
    environment.up()
    theirs = f"people=[{{name: bea, role: admin, keys: [{OTHER_KEY}]}}]"
    for overrides, key in (((), ""), ((theirs,), OTHER_KEY)):
        plan = environment.plan(*overrides, key=key)
        assert (plan.has_changes, plan.drift, capsys.readouterr().err) == (False, (), "")
    before = environment.calls()
    environment.up(theirs, key=OTHER_KEY)
    assert environment.writes(before) == []


def test_whose_key_is_no_admins_is_told_why_the_machine_may_not_admit_it(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.up()
    plan = environment.plan(key=OTHER_KEY)
    assert (plan.has_changes, plan.drift) == (False, ())
    assert capsys.readouterr().err == (
        f"the machine was made with another operator's key (…{KEY.split()[1][-12:]}), and yours"
        f" (…{OTHER_KEY.split()[1][-12:]}) is no admin's in `people`: it may not admit you.\n"
    )


def test_host_keys_are_read_once_and_the_door_is_closed(environment: Environment) -> None:
    environment.up()
    metadata = {one["key"]: one["value"] for one in environment.instance["metadata"]["items"]}
    assert metadata["enable-guest-attributes"] == "FALSE"
    assert json.loads(metadata["hangar-host-keys"])["instance"] == environment.instance["id"]
    before = environment.calls()
    environment.up()
    assert environment.google.journal("compute.instances.getGuestAttributes", since=before) == []


def test_another_machine_type_needs_a_stop_and_a_snapshot_first(environment: Environment) -> None:
    environment.up()
    (change,) = changed(environment, "gcp.machine_type=e2-standard-8")
    assert change == Change(
        "machine hangar-production", "restart", "a machine type changes only on a stopped machine",
        (("machine type", "e2-standard-4", "e2-standard-8"),),
    )  # fmt: skip
    before = environment.calls()
    environment.up("gcp.machine_type=e2-standard-8")
    assert environment.writes(before) == [
        "compute.disks.createSnapshot", "compute.instances.stop", "compute.instances.setMachineType",
        "compute.instances.start", "compute.instances.setMetadata",
    ]  # fmt: skip
    assert environment.instance["machineType"].endswith("/e2-standard-8")
    assert environment.instance["status"] == "RUNNING"
    assert changed(environment, "gcp.machine_type=e2-standard-8") == []


def test_a_disk_grows_while_the_machine_runs(environment: Environment) -> None:
    environment.up()
    before = environment.calls()
    plan = environment.up("gcp.data_disk.size_gb=200")
    (change,) = [one for one in plan.changes if one.action != "nothing"]
    assert (change.action, change.fields) == ("update", (("size", "100 GiB", "200 GiB"),))
    assert environment.writes(before) == ["compute.disks.resize", "compute.instances.setMetadata"]


@pytest.mark.parametrize(
    ("override", "brief", "way"),
    [
        (
            "gcp.data_disk.size_gb=50",
            f"The data disk {NAME}-data cannot change its size from 100 GiB to 50 GiB.",
            "Say in platform.yml how large it is: gcp.data_disk.size_gb: 100. A snapshot fits no smaller disk either.",
        ),
        (
            "gcp.boot_disk_gb=10",
            f"The machine {NAME} cannot change its boot disk from 30 GiB to 10 GiB.",
            "Say in platform.yml how large it is: gcp.boot_disk_gb: 30. Or make the machine anew (what is under /srv"
            " stays): ./provision.py destroy production, then ./provision.py up production",
        ),
        (
            "gcp.data_disk.type=pd-ssd",
            f"The data disk {NAME}-data cannot change its type from pd-balanced to pd-ssd.",
            "take a snapshot (./provision.py snapshot production create)",
        ),
        (
            "gcp.network.cidr=10.9.0.0/24",
            f"The subnetwork {NAME} cannot change its addresses from 10.70.0.0/24 to 10.9.0.0/24.",
            "(docs/google-cloud.md, Moving).",
        ),
        (
            f"gcp.zone={ZONE[:-1]}b",
            f"The disk {NAME}-data stands in the zone {ZONE}, and platform.yml says {ZONE[:-1]}b.",
            "(docs/google-cloud.md, Moving).",
        ),
    ],
)
def test_what_cannot_change_is_refused_before_anything_is_touched(
    environment: Environment, override: str, brief: str, way: str
) -> None:
    environment.up()
    before = environment.calls()
    with pytest.raises(CloudError) as refused:
        environment.up(override)
    assert refused.value.brief == brief
    assert way in refused.value.resolution
    assert environment.writes(before) == []


def test_another_boot_disk_makes_the_machine_anew_and_keeps_its_data(environment: Environment) -> None:
    environment.up()
    data, old = environment.google.resources("disks")[f"{NAME}-data"]["id"], environment.instance["id"]
    plan = environment.up("gcp.boot_disk_type=pd-ssd")
    assert plan.replaces
    assert plan.changes[-1].detail == "made again, only with --allow-replace; /srv is kept"
    assert environment.google.resources("disks")[f"{NAME}-data"]["id"] == data
    assert environment.instance["id"] != old
    assert not environment.plan("gcp.boot_disk_type=pd-ssd").has_changes


def test_labels_roles_and_the_schedule_change_in_place(environment: Environment) -> None:
    environment.up()
    overrides = (
        "gcp.labels.team=data",
        "gcp.service_roles=[roles/bigquery.jobUser]",
        "gcp.snapshot_schedule.keep_days=7",
    )
    plan = environment.up(*overrides)
    assert {change.action for change in plan.changes} == {"update", "nothing"}
    assert not environment.plan(*overrides).has_changes
    assert environment.instance["labels"]["team"] == "data"
    assert environment.instance["labels"]["hangar-image"]


def test_a_stopped_machine_is_started(environment: Environment) -> None:
    environment.up()
    environment.google.edit(
        f"projects/{environment.google.project}/zones/{ZONE}/instances/{NAME}", status="TERMINATED"
    )
    (change,) = changed(environment)
    assert (change.action, change.detail) == ("update", "start it")
    environment.up()
    assert environment.instance["status"] == "RUNNING"


def test_what_somebody_changed_by_hand_is_named_and_set_right(environment: Environment) -> None:
    environment.up()
    project = f"projects/{environment.google.project}"
    rule = f"{project}/global/firewalls/{NAME}-iap"
    environment.google.edit(rule, sourceRanges=["0.0.0.0/0"])
    environment.google.edit(f"{project}/zones/{ZONE}/instances/{NAME}", deletionProtection=False)
    plan = environment.plan()
    assert plan.drift == (
        "firewall rule hangar-production-iap: from: 35.235.240.0/20 → 0.0.0.0/0",
        "machine hangar-production: deletion protection: yes → no",
    )
    environment.up()
    assert environment.google.resources("firewalls")[f"{NAME}-iap"]["sourceRanges"] == ["35.235.240.0/20"]
    assert environment.instance["deletionProtection"] is True
    assert environment.plan().drift == ()


def test_a_change_of_the_settings_is_no_drift(environment: Environment) -> None:
    environment.up()
    assert environment.plan("gcp.machine_type=e2-standard-8", "gcp.labels.team=data").drift == ()


def test_a_key_added_by_hand_goes_and_other_metadata_stays(environment: Environment) -> None:
    environment.up()
    metadata = environment.instance["metadata"]
    added = [
        *metadata["items"],
        {"key": "ssh-keys", "value": "eve:ssh-rsa AAAA"},
        {"key": "team-note", "value": "x"},
    ]
    environment.google.edit(
        f"projects/{environment.google.project}/zones/{ZONE}/instances/{NAME}",
        metadata={**metadata, "items": added},
    )
    plan = environment.plan()
    assert "machine hangar-production: metadata ssh-keys: none → eve:ssh-rsa AAAA" in plan.drift
    environment.up()
    keys = {one["key"] for one in environment.instance["metadata"]["items"]}
    assert "ssh-keys" not in keys
    assert "team-note" in keys


@pytest.mark.parametrize(
    ("path", "what"),
    [(f"global/networks/{NAME}", "network"), (f"regions/europe-west3/subnetworks/{NAME}", "subnetwork")],
)
def test_a_strangers_resource_of_our_name_is_left_alone(
    environment: Environment, path: str, what: str
) -> None:
    environment.up()
    environment.google.edit(f"projects/{environment.google.project}/{path}", description="mine")
    before = environment.calls()
    with pytest.raises(CloudError) as refused:
        environment.up()
    assert refused.value.brief == (
        f"There is a {what} named {NAME} in {environment.google.project} that Hangar did not make."
    )
    with pytest.raises(CloudError, match="that Hangar did not make"):
        environment.cloud().destroy(environment.said.append, with_data=True)
    assert environment.writes(before) == []


def test_a_strangers_account_of_our_name_gets_no_roles(environment: Environment) -> None:
    api = environment.cloud().api
    body = {"accountId": NAME, "serviceAccount": {"description": "mine"}}
    api.rest.call("POST", "iam", f"v1/{api.root}/serviceAccounts", body)
    before = environment.calls()
    with pytest.raises(CloudError, match=f"There is a service account named {NAME}@"):
        environment.up()
    assert environment.writes(before) == []


def test_credentials_go_to_no_host_that_was_not_allowed(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HANGAR_ALLOW_API_HOST")
    before = environment.calls()
    with pytest.raises(HangarError, match=r"Your Google credentials would go to 127\.0\.0\.1") as refused:
        environment.plan()
    assert "export HANGAR_ALLOW_API_HOST=" in refused.value.resolution
    assert environment.calls() == before


def test_no_network_ends_in_words(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "GIVE_UP", 0.1)
    cloud = environment.cloud("gcp.api_endpoint=http://127.0.0.1:9")
    cloud.api.session.renew = lambda: None
    with pytest.raises(CloudError) as silent:
        cloud.plan(environment.spec(KEY))
    assert silent.value.brief == "Google's API does not answer at http://127.0.0.1:9."
