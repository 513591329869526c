"""What Compute enforces, and its users trip over."""

import uuid

import pytest
from google.api_core import exceptions
from google.cloud import compute_v1

from tests.google.client import Google
from tests.google.conftest import IMAGE, PROJECT, REGION, ZONE, Cloud, instance

TERMINATED = "TERMINATED"


def where(**more: str) -> dict[str, str]:
    return {"project": PROJECT, "zone": ZONE, **more}


def test_an_instance_comes_up_with_its_disk_and_its_address(cloud: Cloud) -> None:
    cloud.make_instance()
    made = cloud.instance()
    assert made.status == "RUNNING"
    assert made.network_interfaces[0].network_i_p == "10.0.0.2"
    assert made.network_interfaces[0].access_configs == []
    disk = cloud.Disks.get(**where(disk="vm"))
    assert disk.users == [made.self_link]
    assert disk.source_image.endswith("/debian-13-trixie-v20261110")
    assert disk.size_gb == 10


def test_an_operation_goes_through_its_states(google: Google, cloud: Cloud) -> None:
    google.settings(operation_seconds=0.4)
    network = compute_v1.Network(name="net", auto_create_subnetworks=False)
    begun = cloud.Networks.insert_unary(project=PROJECT, network_resource=network)
    assert begun.status == compute_v1.Operation.Status.PENDING
    assert begun.operation_type == "insert"
    ended = cloud.wait(begun)
    assert ended.status == compute_v1.Operation.Status.DONE
    assert ended.progress == 100


def test_what_is_being_made_cannot_be_referred_to(google: Google, cloud: Cloud) -> None:
    google.settings(operation_seconds=30)
    network = compute_v1.Network(name="net", auto_create_subnetworks=False)
    cloud.Networks.insert_unary(project=PROJECT, network_resource=network)
    subnetwork = compute_v1.Subnetwork(name="sub", network="global/networks/net", ip_cidr_range="10.0.0.0/24")
    with pytest.raises(
        exceptions.BadRequest, match=r"'projects/hangar-test/global/networks/net' is not ready"
    ):
        cloud.Subnetworks.insert_unary(project=PROJECT, region=REGION, subnetwork_resource=subnetwork)


def test_a_repeated_insert_makes_nothing_twice(google: Google, cloud: Cloud) -> None:
    cloud.make_network()
    number = str(uuid.uuid4())
    first = cloud.insert(instance(), number)
    cloud.done(first)
    assert cloud.insert(instance(), number).name == first.name
    with pytest.raises(exceptions.Conflict, match="already exists"):
        cloud.insert(instance(), str(uuid.uuid4()))
    assert list(google.resources("instances")) == ["vm"]


def test_a_request_id_for_two_different_things_is_noted(google: Google, cloud: Cloud) -> None:
    google.tolerates_violations = True
    cloud.make_network()
    number = str(uuid.uuid4())
    cloud.done(cloud.insert(instance(), number))
    cloud.insert(instance("other"), number)
    assert [one["kind"] for one in google.violations()] == ["requestId"]
    assert list(google.resources("instances")) == ["vm"]


def test_a_request_id_is_a_uuid(cloud: Cloud) -> None:
    cloud.make_network()
    with pytest.raises(exceptions.BadRequest, match="Must be a valid UUID"):
        cloud.insert(instance(), "once")


def test_what_does_not_exist_is_named(cloud: Cloud) -> None:
    with pytest.raises(exceptions.NotFound, match=r"The resource 'projects/.*/instances/vm' was not found"):
        cloud.instance()
    cloud.make_network()
    interface = compute_v1.NetworkInterface(subnetwork=f"regions/{REGION}/subnetworks/nowhere")
    with pytest.raises(exceptions.NotFound, match="subnetworks/nowhere' was not found"):
        cloud.insert(instance(network_interfaces=[interface]))
    with pytest.raises(
        exceptions.BadRequest, match="Machine type with name 'e2-huge' does not exist in zone"
    ):
        cloud.insert(instance(machine_type=f"zones/{ZONE}/machineTypes/e2-huge"))
    nobody = compute_v1.ServiceAccount(email="nobody@hangar-test.iam.gserviceaccount.com")
    with pytest.raises(exceptions.BadRequest, match="of type 'serviceAccount' was not found"):
        cloud.insert(instance(service_accounts=[nobody]))


def test_a_network_in_use_is_not_deleted(cloud: Cloud) -> None:
    cloud.make_instance()
    with pytest.raises(exceptions.BadRequest, match="is already being used by"):
        cloud.Networks.delete_unary(project=PROJECT, network="net")
    with pytest.raises(exceptions.BadRequest, match="is already being used by"):
        cloud.Disks.delete_unary(**where(disk="vm"))
    cloud.done(cloud.Instances.delete_unary(**where(instance="vm")))
    cloud.done(cloud.Subnetworks.delete_unary(project=PROJECT, region=REGION, subnetwork="sub"))
    cloud.done(cloud.Networks.delete_unary(project=PROJECT, network="net"))


def test_a_protected_instance_is_not_deleted(cloud: Cloud) -> None:
    cloud.make_instance(deletion_protection=True)
    with pytest.raises(exceptions.BadRequest, match="protected against deletion"):
        cloud.Instances.delete_unary(**where(instance="vm"))
    request = compute_v1.SetDeletionProtectionInstanceRequest(
        **where(resource="vm"), deletion_protection=False
    )
    cloud.done(cloud.Instances.set_deletion_protection_unary(request))
    cloud.done(cloud.Instances.delete_unary(**where(instance="vm")))


def test_an_external_address_can_be_taken_away(cloud: Cloud) -> None:
    interface = compute_v1.NetworkInterface(
        subnetwork=f"regions/{REGION}/subnetworks/sub", access_configs=[compute_v1.AccessConfig()]
    )
    cloud.make_instance(network_interfaces=[interface])
    config = cloud.instance().network_interfaces[0].access_configs[0]
    assert (config.name, config.nat_i_p[:10]) == ("External NAT", "203.0.113.")
    taken = where(instance="vm", access_config=config.name, network_interface="nic0")
    cloud.done(cloud.Instances.delete_access_config_unary(**taken))
    assert cloud.instance().network_interfaces[0].access_configs == []


def test_the_boot_disk_goes_with_its_instance_and_the_data_disk_stays(google: Google, cloud: Cloud) -> None:
    cloud.make_network()
    data = compute_v1.Disk(name="data", size_gb=20)
    cloud.done(cloud.Disks.insert_unary(project=PROJECT, zone=ZONE, disk_resource=data))
    boot = instance().disks[0]
    kept = compute_v1.AttachedDisk(source=f"zones/{ZONE}/disks/data", device_name="data")
    cloud.done(cloud.insert(instance(disks=[boot, kept])))
    assert sorted(google.resources("disks")) == ["data", "vm"]
    with pytest.raises(exceptions.BadRequest, match="is already being used by"):
        cloud.insert(instance("second", disks=[boot, kept]))
    cloud.done(cloud.Instances.delete_unary(**where(instance="vm")))
    assert list(google.resources("disks")) == ["data"]
    assert "users" not in google.resources("disks")["data"]


def test_a_machine_changes_its_type_only_when_it_is_off(cloud: Cloud) -> None:
    cloud.make_instance()
    wanted = compute_v1.InstancesSetMachineTypeRequest(machine_type=f"zones/{ZONE}/machineTypes/e2-medium")
    change = {**where(instance="vm"), "instances_set_machine_type_request_resource": wanted}
    with pytest.raises(exceptions.BadRequest, match="TERMINATED"):
        cloud.Instances.set_machine_type_unary(**change)
    cloud.done(cloud.Instances.stop_unary(**where(instance="vm")))
    assert cloud.instance().status == TERMINATED
    cloud.done(cloud.Instances.set_machine_type_unary(**change))
    cloud.done(cloud.Instances.start_unary(**where(instance="vm")))
    assert cloud.instance().machine_type.endswith("/e2-medium")
    assert cloud.instance().status == "RUNNING"


def test_shielded_options_change_only_when_it_is_off(cloud: Cloud) -> None:
    cloud.make_instance()
    wanted = compute_v1.ShieldedInstanceConfig(enable_secure_boot=True)
    change = {**where(instance="vm"), "shielded_instance_config_resource": wanted}
    with pytest.raises(exceptions.BadRequest, match="TERMINATED"):
        cloud.Instances.update_shielded_instance_config_unary(**change)
    cloud.done(cloud.Instances.stop_unary(**where(instance="vm")))
    cloud.done(cloud.Instances.update_shielded_instance_config_unary(**change))
    assert cloud.instance().shielded_instance_config.enable_secure_boot


def test_a_disk_only_grows(cloud: Cloud) -> None:
    cloud.make_instance()
    for size in (5, 10):
        with pytest.raises(exceptions.BadRequest, match="must be larger than existing size '10' GB"):
            cloud.Disks.resize_unary(
                **where(disk="vm"), disks_resize_request_resource=compute_v1.DisksResizeRequest(size_gb=size)
            )
    cloud.done(
        cloud.Disks.resize_unary(
            **where(disk="vm"), disks_resize_request_resource=compute_v1.DisksResizeRequest(size_gb=20)
        )
    )
    assert cloud.Disks.get(**where(disk="vm")).size_gb == 20
    assert cloud.instance().disks[0].disk_size_gb == 20


def test_a_disk_is_no_smaller_than_its_image(cloud: Cloud) -> None:
    disk = compute_v1.Disk(name="disk", size_gb=5, source_image=IMAGE)
    with pytest.raises(exceptions.BadRequest, match="cannot be smaller than the source"):
        cloud.Disks.insert_unary(project=PROJECT, zone=ZONE, disk_resource=disk)


def test_metadata_of_a_stale_fingerprint_is_refused(cloud: Cloud) -> None:
    cloud.make_instance(metadata={"a": "1"})
    seen = cloud.instance().metadata
    cloud.done(cloud.Instances.set_metadata_unary(**where(instance="vm"), metadata_resource=seen))
    changed = compute_v1.Metadata(items=[compute_v1.Items(key="a", value="2")], fingerprint=seen.fingerprint)
    cloud.done(cloud.Instances.set_metadata_unary(**where(instance="vm"), metadata_resource=changed))
    with pytest.raises(exceptions.PreconditionFailed, match="does not match current metadata fingerprint"):
        cloud.Instances.set_metadata_unary(**where(instance="vm"), metadata_resource=changed)


def test_labels_of_a_stale_fingerprint_are_refused(cloud: Cloud) -> None:
    cloud.make_instance()
    request = compute_v1.InstancesSetLabelsRequest(
        labels={"env": "test"}, label_fingerprint=cloud.instance().label_fingerprint
    )
    change = {**where(instance="vm"), "instances_set_labels_request_resource": request}
    cloud.done(cloud.Instances.set_labels_unary(**change))
    with pytest.raises(exceptions.PreconditionFailed, match="Labels fingerprint"):
        cloud.Instances.set_labels_unary(**change)
    found = cloud.Instances.list(
        compute_v1.ListInstancesRequest(project=PROJECT, zone=ZONE, filter="labels.env=test")
    )
    assert [one.name for one in found] == ["vm"]


def test_lists_are_filtered_and_come_in_pages(cloud: Cloud) -> None:
    for name in ("a", "b", "c"):
        disk = compute_v1.Disk(name=name, size_gb=10, labels={"kind": "x" if name == "a" else "y"})
        cloud.done(cloud.Disks.insert_unary(project=PROJECT, zone=ZONE, disk_resource=disk))

    def names(text: str, size: int = 500) -> list[str]:
        request = compute_v1.ListDisksRequest(project=PROJECT, zone=ZONE, filter=text, max_results=size)
        return [disk.name for disk in cloud.Disks.list(request)]

    assert names("") == names("", size=1) == ["a", "b", "c"]
    assert names("name=b") == ["b"]
    assert names('name eq "(a|c)"') == ["a", "c"]
    assert names("(labels.kind=y) (name!=b)") == names("labels.kind=y AND name!=b") == ["c"]
    aggregated = cloud.Disks.aggregated_list(project=PROJECT)
    assert {scope: [disk.name for disk in found.disks] for scope, found in aggregated} == {
        f"zones/{ZONE}": ["a", "b", "c"]
    }


def test_a_quota_ends_the_operation_and_leaves_nothing(google: Google, cloud: Cloud) -> None:
    cloud.make_network()
    google.quota(CPUS=1)
    ended = cloud.wait(cloud.insert(instance()))
    assert [error.code for error in ended.error.errors] == ["QUOTA_EXCEEDED"]
    assert ended.error.errors[0].message == f"Quota 'CPUS' exceeded.  Limit: 1.0 in region {REGION}."
    assert ended.error.errors[0].error_details[0].quota_info.metric_name == "compute.googleapis.com/cpus"
    assert ended.http_error_status_code == 403
    assert google.resources("instances") == google.resources("disks") == {}
    region = cloud.Regions.get(project=PROJECT, region=REGION)
    assert {quota.metric: quota.limit for quota in region.quotas}["CPUS"] == 1


def test_an_exhausted_zone_ends_the_operation_and_another_zone_does_not(google: Google, cloud: Cloud) -> None:
    cloud.make_network()
    google.exhaust(ZONE)
    ended = cloud.wait(cloud.insert(instance()))
    assert [error.code for error in ended.error.errors] == ["ZONE_RESOURCE_POOL_EXHAUSTED"]
    assert google.resources("instances") == {}
    google.exhaust("europe-west3-b")
    cloud.done(cloud.insert(instance()))


def test_a_stopped_machine_may_find_its_zone_exhausted(google: Google, cloud: Cloud) -> None:
    cloud.make_instance()
    cloud.done(cloud.Instances.stop_unary(**where(instance="vm")))
    google.exhaust(ZONE)
    ended = cloud.wait(cloud.Instances.start_unary(**where(instance="vm")))
    assert [error.code for error in ended.error.errors] == ["ZONE_RESOURCE_POOL_EXHAUSTED"]
    assert cloud.instance().status == TERMINATED


def test_guest_attributes_hold_the_host_keys_when_it_has_booted(cloud: Cloud) -> None:
    cloud.make_instance(metadata={"enable-guest-attributes": "TRUE"})
    request = compute_v1.GetGuestAttributesInstanceRequest(**where(instance="vm"), query_path="hostkeys/")
    keys = {}
    while not keys:  # 404 until they are written, as with Google
        try:
            keys = {
                item.key: item.value
                for item in cloud.Instances.get_guest_attributes(request).query_value.items
            }
        except exceptions.NotFound as error:
            assert "of type 'Guest Attribute' was not found" in str(error)  # noqa: PT017 - a wait, not a test
    assert sorted(keys) == ["ecdsa-sha2-nistp256", "ssh-ed25519"]


def test_guest_attributes_are_closed_unless_metadata_opens_them(cloud: Cloud) -> None:
    cloud.make_instance()
    request = compute_v1.GetGuestAttributesInstanceRequest(**where(instance="vm"), query_path="hostkeys/")
    with pytest.raises(exceptions.PreconditionFailed, match="Guest attributes endpoint access is disabled"):
        cloud.Instances.get_guest_attributes(request)


def test_the_family_gives_the_newest_image(cloud: Cloud) -> None:
    image = cloud.Images.get_from_family(project="debian-cloud", family="debian-13")
    assert image.name == "debian-13-trixie-v20261110"
    assert "UEFI_COMPATIBLE" in [feature.type_ for feature in image.guest_os_features]
    assert cloud.Images.get(project="debian-cloud", image=image.name).id == image.id
    with pytest.raises(exceptions.NotFound):
        cloud.Images.get_from_family(project="debian-cloud", family="debian-99")


def test_a_snapshot_becomes_a_disk(google: Google, cloud: Cloud) -> None:
    cloud.make_instance()
    snapshot = compute_v1.Snapshot(name="snap", labels={"env": "test"})
    cloud.done(cloud.Disks.create_snapshot_unary(**where(disk="vm"), snapshot_resource=snapshot))
    assert cloud.Snapshots.get(project=PROJECT, snapshot="snap").status == "READY"
    disk = compute_v1.Disk(name="restored", source_snapshot="global/snapshots/snap")
    cloud.done(cloud.Disks.insert_unary(project=PROJECT, zone=ZONE, disk_resource=disk))
    assert google.resources("disks")["restored"]["sizeGb"] == "10"
    cloud.done(cloud.Snapshots.delete_unary(project=PROJECT, snapshot="snap"))


def test_a_disk_has_one_snapshot_schedule(google: Google, cloud: Cloud) -> None:
    daily = compute_v1.ResourcePolicyDailyCycle(days_in_cycle=1, start_time="03:00")
    for name in ("one", "two"):
        policy = compute_v1.ResourcePolicy(
            name=name,
            snapshot_schedule_policy=compute_v1.ResourcePolicySnapshotSchedulePolicy(
                schedule=compute_v1.ResourcePolicySnapshotSchedulePolicySchedule(daily_schedule=daily)
            ),
        )
        cloud.done(
            cloud.ResourcePolicies.insert_unary(
                project=PROJECT, region=REGION, resource_policy_resource=policy
            )
        )
    disk = compute_v1.Disk(
        name="data", size_gb=10, resource_policies=[f"regions/{REGION}/resourcePolicies/one"]
    )
    cloud.done(cloud.Disks.insert_unary(project=PROJECT, zone=ZONE, disk_resource=disk))
    second = compute_v1.DisksAddResourcePoliciesRequest(
        resource_policies=[f"regions/{REGION}/resourcePolicies/two"]
    )
    with pytest.raises(exceptions.BadRequest, match="at most one snapshot schedule"):
        cloud.Disks.add_resource_policies_unary(
            **where(disk="data"), disks_add_resource_policies_request_resource=second
        )
    with pytest.raises(exceptions.BadRequest, match="is already being used by"):
        cloud.ResourcePolicies.delete_unary(project=PROJECT, region=REGION, resource_policy="one")


def test_a_firewall_rule_holds_one_family_of_addresses(cloud: Cloud) -> None:
    cloud.make_network()
    both = compute_v1.Firewall(
        name="both",
        network="global/networks/net",
        allowed=[compute_v1.Allowed(I_p_protocol="tcp", ports=["22"])],
        source_ranges=["35.235.240.0/20", "2600:2d00:1:7::/64"],
    )
    with pytest.raises(exceptions.BadRequest, match="IPv4 ranges or IPv6 ranges, not both"):
        cloud.Firewalls.insert_unary(project=PROJECT, firewall_resource=both)


def test_subnetworks_do_not_overlap(cloud: Cloud) -> None:
    cloud.make_network()
    second = compute_v1.Subnetwork(name="two", network="global/networks/net", ip_cidr_range="10.0.0.128/25")
    with pytest.raises(exceptions.BadRequest, match="conflicts with existing subnetwork 'sub'"):
        cloud.Subnetworks.insert_unary(project=PROJECT, region=REGION, subnetwork_resource=second)


def test_a_customer_key_comes_back_with_its_version(cloud: Cloud) -> None:
    key = "projects/hangar-test/locations/europe-west3/keyRings/ring/cryptoKeys/key"
    disk = compute_v1.Disk(
        name="disk", size_gb=10, disk_encryption_key=compute_v1.CustomerEncryptionKey(kms_key_name=key)
    )
    cloud.done(cloud.Disks.insert_unary(project=PROJECT, zone=ZONE, disk_resource=disk))
    made = cloud.Disks.get(**where(disk="disk"))
    assert made.disk_encryption_key.kms_key_name == f"{key}/cryptoKeyVersions/1"


def test_another_project_is_not_there(cloud: Cloud) -> None:
    with pytest.raises(exceptions.NotFound, match="Failed to find project elsewhere"):
        cloud.Networks.get(project="elsewhere", network="net")
