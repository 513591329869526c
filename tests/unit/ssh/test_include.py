from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hangar.cloud.base import Server
from hangar.ssh import include
from hangar.ssh.tunnel import Forward

FORWARDS = (Forward("airflow", 8080, 8081),)


def test_the_file_is_written_once_and_read_by_ssh(server: Server, home: Path) -> None:
    assert include.write(server, home / "id", FORWARDS)
    assert not include.write(server, home / "id", FORWARDS)
    path = home / ".ssh/config.d/hangar-local"
    assert path.stat().st_mode & 0o777 == 0o600
    said = subprocess.run(
        ["ssh", "-F", str(path), "-G", "hangar-local"], capture_output=True, text=True
    ).stdout
    assert "port 22022\n" in said
    assert "localforward [127.0.0.1]:8081 [127.0.0.1]:8080\n" in said, (
        "no tunnel is open: the session brings its own"
    )
    other = subprocess.run(["ssh", "-F", str(path), "-G", "elsewhere"], capture_output=True, text=True).stdout
    assert "localforward" not in other


@pytest.mark.parametrize("before", ["", "Host a\n  User b\n", "# mine\n\nHost *\n  Compression yes"])
def test_the_include_line_comes_first_and_goes_without_a_trace(before: str) -> None:
    after = include.with_include(before)
    assert after.splitlines()[0] == "Include ~/.ssh/config.d/hangar-*"
    assert include.with_include(after) == after
    assert include.without_include(after) == before


def test_the_difference_is_shown_before_anything_is_written(home: Path) -> None:
    (home / ".ssh").mkdir(parents=True)
    config = home / ".ssh/config"
    config.write_text("Host a\n")
    after, difference = include.proposal()
    assert config.read_text() == "Host a\n"
    assert "+Include ~/.ssh/config.d/hangar-*" in difference
    assert not include.is_included()
    include.accept(after)
    assert include.is_included()
    assert config.read_text().endswith("\n\nHost a\n")


def test_a_linked_config_stays_a_link(home: Path, tmp_path: Path) -> None:
    (home / ".ssh").mkdir(parents=True)
    real = tmp_path / "dotfiles-config"
    real.write_text("Host a\n")
    (home / ".ssh/config").symlink_to(real)
    include.accept(include.proposal()[0])
    assert (home / ".ssh/config").is_symlink()
    assert real.read_text().startswith("Include ")


def test_the_include_line_goes_with_the_last_machine(server: Server, home: Path) -> None:
    include.write(server, home / "id", ())
    include.accept(include.proposal()[0])
    (home / ".ssh/config.d/hangar-sandbox").touch()
    assert include.remove("local") == [str(home / ".ssh/config.d/hangar-local")]
    assert include.is_included()
    assert include.remove("sandbox")[1] == f"the Include line in {home}/.ssh/config"
    assert list((home / ".ssh").iterdir()) == [], "an empty file and an empty folder are not left behind"
    assert include.remove("sandbox") == []
