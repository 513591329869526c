"""The machine's program `homes`: whose disk it bounds, whom it measures, and what people are told."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pwd
import stat
import sys
import tracemalloc
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.templates.render import render

GB = 10**9
ANA, BEN = 20_001, 20_002


def account(name: str, uid: int, home: Path) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "*", uid, uid, "", str(home / name), "/bin/bash"))


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program with a developer ana, an admin ben, and a folder of another's disk for their homes."""
    program = tmp_path / "homes.py"
    program.write_text(render("remote_ssh", "/usr/local/lib/hangar/homes"))
    loader = SourceFileLoader("homes", str(program))
    module = module_from_spec(spec_from_loader("homes", loader))
    monkeypatch.setitem(sys.modules, "homes", module)  # a data class looks there for its own
    loader.exec_module(module)
    for name in ("ana", "ben"):
        (tmp_path / "home" / name).mkdir(parents=True)
    accounts = {"ana": account("ana", ANA, tmp_path / "home"), "ben": account("ben", BEN, tmp_path / "home")}
    groups = {"hangar-people": ["ana", "ben"], "hangar-admins": ["ben"]}
    monkeypatch.setattr(module, "HOMES", tmp_path / "home")
    monkeypatch.setattr(module, "MEASURED", tmp_path / "measured.json")
    monkeypatch.setattr(module, "MOUNTS", tmp_path / "mountinfo")
    monkeypatch.setattr(
        module, "members", lambda names: (accounts[one] for name in names for one in groups[name])
    )
    monkeypatch.setattr(module, "QUOTA", str(10 * GB))
    (tmp_path / "mountinfo").write_text("")
    monkeypatch.setattr(os, "getuid", lambda: ANA)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: accounts["ana"])
    return module


class Kernel:
    """Quotas as the kernel keeps them, for the one device that counts."""

    def __init__(self, module: ModuleType, flags: int) -> None:
        self.module, self.flags = module, flags
        self.used: dict[int, int] = {}
        self.bounds: dict[int, int] = {}
        self.calls: list[tuple[int, int]] = []

    def __call__(self, command: int, device: str, uid: int, data: object) -> int:
        assert device == "/dev/data"
        if command == self.module.STATE:
            data.flags = self.flags  # type: ignore[attr-defined]
        elif command == self.module.GET:
            data.used, data.hard = self.used.get(uid, 0), self.bounds.get(uid, 0)  # type: ignore[attr-defined]
        else:
            self.bounds[uid] = data.hard  # type: ignore[attr-defined]
            self.calls.append((uid, data.hard))  # type: ignore[attr-defined]
        return 0


@pytest.fixture
def kernel(homes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    monkeypatch.setattr(homes, "disk", lambda: "/dev/data")
    found = Kernel(homes, homes.ENFORCED)
    monkeypatch.setattr(homes, "quotactl", found)
    return found


def test_a_developer_is_bounded_and_an_administrator_is_not(
    homes: ModuleType, kernel: Kernel, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.bounds[BEN] = 5  # from before ben became an administrator
    homes.main(["bound"])
    assert kernel.bounds == {ANA: 10 * GB // 1024, BEN: 0}
    assert capsys.readouterr().out == "ana: at most 10.0 GB\nben: no bound\n"
    kernel.calls.clear()
    homes.main(["bound"])
    assert kernel.calls == []
    assert capsys.readouterr().out == ""


def test_a_bound_that_is_taken_back_is_lifted(
    homes: ModuleType, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes.main(["bound"])
    monkeypatch.setattr(homes, "QUOTA", "")
    homes.main(["bound"])
    assert kernel.bounds[ANA] == 0


def test_a_share_is_of_the_whole_disk(homes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, "QUOTA", "40%")
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_frsize=4096, f_blocks=1000))
    assert homes.bound() == 4096 * 1000 * 40 // 100


def test_everybody_asks_for_themselves_and_is_told_when_it_gets_tight(
    homes: ModuleType, kernel: Kernel, capsys: pytest.CaptureFixture[str]
) -> None:
    homes.main(["bound"])
    kernel.used[ANA] = 7 * GB
    capsys.readouterr()
    homes.main(["mine"])
    homes.main(["tell"])
    assert capsys.readouterr().out == f"{7 * GB} {10 * GB} held\n"
    kernel.used[ANA] = 8 * GB
    homes.main(["tell"])
    assert capsys.readouterr().out == (
        "ana has 8.0 GB of 10.0 GB on this machine's disk. More cannot be written then; "
        "see: du -xhd2 ~ | sort -h | tail\n"
    )


def test_where_the_kernel_does_not_enforce_homes_are_measured_and_nobody_is_stopped(
    homes: ModuleType, kernel: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    kernel.flags = 1  # it counts, and that is all
    monkeypatch.setattr(homes, "QUOTA", "100000")
    (tmp_path / "home/ana/large").write_bytes(b"x" * 90_000)
    os.link(tmp_path / "home/ana/large", tmp_path / "home/ana/again")
    (tmp_path / "home/ana/away").symlink_to(tmp_path)
    homes.main(["bound"])
    assert kernel.calls == []
    said = capsys.readouterr().out
    assert said.startswith("ana has 0.0 GB of 0.0 GB on this machine's disk. Nothing stops you, but the disk")
    homes.main(["show"])
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["bound"], shown["held"]) == ("ana", 100_000, False)
    assert 90_000 <= shown["used"] < 120_000
    assert stat.S_IMODE((tmp_path / "measured.json").stat().st_mode) == 0o644


def test_a_folder_of_anothers_disk_is_not_ours_to_bound(
    homes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's /srv is a folder of its computer's disk: the same numbers are somebody else there"""
    at = (tmp_path / "home").stat().st_dev
    number = f"{os.major(at)}:{os.minor(at)}"
    monkeypatch.setattr(homes, "is_device", lambda path, wanted: (path, wanted) == ("/dev/data", at))
    for root, source, expected in (
        ("/", "/dev/data", "/dev/data"),
        ("/var/lib/docker/volumes/x", "/dev/data", ""),
        ("/", "/dev/gone", ""),
    ):
        homes.MOUNTS.write_text(
            f"20 1 0:1 / /proc rw - proc proc rw\n21 1 {number} {root} /srv rw shared:1 - ext4 {source} rw\n"
        )
        assert homes.disk() == expected


def test_only_a_device_of_this_number_is_one(homes: ModuleType, tmp_path: Path) -> None:
    assert not homes.is_device(str(tmp_path), tmp_path.stat().st_dev)
    assert not homes.is_device("/nowhere", 1)


def test_what_the_kernel_refuses_is_an_error(homes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, "quotactl", lambda *words: errno.EPERM)
    with pytest.raises(PermissionError):
        homes.set_bound("/dev/data", ANA, GB)


def test_a_home_with_any_number_of_files_is_measured_in_little_memory(
    homes: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They cost their owner next to nothing, and the memory is root's."""

    @contextlib.contextmanager
    def scandir(_: object) -> Iterator[Iterator[SimpleNamespace]]:
        yield (
            SimpleNamespace(
                inode=lambda number=number: number,
                is_dir=lambda follow_symlinks: False,
                stat=lambda follow_symlinks, number=number: SimpleNamespace(
                    st_ino=number, st_nlink=1, st_blocks=8
                ),
            )
            for number in range(10**6, 10**6 + 50_000)
        )

    monkeypatch.setattr(homes.os, "scandir", scandir)
    tracemalloc.start()
    try:
        assert homes.measured(tmp_path) == 50_000 * 4096
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
