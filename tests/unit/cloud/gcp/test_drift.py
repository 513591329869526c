"""What others did beside Hangar, in words: whose rule opens the machine, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hangar.cloud.gcp import drift
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import Wanted

Make = Callable[..., Wanted]
EMAIL = "hangar-production@acme-data-1.iam.gserviceaccount.com"
RULE = {
    "name": "debug", "direction": "INGRESS", "priority": 100, "sourceRanges": ["0.0.0.0/0"],
    "allowed": [{"IPProtocol": "tcp", "ports": ["22", "8080"]}, {"IPProtocol": "icmp"}],
}  # fmt: skip


def found(wanted: Wanted, rule: dict[str, Any], **instance: Any) -> tuple[str, ...]:
    return drift.openings(wanted, Existing(instance=instance, others_rules=(rule,)))


@pytest.mark.parametrize(
    ("change", "whence"),
    [
        ({}, "0.0.0.0/0"),
        ({"priority": 199}, "0.0.0.0/0"),
        ({"targetServiceAccounts": [EMAIL]}, "0.0.0.0/0"),
        ({"targetTags": ["web"]}, "0.0.0.0/0"),
        ({"sourceRanges": [], "sourceTags": ["bastion"]}, "tag bastion"),
        ({"sourceServiceAccounts": ["x@y"]}, "0.0.0.0/0, account x@y"),
    ],
)
def test_a_rule_that_reaches_the_machine_is_named(wanted: Make, change: dict[str, Any], whence: str) -> None:
    assert found(wanted(), {**RULE, **change}, tags={"items": ["web"]}) == (
        f"firewall rule debug admits icmp, tcp:22+8080 from {whence} to the machine"
        " (it stays: Hangar did not make it)",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"priority": 200},  # Hangar's own that denies is as strong, and wins
        {"disabled": True},
        {"direction": "EGRESS"},
        {"allowed": [], "denied": [{"IPProtocol": "all"}]},
        {"targetServiceAccounts": ["other@acme-data-1.iam.gserviceaccount.com"]},
        {"targetTags": ["db"]},
    ],
)
def test_a_rule_that_does_not_reach_it_is_not(wanted: Make, change: dict[str, Any]) -> None:
    assert found(wanted(), {**RULE, **change}, tags={"items": ["web"]}) == ()


@pytest.mark.parametrize(
    ("scheduling", "words"),
    [
        ({"maxRunDuration": {"seconds": "3600"}, "instanceTerminationAction": "DELETE"}, "deletes it after 3600 s"),
        ({"terminationTime": "2026-12-01T00:00:00Z"}, "stops it at 2026-12-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_a_machine_that_google_will_end_is_named(
    wanted: Make, scheduling: dict[str, Any], words: str
) -> None:
    assert drift.by_hand(wanted(), Existing(instance={"scheduling": scheduling})) == (
        f"machine hangar-production: Google {words} (it stays so: take its time limit away in the console)",
    )
    assert drift.by_hand(wanted(), Existing(instance={"scheduling": {"automaticRestart": True}})) == ()
