"""What `integrity` says of changed files, and what it takes for known; AIDE and dpkg are programs of the test's.

They say what the files `report` and `packages` hold, so that each test tells a story of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
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


def test_what_has_not_changed_is_said_so(machine: Machine) -> None:
    done = machine.integrity("check")
    assert (done.returncode, done.stdout) == (0, "No file of the system has changed.\n")
    assert not (machine.place / "new.db.gz").exists()


def test_a_changed_file_fails_each_time_until_somebody_accepts_it(machine: Machine) -> None:
    machine.program.write_text("another")
    machine.differ(changed={str(machine.program): CONTENT})
    for _ in range(2):
        done = machine.integrity("check")
        assert done.returncode == 1
        assert done.stdout.splitlines() == [
            "1 of 1 changed path(s) are not as an update of Debian's has them:",
            f"  changed {machine.program}",
            f"All, and what of them changed: {machine.place}/report."
            f" Once they are right: sudo {machine.place}/integrity accept",
        ]
        assert machine.known == "first"
        assert not (machine.place / "new.db.gz").exists()
    assert "File: secret" in (machine.place / "report").read_text(), (
        "the journal gets the paths, root the rest"
    )
    assert machine.integrity("accept").returncode == 0
    # It would be told as failed until the next comparison.
    assert (machine.place / "asked").read_text() == "reset-failed hangar-integrity.service\n"
    assert machine.integrity("check").returncode == 0


def test_an_update_is_known_without_anybody_and_is_named(machine: Machine) -> None:
    machine.release("2", "two", machine.folder / "help")
    machine.link.unlink()
    machine.link.symlink_to("sudo")
    machine.differ(
        added={str(machine.folder / "help"): ()},
        removed={},
        changed={
            str(machine.program): CONTENT, str(machine.setting): CONTENT, str(machine.link): ("inode",),
            str(machine.folder): ("size", "link_count"),
        },
    )  # fmt: skip
    done = machine.integrity("check")
    assert done.stdout.splitlines() == [
        "Updated since the files were written down: sudo 1 → 2",
        "5 path(s) have changed, each as these updates have it. They are known now.",
    ]
    assert (done.returncode, machine.known) == (0, "second")
    # That update is spent: the same file again is a stranger's.
    machine.program.write_text("another")
    (machine.place / "now").write_text("third")
    done = machine.integrity("check")
    assert (done.returncode, "Updated since" in done.stdout, machine.known) == (1, False, "second")


def test_what_an_update_takes_away_is_its_own_too(machine: Machine) -> None:
    old = machine.folder / "old"
    machine.release("2", "two", old)
    machine.differ(added={str(old): ()})
    assert machine.integrity("check").returncode == 0
    (machine.place / "now").write_text("third")
    old.unlink()
    machine.release("3", "three")
    machine.differ(removed={str(old): ()})
    (machine.place / "now").write_text("third")
    assert machine.integrity("check").returncode == 0
    # What the new version still has was not taken away by it.
    machine.release("4", "four")
    machine.differ(removed={str(machine.program): ()})
    (machine.place / "now").write_text("fourth")
    done = machine.integrity("check")
    assert (done.returncode, f"  removed {machine.program}\n" in done.stdout) == (1, True)


def test_a_stranger_does_not_pass_in_an_updates_company(machine: Machine) -> None:
    """It alone is named; nothing is known, so that the update does not hide it the next time."""
    machine.release("2", "two")
    stranger = machine.place / "bin/stranger\nNo file of the system has changed."
    stranger.write_text("two")
    machine.differ(added={str(stranger): ()}, changed={str(machine.program): CONTENT})
    done = machine.integrity("check")
    assert (done.returncode, machine.known) == (1, "first")
    assert done.stdout.splitlines()[1:3] == [
        "1 of 2 changed path(s) are not as an update of Debian's has them:",
        f"  added   {machine.place}/bin/stranger?No file of the system has changed.",
    ]


def other_content(machine: Machine) -> None:
    machine.program.write_text("two and more")


def sums_alone(machine: Machine) -> None:
    """Whoever rewrites a package's sums has not updated it."""
    (machine.place / "version").write_text("1")


def a_folder(machine: Machine) -> None:
    machine.program.unlink()
    machine.program.mkdir()


def a_link_to_the_same(machine: Machine) -> None:
    machine.program.rename(machine.place / "same")
    machine.program.symlink_to(machine.place / "same")


def gone(machine: Machine) -> None:
    machine.program.unlink()


def not_written_down(machine: Machine) -> None:
    """By an earlier version of the program: everything would look like an update."""
    (machine.place / "packages.json").unlink()


@pytest.mark.parametrize(
    "sabotage", [other_content, sums_alone, a_folder, a_link_to_the_same, gone, not_written_down]
)
def test_a_file_that_is_not_the_updates_is_a_finding(
    machine: Machine, sabotage: Callable[[Machine], None]
) -> None:
    machine.release("2", "two")
    machine.differ(changed={str(machine.program): CONTENT})
    sabotage(machine)
    done = machine.integrity("check")
    assert (done.returncode, machine.known) == (1, "first")
    assert f"  changed {machine.program}\n" in done.stdout


def test_a_change_that_is_not_told_in_full_is_a_finding(machine: Machine) -> None:
    machine.release("2", "two")
    machine.differ(changed={str(machine.program): ()})
    assert machine.integrity("check").returncode == 1


@pytest.mark.parametrize("attribute", ["perm", "uid", "gid", "acl", "xattrs", "type"])
def test_rights_and_owners_are_never_an_updates(machine: Machine, attribute: str) -> None:
    """Sums say nothing of them."""
    machine.release("2", "two")
    machine.differ(changed={str(machine.program): (*CONTENT, attribute)})
    assert machine.integrity("check").returncode == 1


@pytest.mark.parametrize(("mode", "status"), [(0o755, 0), (0o4755, 1), (0o2755, 1), (0o757, 1), (0o775, 1)])
def test_what_an_update_brings_opens_nothing_unseen(machine: Machine, mode: int, status: int) -> None:
    new = machine.folder / "helper"
    machine.release("2", "two", new)
    new.chmod(mode)
    machine.differ(added={str(new): ()})
    assert machine.integrity("check").returncode == status


def test_a_new_program_with_capabilities_is_a_finding(machine: Machine) -> None:
    new = machine.folder / "helper"
    machine.release("2", "two", new)
    try:
        os.setxattr(new, "user.any", b"1")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    machine.differ(added={str(new): ()})
    assert machine.integrity("check").returncode == 1


def test_a_link_that_leads_out_of_its_update_is_a_finding(machine: Machine) -> None:
    machine.release("2", "two")
    machine.link.unlink()
    (machine.place / "elsewhere").write_text("two")
    machine.link.symlink_to(machine.place / "elsewhere")
    machine.differ(changed={str(machine.link): ("inode",)})
    assert machine.integrity("check").returncode == 1


def test_a_change_that_names_no_path_is_a_finding(machine: Machine) -> None:
    machine.release("2", "two")
    machine.differ()
    assert (machine.integrity("check").returncode, machine.known) == (1, "first")


def setting(text: str = "ours", mode: int = 0o644) -> hangar_files.State:
    return hangar_files.State("file", os.getuid(), os.getgid(), mode, text.encode())


def write(machine: Machine, text: str = "ours", mode: int = 0o644) -> None:
    """Somebody writes the setting; AIDE tells of it."""
    machine.setting.write_text(text)
    machine.setting.chmod(mode)
    machine.differ(changed={str(machine.setting): (*CONTENT, "perm")})


def test_what_hangar_wrote_is_known_without_anybody(machine: Machine) -> None:
    """Rights too, since the note names them; and once: the next one to write the same is a stranger."""
    machine.note(**{"sudo.conf": setting(mode=0o600)})
    write(machine, mode=0o600)
    done = machine.integrity("check")
    assert (done.returncode, machine.known) == (0, "second")
    assert done.stdout.splitlines() == [
        "1 path(s) have changed, each as it was noted when it was written. They are known now.",
    ]
    (machine.place / "now").write_text("third")
    assert machine.integrity("check").returncode == 1


def test_a_note_that_comes_while_files_are_compared_is_not_lost(machine: Machine) -> None:
    """It counts for what the comparison has seen, and waits for the next one otherwise."""
    machine.note(bin__other=setting())
    write(machine)
    mode = machine.setting.stat().st_mode & 0o777
    told = hangar_written.describe(setting(mode=mode))
    late = {str(machine.setting): told, f"{machine.place}/later": told}
    line = f"cat {machine.place}/late > {machine.place}/written.json\ncp STATE"
    (machine.place / "late").write_text(json.dumps(late))
    aide = (machine.place / "aide").read_text()
    (machine.place / "aide").write_text(aide.replace("cp ", line.replace("STATE", "", 1), 1))
    assert machine.integrity("check").returncode == 0
    assert list(hangar_written.read(str(machine.place))) == [f"{machine.place}/later"]


def test_an_update_and_a_run_may_come_together(machine: Machine) -> None:
    machine.release("2", "two")
    machine.note(**{"sudo.conf": setting()})
    machine.setting.write_text("ours")
    machine.setting.chmod(0o644)
    machine.differ(changed={str(machine.program): CONTENT, str(machine.setting): CONTENT})
    assert machine.integrity("check").stdout.splitlines()[-1] == (
        "2 path(s) have changed, each as these updates have it or as it was noted when it was written."
        " They are known now."
    )


@pytest.mark.parametrize(
    ("text", "mode"),
    [("ours and more", 0o644), ("ours", 0o666), ("ours", 0o4644)],
    ids=["text", "mode", "setuid"],
)
def test_whoever_writes_after_hangar_is_named(machine: Machine, text: str, mode: int) -> None:
    machine.note(**{"sudo.conf": setting()})
    write(machine, text, mode)
    done = machine.integrity("check")
    assert (done.returncode, machine.known) == (1, "first")
    assert f"  changed {machine.setting}\n" in done.stdout
    # The note is still there: once the stranger's change is gone, the rest is as Hangar wrote it.
    write(machine)
    assert machine.integrity("check").returncode == 0


def test_a_stranger_is_named_beside_what_hangar_wrote(machine: Machine) -> None:
    machine.note(**{"sudo.conf": setting()})
    write(machine)
    machine.differ(changed={str(machine.setting): CONTENT, str(machine.program): CONTENT})
    machine.program.write_text("a stranger's")
    done = machine.integrity("check")
    assert done.stdout.splitlines()[0] == "1 of 2 changed path(s) are not as an update of Debian's has them:"
    assert (done.returncode, machine.known) == (1, "first")


def test_what_hangar_removed_and_the_folder_that_it_made_are_known(machine: Machine) -> None:
    new = machine.place / "drop-ins"
    new.mkdir()
    new.chmod(0o755)
    machine.link.unlink()
    folder = hangar_files.State("directory", os.getuid(), os.getgid(), 0o755)
    machine.note(**{"drop-ins": folder, "bin__sudoedit": hangar_files.State()})
    machine.differ(
        added={str(new): ()},
        removed={str(machine.link): ()},
        changed={str(machine.place): ("link_count",), str(machine.place / "bin"): ("size",)},
    )
    assert machine.integrity("check").returncode == 0
    # Of a folder in which nothing came or went, nobody has noted anything.
    machine.differ(changed={str(machine.folder): ("size",)})
    (machine.place / "now").write_text("third")
    assert machine.integrity("check").returncode == 1


def image(machine: Machine, text: str = "an image") -> Path:
    """A new initial RAM disk, made by Debian's programs from parts of which one is the package's."""
    path = machine.place / "boot/initrd.img-6.12.48+deb13-amd64"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """The scripts that images are made with."""
    path = tmp_path / "initramfs-tools/hooks"
    path.mkdir(parents=True)
    return path / "script"


def test_an_image_that_was_made_anew_is_known(machine: Machine, parts: Path) -> None:
    machine.release("1", "one", parts)
    path = image(machine)
    assert machine.integrity("generated", str(path)).returncode == 0
    machine.differ(added={str(path): ()})
    assert machine.integrity("check").returncode == 0


@pytest.mark.parametrize(
    "who", ["writes into it", "changes what it is made with", "adds to what it is made with"]
)
def test_an_image_is_a_finding_if_somebody(machine: Machine, parts: Path, who: str) -> None:
    machine.release("1", "one", parts)
    path = image(machine)
    machine.integrity("generated", str(path))
    {
        "writes into it": lambda: path.write_text("another image"),
        "changes what it is made with": lambda: parts.write_text("evil"),
        "adds to what it is made with": lambda: (parts.parent / "another").write_text("evil"),
    }[who]()
    machine.differ(added={str(path): ()})
    done = machine.integrity("check")
    assert (done.returncode, f"  added   {path}\n" in done.stdout) == (1, True)


def test_nobody_vouches_for_what_was_not_made_just_now(machine: Machine) -> None:
    """A hook that runs although its generator did not."""
    text = (machine.place / "integrity").read_text()
    assert "JUST_NOW = 3600.0" in text
    (machine.place / "integrity").write_text(text.replace("JUST_NOW = 3600.0", "JUST_NOW = -1.0"))
    path = image(machine)
    assert machine.integrity("generated", str(path)).returncode == 0
    machine.differ(added={str(path): ()})
    assert machine.integrity("check").returncode == 1


def test_a_kernels_tables_are_known_and_nothing_else_beside_them(machine: Machine) -> None:
    tables = machine.place / "modules/6.12.48+deb13-amd64"
    tables.mkdir(parents=True)
    for name in ("modules.dep", "modules.evil"):
        (tables / name).write_text("a table")
    assert machine.integrity("kernel", "6.12.48+deb13-amd64").returncode == 0
    machine.differ(added={str(tables / "modules.dep"): (), str(tables / "modules.evil"): ()})
    done = machine.integrity("check")
    assert done.stdout.splitlines()[1:2] == [f"  added   {tables}/modules.evil"]
    assert machine.integrity("kernel", "../../etc").returncode == 64


def test_what_was_made_of_a_kernel_goes_with_it(machine: Machine) -> None:
    path = image(machine)
    kernel = machine.place / "boot/vmlinuz-6.12.48+deb13-amd64"
    machine.release("2", "two", kernel)
    machine.differ(added={str(path): (), str(kernel): ()})
    assert machine.integrity("accept").returncode == 0
    path.unlink()
    kernel.unlink()
    machine.release("2", "two")
    machine.differ(removed={str(path): ()})
    (machine.place / "now").write_text("third")
    assert machine.integrity("check").returncode == 1, "the kernel is the package's still"
    machine.release("3", "three")
    machine.differ(removed={str(path): (), str(kernel): ()})
    (machine.place / "now").write_text("third")
    assert machine.integrity("check").returncode == 0


@pytest.mark.parametrize("word", ["check", "accept"])
def test_a_comparison_that_could_not_be_made_is_an_error_and_nothing_is_learned(
    machine: Machine, word: str
) -> None:
    machine.differ()
    done = machine.integrity(word, error=17)
    assert (done.returncode, done.stderr) == (17, "ERROR: no database\n\n")
    assert machine.known == "first"
    assert not (machine.place / "asked").exists()


def test_another_word_changes_nothing_and_says_which_there_are(tmp_path: Path) -> None:
    done = Machine(tmp_path).integrity("learn")
    assert done.returncode == 64
    assert done.stderr.startswith("usage: integrity check:")
    assert not (tmp_path / "known.db.gz").exists()
