"""What hands beside Hangar do to the disks of a machine: seen by the plan, set right by `up`, no loss at the end."""

from __future__ import annotations

import pytest

from hangar.errors import CloudError
from hangar.plan import Change
from tests.gcp.conftest import ZONE, Environment
from tests.gcp.hands import BOOT, DATA, NAME, attached, auto_delete, changes, edit, kept_boot_disk
from tests.gcp.test_removal import remove


def test_a_data_disk_that_would_go_with_the_machine_is_seen_and_set_right(environment: Environment) -> None:
    environment.up()
    auto_delete(environment, DATA, on=True)
    plan = environment.plan()
    assert plan.drift == (f"machine {NAME}: data disk goes with the machine: no → yes",)
    (change,) = [one for one in plan.changes if one.action != "nothing"]
    assert (change.action, change.fields) == ("update", (("data disk goes with the machine", "yes", "no"),))
    before = environment.calls()
    environment.up()
    assert environment.writes(before) == ["compute.instances.setDiskAutoDelete"]
    assert attached(environment, DATA)["autoDelete"] is False
    assert attached(environment, BOOT)["autoDelete"] is True
    assert environment.plan().drift == ()


@pytest.mark.parametrize("way", ["destroy", "replace"])
def test_the_data_outlives_the_machine_though_somebody_let_it_go_along(
    environment: Environment, way: str
) -> None:
    environment.up()
    data = environment.google.resources("disks")[DATA]["id"]
    auto_delete(environment, DATA, on=True)
    before = environment.calls()
    if way == "destroy":
        remove(environment, with_data=False)
    else:
        assert environment.up("gcp.boot_disk_type=pd-ssd").replaces
    calls = environment.writes(before)
    assert calls.index("compute.instances.setDiskAutoDelete") < calls.index("compute.instances.delete")
    assert environment.google.resources("disks")[DATA]["id"] == data


def test_a_strangers_disk_at_the_machine_outlives_it_and_is_named(environment: Environment) -> None:
    environment.up()
    cloud = environment.cloud()
    names, do = cloud.names, cloud.api.compute.do
    kind = f"{names.in_zone}/diskTypes/pd-balanced"
    do("insert", f"{names.in_zone}/disks", {"name": "theirs", "sizeGb": "10", "type": kind})
    disk = {"source": f"{names.in_zone}/disks/theirs", "deviceName": "theirs", "autoDelete": True}
    do("attach_disk", names.instance, disk)
    assert "disk theirs (attached by somebody else; not Hangar's)" in cloud.removal(with_data=True).stays
    remove(environment, with_data=True)
    assert set(environment.google.resources("disks")) == {"theirs"}


def test_a_data_disk_that_can_only_be_read_is_attached_anew_with_a_stop(environment: Environment) -> None:
    environment.up()
    edit(
        environment, disks=[attached(environment, BOOT), {**attached(environment, DATA), "mode": "READ_ONLY"}]
    )
    (change,) = changes(environment)
    assert (change.action, change.detail, change.fields) == (
        "restart", "what is mounted is attached anew only on a stopped machine",
        (("data disk mode", "READ_ONLY", "READ_WRITE"),),
    )  # fmt: skip
    before = environment.calls()
    environment.up()
    assert environment.writes(before) == [
        "compute.disks.createSnapshot", "compute.instances.stop", "compute.instances.detachDisk",
        "compute.instances.attachDisk", "compute.instances.start",
    ]  # fmt: skip
    assert (attached(environment, DATA)["mode"], environment.instance["status"]) == ("READ_WRITE", "RUNNING")


def test_a_boot_disk_that_somebody_kept_makes_way_for_the_new_one(environment: Environment) -> None:
    environment.up()
    old = kept_boot_disk(environment)
    assert changes(environment)[0] == Change(
        f"boot disk {BOOT}", "delete", "left by a machine that is gone; the new one gets its own"
    )
    before = environment.calls()
    environment.up()
    assert environment.writes(before)[:2] == ["compute.disks.delete", "compute.instances.insert"]
    assert environment.google.resources("disks")[BOOT]["id"] != old
    assert environment.instance["status"] == "RUNNING"
    assert changes(environment) == []


def test_a_boot_disk_that_stays_is_seen_and_replaced_with_its_machine(environment: Environment) -> None:
    environment.up()
    auto_delete(environment, BOOT, on=False)
    assert environment.plan().drift == (f"machine {NAME}: boot disk goes with the machine: yes → no",)
    environment.up("gcp.boot_disk_type=pd-ssd")
    assert environment.google.resources("disks")[BOOT]["type"].endswith("/pd-ssd")
    auto_delete(environment, BOOT, on=False)
    environment.up("gcp.boot_disk_type=pd-ssd")
    assert attached(environment, BOOT)["autoDelete"] is True


def test_destroy_takes_a_boot_disk_that_would_stay(environment: Environment) -> None:
    environment.up()
    auto_delete(environment, BOOT, on=False)
    doomed = environment.cloud().removal(with_data=True)
    assert doomed.goes[:2] == (f"machine {NAME}", f"boot disk {BOOT}")
    assert tuple(remove(environment, with_data=True)) == doomed.goes
    assert environment.google.resources("disks") == {}


def test_a_boot_disk_at_another_machine_is_named_before_anything_is_touched(environment: Environment) -> None:
    environment.up()
    kept_boot_disk(environment)
    path = f"projects/{environment.google.project}/zones/{ZONE}"
    user = f"https://www.googleapis.com/compute/v1/{path}/instances/rescue"
    environment.google.edit(f"{path}/disks/{BOOT}", users=[user])
    before = environment.calls()
    with pytest.raises(CloudError) as refused:
        environment.up()
    assert refused.value.brief == f"The disk {BOOT} is attached to the machine rescue."
    assert refused.value.resolution == (
        "Detach it, and run the same command again: gcloud compute instances detach-disk rescue"
        f" --disk {BOOT} --project {environment.google.project} --zone {ZONE}"
    )
    assert environment.writes(before) == []


def test_a_strangers_boot_disk_of_our_name_is_left_alone(environment: Environment) -> None:
    cloud = environment.cloud()
    folder = f"{cloud.names.in_zone}/disks"
    kind = f"{cloud.names.in_zone}/diskTypes/pd-balanced"
    cloud.api.compute.do("insert", folder, {"name": BOOT, "sizeGb": "10", "type": kind})
    before = environment.calls()
    for act in (environment.up, lambda: remove(environment, with_data=True)):
        with pytest.raises(CloudError) as refused:
            act()
        assert refused.value.brief == f"There is a disk named {BOOT} in hangar-test that Hangar did not make."
        assert refused.value.details == "* It lacks the label hangar-environment=production."
    assert environment.writes(before) == []
    assert set(environment.google.resources("disks")) == {BOOT}


@pytest.mark.parametrize("other", ["europe-west3-b", "europe-west1-b"])
def test_a_disk_of_our_name_in_another_zone_stands_in_the_way_only_instead_of_ours(
    environment: Environment, other: str
) -> None:
    environment.up()
    cloud = environment.cloud()
    zone = f"projects/{cloud.names.project}/zones/{other}"
    theirs = {"name": DATA, "sizeGb": "10", "type": f"{zone}/diskTypes/pd-balanced"}
    cloud.api.compute.do("insert", f"{zone}/disks", theirs)
    assert not environment.plan().has_changes
    remove(environment, with_data=True)
    assert f"{zone}/disks/{DATA}" in environment.google.resources()
    with pytest.raises(CloudError) as elsewhere:
        environment.plan()
    assert (
        elsewhere.value.brief == f"The disk {DATA} stands in the zone {other}, and platform.yml says {ZONE}."
    )
