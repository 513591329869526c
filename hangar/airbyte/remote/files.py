"""Files that are whole, and root's alone."""

import os
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Whole or not at all, for root only."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    temporary.rename(path)
