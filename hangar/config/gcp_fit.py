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


TAKES_NO = {
    **dict.fromkeys(("c4", "c4a", "c4d", "n4", "n4a", "n4d"), ("pd-",)),
    **dict.fromkeys(("n1", "n2", "n2d", "t2d"), ("hyperdisk-balanced",)),
    "c3": ("pd-standard",),
    "e2": ("hyperdisk-",),
}
"""Machine family → how the disk types begin that it does not take. Google says "pd-balanced disk type cannot be used
by c4-standard-8 machine type" (of c4a too; hyperdisk-balanced: e2, n2, t2d; pd-standard: c3). For c4d, n4, n4a, n4d,
and for n1, n2d and e2's other kinds: nextflow-io/nextflow, issue 6614 and pull request 6841, which quote
https://cloud.google.com/compute/docs/general-purpose-machines. What is not here Google is left to judge.
"""

INSTEAD = {"pd-": "hyperdisk-balanced"}
ARM = ("c4a", "n4a", "t2a")
"""Families with Arm processors (same page). Debian's image families for them end with -arm64."""

DEBIAN = "debian-cloud"
FOR_ARM = "-arm64"


def misfits(gcp: "Gcp") -> Iterator[Wrong]:
    """(what, at, right) of each setting that does not fit another."""
    yield from _key(gcp)
    yield from _disks(gcp)
    yield from _image(gcp)


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


def _disks(gcp: "Gcp") -> Iterator[Wrong]:
    """Both at once: a machine takes all of its disks or none."""
    family = _family(gcp)
    for at, kind in (("boot_disk_type", gcp.boot_disk_type), ("data_disk.type", gcp.data_disk.type)):
        for beginning in TAKES_NO.get(family, ()):
            if kind.startswith(beginning):
                other = INSTEAD.get(beginning, "pd-balanced")
                yield f"a disk {kind} cannot be used by a machine {gcp.machine_type}", at, other


def _image(gcp: "Gcp") -> Iterator[Wrong]:
    """Debian's own images say in their names what they are for; those of others are compared when they are found."""
    name, at = (gcp.image, "image") if gcp.image else (gcp.image_family, "image_family")
    if gcp.image_project != DEBIAN:
        return
    arm = _family(gcp) in ARM
    if arm != (FOR_ARM in name):
        processor = "an Arm" if arm else "no Arm"
        right = f"an image {'for Arm' if arm else 'that is not for Arm'}, or another gcp.machine_type"
        yield f"{name} does not start on {gcp.machine_type}, which has {processor} processor", at, right


def _family(gcp: "Gcp") -> str:
    return gcp.machine_type.partition("-")[0]
