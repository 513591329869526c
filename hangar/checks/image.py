"""Where the base image can come from."""

import shutil

from hangar import engine
from hangar.checks.finding import Finding, needs_packages, ok
from hangar.errors import HangarError

NAME = "Base image"


def source() -> Finding:
    """The image is there, or Debian's packages or a registry can yield it."""
    from hangar.cloud import base_image
    from hangar.cloud.recipe import Recipe

    try:
        client = engine.connect()
    except HangarError:
        return _from_packages()
    try:
        if base_image.exists(client, f"{base_image.REPOSITORY}:{Recipe().hash}"):
            return ok(NAME, "made already")
        packages = _from_packages()
        if packages.state == "ok":
            return packages
        if base_image.registry_answers(client):
            return ok(NAME, "from the registry")
        return packages
    finally:
        client.close()


def _from_packages() -> Finding:
    from hangar.cloud.debian_root import KEYRING

    if not shutil.which("mmdebstrap"):
        return needs_packages(
            NAME,
            "no registry answers, and mmdebstrap is not installed",
            "mmdebstrap",
            "debian-archive-keyring",
        )
    if not KEYRING.exists():
        return needs_packages(NAME, f"Debian's keys are not here ({KEYRING})", "debian-archive-keyring")
    return ok(NAME, "from Debian's packages")
