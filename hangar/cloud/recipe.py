"""What the base image is made from: a package list, files, a script. Its hash is the image's tag."""

import hashlib
import io
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hangar.paths import REPO

FOLDER = REPO / "templates" / "base_image"
SUITE = "trixie"
START = "debian:trixie-slim"
"""Where a registry answers, this image is the start; otherwise Debian's packages themselves."""

SETUP = "usr/lib/hangar/setup"


@dataclass(frozen=True)
class Recipe:
    """The recipe as it stands in `folder`."""

    folder: Path = FOLDER

    @cached_property
    def packages(self) -> tuple[str, ...]:
        lines = (self.folder / "packages.txt").read_text(encoding="utf-8").splitlines()
        return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))

    @cached_property
    def files(self) -> dict[str, tuple[int, bytes]]:
        """Path in the image → (mode, content). Modes are 0755 for what is executable, 0644 otherwise."""
        root = self.folder / "root"
        found = {
            path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()
        }
        found[SETUP] = self.folder / "setup.sh"
        return {
            name: (0o755 if path.stat().st_mode & 0o100 else 0o644, path.read_bytes())
            for name, path in found.items()
        }

    @cached_property
    def hash(self) -> str:
        """16 hex digits that change with anything that goes into the image."""
        parts = [SUITE, START, *self.packages]
        parts += [f"{name} {mode:o} {content.hex()}" for name, (mode, content) in sorted(self.files.items())]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def tar(self) -> bytes:
        """The files as a tar archive to unpack at /, everything root's."""
        return pack(self.files)


def pack(files: dict[str, tuple[int, bytes]]) -> bytes:
    """A tar archive of files owned by root. Folders are left out: those that exist keep their modes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, (mode, content) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = mode, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
