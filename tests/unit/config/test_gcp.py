"""What of the section `gcp` has to fit together."""

from __future__ import annotations

import pytest

from hangar.config.gcp import Gcp
from hangar.config.gcp_fit import misfits

ZONE = "europe-west6-a"


def said(**settings: str) -> list[tuple[str, str, str]]:
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
