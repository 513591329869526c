"""The base image, made for real: from a recipe of its own, so that the machines' image stays."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hangar import engine
from hangar.cloud import base_image
from hangar.cloud.recipe import FOLDER, Recipe

pytestmark = pytest.mark.machine


@pytest.fixture
def recipe(tmp_path: Path) -> Iterator[Recipe]:
    shutil.copytree(FOLDER, tmp_path / "recipe")
    with (tmp_path / "recipe" / "setup.sh").open("a") as file:
        file.write("# a test's\n")
    yield Recipe(tmp_path / "recipe")
    tag = f"{base_image.REPOSITORY}:{Recipe(tmp_path / 'recipe').hash}"
    subprocess.run(["docker", "rmi", tag], capture_output=True, check=True)


def packages_of_this_computer() -> list[tuple[str, int]]:
    """Its package lists and settings, with the time of their last change."""
    places = [Path("/etc/apt"), Path("/var/lib/apt/lists"), Path("/var/lib/dpkg")]
    return sorted(
        (str(path), path.stat().st_mtime_ns)
        for place in places if place.exists() for path in place.rglob("*") if "lock" not in path.name and path.is_file()
    )  # fmt: skip


def test_making_it_changes_nothing_else_on_this_computer(recipe: Recipe) -> None:
    mounts = {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()}
    packages = packages_of_this_computer()
    client = engine.connect()
    said: list[str] = []

    image = base_image.ensure(client, recipe, said.append)

    assert base_image.exists(client, image)
    assert said, "it was really made"
    assert packages_of_this_computer() == packages
    left = {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()} - mounts
    assert [mount for mount in left if "base-" in mount or "mmdebstrap" in mount] == []
    assert list(base_image.CACHE.glob("base-*/")) == []
    assert base_image.ensure(client, recipe, said.append) == image
