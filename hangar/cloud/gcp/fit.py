"""What has to hold before anything is touched: the project allows it, and what platform.yml names is there."""

from typing import Any

from hangar.cloud.gcp import views
from hangar.cloud.gcp.names import last
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import Wanted
from hangar.errors import CloudError

Body = dict[str, Any]


def require_fit(wanted: Wanted, existing: Existing) -> None:
    """Raises CloudError if the project forbids what we are about to do, or lacks what it should bring."""
    project = {one["key"]: one.get("value", "") for one in _common(existing)}
    if views.is_on(project.get("enable-oslogin", "")):
        raise CloudError(
            f"The project {wanted.names.project} uses OS Login, which Hangar does not support yet.",
            f"* Its metadata says enable-oslogin={project['enable-oslogin']}; Google's agent would edit sshd's settings"
            " and make accounts.",
            "Use a project of its own, or switch it off there: gcloud compute project-info add-metadata"
            f" --project {wanted.names.project} --metadata enable-oslogin=FALSE",
        )
    if existing.machine_type is None:
        raise CloudError(
            f"There is no machine type {wanted.gcp.machine_type} in the zone {wanted.names.zone}.",
            "* platform.yml names it in gcp.machine_type.",
            "List them: gcloud compute machine-types list"
            f" --zones {wanted.names.zone} --project {wanted.names.project}",
        )
    if existing.instance is None:
        require_new(wanted, existing)
        _require_free_name(wanted, existing)
    if not wanted.own_network and existing.subnetwork is None:
        raise CloudError(
            f"There is no subnetwork {wanted.gcp.network.subnetwork} in {wanted.names.region}.",
            "* platform.yml names it in gcp.network.subnetwork.",
            f"List them: gcloud compute networks subnets list --project {wanted.names.project}",
        )
    if not wanted.own_network and existing.subnetwork:
        _require_on_network(wanted, last(existing.subnetwork["network"]))


def require_new(wanted: Wanted, existing: Existing) -> None:
    """Raises CloudError if no machine can be made from the image: known before another is thrown away for it."""
    require_image(wanted, existing)
    _require_for_processor(wanted, existing.image or {}, existing.machine_type or {})


def _require_for_processor(wanted: Wanted, image: Body, machine_type: Body) -> None:
    """Google says it only once the disk is made."""
    what, where = image.get("architecture"), machine_type.get("architecture")
    if what and where and what != where:
        raise CloudError(
            f"The image {image['name']} does not start on {wanted.gcp.machine_type}.",
            f"* It is for {what}, and the machine's processor is {where}.",
            "Choose another: gcp.image_family, or gcp.machine_type.",
        )


def _require_on_network(wanted: Wanted, network: str) -> None:
    """Else the rules would guard a network that the machine is not on."""
    net = wanted.gcp.network
    if network != net.existing:
        raise CloudError(
            f"The subnetwork {net.subnetwork} is not one of the network {net.existing}.",
            f"* It is one of {network}.",
            f"Name the two that belong together in gcp.network: gcloud compute networks subnets list --network"
            f" {net.existing} --project {wanted.names.project}",
        )


def _require_free_name(wanted: Wanted, existing: Existing) -> None:
    """Nobody else uses the disk whose name a new machine's boot disk gets."""
    names = wanted.names
    users = [last(one) for one in (existing.boot_disk or {}).get("users") or ()]
    for user in users:
        if user != names.machine:
            raise CloudError(
                f"The disk {names.boot_disk} is attached to the machine {user}.",
                "* A new machine needs a boot disk of that name.",
                f"Detach it, and run the same command again: gcloud compute instances detach-disk {user}"
                f" --disk {names.boot_disk} --project {names.project} --zone {names.zone}",
            )


def _common(existing: Existing) -> list[Body]:
    return list((existing.project.get("commonInstanceMetadata") or {}).get("items") or ())


def require_image(wanted: Wanted, existing: Existing) -> str:
    """The exact image that a new machine is made from.

    Raises:
        CloudError: there is none, or Shielded VM cannot start from it.
    """
    gcp, image = wanted.gcp, existing.image
    if image is None:
        named = f"image {gcp.image}" if gcp.image else f"image family {gcp.image_family}"
        raise CloudError(
            f"There is no {named} in the project {gcp.image_project}.",
            "",
            f"List them: gcloud compute images list --project {gcp.image_project} --no-standard-images",
        )
    features = {one.get("type") for one in image.get("guestOsFeatures") or ()}
    if "UEFI_COMPATIBLE" not in features:
        raise CloudError(
            f"The image {image['name']} cannot start with Shielded VM.",
            "* It is not marked UEFI_COMPATIBLE.",
            "Choose another: gcp.image_family (debian-13 is one that can).",
        )
    return str(image["name"])
