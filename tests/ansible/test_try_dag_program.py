"""try-dag, as a developer calls it, with a small package in Airflow's place: what of a folder of DAGs is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.templates.render import render

INIT = "__version__ = '1'\n"
MAIN = "import calendar, sys\nassert sys.argv[1:] == ['db', 'migrate']\nprint('made a database')\n"
DAGBAG = """\
import calendar, runpy
class DagBag:
    import_errors = {}
    def __init__(self, file, bundle_path, bundle_name):
        self.dags = {"mine": runpy.run_path(file)["Dag"]()}
"""
DAG = """\
import common
class Dag:
    dag_id, state = "mine", "success"
    def test(self):
        print("with", common.WORD)
        return self
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """DAGs of several people, who name their modules as they like."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "mine.py").write_text(DAG)
    (dags / "common.py").write_text("WORD = 'a common word'\n")
    for name in ("calendar", "airflow"):
        (dags / f"{name}.py").write_text(f"raise SystemExit('somebody else\\'s {name}.py ran')\n")
    return dags


def test_a_dag_imports_its_folders_modules_and_none_in_the_place_of_airflows(
    tmp_path: Path, folder: Path
) -> None:
    """The folder is last on the path, as Airflow has it on the platform, also where the command is typed in it"""
    package = tmp_path / "packages" / "airflow"
    (package / "dag_processing").mkdir(parents=True)
    for path, text in (("__init__", INIT), ("__main__", MAIN), ("dag_processing/dagbag", DAGBAG)):
        (package / f"{path}.py").write_text(text)
    program = tmp_path / "try-dag"
    program.write_text(render("remote_ssh", "/usr/local/bin/try-dag"))
    done = subprocess.run(
        [sys.executable, str(program), "mine.py"], capture_output=True, text=True, cwd=folder,
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(package.parent)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-2:] == ["with a common word", "mine: success"]
    assert (tmp_path / ".try-dag/version").read_text() == "1"
