"""What goes wrong on the way, once: a sample. The whole matrix is tests/matrix/test_google.py."""

from __future__ import annotations

from collections import Counter

import pytest

from hangar.cloud.gcp import calling, compute
from hangar.cloud.gcp.compute import Body, Compute
from hangar.errors import CloudError
from tests.gcp.conftest import Environment

SAMPLE = [
    ("compute.networks.insert", "503-after"),
    ("compute.instances.insert", "503-after"),
    ("compute.instances.insert", "reset-after"),
    ("compute.disks.insert", "429"),
    ("iam.projects.serviceAccounts.create", "503-after"),
    ("cloudresourcemanager.projects.setIamPolicy", "503-after"),
    ("storage.objects.insert", "503-after"),
    ("compute.instances.setMetadata", "503-after"),
    ("compute.instances.get", "reset-before"),
]


def settle(environment: Environment) -> None:
    """After one more undisturbed `up`, all is there once, and nothing is left to do."""
    environment.google.clear_faults()
    environment.up()
    before = environment.calls()
    assert not environment.up().has_changes
    assert environment.writes(before) == []
    kinds = Counter(
        path.split("/")[-2] for path in environment.google.resources() if "/operations/" not in path
    )
    assert {kind: kinds[kind] for kind in ONCE} == ONCE


ONCE = {
    "networks": 1,
    "subnetworks": 1,
    "routers": 1,
    "firewalls": 4,
    "resourcePolicies": 1,
    "disks": 2,
    "instances": 1,
}


@pytest.mark.parametrize(("method", "kind"), SAMPLE)
def test_what_passes_is_not_noticed_and_doubles_nothing(
    environment: Environment, method: str, kind: str
) -> None:
    fault = environment.google.fault(method, kind)
    environment.up()
    assert environment.google.fired(fault) == 1
    settle(environment)


@pytest.mark.parametrize("method", ["compute.subnetworks.insert", "compute.instances.insert"])
def test_an_operation_that_fails_names_what_was_made(environment: Environment, method: str) -> None:
    environment.google.fault(method, "operation-error", code="INTERNAL_ERROR", message="Something broke.")
    with pytest.raises(CloudError) as failed:
        environment.up()
    assert "INTERNAL_ERROR): Something broke." in failed.value.details
    assert "* Made before that, and still there (some of it costs money):" in failed.value.details
    assert "  network hangar-production" in failed.value.details
    assert failed.value.resolution.endswith(
        "Then go on: ./provision.py up production, or remove it: ./provision.py destroy production --with-data"
    )
    settle(environment)


def test_a_machine_that_google_makes_for_ever_is_named_with_its_console(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Compute.finish

    def impatient(self: Compute, operation: Body) -> None:
        with monkeypatch.context() as patch:
            if "/instances/" in operation.get("targetLink", ""):
                patch.setattr(compute, "PATIENCE", -1.0)
            finish(self, operation)

    environment.google.settings(operation_seconds=2.0)
    monkeypatch.setattr(Compute, "finish", impatient)
    with pytest.raises(CloudError) as endless:
        environment.up()
    assert endless.value.brief.endswith("minutes on: insert instances/hangar-production.")
    assert "* The end of the machine's console:\n" in endless.value.details
    assert "  network hangar-production" in endless.value.details
    assert "gcloud compute operations describe operation-" in endless.value.resolution


def test_who_ends_it_midway_is_told_what_is_there(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By Ctrl-C: some of it costs money, and what Google has begun it brings to its end."""
    finish = Compute.finish

    def ended(self: Compute, operation: Body) -> None:
        if operation.get("targetLink", "").endswith("/hangar-production-data"):
            raise KeyboardInterrupt
        finish(self, operation)

    with monkeypatch.context() as patch:
        patch.setattr(Compute, "finish", ended)
        with pytest.raises(KeyboardInterrupt):
            environment.up()
    said = capsys.readouterr().err
    assert "* Made before that, and still there (some of it costs money):\n" in said
    assert "\n  network hangar-production\n" in said
    assert "\n  data disk hangar-production-data (Google is still at work on it)\n" in said
    assert (
        "Then go on: ./provision.py up production, or remove it: ./provision.py destroy production --with-data"
        in said
    )
    settle(environment)
    environment.up()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("step", ["stop", "setMachineType", "start"])
def test_who_ends_a_change_midway_is_told_that_the_machine_may_be_off(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: str
) -> None:
    """By Ctrl-C, while nobody's work goes on there. What was not stopped yet is not called off."""
    environment.up()
    finish = Compute.finish
    ends = [step]

    def ended(self: Compute, operation: Body) -> None:
        if operation["operationType"] in ends:
            raise KeyboardInterrupt
        finish(self, operation)

    with monkeypatch.context() as patch:
        patch.setattr(Compute, "finish", ended)
        with pytest.raises(KeyboardInterrupt):
            environment.up("gcp.machine_type=e2-standard-8")
        said = capsys.readouterr().err
        assert "hangar-production was stopped for the change, and may be off now." in said
        assert "To go on: ./provision.py up production" in said
        patch.setattr(Compute, "finish", finish)
        environment.up("gcp.machine_type=e2-standard-8")
        assert environment.instance["status"] == "RUNNING"
        ends[:] = ["createSnapshot"]
        patch.setattr(Compute, "finish", ended)
        with pytest.raises(KeyboardInterrupt):
            environment.up("gcp.machine_type=e2-standard-4")
    assert "may be off" not in capsys.readouterr().err


def test_a_new_account_that_is_not_known_everywhere_yet_is_waited_for(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "GIVE_UP", 10.0)
    environment.google.delay_accounts(1.0)
    environment.up()
    assert environment.instance["status"] == "RUNNING"


def test_what_is_refused_once_is_done_the_next_time(environment: Environment) -> None:
    environment.google.fault("compute.routers.insert", "403")
    with pytest.raises(CloudError) as refused:
        environment.up()
    assert refused.value.brief == "Your account may not do this."
    settle(environment)
