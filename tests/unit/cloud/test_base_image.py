"""Where the base image comes from, and that its tag follows its recipe."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from docker.errors import APIError

from hangar import process
from hangar.cloud import base_image, debian_root
from hangar.cloud.recipe import FOLDER, Recipe
from hangar.errors import CloudError, CommandFailed, MissingTool
from tests.unit.fake_engine import FakeEngine


@pytest.fixture
def empty(engine: FakeEngine) -> FakeEngine:
    """An engine without our image, and no registry that answers."""
    engine.images_.clear()
    engine.fail["inspect_distribution"] = [APIError("no such host")] * 9
    return engine


@pytest.fixture
def mmdebstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, ...]]:
    """Records what would be run; the keys are there."""
    calls: list[tuple[str, ...]] = []
    key = tmp_path / "keyring.gpg"
    key.touch()
    monkeypatch.setattr(debian_root, "KEYRING", key)
    monkeypatch.setattr(debian_root.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(process, "run", but_for_removals(lambda argv, **_: calls.append(tuple(argv))))
    return calls


def but_for_removals(fake: Callable[..., object]) -> Callable[..., object]:
    real = process.run
    return lambda argv, **options: (real if argv[0] == "rm" else fake)(argv, **options)


def ensure(engine: FakeEngine, said: list[str] | None = None) -> str:
    return base_image.ensure(engine, Recipe(), (said if said is not None else []).append)  # type: ignore[arg-type]


def test_an_image_that_exists_is_taken(engine: FakeEngine) -> None:
    assert ensure(engine) == f"hangar-base:{Recipe().hash}"
    assert engine.calls == []


def test_without_a_registry_debians_packages_are_taken(
    empty: FakeEngine, mmdebstrap: list[tuple[str, ...]]
) -> None:
    ensure(empty)
    (argv,) = mmdebstrap
    assert "--variant=minbase" in argv
    assert '--customize-hook=chroot "$1" /usr/lib/hangar/setup' in argv
    assert argv[-3] == "trixie"
    assert empty.did("import_image") == [f"hangar-base:{Recipe().hash}"]
    assert empty.timeout == 600, "the short patience is for the registry only"


def test_with_a_registry_its_image_is_pulled_and_completed(empty: FakeEngine) -> None:
    empty.fail.clear()
    ensure(empty)
    assert [method for method, _ in empty.calls if method != "remove_container"] == [
        "inspect_distribution", "pull", "create_container", "put_archive", "start", "commit",
    ]  # fmt: skip
    assert empty.containers_ == {}, "the container that it was made in is gone"


def test_a_failed_installation_names_the_command_and_leaves_no_container(empty: FakeEngine) -> None:
    empty.fail.clear()
    empty.answers["sh -c /usr/lib/hangar/setup"] = (1, "no room left")
    with pytest.raises(CloudError) as caught:
        ensure(empty)
    assert caught.value.details == "* In the container: /usr/lib/hangar/setup\nno room left"
    assert empty.containers_ == {}
    assert empty.did("commit") == []


def test_a_missing_mmdebstrap_is_named_with_the_command_that_installs_it(
    empty: FakeEngine, mmdebstrap: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian_root.shutil, "which", lambda name: None)
    with pytest.raises(MissingTool) as caught:
        ensure(empty)
    assert (
        caught.value.brief
        == "The base image cannot be made: no registry answers, and mmdebstrap is not installed."
    )
    assert caught.value.resolution == "Install it: sudo apt-get install mmdebstrap debian-archive-keyring"


def test_missing_keys_stop_before_anything_is_fetched(
    empty: FakeEngine, mmdebstrap: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(debian_root, "KEYRING", tmp_path / "none.gpg")
    with pytest.raises(MissingTool, match="Debian's keys are not installed"):
        ensure(empty)
    assert mmdebstrap == []


def test_what_a_failed_build_said_is_shown(
    empty: FakeEngine, mmdebstrap: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(argv: list[str], **_: object) -> None:
        raise CommandFailed("mmdebstrap failed.", "E: unable to fetch")

    monkeypatch.setattr(process, "run", but_for_removals(fail))
    with pytest.raises(CloudError) as caught:
        ensure(empty)
    assert caught.value.details == "E: unable to fetch"
    assert not list(base_image.CACHE.glob("base-*/")), "the half-made root is gone"


@pytest.mark.parametrize("root", [True, False])
def test_what_mmdebstrap_mounts_goes_with_it(
    empty: FakeEngine, mmdebstrap: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, root: bool
) -> None:
    monkeypatch.setattr(debian_root.os, "geteuid", lambda: 0 if root else 1000)
    ensure(empty)
    assert mmdebstrap[0][:2] == (("unshare", "--mount") if root else ("mmdebstrap", "--variant=minbase"))


def test_what_a_killed_run_left_is_removed(engine: FakeEngine) -> None:
    left = base_image.CACHE / "base-killed"
    left.mkdir(parents=True)
    engine.create_container("debian", [], host_config={}, labels={"hangar.builder": str(base_image.CACHE)})
    engine.create_container(
        "debian", [], name="x", host_config={}, labels={"hangar.builder": "another checkout"}
    )
    ensure(engine)
    assert not left.exists()
    assert list(engine.containers_) == ["x"]


def test_the_tag_follows_everything_in_the_recipe(tmp_path: Path) -> None:
    seen = set()
    for change in (None, "packages.txt", "setup.sh", "root/usr/lib/hangar/init", "mode"):
        folder = tmp_path / f"recipe-{change and change.replace('/', '-')}"
        shutil.copytree(FOLDER, folder)
        if change == "mode":
            (folder / "root/usr/lib/hangar/init").chmod(0o644)
        elif change:
            with (folder / change).open("a") as file:
                file.write("more\n")
        seen.add(Recipe(folder).hash)
    assert len(seen) == 5
    assert Recipe(tmp_path / "recipe-None").hash == Recipe().hash


def test_the_recipes_files_are_roots_and_the_first_process_is_executable() -> None:
    with tarfile.open(fileobj=io.BytesIO(Recipe().tar())) as archive:
        entries = {entry.name: entry for entry in archive}
    assert entries["usr/lib/hangar/init"].mode == 0o755
    assert entries["etc/apt/sources.list.d/debian.sources"].mode == 0o644
    assert {(entry.uid, entry.gid) for entry in entries.values()} == {(0, 0)}


def test_the_machine_applies_net_parameters_only() -> None:
    _, content = Recipe().files["etc/systemd/system/systemd-sysctl.service.d/10-hangar.conf"]
    assert b"ExecStart=\nExecStart=/usr/lib/systemd/systemd-sysctl --prefix=net\n" in content
