import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hangar import verification
from hangar.paths import REPO
from hangar.promises import sentence
from tests.unit.fakes import SERVER


@pytest.mark.parametrize(
    ("name", "docstring", "case", "read"),
    [
        ("test_root_cannot_log_in", None, "", "Root cannot log in"),
        ("test_a_dag_runs_over_ssh", "", "", "A DAG runs over SSH"),
        ("test_ssh_answers", None, "", "SSH answers"),
        (
            "test_x",
            "People's keys open nothing else.\n\nHow it is tried.",
            "",
            "People's keys open nothing else",
        ),
        ("test_no_service_reads_another", None, "airflow", "No service reads another (airflow)"),
    ],
)
def test_a_test_is_read_as_a_sentence(name: str, docstring: str | None, case: str, read: str) -> None:
    assert sentence(name, docstring, case) == read


CONTRACT = '''
import pytest

def test_it_holds():
    pass

def test_it_does_not():
    assert 1 == 2

@pytest.mark.parametrize("user", ["a", "b"])
def test_each_is_asked(user):
    """Each is asked"""

@pytest.mark.parametrize("control", ["kernel.links"])
def test_one_control(control):
    pass

@pytest.mark.skip(reason="needs a kernel of its own")
def test_it_cannot_be_shown():
    pass

@pytest.fixture
def broken():
    raise RuntimeError("the machine did not answer")

def test_it_was_not_reached(broken):
    pass
'''


def promises(tmp_path: Path, contract: str) -> list[dict[str, object]]:
    """Run a contract under the plugin and read what it writes."""
    path = tmp_path / "sample" / "tests" / "test_sample.py"
    path.parent.mkdir(parents=True)
    path.write_text(contract)
    reader, writer = os.pipe()
    argv = [sys.executable, "-m", "pytest", str(path), "-q", "-p", "hangar.promises", f"--promises={writer}",
            "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]  # fmt: skip
    subprocess.run(argv, cwd=REPO, pass_fds=[writer], capture_output=True, check=False)
    os.close(writer)
    with os.fdopen(reader) as lines:
        return [json.loads(line) for line in lines]


def test_every_outcome_is_told_once(tmp_path: Path) -> None:
    count, *told = promises(tmp_path, CONTRACT)
    assert count == {"count": 7}
    assert [(line["role"], line["sentence"], line["outcome"]) for line in told] == [
        ("sample", "It holds", "held"),
        ("sample", "It does not", "broken"),
        ("sample", "Each is asked (a)", "held"),
        ("sample", "Each is asked (b)", "held"),
        ("sample", "One control (kernel.links)", "held"),
        ("sample", "It cannot be shown", "unchecked"),
        ("sample", "It was not reached", "broken"),
    ]
    assert [line["control"] for line in told] == ["", "", "", "", "kernel.links", "", ""]
    reasons = {line["sentence"]: line["reason"] for line in told}
    assert reasons["It holds"] == ""
    assert reasons["It cannot be shown"] == "needs a kernel of its own"
    assert "1 == 2" in str(reasons["It does not"])
    assert "the machine did not answer" in str(reasons["It was not reached"])


def test_a_contract_that_cannot_be_read_is_a_broken_promise(tmp_path: Path) -> None:
    (broken, *_) = [line for line in promises(tmp_path, "import nothing_of_that_name") if "role" in line]
    assert (broken["role"], broken["outcome"]) == ("sample", "broken")
    assert broken["sentence"] == "The contract of sample can be read"
    assert "nothing_of_that_name" in str(broken["reason"])


def test_a_contract_that_cannot_be_read_does_not_silence_the_others(tmp_path: Path) -> None:
    for role, contract in (("torn", "import nothing_of_that_name"), ("whole", "def test_it_holds(): pass")):
        folder = tmp_path / role / "tests"
        folder.mkdir(parents=True)
        (folder / f"test_{role}.py").write_text(contract)
    reader, writer = os.pipe()
    share = [tmp_path / role / "tests" / f"test_{role}.py" for role in ("torn", "whole")]
    argv = verification._argv(replace(SERVER, limits=()), tmp_path / "none", share, writer)
    done = subprocess.run(
        [*argv, f"--rootdir={tmp_path}"], cwd=REPO, pass_fds=[writer], capture_output=True, check=False
    )
    os.close(writer)
    with os.fdopen(reader) as lines:
        told = {line["role"]: line["outcome"] for line in map(json.loads, lines) if "role" in line}
    assert told == {"torn": "broken", "whole": "held"}
    assert done.returncode == 1  # as when a test fails: see verification._run


def test_a_long_reason_is_cut(tmp_path: Path) -> None:
    contract = """
def test_it_holds():
    raise ValueError("x" * 5000 + "\\n" + "line\\n" * 50)
"""
    (broken,) = [line for line in promises(tmp_path, contract) if "role" in line]
    lines = str(broken["reason"]).splitlines()
    assert len(lines) == 16
    assert lines[-1] == "…"
    assert all(len(line) <= 402 for line in lines)
