from __future__ import annotations

import json
from pathlib import Path

import pytest

from hangar import paths
from hangar.editor import program, workspace
from hangar.errors import HangarError
from hangar.paths import REPO


def test_the_link_leads_to_the_folder_on_the_machine() -> None:
    assert workspace.link("hangar-local", "/srv/airflow/dags") == (
        "vscode://vscode-remote/ssh-remote+hangar-local/srv/airflow/dags"
    )
    assert workspace.link("hangar-local", "/home/a b/100%").endswith("/home/a%20b/100%25")


def test_a_persons_home_is_where_the_role_people_puts_it() -> None:
    ledger = paths.REPO / "roles/people/templates/usr/local/lib/hangar/hangar_people/ledger.py"
    assert 'HOMES = Path("/srv/people/home")' in ledger.read_text()
    assert workspace.home("anna", is_person=True) == "/srv/people/home/anna"
    assert workspace.home("hangar", is_person=False) == "/home/hangar"


@pytest.mark.parametrize("folder", ["dags", "~/dags", "", "/a\nb"])
def test_a_folder_is_a_whole_path(folder: str) -> None:
    with pytest.raises(HangarError, match="is no whole path on the machine"):
        workspace.require_folder(folder)


def test_the_workspace_opens_on_the_machine_with_its_debugger(tmp_path: Path) -> None:
    path = tmp_path / "x.code-workspace"
    assert workspace.write(path, "hangar-local", "/srv/airflow/dags")
    assert not workspace.write(path, "hangar-local", "/srv/airflow/dags")
    found = json.loads(path.read_text())
    assert found["remoteAuthority"] == "ssh-remote+hangar-local"
    assert found["folders"][0]["uri"] == "vscode-remote://ssh-remote+hangar-local/srv/airflow/dags"
    assert found["launch"]["configurations"][0]["program"] == "/usr/local/bin/try-dag"
    assert "launch" not in found["settings"]
    assert found["settings"]["files.watcherExclude"]["**/target/**"] is True
    assert "ms-python.debugpy" in found["extensions"]["recommendations"]
    # Whoever opens a clone of this repository instead is recommended the same.
    assert json.loads((REPO / ".vscode/extensions.json").read_text()) == found["extensions"]


def test_without_vs_code_there_is_none_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert program.find(lambda name: None) is None
    assert program.find(lambda name: f"/usr/bin/{name}" if name == "code-insiders" else None) == (
        "/usr/bin/code-insiders"
    )
    assert program.install_hint() == "https://code.visualstudio.com/download"
