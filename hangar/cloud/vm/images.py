"""The two images of a virtual machine: the emulator that runs it, and the root that its system disk is filled with."""

import hashlib

from docker import APIClient

from hangar.cloud import base_image
from hangar.cloud.base import Report
from hangar.cloud.recipe import Recipe
from hangar.paths import REPO

FOLDER = REPO / "templates" / "vm"
EMULATOR, ROOT = "hangar-emulator", "hangar-vm-root"


class Images:
    """What they are made from; a change of the root's recipe is a new system disk."""

    def __init__(self) -> None:
        self.base = Recipe()
        self.emulator, self.root = Recipe(FOLDER / "emulator"), Recipe(FOLDER / "root")

    def tag(self, layer: Recipe) -> str:
        """16 hex digits that change with anything that goes into the layer or what is below it."""
        return hashlib.sha256(f"{self.base.hash} {layer.hash}".encode()).hexdigest()[:16]

    @property
    def recipe(self) -> str:
        """What the system disk is made from."""
        return self.tag(self.root)

    def ensure_emulator(self, client: APIClient, report: Report) -> str:
        return self._ensure(client, EMULATOR, self.emulator, report)

    def ensure_root(self, client: APIClient, report: Report) -> str:
        return self._ensure(client, ROOT, self.root, report)

    def remove_old(self, client: APIClient) -> None:
        for repository, layer in ((EMULATOR, self.emulator), (ROOT, self.root)):
            base_image.remove_old(client, f"{repository}:{self.tag(layer)}")

    def _ensure(self, client: APIClient, repository: str, layer: Recipe, report: Report) -> str:
        return base_image.ensure_layer(client, layer, repository, self.tag(layer), report, self.base)
