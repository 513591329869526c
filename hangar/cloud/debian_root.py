"""A Debian root from Debian's signed packages, by mmdebstrap."""

import os
import shlex
import shutil
from pathlib import Path

from hangar import process
from hangar.cloud.recipe import FOLDER, SETUP, SUITE, Recipe
from hangar.errors import CloudError, CommandFailed, MissingTool

SOURCES = FOLDER / "root" / "etc" / "apt" / "sources.list.d" / "debian.sources"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
INSTALL_HINT = "Install it: sudo apt-get install mmdebstrap debian-archive-keyring"


def make(recipe: Recipe, files: Path, root: Path) -> None:
    """Writes the archive `root`: Debian with the recipe's packages, the archive `files` laid over it, set up.

    Raises:
        MissingTool: mmdebstrap or Debian's keys are not installed.
        CloudError: it could not be made; says what mmdebstrap said.
    """
    if not shutil.which("mmdebstrap"):
        raise MissingTool(
            "The base image cannot be made: no registry answers, and mmdebstrap is not installed.",
            resolution=INSTALL_HINT,
        )
    if not KEYRING.exists():
        raise MissingTool(
            "Debian's keys are not installed, so the base image's packages could not be verified.",
            f"* Missing: {KEYRING}", INSTALL_HINT,
        )  # fmt: skip
    argv = [
        *_own_mounts(), "mmdebstrap", "--variant=minbase", "--format=tar",
        f"--include={','.join(recipe.packages)}",
        '--aptopt=Acquire::Languages "none"',
        f"--customize-hook=tar-in {shlex.quote(str(files))} /",
        f'--customize-hook=chroot "$1" /{SETUP}',
        SUITE, str(root), str(SOURCES),
    ]  # fmt: skip
    try:
        process.run(argv, env={"DEBIAN_FRONTEND": "noninteractive", **_scratch(root.parent)})
    except CommandFailed as error:
        raise CloudError("The base image could not be made.", error.details, _namespace_hint()) from error


def _own_mounts() -> list[str]:
    """As root, mmdebstrap mounts /proc and devices in its new root: should it be killed, they go with its namespace.

    Without root it makes itself a namespace.
    """
    return ["unshare", "--mount", "--propagation", "private", "--"] if os.geteuid() == 0 else []


def _scratch(folder: Path) -> dict[str, str]:
    """As root, the half-made root is where a killed run's leftovers are found and removed.

    Without root, it belongs to subordinate ids, which could not enter our closed folder.
    """
    return {"TMPDIR": str(folder)} if os.geteuid() == 0 else {}


def _namespace_hint() -> str:
    if os.geteuid() == 0:
        return ""
    return (
        "Without root, mmdebstrap needs user namespaces and sub-ids (package uidmap): ./provision.py doctor."
    )
