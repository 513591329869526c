"""The controller's half of a release: what is packed, what is said, what the machine's answers mean."""

import argparse
import base64
import getpass
import io
import json
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hangar import console, process, releases
from hangar.commands import _machine, dags
from hangar.commands._machine import Machine
from hangar.errors import HangarError, MachineUnreachable, NeedsAnswer
from tests.unit.fakes import SERVER

GOOD = "from airflow.sdk import dag\n"
ABOUT = {
    "id": "00002-abcdef01",
    "time": 1.0,
    "by": "ann@desk",
    "revision": "r",
    "dags": {"elt": "elt.py"},
    "left": False,
}


DEPLOY = f"sudo -n airflow-release deploy --by {getpass.getuser()}@{socket.gethostname()} --revision {{}} --sha256 "


class Remote:
    """Plays the machine: remembers what was asked, answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], str]] = []
        self.answer: Any = ABOUT
        self.returncode = 0
        self.stderr = ""
        self._run = process.run

    def run(self, argv: Any, **options: Any) -> process.Completed:
        if argv[0] != "ssh":
            return self._run(argv, **options)
        self.asked.append((list(argv), options.get("input") or ""))
        out = self.answer if isinstance(self.answer, str) else json.dumps(self.answer)
        return process.Completed(tuple(argv), self.returncode, out, self.stderr)


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch, repo: Path) -> Remote:
    found = Remote()
    monkeypatch.setattr(process, "run", found.run)
    monkeypatch.setattr(process, "bounded", found.run)
    monkeypatch.setattr(_machine, "reach", lambda args: Machine(SERVER, None))  # type: ignore[arg-type]
    (repo / "pipelines/dags/__pycache__").mkdir(parents=True)
    (repo / "pipelines/dags/__pycache__/elt.pyc").write_text("byte code")
    (repo / "pipelines/dags/elt.py").write_text(GOOD)
    return found


def call(action: str, *, yes: bool = False, as_json: bool = False, to: str = "") -> int:
    console.configure(json=as_json, yes=yes)
    try:
        return dags.run(
            argparse.Namespace(action=action, environment="local", overrides=[], json=as_json, to=to)
        )
    finally:
        console.configure()


def test_the_folder_goes_to_the_machine_and_comes_back_as_a_release(
    remote: Remote, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("deploy") == 0
    (argv, input) = remote.asked[0]
    assert argv[-2] == "hangar-local"
    assert argv[-1].startswith(DEPLOY.format("''"))
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(input))) as tar:
        assert tar.getnames() == ["elt.py"]
        assert {(one.uid, one.uname, one.mtime) for one in tar} == {(0, "", 0)}
    assert capsys.readouterr().out.endswith(
        "Released 00002-abcdef01 to local: elt\nGo back: ./provision.py dags rollback local\n"
    )


def test_what_is_wrong_with_the_dags_is_told_with_file_and_line(remote: Remote) -> None:
    remote.returncode = 1
    remote.answer = {
        "error": "the DAGs have problems",
        "problems": [["elt.py", "ImportError: no x (line 3)"]],
    }
    with pytest.raises(HangarError) as refused:
        call("deploy")
    assert refused.value == HangarError(
        "The DAGs were not released: the DAGs have problems.",
        "elt.py: ImportError: no x (line 3)",
        "What is released is as it was. Mend them and deploy again.",
    )


def test_what_cannot_run_does_not_even_leave_this_computer(remote: Remote, repo: Path) -> None:
    (repo / "pipelines/dags/elt.py").write_text(GOOD + "print(nothing_of_that_name)\n")
    with pytest.raises(HangarError) as refused:
        call("deploy")
    assert refused.value.brief == "The DAGs were not released: ruff has found problems."
    assert refused.value.details == "elt.py:2:7: F821 Undefined name `nothing_of_that_name`"
    assert remote.asked == []


def test_nothing_is_released_unlinted(remote: Remote, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(repo / ".venv/bin/python"))
    with pytest.raises(HangarError) as refused:
        call("deploy")
    assert refused.value == HangarError(
        "The DAGs were not released: ruff, which lints them, is not in Hangar's environment.",
        f"There is no {repo}/.venv/bin/ruff. What is released is as it was.",
        "Complete it (uv pip install --require-hashes -r requirements.lock) or remove it, and deploy again.",
    )
    assert remote.asked == []


def test_whoever_runs_hangar_has_ruff() -> None:
    """Not only who works on it: the lock that a fresh clone is made from brings it."""
    assert "\nruff==" in (Path(__file__).resolve().parents[2] / "requirements.lock").read_text()


def test_links_are_not_packed(remote: Remote, repo: Path) -> None:
    (repo / "pipelines/dags/secrets.py").symlink_to("/etc/passwd")
    with pytest.raises(HangarError) as refused:
        call("deploy")
    assert refused.value.details == "secrets.py"
    assert remote.asked == []


def test_an_empty_folder_is_no_release(remote: Remote, repo: Path) -> None:
    (repo / "pipelines/dags/elt.py").unlink()
    with pytest.raises(HangarError, match=r"pipelines/dags holds no DAG\."):
        call("deploy")


def test_a_release_names_its_commit_and_asks_about_what_is_in_none(remote: Remote, repo: Path) -> None:
    git = ["git", "-C", str(repo), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "pipelines/dags/elt.py"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    (repo / "pipelines/dags/__pycache__/elt.pyc").unlink()
    head = subprocess.run(
        [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
    )
    call("deploy")
    assert remote.asked[0][0][-1].startswith(DEPLOY.format(head.stdout.strip()))
    (repo / "pipelines/dags/elt.py").write_text(GOOD + "# changed\n")
    with pytest.raises(NeedsAnswer) as asked:
        call("deploy")
    assert asked.value.details == (
        "It would have asked: pipelines/dags has changes that are in no commit. Release them?"
    )
    assert len(remote.asked) == 1
    call("deploy", yes=True)
    assert remote.asked[1][0][-1].startswith(DEPLOY.format(f"{head.stdout.strip()}+changes"))


def test_files_that_pass_for_a_repository_have_nothing_run_here(remote: Remote, repo: Path) -> None:
    """DAGs that bring what git takes for a repository of its own, with a program in its settings, are DAGs all the
    same: the machine judges them, and nothing of theirs runs on this computer.
    """
    place, ran = repo / "pipelines/dags", repo / "ran"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q", str(place)], check=True)
    subprocess.run([*git, "-C", str(place), "commit", "-q", "--allow-empty", "-m", "theirs"], check=True)
    for path in (place / ".git").iterdir():
        path.rename(place / path.name)
    (place / ".git").rmdir()
    shutil.rmtree(place / "hooks")
    (place / "__pycache__/elt.pyc").unlink()
    settings = f"[core]\n\tbare = false\n\tworktree = {place}\n\tfsmonitor = touch {ran}; false\n"
    (place / "config").write_text(settings)
    subprocess.run([*git, "init", "-q", str(repo)], check=True)
    subprocess.run([*git, "-C", str(repo), "add", "pipelines"], check=True)
    subprocess.run([*git, "-C", str(repo), "commit", "-q", "-m", "x"], check=True)
    head = subprocess.run(
        [*git, "-C", str(repo), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
    )
    call("deploy")
    assert not ran.exists()
    assert remote.asked[0][0][-1].startswith(DEPLOY.format(head.stdout.strip()))


def test_a_rollback_says_from_where_to_where(remote: Remote, capsys: pytest.CaptureFixture[str]) -> None:
    remote.answer = {"from": "00002-b", "to": "00001-a", "dags": {}}
    assert call("rollback", to="00001-a") == 0
    assert remote.asked[0][0][-1] == "sudo -n airflow-release rollback --to 00001-a"
    assert capsys.readouterr().out == (
        "local is back from 00002-b to 00001-a; Airflow reads it within half a minute.\n"
    )


def test_nothing_to_go_back_to(remote: Remote) -> None:
    remote.answer = {"error": "there is no release before the current one", "problems": []}
    with pytest.raises(HangarError) as refused:
        call("rollback")
    assert refused.value == HangarError(
        "Nothing was changed: there is no release before the current one.",
        resolution="See which there are: ./provision.py dags list local",
    )


def test_the_list_shows_which_one_airflow_reads(remote: Remote, capsys: pytest.CaptureFixture[str]) -> None:
    remote.answer = {
        "releases": [{**ABOUT, "current": False, "left": True}, {**ABOUT, "id": "00001-a", "current": True}]
    }
    call("list")
    lines = capsys.readouterr().out.splitlines()
    assert "00002-abcdef01" in lines[1]
    assert lines[1].endswith("rolled back")
    assert lines[2].strip().startswith("→  00001-a")
    call("list", as_json=True)
    assert json.loads(capsys.readouterr().out)[1]["current"] is True


@pytest.mark.parametrize(("code", "kind", "brief"), [
    (255, MachineUnreachable, "hangar-local cannot be spoken to."),
    (1, HangarError, "hangar-local cannot release DAGs."),
])  # fmt: skip
def test_a_machine_that_cannot(remote: Remote, code: int, kind: type[HangarError], brief: str) -> None:
    remote.answer, remote.returncode, remote.stderr = "", code, "sudo: airflow-release: command not found\n"
    with pytest.raises(kind) as refused:
        call("list")
    assert refused.value.brief == brief
    assert refused.value.details == "sudo: airflow-release: command not found"


def test_the_same_files_make_the_same_archive(remote: Remote, repo: Path) -> None:
    first = releases.pack(releases.folder())
    (repo / "pipelines/dags/elt.py").touch()
    assert releases.pack(releases.folder()) == first
