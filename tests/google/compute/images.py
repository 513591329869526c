"""Public images: Debian 13's family, as Google's project debian-cloud has it."""

from typing import Any

from tests.google.compute import link
from tests.google.compute.listing import page
from tests.google.errors import not_found
from tests.google.world import PERMISSIONS, Call, handles

PUBLIC_PROJECT = "debian-cloud"
DATES = ("20260921", "20261013", "20261110")
"""The newest last; the older ones are deprecated, as Google keeps them."""

FEATURES = ("UEFI_COMPATIBLE", "VIRTIO_SCSI_MULTIQUEUE", "GVNIC", "SEV_CAPABLE", "SEV_LIVE_MIGRATABLE_V2")
FAMILIES = {
    "debian-13": ("debian-13-trixie", "X86_64"),
    "debian-13-arm64": ("debian-13-trixie-arm64", "ARM64"),
}
IMAGE_GB = 10


def images() -> dict[str, dict[str, Any]]:
    """Every public image by path, older ones first."""
    found = {}
    for family, (stem, architecture) in FAMILIES.items():
        for place, date in enumerate(DATES):
            path = f"projects/{PUBLIC_PROJECT}/global/images/{stem}-v{date}"
            found[path] = _image(path, family, architecture, date, str(6_000_000_000 + place))
    return found


def _image(path: str, family: str, architecture: str, date: str, number: str) -> dict[str, Any]:
    image = {
        "kind": "compute#image",
        "id": number,
        "name": path.split("/")[-1],
        "family": family,
        "description": f"Debian, Debian GNU/Linux, 13 (trixie), {architecture.lower()} built on {date}",
        "creationTimestamp": f"{date[:4]}-{date[4:6]}-{date[6:]}T14:02:03.000-08:00",
        "selfLink": link(path),
        "status": "READY",
        "sourceType": "RAW",
        "architecture": architecture,
        "diskSizeGb": str(IMAGE_GB),
        "archiveSizeBytes": "1400000000",
        "licenses": [link(f"projects/{PUBLIC_PROJECT}/global/licenses/debian-13-trixie")],
        "licenseCodes": ["5924214327852571364"],
        "guestOsFeatures": [{"type": feature} for feature in FEATURES],
        "storageLocations": ["us"],
    }
    if date != DATES[-1]:
        image["deprecated"] = {"state": "DEPRECATED"}
    return image


def source_image(path: str) -> dict[str, Any]:
    """The image at a path, or the newest of a family (…/images/family/debian-13).

    Raises:
        GoogleError: 404, there is none.
    """
    found = images()
    if "/images/family/" in path:
        family = path.split("/")[-1]
        fitting = [
            image for image in found.values() if image["family"] == family and "deprecated" not in image
        ]
        if path.startswith(f"projects/{PUBLIC_PROJECT}/") and fitting:
            return fitting[-1]
        raise not_found(path.replace("/family/", "/"))
    if path not in found:
        raise not_found(path)
    return found[path]


@handles("compute.images.getFromFamily")
def get_from_family(call: Call) -> dict[str, Any]:
    return source_image(f"projects/{call.project}/global/images/family/{call.values['family']}")


@handles("compute.images.get")
def get(call: Call) -> dict[str, Any]:
    return source_image(f"projects/{call.project}/global/images/{call.values['image']}")


@handles("compute.images.list")
def list_images(call: Call) -> dict[str, Any]:
    folder = f"projects/{call.project}/global/images"
    found = [image for path, image in images().items() if path.startswith(folder)]
    return page(call, "compute#imageList", folder, found)


def _permissions(call: Call) -> list[str]:
    if call.project == PUBLIC_PROJECT:
        return []  # everybody may read it
    return [f"compute.images.{call.method.id.split('.')[-1]}"]


for _verb in ("get", "getFromFamily", "list"):
    PERMISSIONS[f"compute.images.{_verb}"] = _permissions
