"""A machine whose files are compared; AIDE and dpkg are programs of the test's.

They say what the files `report` and `packages` hold, so that each test tells a story of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from ansible.module_utils import hangar_files, hangar_written

from hangar.paths import REPO

LIBRARY = REPO / "playbooks/plugins/module_utils"
PROGRAM = REPO / "roles/hardening_audit/templates/usr/local/lib/hangar/integrity"

AIDE = """#!/bin/sh
[ "$1" = --config=/etc/aide/aide.conf ] || exit 99
[ "${ERROR:-0}" = 0 ] || { echo "ERROR: no database"; exit "$ERROR"; }
cat STATE/now > STATE/new.db.gz
[ "$2" = --init ] && exit 0
[ "$2" = --update ] || exit 99
cmp --quiet STATE/now STATE/known.db.gz && exit 0
cp STATE/differences STATE/report.json
echo "File: secret"
exit 4
"""

DPKG = """#!/bin/sh
printf "installed\\tsudo\\t$(cat STATE/version)\\n $(cat STATE/setting)\\n\\n"
printf "config-files\\tgone\\t1\\n\\ninstalled\\tbash\\t5\\n\\n"
"""

CONTENT = ("size", "sha256", "inode")


class Machine:
    """One package, `sudo`, with a program, a link to it, a folder and a setting, and what AIDE says of them."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.program, self.link, self.folder = place / "bin/sudo", place / "bin/sudoedit", place / "share"
        self.setting = place / "sudo.conf"
        for path in (self.folder, place / "info", place / "bin"):
            path.mkdir()
        for name, text in (
            ("aide", AIDE.replace("STATE", str(place))),
            ("dpkg-query", DPKG.replace("STATE", str(place))),
            ("systemctl", f'#!/bin/sh\necho "$@" >> {place}/asked\n'),
            (
                "integrity",
                PROGRAM.read_text()
                .replace("/var/lib/hangar/integrity", str(place))
                .replace("/var/lib/dpkg/info", str(place / "info"))
                .replace("/usr/share/initramfs-tools", str(place / "initramfs-tools"))
                .replace("/usr/lib/modules", str(place / "modules"))
                .replace("/boot/", f"{place}/boot/"),
            ),
            ("hangar_files.py", (LIBRARY / "hangar_files.py").read_text()),
            (
                "hangar_written.py",
                (LIBRARY / "hangar_written.py")
                .read_text()
                .replace('"/boot/", "/etc/", "/opt/", "/usr/"', f'"{place}/"'),
            ),
        ):
            (place / name).write_text(text)
            (place / name).chmod(0o755)
        self.link.symlink_to("sudo")
        self.release("1", "one")
        self.differ()
        (place / "now").write_text("first")

    def release(self, version: str, text: str, *more: Path) -> None:
        """The package comes with this version, and `text` in its program and its setting."""
        (self.place / "version").write_text(version)
        for path in (self.program, self.setting, *more):
            path.write_text(text)
        md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        (self.place / "setting").write_text(f"{self.setting} {md5}")
        brought = (self.program, *more)
        (self.place / "info/sudo.md5sums").write_text(
            "".join(f"{md5}  {str(path)[1:]}\n" for path in brought)
        )
        listed = (self.folder, self.setting, self.link, *brought)
        (self.place / "info/sudo.list").write_text("".join(f"{path}\n" for path in listed))

    def differ(self, **kinds: dict[str, tuple[str, ...]]) -> None:
        """From now on AIDE finds this: added, removed and changed paths, with the attributes that changed."""
        (self.place / "now").write_text("second")
        told = {kind: dict.fromkeys(paths, "f") for kind, paths in kinds.items()}
        details = {
            path: {name: {} for name in names} for paths in kinds.values() for path, names in paths.items()
        }
        (self.place / "differences").write_text(json.dumps({**told, "details": details}))

    def integrity(self, *words: str, error: int = 0) -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{self.place}:{os.defpath}", "ERROR": str(error)}
        return subprocess.run([self.place / "integrity", *words], env=env, capture_output=True, text=True)

    def note(self, **states: hangar_files.State) -> None:
        """Hangar is about to write these, by their names in this place."""
        folder = str(self.place)
        wanted = {f"{folder}/{name.replace('__', '/')}": state for name, state in states.items()}
        hangar_written.note(wanted, folder)

    @property
    def known(self) -> str:
        return (self.place / "known.db.gz").read_text()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Its files are known."""
    monkeypatch.setattr(hangar_written, "COMPARED", (f"{tmp_path}/",))
    machine = Machine(tmp_path)
    assert machine.integrity("check").stdout == "The files of the system are known from now on.\n"
    return machine
