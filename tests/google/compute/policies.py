"""Resource policies: snapshot schedules of a region."""

from typing import Any

from tests.google import operations
from tests.google.compute.resources import KINDS, find, keep, merge, new, require_unused, required_body
from tests.google.errors import invalid, required
from tests.google.world import Call, handles

POLICIES = KINDS["resourcePolicies"]


@handles("compute.resourcePolicies.insert")
def insert(call: Call) -> dict[str, Any]:
    required_body(call, "name", "snapshotSchedulePolicy")
    path, policy = new(call, POLICIES, status="READY")
    _complete(policy["snapshotSchedulePolicy"])
    return keep(call, path, policy)


@handles("compute.resourcePolicies.patch")
def patch(call: Call) -> dict[str, Any]:
    path = POLICIES.path(call)
    policy = find(call, path)
    merge(policy, {name: value for name, value in call.body.items() if name != "name"})
    _complete(policy["snapshotSchedulePolicy"])
    return operations.begin(call, path)


@handles("compute.resourcePolicies.delete")
def delete(call: Call) -> dict[str, Any]:
    path = POLICIES.path(call)
    find(call, path)
    require_unused(call, path, by=("disks",))
    return operations.begin(call, path, "remove")


def _complete(policy: dict[str, Any]) -> None:
    schedules = [
        name for name in ("hourlySchedule", "dailySchedule", "weeklySchedule") if policy["schedule"].get(name)
    ]
    if len(schedules) != 1:
        raise invalid(
            "resource.snapshotSchedulePolicy.schedule", schedules, "Exactly one schedule must be given."
        )
    schedule = policy["schedule"][schedules[0]]
    if schedules[0] == "dailySchedule":
        if schedule.get("daysInCycle") != 1:
            raise invalid("daysInCycle", schedule.get("daysInCycle"), "It must be 1.")
        start = schedule.get("startTime", "")
        if len(start) != 5 or start[2:] != ":00" or not start[:2].isdigit() or int(start[:2]) > 23:
            raise invalid("startTime", start, "It must be a full hour, HH:00 in UTC.")
    schedule.setdefault("duration", "PT14400S")
    if "retentionPolicy" in policy:
        retention = policy["retentionPolicy"]
        if not retention.get("maxRetentionDays"):
            raise required("resource.snapshotSchedulePolicy.retentionPolicy.maxRetentionDays")
        retention.setdefault("onSourceDiskDelete", "KEEP_AUTO_SNAPSHOTS")
