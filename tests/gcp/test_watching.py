"""Cloud Monitoring: alert policies, who they tell, and the dashboard, made, compared and removed by the verbs."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from hangar import paths, watch_list
from hangar.checks import google as doctor
from hangar.cloud.gcp import calling
from hangar.cloud.gcp.permissions import FOR_MONITORING, NEEDED
from hangar.errors import CloudError
from hangar.plan import Change
from tests.gcp.conftest import Environment

PROJECT, NAME = "hangar-test", "hangar-production"
POLICIES, DASHBOARD = f"alert policies {NAME}", f"dashboard {NAME}"
DUTY = f"notification channel {NAME}-duty"
ON = {"backend": "google", "alerts": {"duty": {"kind": "google", "to": "data@example.org"}}}


def say(monitoring: dict[str, Any]) -> None:
    """Writes platform.yml: what the environment has, and what is asked of its monitoring."""
    path = paths.platform_file("production")
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"monitoring": monitoring}))


def of(environment: Environment) -> dict[str, Change]:
    """The plan's lines on Cloud Monitoring."""
    kinds = ("alert policies", "dashboard", "notification channel")
    return {one.resource: one for one in environment.plan().changes if one.resource.startswith(kinds)}


def policies(environment: Environment) -> dict[str, dict[str, Any]]:
    """By the alert's label; one of a label."""
    found = list(environment.google.table("alertPolicies").values())
    kept = {one["userLabels"]["hangar-alert"]: one for one in found}
    assert len(kept) == len(found)
    return kept


def test_the_plan_shows_what_is_made_and_up_makes_it_once(environment: Environment) -> None:
    say(ON)
    before = environment.calls()
    found = of(environment)
    assert {name: one.action for name, one in found.items()} == dict.fromkeys(
        (DUTY, POLICIES, DASHBOARD), "create"
    )
    assert found[DUTY].detail == "data@example.org"
    assert environment.writes(before) == []
    environment.up()
    listed = {one.name.lower() for one in watch_list.alerts()}
    assert set(policies(environment)) == listed
    assert f"{sum(one.level == 'critical' for one in watch_list.alerts())} critical" in found[POLICIES].detail
    assert len(environment.google.table("dashboards")) == 1
    before = environment.calls()
    plan = environment.up()
    assert (plan.has_changes, plan.drift) == (False, ())
    assert environment.writes(before) == []


def test_without_the_setting_cloud_monitoring_is_not_even_asked(environment: Environment) -> None:
    environment.google.disable("monitoring.googleapis.com")
    environment.google.deny("monitoring.*")
    environment.up()
    environment.cloud().destroy(environment.said.append, with_data=True)
    assert [one for one in environment.google.journal() if one["method"].startswith("monitoring.")] == []


def test_a_policy_asks_for_this_machines_alert_and_says_what_to_do(environment: Environment) -> None:
    say(ON)
    environment.up()
    full = policies(environment)["diskfull"]
    (condition,) = full["conditions"]
    asked = condition["conditionPrometheusQueryLanguage"]
    assert asked["query"] == f'hangar_alert_firing{{machine="{NAME}",alertname="DiskFull"}} > 0'
    assert asked["disableMetricValidation"] is True
    assert full["severity"] == "CRITICAL"
    assert full["documentation"]["content"] == (
        "${metric_or_resource.label.mountpoint} is … full; services are about to stop.\n\n"
        "Make room now: sudo du -xh -d 2 ${metric_or_resource.label.mountpoint} | sort -h | tail"
    )
    assert "{{" not in str([one["documentation"] for one in policies(environment).values()])


def test_silence_is_judged_at_google_of_this_machine_alone(environment: Environment) -> None:
    say(ON)
    environment.up()
    (condition,) = policies(environment)["machinesilent"]["conditions"]
    assert condition["conditionPrometheusQueryLanguage"]["query"] == (
        f'absent_over_time(hangar_cpu_used_ratio{{machine="{NAME}"}}[5m]) and on () '
        f'present_over_time(hangar_cpu_used_ratio{{machine="{NAME}"}}[1d])'
    )


def test_each_receiver_is_told_of_its_levels_and_of_no_other(environment: Environment) -> None:
    api = environment.cloud().api
    slack = api.rest.call(
        "POST", "monitoring", f"v3/projects/{PROJECT}/notificationChannels",
        {"type": "slack", "displayName": "by hand", "labels": {"channel_name": "#data"}},
    )["name"]  # fmt: skip
    say({"backend": "google", "alerts": {
        "duty": {"kind": "google", "to": "data@example.org", "levels": ["critical"]},
        "team": {"kind": "google", "channel": slack, "levels": ["warning", "critical"]},
        "mine": {"kind": "webhook", "secret": "URL"},
    }})  # fmt: skip
    environment.up()
    found = policies(environment)
    (made,) = set(environment.google.table("notificationChannels")) - {slack}
    assert found["diskfull"]["notificationChannels"] == [made, slack]
    assert found["cpubusy"]["notificationChannels"] == [slack]
    assert found["machinewantscpu"]["notificationChannels"] == []
    assert environment.google.table("notificationChannels")[made]["labels"] == {
        "email_address": "data@example.org"
    }
    # The one that was there is somebody else's: it is told, and never touched.
    say({"backend": "google"})
    environment.up()
    assert set(environment.google.table("notificationChannels")) == {slack}
    assert policies(environment)["diskfull"]["notificationChannels"] == []


def test_a_channel_that_is_not_there_is_said_before_anything_is_changed(environment: Environment) -> None:
    channel = f"projects/{PROJECT}/notificationChannels/42"
    say({"backend": "google", "alerts": {"team": {"kind": "google", "channel": channel}}})
    before = environment.calls()
    with pytest.raises(CloudError) as refused:
        environment.up()
    assert refused.value.brief == (
        "Cloud Monitoring does not know a channel that is to be told; nothing was changed."
    )
    assert refused.value.details == f"* monitoring.alerts.team.channel: {channel}"
    assert refused.value.resolution == f"List them: gcloud beta monitoring channels list --project {PROJECT}"
    assert environment.writes(before) == []


def test_parts_that_the_machine_lacks_have_no_policy(environment: Environment) -> None:
    say(ON)
    environment.up("warehouse.enabled=false", "airbyte.enabled=false")
    found = policies(environment)
    assert {"warehousedown", "airbyteunwell"} & set(found) == set()
    assert {"airflowunwell", "diskfull"} <= set(found)
    change = of(environment)[POLICIES]
    assert change.action == "update"
    assert ("WarehouseDown", "none") in [(name, old) for name, old, _ in change.fields]
    environment.up()
    assert "warehousedown" in policies(environment)
    environment.up("warehouse.enabled=false")
    assert "warehousedown" not in policies(environment)


def test_what_a_hand_changed_is_drift_and_is_set_right(environment: Environment) -> None:
    say(ON)
    environment.up()
    full = policies(environment)["diskfull"]
    (condition,) = full["conditions"]
    condition["conditionPrometheusQueryLanguage"]["query"] = "vector(0) > 1"
    environment.google.edit_table("alertPolicies", full["name"], **{**full, "enabled": False})
    ((path, board),) = environment.google.table("dashboards").items()
    board["mosaicLayout"]["tiles"][0]["widget"]["xyChart"]["dataSets"].pop()
    environment.google.edit_table("dashboards", path, **board)
    plan = environment.plan()
    found = {one.rpartition(": ")[0]: one.rpartition(": ")[2] for one in plan.drift}
    assert set(found) == {f"{POLICIES}: DiskFull", f"{DASHBOARD}: CPU"}
    assert found[f"{POLICIES}: DiskFull"].startswith("critical, on, tells duty, #")
    assert "→ critical, off, tells duty, #" in found[f"{POLICIES}: DiskFull"]
    environment.up()
    after = policies(environment)["diskfull"]
    assert after["enabled"] is True
    assert after["conditions"][0]["name"] == condition["name"]
    assert "hangar_alert_firing" in after["conditions"][0]["conditionPrometheusQueryLanguage"]["query"]
    assert environment.plan().drift == ()


def test_others_policies_and_dashboards_stay(environment: Environment) -> None:
    api = environment.cloud().api
    condition = {"displayName": "x", "conditionPrometheusQueryLanguage": {"query": "up == 0"}}
    for labels in ({}, {"hangar-environment": "sandbox", "hangar-alert": "diskfull"}):
        body = {"displayName": "theirs", "combiner": "OR", "conditions": [condition], "userLabels": labels}
        api.rest.call("POST", "monitoring", f"v3/projects/{PROJECT}/alertPolicies", body)
    api.rest.call("POST", "monitoring", f"v1/projects/{PROJECT}/dashboards", {"displayName": "theirs"})
    say(ON)
    environment.up()
    environment.cloud().destroy(environment.said.append, with_data=True)
    left = environment.google.table("alertPolicies").values()
    assert [one["displayName"] for one in left] == ["theirs", "theirs"]
    assert [one["displayName"] for one in environment.google.table("dashboards").values()] == ["theirs"]


def test_destroy_says_what_goes_and_takes_it_before_the_machine(environment: Environment) -> None:
    say(ON)
    environment.up()
    cloud = environment.cloud()
    goes = cloud.removal(with_data=False).goes
    assert goes[0] == f"{DUTY} (data@example.org)" or goes[0].startswith(POLICIES)
    removed = cloud.destroy(environment.said.append, with_data=False)
    assert tuple(removed) == goes
    for table in ("alertPolicies", "notificationChannels", "dashboards"):
        assert environment.google.table(table) == {}
    order = [one["method"] for one in environment.google.journal()]
    assert order.index("monitoring.projects.alertPolicies.delete") < order.index("compute.instances.delete")


def test_back_to_the_machine_alone_takes_it_away(environment: Environment) -> None:
    say(ON)
    environment.up()
    say({})
    found = of(environment)
    assert {one.action for one in found.values()} == {"delete"}
    environment.up()
    assert environment.google.table("alertPolicies") == {}
    before = environment.calls()
    assert not environment.plan().has_changes
    asked = [one["method"] for one in environment.google.journal(since=before)]
    assert [one for one in asked if one.startswith("monitoring.")] == []


@pytest.mark.parametrize(
    "method",
    [
        "monitoring.projects.alertPolicies.create",
        "monitoring.projects.dashboards.create",
        "monitoring.projects.notificationChannels.create",
    ],
)
def test_an_answer_that_is_lost_doubles_nothing(environment: Environment, method: str) -> None:
    say(ON)
    fault = environment.google.fault(method, "503-after")
    environment.up()
    assert environment.google.fired(fault) == 1
    environment.google.clear_faults()
    environment.up()
    policies(environment)
    assert len(environment.google.table("dashboards")) == 1
    assert len(environment.google.table("notificationChannels")) == 1
    before = environment.calls()
    assert not environment.up().has_changes
    assert environment.writes(before) == []


@pytest.mark.parametrize(
    ("permission", "role"),
    [
        ("monitoring.alertPolicies.create", "roles/monitoring.alertPolicyEditor"),
        ("monitoring.notificationChannels.list", "roles/monitoring.notificationChannelEditor"),
        ("monitoring.dashboards.create", "roles/monitoring.dashboardEditor"),
    ],
)
def test_a_missing_permission_is_refused_with_what_to_type(
    environment: Environment, permission: str, role: str
) -> None:
    say(ON)
    environment.google.deny(permission)
    with pytest.raises(CloudError) as refused:
        environment.up()
    assert refused.value.brief == f"Your account lacks the permission {permission}."
    member = f"serviceAccount:operator@{PROJECT}.iam.gserviceaccount.com"
    assert refused.value.resolution.startswith(
        f"The role {role} has it: gcloud projects add-iam-policy-binding {PROJECT} --condition None"
        f" --member {member} --role {role}"
    )
    environment.google.deny()
    environment.up()
    assert not environment.plan().has_changes


def test_an_api_that_is_off_is_named_with_the_command(environment: Environment) -> None:
    say(ON)
    environment.google.disable("monitoring.googleapis.com")
    with pytest.raises(CloudError) as refused:
        environment.plan()
    assert refused.value.brief == "The API monitoring.googleapis.com is not enabled in the project."
    assert f"gcloud services enable monitoring.googleapis.com --project {PROJECT}" in refused.value.resolution


def test_doctor_asks_for_it_where_it_is_wanted_and_nowhere_else(environment: Environment) -> None:
    environment.google.deny("monitoring.*")
    environment.google.disable("monitoring.googleapis.com", "logging.googleapis.com")

    def ill() -> dict[str, str]:
        return {one.name: one.cure for one in doctor.look(environment.settings()) if one.state != "ok"}

    assert ill() == {}
    say(ON)
    member = f"serviceAccount:operator@{PROJECT}.iam.gserviceaccount.com"
    grant = f"gcloud projects add-iam-policy-binding {PROJECT} --condition None --member {member} --role"
    assert ill() == {
        "Google APIs": f"gcloud services enable monitoring.googleapis.com logging.googleapis.com --project {PROJECT}",
        "Permissions": "\n".join(
            f"{grant} roles/monitoring.{role}"
            for role in ("alertPolicyEditor", "dashboardEditor", "notificationChannelEditor")
        ),
    }


def test_what_is_called_is_what_doctor_asks_for(environment: Environment) -> None:
    say(ON)
    environment.up()
    say({"backend": "google", "alerts": {"duty": {"kind": "google", "to": "night@example.org"}}})
    environment.up("warehouse.enabled=false")
    environment.cloud().destroy(environment.said.append, with_data=True)
    used = {permission for call in environment.google.journal() for permission in call["permissions"]}
    public = {"compute.images.getFromFamily", "compute.images.useReadOnly"}
    assert used - {*NEEDED, *FOR_MONITORING} - public == set()
    assert "monitoring.notificationChannels.update" in used


def test_google_is_asked_one_after_the_other_within_its_limits(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate limit in the middle is waited for."""
    monkeypatch.setattr(calling, "GIVE_UP", 5.0)
    say(ON)
    fault = environment.google.fault("monitoring.projects.alertPolicies.create", "429", nth=20)
    environment.up()
    assert environment.google.fired(fault) == 1
    assert not environment.plan().has_changes
