"""What is asked of Cloud Monitoring, and what counts as the same."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from hangar import watch_list
from hangar.cloud.gcp.names import Names
from hangar.cloud.gcp.watching import Told, Watch, bodies, views, watch
from hangar.cloud.gcp.watching.reading import Seen
from hangar.config import Config
from tests.google.discovery import catalog
from tests.google.schema import problems
from tests.templates.render import value

NAMES = Names("production", "acme-data-1", "europe-west6-a")
ALL = Watch(
    ("containers", "airflow", "airbyte", "warehouse"), (Told("duty", ("critical",), "data@example.org"),)
)
CHANNELS = {"duty": "projects/acme-data-1/notificationChannels/7"}


def policy(name: str) -> dict[str, Any]:
    entry = next(one for one in watch_list.alerts() if one.name == name)
    return bodies.policy(NAMES, entry, CHANNELS, ALL)


def line(body: dict[str, Any]) -> str:
    return views.policy(body, {"7": "duty"})


@pytest.mark.parametrize("entry", watch_list.alerts(), ids=lambda entry: entry.name)
def test_each_policy_is_one_that_googles_document_allows(entry: watch_list.Entry) -> None:
    document = catalog().by_id["monitoring.projects.alertPolicies.create"].document
    body = bodies.policy(NAMES, entry, CHANNELS, ALL)
    assert problems(body, {"$ref": "AlertPolicy"}, document, "") == []
    assert body["userLabels"] == {"hangar-environment": "production", "hangar-alert": entry.name.lower()}
    (condition,) = body["conditions"]
    assert 'machine="hangar-production"' in condition["conditionPrometheusQueryLanguage"]["query"]


def test_the_dashboard_is_one_that_googles_document_allows() -> None:
    document = catalog().by_id["monitoring.projects.dashboards.create"].document
    body = bodies.dashboard(NAMES)
    assert problems(body, {"$ref": "Dashboard"}, document, "") == []
    widgets = [tile["widget"] for tile in body["mosaicLayout"]["tiles"]]
    assert [one["title"] for one in widgets] == [*(one["title"] for one in watch_list.panels()), bodies.LOGS]
    queries = [
        one["timeSeriesQuery"]["prometheusQuery"]
        for widget in widgets
        for one in widget.get("xyChart", {}).get("dataSets", ())
    ]
    assert [one for one in queries if 'machine="hangar-production"' not in one or "$" in one] == []


def test_no_template_of_prometheus_reaches_google() -> None:
    for entry in watch_list.alerts():
        said = bodies.text(entry)
        assert "{{" not in said, entry.name
        assert said.strip(), entry.name
    failed = next(one for one in watch_list.alerts() if one.name == "FigureSourceDown")
    assert bodies.text(failed).startswith("${metric_or_resource.label.exported_job} gives no figures.")


def test_levels_are_googles_severities() -> None:
    assert policy("DiskFull")["severity"] == "CRITICAL"
    assert policy("DiskAlmostFull")["severity"] == "WARNING"
    assert "severity" not in policy("MachineWantsCpu")
    assert line(policy("MachineWantsCpu")).startswith("grow, on, tells none, #")


def test_what_google_fills_in_or_leaves_out_is_no_difference() -> None:
    body = policy("DiskFull")
    told = copy.deepcopy(body)
    condition = told["conditions"][0]
    condition["name"] = "projects/1/alertPolicies/2/conditions/3"
    del condition["conditionPrometheusQueryLanguage"]["duration"]
    told |= {"name": "projects/1/alertPolicies/2", "creationRecord": {"mutateTime": "2026-11-25T06:00:00Z"}}
    told["notificationChannels"] = ["projects/123456789012/notificationChannels/7"]
    del told["enabled"]
    assert line(told) == line(body)


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"severity": "WARNING"},
        {"notificationChannels": []},
        {"displayName": "mine"},
        {"conditions": []},
        {"documentation": {"content": "call me"}},
        {"alertStrategy": {"autoClose": "604800s"}},
        {"conditions": [{"displayName": "DiskFull", "conditionThreshold": {"filter": "x"}}]},
    ],
    ids=str,
)
def test_what_a_hand_changes_is_a_difference(change: dict[str, Any]) -> None:
    assert line(policy("DiskFull") | change) != line(policy("DiskFull"))


@pytest.mark.parametrize(
    ("overrides", "variables"),
    [
        ((), {}),
        (("warehouse.enabled=false",), {"warehouse_enabled": False}),
        (("airbyte.enabled=false",), {"airbyte_enabled": False}),
        (
            ("airbyte.engine=abctl", "gcp.machine_type=e2-standard-8", f"airbyte.abctl.sha256={'ab' * 32}"),
            {"airbyte_engine": "abctl"},
        ),
    ],
)
def test_the_parts_are_those_that_the_machine_watches(
    make_config: Callable[..., Config], overrides: tuple[str, ...], variables: dict[str, Any]
) -> None:
    there = ("cloud=gcp", "gcp.project=acme-data-1", "gcp.zone=europe-west6-a", "monitoring.backend=google")
    watched = watch(make_config(*there, *overrides))
    assert watched is not None
    assert set(watched.parts) == set(value("monitoring", "monitoring_services", **variables))
    assert watch(make_config(*there[:3])) is None


def test_only_what_differs_is_told_and_what_is_too_much_goes() -> None:
    made = {
        body["userLabels"][bodies.ALERT]: {**body, "name": f"projects/p/alertPolicies/{number}"}
        for number, body in enumerate(policy(one.name) for one in bodies.entries(ALL))
    }
    channel = {**bodies.channel(NAMES, ALL.told[0]), "name": CHANNELS["duty"]}
    full = Seen({"duty": channel}, made, (bodies.dashboard(NAMES),))
    assert {one.action for one in views.changes(NAMES, ALL, full)} == {"nothing"}
    fewer = Watch(("containers", "airflow", "warehouse"), ALL.told)
    changed = [one for one in views.changes(NAMES, fewer, full) if one.action != "nothing"]
    (update,) = changed
    assert (update.resource, update.action) == ("alert policies hangar-production", "update")
    assert {name for name, _, _ in update.fields} == {"AirbyteUnwell", "AirbyteJobFailed", "AirbyteJobLong"}
    assert {new for _, _, new in update.fields} == {"none"}
    gone = views.changes(NAMES, None, full)
    assert {one.action for one in gone} == {"delete"}
    assert views.changes(NAMES, None, Seen()) == ()
