import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hangar import bootstrap, installers, paths

LOCK = (
    "annotated-types==0.8.0 \\\n    --hash=sha256:00\nansible-core==2.19.14 ; python_full_version < '3.12'\n"
)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone without an environment; installing only makes the files that count."""
    (tmp_path / "requirements.lock").write_text(LOCK)
    (tmp_path / "requirements-dev.lock").write_text(LOCK)
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["ansible-core>=2.19,<2.22"]\n')
    monkeypatch.setattr(bootstrap, "REPO", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "RECORD", tmp_path / ".venv" / "hangar.json")
    return tmp_path


class Installer:
    """Stands in for pip and uv: counts, and may break off."""

    def __init__(self) -> None:
        self.locks: list[str] = []
        self.interrupt = False
        self.slowly = 0.0

    def __call__(self, venv: Path, lock: Path, python: str) -> None:
        self.locks.append(lock.name)
        (venv / "bin").mkdir()
        (venv / "bin/python").touch()
        time.sleep(self.slowly)
        if self.interrupt:
            raise KeyboardInterrupt


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> Installer:
    stand_in = Installer()
    monkeypatch.setattr(installers, "install", stand_in)
    return stand_in


def record() -> dict[str, Any]:
    return dict(json.loads(bootstrap.RECORD.read_text()))


def test_the_first_call_makes_the_environment_and_says_so(
    clone: Path, installer: Installer, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.make(bootstrap.PLAIN)
    assert installer.locks == ["requirements.lock"]
    assert record()["state"] == "made"
    assert record()["home"] == str(clone / ".venv")
    out, err = capsys.readouterr()
    assert out == ""
    assert "makes its own Python environment, once: .venv from requirements.lock" in err


def test_the_second_call_does_nothing(
    clone: Path, installer: Installer, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.make(bootstrap.PLAIN)
    capsys.readouterr()
    bootstrap.make(bootstrap.PLAIN)
    assert installer.locks == ["requirements.lock"]
    assert capsys.readouterr() == ("", "")


def change_lock(clone: Path) -> None:
    (clone / "requirements.lock").write_text(LOCK + "# changed\n")


def move(clone: Path) -> None:
    bootstrap.RECORD.write_text(json.dumps({**record(), "home": "/elsewhere/.venv"}))


def upgrade_python(clone: Path) -> None:
    bootstrap.RECORD.write_text(json.dumps({**record(), "python": "3.1"}))
    sys.prefix = str(bootstrap.VENV)


def lose_python(clone: Path) -> None:
    (clone / ".venv/bin/python").unlink()


def spoil_record(clone: Path) -> None:
    bootstrap.RECORD.write_text("{")


@pytest.mark.parametrize("harm", [change_lock, move, upgrade_python, lose_python, spoil_record])
def test_an_environment_that_no_longer_fits_is_made_again(
    clone: Path, installer: Installer, harm: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    bootstrap.make(bootstrap.PLAIN)
    harm(clone)
    bootstrap.make(bootstrap.PLAIN)
    assert len(installer.locks) == 2
    assert record()["state"] == "made"


def test_an_interrupted_making_is_begun_again(clone: Path, installer: Installer) -> None:
    installer.interrupt = True
    with pytest.raises(KeyboardInterrupt):
        bootstrap.make(bootstrap.PLAIN)
    assert record()["state"] == "making"
    installer.interrupt = False
    bootstrap.make(bootstrap.PLAIN)
    assert record()["state"] == "made"


def test_another_python_may_start_it(
    clone: Path, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    bootstrap.make(bootstrap.PLAIN)
    bootstrap.RECORD.write_text(json.dumps({**record(), "python": "3.1"}))
    bootstrap.make(bootstrap.PLAIN)
    assert installer.locks == ["requirements.lock"]


def test_two_at_once_make_it_once(
    clone: Path, installer: Installer, capsys: pytest.CaptureFixture[str]
) -> None:
    installer.slowly = 0.3
    threads = [threading.Thread(target=bootstrap.make, args=(bootstrap.PLAIN,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert installer.locks == ["requirements.lock"]
    assert "Another call is making Hangar's environment; waiting for it." in capsys.readouterr().err


def test_a_developers_environment_stays_one(clone: Path, installer: Installer) -> None:
    bootstrap.make(bootstrap.DEV)
    bootstrap.make(bootstrap.PLAIN)
    change_lock(clone)
    bootstrap.make(bootstrap.PLAIN)
    assert installer.locks == ["requirements-dev.lock", "requirements-dev.lock"]


def test_a_plain_environment_becomes_a_developers_on_demand(clone: Path, installer: Installer) -> None:
    bootstrap.make(bootstrap.PLAIN)
    bootstrap.make(bootstrap.DEV)
    assert installer.locks == ["requirements.lock", "requirements-dev.lock"]


def test_an_environment_of_the_users_own_is_never_touched(clone: Path, installer: Installer) -> None:
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").touch()
    bootstrap.make(bootstrap.PLAIN)
    assert installer.locks == []
    assert not bootstrap.RECORD.exists()


def test_a_users_own_environment_that_lacks_something_is_named(
    clone: Path, installer: Installer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").touch()
    (clone / "pyproject.toml").write_text('[project]\ndependencies = ["no-such-package>=1"]\n')
    monkeypatch.setattr(sys, "prefix", str(clone / ".venv"))
    with pytest.raises(SystemExit) as ended:
        bootstrap.enter(["provision.py", "up"])
    assert ended.value.code == 1
    assert "was not made by Hangar and lacks no-such-package as locked." in capsys.readouterr().err


def test_a_virtual_environment_that_has_everything_is_used(
    clone: Path, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(clone / "elsewhere"))
    monkeypatch.setattr(bootstrap, "_installed", lambda name: "2.19.14")
    bootstrap.enter(["provision.py", "up"])
    assert installer.locks == []


def test_another_version_than_locked_is_missing(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_installed", lambda name: "2.18.0")
    assert bootstrap.missing() == ["ansible-core"]


def test_the_call_goes_on_in_the_environment(
    clone: Path, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(os, "execv", lambda path, argv: calls.append((path, argv)))
    bootstrap.enter(["provision.py", "up", "--yes"])
    python = str(clone / ".venv/bin/python")
    assert calls == [(python, [python, "provision.py", "up", "--yes"])]
    assert installer.locks == ["requirements.lock"]


def test_a_failure_is_told_without_a_traceback(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise installers.Failed("pip … failed:\n    no route to host")

    monkeypatch.setattr(installers, "install", fail)
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    with pytest.raises(SystemExit) as ended:
        bootstrap.enter(["provision.py"])
    assert ended.value.code == 1
    assert capsys.readouterr().err.endswith("error: pip … failed:\n    no route to host\n")


def test_the_door_imports_only_what_every_python_has() -> None:
    """In an interpreter without site-packages, up to where the environment is made."""
    code = (
        "import sys; sys.path.insert(0, '.'); from hangar import bootstrap, installers; bootstrap._record()"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=paths.REPO, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_link_to_another_clones_environment_gives_way_and_that_one_stays(
    clone: Path, installer: Installer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / ".venv"
    (other / "bin").mkdir(parents=True)
    (other / "bin/python").touch()
    (other / "hangar.json").write_text(json.dumps({"state": "made", "home": str(other)}))
    bootstrap.VENV.symlink_to(other)
    bootstrap.make(bootstrap.PLAIN)
    assert not bootstrap.VENV.is_symlink()
    assert record()["home"] == str(clone / ".venv")
    assert json.loads((other / "hangar.json").read_text())["home"] == str(other)
    assert (other / "bin/python").exists()


def test_a_link_to_nowhere_gives_way(clone: Path, installer: Installer) -> None:
    bootstrap.VENV.symlink_to(clone / "gone")
    bootstrap.make(bootstrap.PLAIN)
    assert record()["state"] == "made"


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EROFS, "Hangar needs a clone that you may write to: ls -ld REPO REPO/.venv REPO/.hangar"),
        (errno.ENOSPC, "See how full the disk is: df -h REPO"),
    ],
)
def test_a_clone_that_cannot_be_written_to_is_told_in_a_sentence(
    clone: Path, installer: Installer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    number: int, cure: str,
) -> None:  # fmt: skip
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(sys, "argv", ["hangar.bootstrap"])
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(SystemExit) as ended:
        bootstrap.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        f"error: Hangar cannot make its own Python environment: {clone}/.hangar: {os.strerror(number)}\n"
        f"{cure.replace('REPO', str(clone))}\n"
    )


def test_a_file_in_the_environments_place_is_named(
    clone: Path, installer: Installer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.VENV.write_text("mine")
    monkeypatch.setattr(sys, "argv", ["hangar.bootstrap"])
    with pytest.raises(SystemExit):
        bootstrap.main()
    assert f"{clone}/.venv: Not a directory\n" in capsys.readouterr().err
    assert bootstrap.VENV.read_text() == "mine"
