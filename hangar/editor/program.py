"""VS Code on this computer: where it is, and how it is told to open something."""

import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from hangar import process

NAMES = ("code", "code-insiders")

MAC_APPLICATION = "Applications/Visual Studio Code.app/Contents/Resources/app/bin/code"

INSTALL = {
    "Darwin": "brew install --cask visual-studio-code, or https://code.visualstudio.com",
    "Windows": "winget install Microsoft.VisualStudioCode",
}
"""Everywhere else: the package from the vendor's page."""


def find(which: Callable[[str], str | None] = shutil.which) -> str | None:
    """The program that opens things in VS Code, or None: it is not installed, or not in reach of a command line."""
    found = next((path for name in NAMES if (path := which(name))), None)
    if found or platform.system() != "Darwin":
        return found
    places = (Path("/", MAC_APPLICATION), Path.home() / MAC_APPLICATION)
    return next((str(place) for place in places if os.access(place, os.X_OK)), None)


def open_workspace(program: str, workspace: Path) -> None:
    """Opens a window and returns at once.

    Raises:
        CommandFailed: VS Code refused.
    """
    process.run([program, str(workspace)], timeout=30)


def install_hint() -> str:
    return INSTALL.get(platform.system(), "https://code.visualstudio.com/download")
