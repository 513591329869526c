"""What the workflows may do, and that they speak the commands that people type."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hangar.cli import VERBS

WORKFLOWS = sorted((Path(__file__).resolve().parents[2] / ".github/workflows").glob("*.yml"))


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_reads_a_stored_secret(path: Path) -> None:
    assert "secrets." not in path.read_text().replace("gcloud secrets", "")
    assert "credentials_json" not in path.read_text()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_and_nothing_else_by_itself(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_verbs_that_exist_and_put_no_expression_into_a_shell(path: Path) -> None:
    for step in steps(yaml.safe_load(path.read_text())):
        assert "${{" not in step.get("run", "")
        assert set(re.findall(r"\./provision\.py ([a-z-]+)", step.get("run", ""))) <= set(VERBS)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_an_action_is_the_commit_that_was_read_and_leaves_no_token_behind(path: Path) -> None:
    """A tag can be moved to other code, which would run beside the token that deploys."""
    used = re.findall(r"uses: (.+)", path.read_text())
    assert used
    assert [use for use in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", use)] == []
    checkouts = [
        step
        for step in steps(yaml.safe_load(path.read_text()))
        if "actions/checkout@" in step.get("uses", "")
    ]
    assert [step.get("with") for step in checkouts] == [{"persist-credentials": False}] * len(checkouts)


def test_develop_goes_to_the_sandbox_and_main_to_production_after_the_checks() -> None:
    workflow = yaml.safe_load(next(path for path in WORKFLOWS if path.stem == "deploy").read_text())
    assert workflow["on"] == {"push": {"branches": ["develop", "main"]}}
    deploy = workflow["jobs"]["deploy"]
    assert deploy["needs"] == "check"
    # An environment's variables are empty here, and the job would never start.
    assert deploy["if"] == "vars.HANGAR_DEPLOY == 'true'"
    assert deploy["environment"] == deploy["env"]["TARGET"]
    assert deploy["environment"] == "${{ github.ref_name == 'main' && 'production' || 'sandbox' }}"
    assert deploy["permissions"] == {"contents": "read", "id-token": "write"}
    runs = [step["run"] for step in deploy["steps"] if "provision.py" in step.get("run", "")]
    assert [run.split(" --")[0] for run in runs] == [
        './provision.py pipelines plan "$TARGET"',
        './provision.py pipelines apply "$TARGET"',
        './provision.py dags deploy "$TARGET"',
    ]
    # A runner has no key of its own: one step without it would make one, which no machine knows.
    assert {run.split(" --set ")[1] for run in runs} == {'access.private_key="$RUNNER_TEMP/login"'}
    (fetched,) = [step["run"] for step in deploy["steps"] if "gcloud" in step.get("run", "")]
    assert '--out-file="$RUNNER_TEMP/login"\n' in fetched
    assert deploy["steps"][-1]["if"] == "always()"
    assert deploy["steps"][-1]["run"] == 'rm -f "$RUNNER_TEMP/login" "$RUNNER_TEMP/login.pub"'
