"""The contract of `airflow` writes where developers do: a link of theirs leads nobody with more rights elsewhere."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
SHARED = "/srv/airflow/dags"


class Machine:
    """Runs what the contract asks for, as whoever runs this; the shared folder is `folder`.

    Between the contract's naming of a file and its command, a developer puts a link to the victim there.
    """

    def __init__(self, place: Path, planting: bool) -> None:
        self.folder, self.home, self.planting = place / "dags", place / "home", planting
        self.victim, self.behind = place / "victim", place / "behind"
        for folder in (self.folder, self.home, self.behind):
            folder.mkdir()
        self.victim.write_text("the operator's\n")
        self.victim.chmod(0o644)
        for name in (".contract", ".contract.root"):
            (self.folder / name).symlink_to(self.victim)

    def sh(self, command: str, given: str = "") -> SimpleNamespace:
        command = command.replace(SHARED, str(self.folder)).replace("runuser -u airflow -- ", "")
        if command.startswith("for _ in "):  # airflow-live.service, which is tried elsewhere
            return SimpleNamespace(rc=0, returncode=0, stdout="")
        for named in re.findall(rf"{self.folder}/([\w.-]+)", command) if self.planting else ():
            if not os.path.lexists(self.folder / named):
                (self.folder / named).symlink_to(self.behind if "mv" in command else self.victim)
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.home, input=given, capture_output=True, text=True, check=False
        )
        return SimpleNamespace(rc=done.returncode, returncode=done.returncode, stdout=done.stdout)

    def check_output(self, command: str) -> str:
        done = self.sh(command)
        assert done.rc == 0
        return str(done.stdout).rstrip("\n")

    def ssh(self, command: str, input: str = "") -> SimpleNamespace:
        return self.sh(command, input)

    run = sh


WRITING = (
    "test_the_operator_puts_a_file_into_the_live_folder",
    "test_what_comes_into_the_live_folder_with_rights_of_its_own_is_shared_too",
)


@pytest.fixture
def contract(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[..., Any]]:
    tests = REPO / "roles/airflow/tests"
    monkeypatch.syspath_prepend(str(tests))
    return runpy.run_path(str(tests / "test_airflow.py"))


@pytest.mark.parametrize("name", WRITING)
def test_a_link_that_waits_there_is_not_followed(
    contract: dict[str, Callable[..., Any]], tmp_path: Path, name: str
) -> None:
    machine = Machine(tmp_path, planting=False)
    contract[name](machine, machine, {"airflow_live_dags_enabled": True})
    assert machine.victim.read_text() == "the operator's\n"
    assert machine.victim.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in machine.folder.iterdir()) == [".contract", ".contract.root"]
    assert not list(machine.home.iterdir())


@pytest.mark.parametrize("name", WRITING)
def test_a_link_that_comes_at_the_last_moment_is_not_followed(
    contract: dict[str, Callable[..., Any]], tmp_path: Path, name: str
) -> None:
    """The contract may say that nothing could be written; it must not have been written elsewhere."""
    machine = Machine(tmp_path, planting=True)
    try:
        contract[name](machine, machine, {"airflow_live_dags_enabled": True})
    except AssertionError:
        assert name == WRITING[0]
    assert machine.victim.read_text() == "the operator's\n"
    assert machine.victim.stat().st_mode & 0o777 == 0o644
    assert not list(machine.behind.iterdir())
