"""What belongs to a machine: people, secrets, monitoring."""

from __future__ import annotations

from hangar.cloud.gcp import admission
from tests.gcp import test_secrets, test_watching
from tests.gcp.conftest import Environment
from tests.gcp.scenes.scene import settle_all


def come(environment: Environment) -> None:
    environment.up()
    cloud = environment.cloud()
    admission.ensure(cloud.api, cloud.names, ["ana@example.org"])


def leave(environment: Environment) -> None:
    cloud = environment.cloud()
    admission.restrict(cloud.api, cloud.names, ())


def require_shut(environment: Environment) -> None:
    settle_all(environment)
    (policy,) = environment.google.table("iamPolicies").values()
    assert [one for one in policy["bindings"] if one["role"] == admission.ROLE] == []


def give(environment: Environment) -> None:
    """The machine reads one secret; from now on it is to read others in its place."""
    test_secrets.make(environment, *test_secrets.NAMES)
    test_secrets.say(airflow={})
    environment.up()
    test_secrets.say(monitoring={})


def require_secrets(environment: Environment) -> None:
    settle_all(environment)
    machine = [test_secrets.MACHINE]
    assert test_secrets.readers(environment) == {"erp": machine, "token": machine}


def want_watch(environment: Environment) -> None:
    """A channel of somebody else's, which is told too."""
    environment.up()
    made = environment.cloud().api.rest.call(
        "POST", "monitoring", f"v3/projects/{test_watching.PROJECT}/notificationChannels",
        {"type": "slack", "displayName": "by hand", "labels": {"channel_name": "#data"}},
    )  # fmt: skip
    given = {**test_watching.ON["alerts"], "team": {"kind": "google", "channel": made["name"]}}
    test_watching.say({"backend": "google", "alerts": given})


def watch(environment: Environment) -> None:
    test_watching.say(test_watching.ON)
    environment.up()


def want_other_watch(environment: Environment) -> None:
    """Another address, a policy and a dashboard that a hand has changed, a part of the machine that is no more."""
    watch(environment)
    test_watching.say(
        {"backend": "google", "alerts": {"duty": {"kind": "google", "to": "night@example.org"}}}
    )
    full = test_watching.policies(environment)["diskfull"]
    environment.google.edit_table("alertPolicies", full["name"], **{**full, "enabled": False})
    ((path, board),) = environment.google.table("dashboards").items()
    board["mosaicLayout"]["tiles"][0]["widget"]["xyChart"]["dataSets"].pop()
    environment.google.edit_table("dashboards", path, **board)
    environment.overrides = ("warehouse.enabled=false",)


def require_watched(environment: Environment) -> None:
    settle_all(environment)
    assert all(one["enabled"] for one in test_watching.policies(environment).values())
    assert len(environment.google.table("dashboards")) == 1
    ours = [
        one for one in environment.google.table("notificationChannels").values() if one["type"] == "email"
    ]
    assert len(ours) == 1


def want_no_watch(environment: Environment) -> None:
    watch(environment)
    test_watching.say({})


def require_unwatched(environment: Environment) -> None:
    settle_all(environment)
    for table in ("alertPolicies", "notificationChannels", "dashboards"):
        assert environment.google.table(table) == {}
