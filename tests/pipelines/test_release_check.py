"""What is said of DAGs before they are released: the machine's own program, on a real Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from runs import BUNDLE

# All of it but the first comment is the same on the machine.
PROGRAM = BUNDLE.parents[1] / "roles/airflow/templates/srv/airflow/stack/bin/check_dags.py.j2"

HEAD = "from airflow.sdk import DAG, task\n@task\ndef one(): ...\n@task\ndef two(): ...\n"
GOOD = 'with DAG("twin"):\n    one() >> two()\n'
OTHER = 'with DAG("twin", schedule="@daily"):\n    two()\n'
NAMED = 'dag = DAG("twin")\nwith dag:\n    one()\nwith dag:\n    two()\n'
CYCLE = 'with DAG("ring"):\n    first, second = one(), two()\n    first >> second >> first\n'


@pytest.fixture
def verdict(tmp_path):
    def judge(**files: str):
        folder = tmp_path / "dags"
        folder.mkdir()
        for name, text in files.items():
            (folder / f"{name}.py").write_text(HEAD + text)
        return check(folder, tmp_path)

    return judge


def check(folder: Path, home: Path):
    """As airflow-release asks: without a database."""
    given = {
        **os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/none.db"
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, PROGRAM, folder], env=given, capture_output=True, text=True, check=True
    )
    assert not (home / "none.db").exists()
    return json.loads(done.stdout)


def test_a_dag_that_runs_is_admitted_and_named_with_its_file(verdict):
    assert verdict(good=GOOD) == {"dags": {"twin": "good.py"}, "problems": []}


def test_a_dag_that_would_wait_for_itself_is_refused(verdict):
    assert verdict(good=GOOD, ring=CYCLE)["problems"] == [
        ["ring.py", "AirflowDagCycleException: Cycle detected in Dag: ring. Faulty task: two"]
    ]


@pytest.mark.parametrize("second", [GOOD, OTHER], ids=["the same tasks", "other tasks"])
def test_two_dags_of_one_name_are_refused_in_one_file(verdict, second):
    assert verdict(good=GOOD + second)["problems"] == [["good.py", "ValueError: the DAG twin is there twice"]]


def test_one_dag_that_is_written_in_two_places_is_one(verdict):
    assert verdict(named=NAMED) == {"dags": {"twin": "named.py"}, "problems": []}


def test_two_dags_of_one_name_are_refused_in_two_files(verdict):
    (problem,) = verdict(left=GOOD, right=GOOD)["problems"]
    said = "AirflowDagDuplicatedIdException: Ignoring DAG twin from {0}.py - also found in {1}.py"
    # Airflow reads files in the order in which the folder lists them.
    assert problem in (["left.py", said.format("left", "right")], ["right.py", said.format("right", "left")])


def test_what_this_repository_brings_is_admitted(tmp_path):
    assert check(BUNDLE, tmp_path)["problems"] == []
