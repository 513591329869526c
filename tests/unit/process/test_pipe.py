"""What goes from one program to another, or into a file."""

from pathlib import Path

import pytest

from hangar.errors import CommandFailed
from hangar.process import pipe


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here plays a full disk")
def test_a_full_disk_names_the_file_that_found_no_room(tmp_path: Path) -> None:
    place = tmp_path / "backup"
    place.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as full:
        pipe.carry(["head", "-c", "3000000", "/dev/zero"], place)
    assert full.value.filename == str(place)


def test_complaints_without_an_end_do_not_fill_the_disk(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as failed:
        pipe.carry(["dd", "if=/dev/zero", "bs=65536", "of=/dev/stderr"], tmp_path / "place")
    assert "* Exit status: -25" in failed.value.details, "SIGXFSZ"
