"""The program that gives Airflow's containers copies in memory, in a folder of the test's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hangar.paths import REPO
from tests.templates.render import render, value

NAMES: list[str] = value("airflow", "__airflow_mounted_secrets")


class Machine:
    """The program with its folders below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.kept = folder / "srv"
        self.runtime = folder / "2001"
        self.memory = self.runtime / "hangar"
        for place in (self.kept / "secrets", self.kept / "connections", self.runtime):
            place.mkdir(parents=True)
        for name in NAMES:
            (self.kept / "secrets" / name).write_text(f"the {name}")
        (self.kept / "secrets/erp").write_text("not for containers as a file")
        self.program = folder / "hand-over"
        text = render("airflow", "/srv/airflow/stack/hand-over", role_path=str(REPO / "roles/airflow"))
        self.program.write_text(
            text.replace("cd /srv/airflow", f"cd {self.kept}").replace("/run/user/2001", str(self.runtime))
        )

    def call(self, *words: str) -> int:
        argv = ["/bin/sh", str(self.program), *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
        assert (done.stdout, done.stderr) == ("", "")
        return done.returncode

    def copies(self) -> dict[str, str]:
        found = (path for path in self.memory.rglob("*") if path.is_file() and path.name != ".lock")
        return {str(path.relative_to(self.memory)): path.read_text() for path in found}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_containers_mount_is_copied_and_nothing_else(machine: Machine) -> None:
    (machine.kept / "connections/connections.json").write_text("{}")
    (machine.kept / "connections/.variables.json.new").write_text("half")
    assert machine.call("look") == 1
    assert machine.copies() == {}
    assert (machine.call(), machine.call("look")) == (0, 0)
    assert machine.copies() == {
        **{f"secrets/{name}": f"the {name}" for name in NAMES},
        "connections/connections.json": "{}",
    }


def test_the_copies_are_closed_to_others(machine: Machine) -> None:
    (machine.kept / "connections/connections.json").write_text("{}")
    machine.call()
    modes = {str(path.relative_to(machine.runtime)): path.stat().st_mode & 0o777
             for path in machine.runtime.rglob("*") if path.name != ".lock"}  # fmt: skip
    folders = {"hangar": 0o700, "hangar/secrets": 0o700, "hangar/connections": 0o750}
    assert {name: mode for name, mode in modes.items() if name in folders} == folders
    assert {mode for name, mode in modes.items() if name not in folders} == {0o440}


def test_a_changed_secret_takes_the_place_of_its_copy_and_the_others_stay(machine: Machine) -> None:
    machine.call()
    copies = machine.memory / "secrets"
    before = {name: (copies / name).stat().st_ino for name in NAMES}
    mounted = (copies / "fernet_key").open()  # as a container's mount holds on to it
    (machine.kept / "secrets/fernet_key").write_text("another")
    assert (machine.call("look"), machine.call(), machine.call("look")) == (1, 0, 0)
    after = {name: (copies / name).stat().st_ino for name in NAMES}
    assert {name for name in NAMES if after[name] != before[name]} == {"fernet_key"}
    assert (copies / "fernet_key").read_text() == "another"
    assert mounted.read() == "the fernet_key"


def test_connections_change_in_the_folder_that_is_mounted(machine: Machine) -> None:
    kept = machine.kept / "connections/variables.json"
    kept.write_text("{}")
    machine.call()
    folder = (machine.memory / "connections").stat().st_ino
    kept.write_text('{"region": "eu"}')
    machine.call()
    assert (machine.memory / "connections").stat().st_ino == folder
    assert machine.copies()["connections/variables.json"] == '{"region": "eu"}'


def test_connections_that_are_gone_for_a_while_keep_their_copy(machine: Machine) -> None:
    """As after a boot at which Secret Manager did not answer"""
    kept = machine.kept / "connections/connections.json"
    kept.write_text("{}")
    machine.call()
    kept.unlink()
    assert (machine.call("look"), machine.call()) == (0, 0)
    assert machine.copies()["connections/connections.json"] == "{}"


def test_what_a_call_that_was_killed_left_is_no_obstacle(machine: Machine) -> None:
    machine.memory.mkdir()
    (machine.memory / ".new").write_text("half")
    (machine.memory / ".new").chmod(0o440)
    machine.call()
    assert set(machine.copies()) == {f"secrets/{name}" for name in NAMES}


def test_without_a_user_manager_nothing_is_written(machine: Machine) -> None:
    machine.runtime.rmdir()
    assert (machine.call(), machine.call("look")) == (0, 0)
    assert not machine.runtime.exists()


def test_a_secret_that_is_missing_stops_the_start(machine: Machine) -> None:
    (machine.kept / "secrets/jwt_secret").unlink()
    argv = ["/bin/sh", str(machine.program)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode != 0
    assert "'secrets/jwt_secret'" in done.stderr
