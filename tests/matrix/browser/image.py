"""The image with the editor's server and the browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import docker
import pytest

from hangar import trust
from hangar.cloud import base_image
from hangar.cloud.recipe import Recipe
from hangar.errors import HangarError

REPOSITORY = "hangar-test-editor"
BUILDS = 1800
"""Seconds that one call to the engine may take: npm builds native parts, on a busy computer."""


def ensure(folder: Path) -> str:
    """The image's name, after making it if need be (minutes). `folder` is for the recipe.

    Skips where one of the two registries, Debian's mirror or the engine cannot be had.
    """
    here = Path(__file__).parent
    for name in ("packages.txt", "setup.sh"):
        shutil.copy(here / name, folder)
    authorities = folder / "root/usr/local/share/ca-certificates"
    authorities.mkdir(parents=True)
    for authority in trust.certificates(None):
        (authorities / f"{authority.name}.crt").write_text(authority.content)
    recipe = Recipe(folder)
    client = docker.APIClient(timeout=BUILDS, version="auto")
    try:
        return base_image.ensure_layer(client, recipe, REPOSITORY, recipe.hash, print)
    except HangarError as error:
        pytest.skip(f"no editor's server or no browser can be had here: {error.details.splitlines()[-1]}")
