"""What of the section `gcp` has to fit together: Google would refuse it only once something is made, or stopped."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hangar.config.gcp import Gcp

Wrong = tuple[str, str, str]

REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+")

CONTINENTS = {"us": ("us-",), "europe": ("europe-",), "asia": ("asia-",)}
"""Locations of Cloud KMS that hold several regions → how these begin (https://cloud.google.com/kms/docs/locations).
Of the others, nam4 say, Google is left to judge.
"""


def misfits(gcp: "Gcp") -> Iterator[Wrong]:
    """(what, at, right) of each setting that does not fit another."""
    yield from _key(gcp)


def _key(gcp: "Gcp") -> Iterator[Wrong]:
    """A disk takes a key of its own region, of `global`, or of a location that holds its region: gcloud's reference
    (compute disks update-kms-key) has a global one, and Google's tool gce-google-keys-to-cmek takes these two.
    """
    if gcp.kms_key is None or gcp.zone is None:
        return
    location, region = gcp.kms_key.split("/")[3], gcp.region
    elsewhere = REGION.fullmatch(location) and location != region
    if elsewhere or not region.startswith(CONTINENTS.get(location, "")):
        yield (
            f"a key in {location} does not serve disks in {gcp.zone}", "kms_key",
            f"a key in {region} or global (gcloud kms keys list --location {region} --keyring RING)",
        )  # fmt: skip
