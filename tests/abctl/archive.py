"""Pack the recording stand-in as abctl's releases are packed: `python -m tests.abctl.archive FOLDER`."""

import gzip
import hashlib
import io
import sys
import tarfile
from pathlib import Path

PROGRAM = Path(__file__).with_name("recording_abctl.py")
NAME = "abctl-v0.30.4-linux-amd64"


def pack(folder: Path) -> tuple[Path, str]:
    """The archive and its checksum; the same bytes each time."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("abctl", "LICENSE"):
            content = PROGRAM.read_bytes() if name == "abctl" else b"a stand-in\n"
            member = tarfile.TarInfo(f"{NAME}/{name}")
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    content = gzip.compress(packed.getvalue(), mtime=0)
    path = folder / f"{NAME}.tar.gz"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    print(*pack(Path(sys.argv[1])))
