"""What of the section `gcp` has to fit together."""

from __future__ import annotations

import pytest

from hangar.config.gcp import Gcp
from hangar.config.gcp_fit import misfits

ZONE = "europe-west6-a"


def said(**settings: object) -> list[tuple[str, str, str]]:
    return list(misfits(Gcp.model_validate({"project": "acme-data-1", "zone": ZONE} | settings)))


@pytest.mark.parametrize("location", ["europe-west6", "global", "europe", "eur4"])
def test_a_key_that_serves_the_zone_is_taken(location: str) -> None:
    assert said(kms_key=f"projects/k/locations/{location}/keyRings/r/cryptoKeys/d") == []


@pytest.mark.parametrize("location", ["europe-west3", "us-central1", "us", "asia"])
def test_a_key_that_lies_elsewhere_is_refused(location: str) -> None:
    assert said(kms_key=f"projects/k/locations/{location}/keyRings/r/cryptoKeys/d") == [
        (
            f"a key in {location} does not serve disks in {ZONE}", "kms_key",
            "a key in europe-west6 or global (gcloud kms keys list --location europe-west6 --keyring RING)",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("family", "kind", "other"),
    [("n4", "pd-balanced", "hyperdisk-balanced"), ("c4", "pd-ssd", "hyperdisk-balanced"),
     ("c4a", "pd-balanced", "hyperdisk-balanced"), ("e2", "hyperdisk-throughput", "pd-balanced"),
     ("n2", "hyperdisk-balanced", "pd-balanced"), ("c3", "pd-standard", "pd-balanced")],
)  # fmt: skip
def test_disks_that_the_machine_does_not_take_are_refused_both(family: str, kind: str, other: str) -> None:
    machine, image = f"{family}-standard-4", "debian-13-arm64" if family == "c4a" else "debian-13"
    found = said(
        machine_type=machine, boot_disk_type=kind, data_disk={"type": kind}, image_family=image
    )  # fmt: skip
    what = f"a disk {kind} cannot be used by a machine {machine}"
    assert found == [(what, "boot_disk_type", other), (what, "data_disk.type", other)]


@pytest.mark.parametrize(
    ("machine", "kind"),
    [("e2-standard-4", "pd-ssd"), ("n4-standard-4", "hyperdisk-balanced"), ("c3-standard-4", "pd-balanced"),
     ("c3-standard-4", "hyperdisk-balanced"), ("n2-standard-4", "hyperdisk-throughput"), ("z9-standard-8", "pd-ssd")],
)  # fmt: skip
def test_disks_that_it_takes_and_families_that_nobody_knows_pass(machine: str, kind: str) -> None:
    assert said(machine_type=machine, boot_disk_type=kind, data_disk={"type": kind}) == []


def test_debians_image_is_for_the_machines_processor() -> None:
    assert said(machine_type="t2a-standard-4") == [
        (
            "debian-13 does not start on t2a-standard-4, which has an Arm processor", "image_family",
            "an image for Arm, or another gcp.machine_type",
        )
    ]  # fmt: skip
    assert said(machine_type="t2a-standard-4", image_family="debian-13-arm64") == []
    assert said(image="debian-13-trixie-arm64-v20261110") == [
        (
            "debian-13-trixie-arm64-v20261110 does not start on e2-standard-4, which has no Arm processor", "image",
            "an image that is not for Arm, or another gcp.machine_type",
        )
    ]  # fmt: skip
    assert said(machine_type="t2a-standard-4", image_project="acme-images", image_family="ours") == []
