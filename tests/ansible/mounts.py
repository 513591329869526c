"""What somebody may mount by FUSE and root may not look into: real mounts, by the kernel of this computer."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

NUMBER = 29_871
"""Whose the mounts are: nobody's number on a computer that runs tests."""
LAZY = 2

needs_fuse = pytest.mark.skipif(
    os.geteuid() != 0 or not os.access("/dev/fuse", os.W_OK), reason="nothing can be mounted by FUSE here"
)


@contextlib.contextmanager
def mounted(place: Path) -> Iterator[FileIO]:
    """A folder over which its person has mounted something of their own; by what is yielded their program answers for
    it, and has ended once that is closed.
    """
    library = ctypes.CDLL(None)
    device = FileIO("/dev/fuse", "r+")
    options = f"fd={device.fileno()},rootmode=40000,user_id={NUMBER},group_id={NUMBER}".encode()
    if library.mount(b"mal", os.fsencode(place), b"fuse", 0, options):
        device.close()
        pytest.skip("nothing can be mounted here")
    try:
        yield device
    finally:
        library.umount2(os.fsencode(place), LAZY)
        device.close()
