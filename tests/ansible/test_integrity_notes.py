"""What Hangar writes and what Debian makes anew for a kernel is noted, and passes once, to the letter."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible.module_utils import hangar_files, hangar_written

from tests.ansible.compared import CONTENT, Machine
from tests.ansible.compared import machine as machine


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
