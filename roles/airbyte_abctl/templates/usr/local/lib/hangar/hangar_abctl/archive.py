# Written by Hangar (role airbyte_abctl). Changes made here are lost at the next run.
"""abctl's own program: out of its archive, and only where the archive is the one that was vouched for."""

import hashlib
import os
import shutil
import tarfile
from pathlib import Path

from hangar_abctl.machine import FOLDER, fail

DOWNLOAD = FOLDER / "download.tar.gz"


def place(checksum: str) -> Path:
    """Where the program of that archive lies; another checksum is another program."""
    return FOLDER / "bin" / checksum[:16] / "abctl"


def unpack(checksum: str) -> None:
    """Raises SystemExit, and keeps nothing of the archive, when its checksum is another."""
    with DOWNLOAD.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != checksum:
        DOWNLOAD.unlink()
        fail(
            f"The archive's checksum is {found}, and {checksum} was described (airbyte.abctl.sha256). Nothing of it was"
            " run or kept. Compare both with the list of checksums beside abctl's release"
        )
    target = place(checksum)
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = target.with_name(".abctl.new")
    try:
        with tarfile.open(DOWNLOAD) as archive:
            members = [one for one in archive if one.isfile() and Path(one.name).name == "abctl"]
            source = archive.extractfile(members[0]) if len(members) == 1 else None
            if source is None:
                fail("The archive holds no program abctl, so it is not one of abctl's releases")
                return
            with fresh.open("wb") as stream:
                shutil.copyfileobj(source, stream)
                stream.flush()
                os.fsync(stream.fileno())
    except tarfile.TarError as error:
        fail(f"The archive cannot be read ({error})")
    fresh.chmod(0o755)
    fresh.rename(target)
    DOWNLOAD.unlink()
    for other in (FOLDER / "bin").iterdir():
        if other != target.parent:
            shutil.rmtree(other)
