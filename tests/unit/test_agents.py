"""How a program of ours is started on the machine, and what is said when it cannot be."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hangar import agents, paths
from hangar.airbyte import session
from hangar.errors import MachineUnreachable
from hangar.upgrade import machine as upgrade

ECHO = "import sys\nprint('ready', flush=True)\nfor line in sys.stdin: print(line.strip() * 2, flush=True)\n"


def test_a_program_travels_as_input_and_answers_line_by_line(tmp_path: Path) -> None:
    argv = [sys.executable, "-I", "-u", "-c", agents.BOOT]
    with agents.started(argv, json.dumps(ECHO), "local", "hangar-local", tmp_path / "log") as talk:
        assert talk.ask("ab") == "abab\n"


@pytest.mark.parametrize("package", [
    "hangar.airbyte", "hangar.elt", "hangar.root_shell", "hangar.rotation", "hangar.upgrade",
])  # fmt: skip
def test_every_agent_needs_nothing_but_the_standard_library(package: str) -> None:
    beside = {"hangar.airbyte": session.BESIDE, "hangar.upgrade": upgrade.BESIDE}.get(package, [])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", agents.BOOT],
        input=agents.program(package, beside) + "\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "ready\n", "")


IMPORTED = """
import importlib, pkgutil, hangar
for one in pkgutil.walk_packages(hangar.__path__, "hangar."):
    try:
        importlib.import_module(one.name)
    except ModuleNotFoundError as error:
        print(one.name, error.name)
"""
THERE = re.compile(r"hangar\.\w+\.(agent|remote\.\w+) hangar_\w+")


def test_what_runs_here_needs_no_module_of_the_machines() -> None:
    """Tests find the roles' modules; a person's call does not, and a verb that imports one does not even begin."""
    here = {**os.environ, "PYTHONPATH": str(paths.REPO)}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED], cwd="/", env=here, capture_output=True, text=True, check=True
    )
    lacking = done.stdout.splitlines()
    assert "hangar.upgrade.agent hangar_maintenance" in lacking, "the roles' modules are not to be found here"
    assert [line for line in lacking if not THERE.fullmatch(line)] == []


def test_a_machine_that_lets_nobody_in(tmp_path: Path) -> None:
    argv = ["sh", "-c", "echo 'Permission denied (publickey).' >&2; exit 255"]
    with pytest.raises(MachineUnreachable) as refused:  # noqa: SIM117 - the refusal comes while the block is entered
        with agents.started(argv, json.dumps(ECHO), "local", "hangar-local", tmp_path / "log"):
            pass
    assert refused.value.resolution == "See whether it can be reached: ./provision.py ssh local"


BRIEF = "import sys\nprint('ready', flush=True)\nprint(sys.stdin.readline().strip(), flush=True)\nsys.exit('gone')\n"
"""Says the first question back, and is not there for the second."""


def test_a_conversation_that_breaks_off_names_what_was_asked(tmp_path: Path) -> None:
    argv = [sys.executable, "-I", "-u", "-c", agents.BOOT]
    with agents.started(argv, json.dumps(BRIEF), "local", "hangar-local", tmp_path / "log") as conversation:
        talk = agents.Talk(conversation, "local", "hangar-local")
        assert talk.ask("start", "to start elt", dag="elt") == {"op": "start", "dag": "elt"}
        with pytest.raises(MachineUnreachable) as broken:
            talk.ask("look", "for its runs")
    assert broken.value.brief == "hangar-local stopped answering (for its runs)."
    assert broken.value.details.endswith("* It said:\n    gone")
    assert broken.value.resolution == (
        "See how it is: ./provision.py status local\nThen run the same command again."
    )
