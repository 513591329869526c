"""What a test orders happens when it was ordered, and only then."""

import threading
import time
import uuid

import pytest
import requests
from google.api_core import exceptions
from google.cloud import compute_v1

from tests.google.client import Google
from tests.google.conftest import PROJECT, ZONE, Cloud, instance

DISK = "compute.disks.insert"


def insert(cloud: Cloud, name: str, request_id: str | None = None) -> compute_v1.Operation:
    request = compute_v1.InsertDiskRequest(
        project=PROJECT, zone=ZONE, disk_resource=compute_v1.Disk(name=name, size_gb=10)
    )
    if request_id:
        request.request_id = request_id
    return cloud.Disks.insert_unary(request)


def test_the_third_call_is_answered_503_after_the_work(google: Google, cloud: Cloud) -> None:
    fault = google.fault(DISK, "503-after", nth=3)
    for name in ("one", "two"):
        cloud.done(insert(cloud, name))
    number = str(uuid.uuid4())
    with pytest.raises(exceptions.ServiceUnavailable):
        insert(cloud, "three", number)
    assert sorted(google.resources("disks")) == ["one", "three", "two"]
    cloud.done(insert(cloud, "three", number))
    assert google.fired(fault) == 1
    assert [call["status"] for call in google.journal(DISK)] == [200, 200, 503, 200]


@pytest.mark.parametrize(
    ("kind", "error", "made"),
    [
        ("503-before", exceptions.ServiceUnavailable, []),
        ("429", exceptions.TooManyRequests, []),
        ("403", exceptions.Forbidden, []),
        ("500-before", exceptions.InternalServerError, []),
        ("reset-before", requests.ConnectionError, []),
        ("reset-after", requests.ConnectionError, ["disk"]),
    ],
)
def test_a_call_fails_as_ordered(
    google: Google, cloud: Cloud, kind: str, error: type[Exception], made: list[str]
) -> None:
    google.fault(DISK, kind)
    with pytest.raises(error):
        insert(cloud, "disk")
    assert list(google.resources("disks")) == made


def test_an_operation_ends_in_the_ordered_error(google: Google, cloud: Cloud) -> None:
    fault = google.fault(
        "compute.disks.*", "operation-error", code="INTERNAL_ERROR", message="Something went wrong."
    )
    with pytest.raises(exceptions.NotFound):
        cloud.Disks.get(project=PROJECT, zone=ZONE, disk="disk")
    assert google.fired(fault) == 0, "a method without an operation has none that could fail"
    ended = cloud.wait(insert(cloud, "disk"))
    assert [(one.code, one.message) for one in ended.error.errors] == [
        ("INTERNAL_ERROR", "Something went wrong.")
    ]
    assert google.resources("disks") == {}
    assert google.fired(fault) == 1
    cloud.done(insert(cloud, "disk"))


@pytest.mark.parametrize(
    "method", ["compute.instances.get", "compute.zoneOperations.wait", "storage.objects.insert"]
)
def test_a_method_without_operations_cannot_be_ordered_to_end_in_one(google: Google, method: str) -> None:
    with pytest.raises(ValueError, match=f"no method of {method} can go wrong by operation-error"):
        google.fault(method, "operation-error", code="INTERNAL_ERROR")


def test_a_method_that_no_document_knows_can_be_ordered_nothing(google: Google) -> None:
    with pytest.raises(ValueError, match=r"no method of compute\.disks\.make can go wrong by 503-after"):
        google.fault("compute.disks.make", "503-after")


def test_a_call_is_late_as_ordered(google: Google, cloud: Cloud) -> None:
    google.fault(DISK, "delay-before", seconds=0.3)
    begun = time.monotonic()
    insert(cloud, "disk")
    assert time.monotonic() - begun > 0.3


def test_a_pattern_counts_every_call_that_it_matches(google: Google, cloud: Cloud) -> None:
    google.fault("compute.*", "403", nth=2)
    insert(cloud, "disk")
    with pytest.raises(exceptions.Forbidden):
        cloud.Disks.get(project=PROJECT, zone=ZONE, disk="disk")
    assert cloud.Disks.get(project=PROJECT, zone=ZONE, disk="disk").name == "disk"


def test_an_unknown_kind_of_fault_is_refused(google: Google) -> None:
    with pytest.raises(ValueError, match="unknown kind of fault: 418"):
        google.fault(DISK, "418")


def test_a_missing_permission_is_named(google: Google, cloud: Cloud) -> None:
    google.deny("compute.disks.create")
    with pytest.raises(
        exceptions.Forbidden, match=r"Required 'compute.disks.create' permission for 'projects/"
    ):
        insert(cloud, "disk")
    asked = {"permissions": ["compute.disks.create", "compute.disks.get"]}
    held = cloud.request("POST", f"v3/projects/{PROJECT}:testIamPermissions", json=asked)
    assert held.json() == {"permissions": ["compute.disks.get"]}
    google.deny()
    cloud.done(insert(cloud, "disk"))


def test_an_instance_needs_what_its_parts_need(google: Google, cloud: Cloud) -> None:
    cloud.make_instance(metadata={"a": "b"}, labels={"env": "test"})
    call = google.journal("compute.instances.insert")[0]
    assert call["permissions"] == [
        "compute.instances.create",
        "compute.disks.create",
        "compute.subnetworks.use",
        "compute.instances.setMetadata",
        "compute.instances.setLabels",
    ]
    cloud.done(cloud.Instances.delete_unary(project=PROJECT, zone=ZONE, instance="vm"))
    google.deny("compute.subnetworks.use")
    with pytest.raises(exceptions.Forbidden, match=r"Required 'compute.subnetworks.use'"):
        cloud.insert(instance())


def test_an_api_that_is_off_says_how_to_switch_it_on(google: Google, cloud: Cloud) -> None:
    google.disable("compute.googleapis.com")
    with pytest.raises(exceptions.Forbidden, match="has not been used in project") as caught:
        insert(cloud, "disk")
    assert caught.value.errors[0]["reason"] == "accessNotConfigured"
    assert caught.value.reason == "SERVICE_DISABLED"
    assert caught.value.metadata["service"] == "compute.googleapis.com"
    service = f"v1/projects/{PROJECT}/services/compute.googleapis.com"
    assert cloud.request("GET", service).json()["state"] == "DISABLED"
    operation = cloud.request("POST", f"{service}:enable", json={}).json()
    while not operation.get("done"):
        operation = cloud.request("GET", f"v1/{operation['name']}").json()
    assert cloud.request("GET", service).json()["state"] == "ENABLED"
    cloud.done(insert(cloud, "disk"))


def test_a_project_without_billing_says_so(google: Google, cloud: Cloud) -> None:
    google.unbill(PROJECT)
    with pytest.raises(exceptions.Forbidden, match="requires billing to be enabled") as caught:
        insert(cloud, "disk")
    assert caught.value.reason == "BILLING_DISABLED"


def test_a_call_that_hangs_can_be_waited_for(google: Google, cloud: Cloud) -> None:
    fault = google.fault(DISK, "delay-after", seconds=30)
    with pytest.raises(TimeoutError):
        google.wait_until_fired(fault, seconds=0.1)

    def hang() -> None:
        with pytest.raises(requests.ConnectionError):
            insert(cloud, "disk")

    thread = threading.Thread(target=hang)
    thread.start()
    google.wait_until_fired(fault)
    while not google.resources("disks"):
        assert thread.is_alive()
    google.kill()
    thread.join()
    google.start()
    assert list(google.resources("disks")) == ["disk"]


def test_an_organisation_policy_forbids_a_method(google: Google, cloud: Cloud) -> None:
    google.violate("constraints/compute.requireShieldedVm", DISK)
    with pytest.raises(
        exceptions.PreconditionFailed, match=r"Constraint constraints/compute.requireShieldedVm violated"
    ):
        insert(cloud, "disk")


def test_a_killed_stand_in_knows_what_it_knew(google: Google, cloud: Cloud) -> None:
    google.settings(operation_seconds=0.3)
    number = str(uuid.uuid4())
    begun = insert(cloud, "disk", number)
    google.kill()
    google.start()
    assert insert(cloud, "disk", number).name == begun.name
    cloud.done(begun)
    assert google.resources("disks")["disk"]["status"] == "READY"


def test_the_journal_tells_what_was_asked(google: Google, cloud: Cloud) -> None:
    cloud.done(insert(cloud, "disk"))
    call = google.journal(DISK)[0]
    assert call["body"] == {"name": "disk", "sizeGb": "10"}
    assert call["values"] == {"project": PROJECT, "zone": ZONE}
    assert call["principal"] == f"operator@{PROJECT}.iam.gserviceaccount.com"
    assert google.journal(since=call["number"])[0]["method"] == "compute.zoneOperations.wait"


def test_a_hand_in_the_console_is_seen(google: Google, cloud: Cloud) -> None:
    cloud.make_instance()
    google.edit(f"projects/{PROJECT}/zones/{ZONE}/instances/vm", labels={"by": "hand"})
    assert cloud.instance().labels == {"by": "hand"}
    google.remove(f"projects/{PROJECT}/zones/{ZONE}/instances/vm")
    with pytest.raises(exceptions.NotFound):
        cloud.instance()
