"""What Airflow itself says of the DAGs in the bundle."""

from __future__ import annotations

import pytest
from runs import BUNDLE, read

OURS = {"after_sync", "airbyte_sync", "city_temperatures", "dlt_ingest", "elt", "file_drop"}


@pytest.fixture(scope="module")
def bag():
    return read(BUNDLE)


def test_every_dag_is_imported_and_nothing_else_is(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == OURS


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_dag_has_no_cycle_and_says_what_it_does(bag, name):
    dag = bag.dags[name]
    dag.validate()
    dag.check_cycle()
    assert dag.doc_md
    assert dag.tags
    assert not dag.catchup


@pytest.mark.parametrize("name", sorted(OURS - {"city_temperatures"}))
def test_a_dag_tells_of_its_failures_and_never_runs_beside_itself(bag, name):
    dag = bag.dags[name]
    assert all(task.on_failure_callback for task in dag.tasks)
    if dag.schedule:
        assert dag.max_active_runs == 1


def test_no_task_holds_a_worker_while_it_waits(bag):
    assert bag.dags["elt"].get_task("sync").mode == "reschedule"
    assert bag.dags["airbyte_sync"].get_task("sync").mode == "reschedule"


def test_a_broken_dag_would_be_found(tmp_path):
    """The tests above are able to fail."""
    (tmp_path / "broken.py").write_text("from airflow.sdk import dag\nimport no_such_module\n")
    assert ["ModuleNotFoundError" in said for said in read(tmp_path).import_errors.values()] == [True]
