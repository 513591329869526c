"""Whose a thing on the engine is: labels on everything that is made. Only what carries ours is changed or removed."""

from pathlib import Path
from typing import Any

from hangar.paths import REPO

OWNER = "hangar.environment"
SPEC = "hangar.spec"
RECIPE = "hangar.recipe"
CHECKOUT = "hangar.checkout"


def volume_name(name: str) -> str:
    """The volume of what outlives the machine `name`."""
    return f"{name}-srv"


def ownership(environment: str) -> dict[str, str]:
    """The labels of everything that is made: whose it is."""
    return {OWNER: environment, CHECKOUT: str(REPO)}


def other_checkout(found: dict[str, Any]) -> Path | None:
    """The folder of the checkout that a container, network or volume belongs to, when it is another than ours and
    still there. Without the label it is ours.
    """
    folder = (found.get("Labels") or found.get("Config", {}).get("Labels") or {}).get(CHECKOUT)
    return Path(folder) if folder and folder != str(REPO) and Path(folder).exists() else None
