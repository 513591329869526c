"""Small files that must never be half-written."""

import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: str, mode: int = 0o600) -> bool:
    """Gives `path` this content and mode in one step; returns whether the content changed.

    The content stands there to the byte: line ends stay what they are, and what `read` could not decode goes back.
    """
    if path.exists() and read(path) == content:
        path.chmod(mode)
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True


def read(path: Path) -> str:
    """The file's text with its own line ends; bytes that are no UTF-8 survive a `write_atomically`."""
    return path.read_bytes().decode("utf-8", "surrogateescape")
