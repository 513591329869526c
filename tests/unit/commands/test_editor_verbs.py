"""ssh-config, code, tunnel and doctor as a person calls them, with the machine itself left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from hangar import checks, cli, config, paths
from hangar.cloud.base import Server
from hangar.ssh import keeper, keys, tunnel

SETTINGS = Path(__file__).parents[3] / "roles/remote_ssh/files/settings.json"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE"
SERVER = Server(
    name="hangar-local", environment="local", cloud="container", id="id-1", address="127.0.0.1", port=22022,
    admin="hangar", host_keys=(KEY,), ssh_sources=(), limits=(),
)  # fmt: skip


@pytest.fixture(autouse=True)
def home(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_config: Callable[..., config.Config]
) -> Path:
    """A home without anything, and a machine that runs."""
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / "id").write_text("a key")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(
        "hangar.commands._machine.cloud_for", lambda settings: SimpleNamespace(server=lambda: SERVER)
    )
    monkeypatch.setattr("hangar.ssh.tunnel.is_free", lambda port: True)
    monkeypatch.setattr("hangar.ssh.tunnel.is_alive", lambda env: False)
    return tmp_path / "home"


def as_anna(home: Path, *more: str) -> int:
    return cli.main(["ssh-config", "--user", "anna", "--key", str(home / "id"), "--yes", *more])


def test_a_colleague_with_only_the_repository_gets_a_way_in(
    home: Path, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ssh-config", "--yes"]) == 1
    assert "The operator's key of hangar-local is not here." in capsys.readouterr().err
    assert as_anna(home) == 0
    text = (home / ".ssh/config.d/hangar-local").read_text()
    assert "User anna\n" in text
    assert f"IdentityFile {home}/id\n" in text
    assert KEY in (repo / ".hangar/local/known_hosts").read_text(), "pinned before the first connection"
    assert "airflow: http://airflow.localhost:8080" in capsys.readouterr().out


def test_once_said_it_is_remembered_and_nothing_changes(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_anna(home)
    capsys.readouterr()
    assert cli.main(["ssh-config", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["user"], answer["changed"], answer["included"]) == ("anna", False, True)


def test_the_difference_is_shown_before_a_question_that_nobody_answers(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / ".ssh/config").write_text("Host a\n")
    assert cli.main(["ssh-config", "--user", "anna", "--key", str(home / "id")]) == 1
    said = capsys.readouterr()
    assert "+Include ~/.ssh/config.d/hangar-*" in said.out
    assert "It would have asked: Change ~/.ssh/config like this?" in said.err
    assert (home / ".ssh/config").read_text() == "Host a\n"


def test_whoever_declines_hears_where_the_line_belongs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hangar.console.confirm", lambda question: False)
    left = (
        "Left as it is. ssh finds the machine once you put this line at its top yourself (below a Host line it would "
        "hold for\nthat host only): Include ~/.ssh/config.d/hangar-*\n"
    )
    assert as_anna(home) == 0
    assert left in capsys.readouterr().out
    at = tmp_path / "Anna"
    at.mkdir()
    assert cli.main(["ssh-config", "--windows", str(at), "--user", "anna", "--key", "C:\\id"]) == 0
    assert left in capsys.readouterr().out


def test_remove_leaves_no_trace(home: Path, repo: Path) -> None:
    (home / ".ssh/config").write_text("Host a\n")
    as_anna(home)
    assert cli.main(["ssh-config", "--remove"]) == 0
    assert [path.name for path in (home / ".ssh").iterdir()] == ["config"]
    assert (home / ".ssh/config").read_text() == "Host a\n"
    assert not (repo / ".hangar/local/login.json").exists()
    assert not (repo / ".hangar/local/ssh_config.login").exists()


def test_a_tunnel_ends_with_the_settings_that_it_is_opened_by(home: Path, repo: Path) -> None:
    """Whoever keeps it looks for this file, and tries again while it is there. The operator's settings stay"""
    kept = keeper.owner(tunnel.control("local"))
    (repo / ".hangar/local").mkdir(parents=True)
    (repo / ".hangar/local/id_ed25519").touch()
    for login, is_kept in (((), True), (("--user", "anna", "--key", str(home / "id")), False)):
        assert cli.main(["ssh-config", "--yes", *login]) == 0
        kept.write_text("1234")
        assert cli.main(["ssh-config", "--remove"]) == 0
        assert kept.exists() == is_kept


def test_windows_gets_a_folder_of_its_own(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = tmp_path / "Users" / "Anna" / ".ssh"
    assert cli.main(["ssh-config", "--windows", str(at), "--user", "anna", "--key", "C:\\id", "--yes"]) == 1
    assert f"There is no folder {at}." in capsys.readouterr().err
    there = ["ssh-config", "--windows", "C:\\Users\\Anna\\.ssh", "--user", "anna", "--key", "C:\\id", "--yes"]
    assert cli.main(there) == 1
    assert "Say it as WSL names it: --windows /mnt/c/Users/Anna/.ssh\n" in capsys.readouterr().err
    at.mkdir(parents=True)
    assert cli.main(["ssh-config", "--windows", str(at), "--user", "anna", "--key", "C:\\id", "--yes"]) == 0
    assert "IdentityFile C:/id\n" in (at / "config.d/hangar-local").read_text()
    assert not (home / ".ssh/config.d").exists()
    assert (
        cli.main(["ssh-config", "--windows", str(at), "--user", "anna", "--key", "C:\\id.pub", "--yes"]) == 1
    )
    assert "Name the private one: --key C:\\id\n" in capsys.readouterr().err
    assert cli.main(["ssh-config", "--user", "anna", "--key", "C:\\id", "--relay", "C:\\hangar"]) == 1
    assert "--relay is for Windows' own ssh." in capsys.readouterr().err


def test_without_vs_code_the_link_is_printed_all_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hangar.editor.program.find", lambda: None)
    monkeypatch.setattr("hangar.editor.workspace.SETTINGS", SETTINGS)
    as_anna(home)
    capsys.readouterr()
    assert cli.main(["code"]) == 0
    said = capsys.readouterr().out
    assert "Link: vscode://vscode-remote/ssh-remote+hangar-local/srv/airflow/dags\n" in said
    assert "VS Code is not installed here" in said
    opened: list[Path] = []
    monkeypatch.setattr("hangar.editor.program.find", lambda: "/usr/bin/code")
    monkeypatch.setattr("hangar.editor.program.open_workspace", lambda program, path: opened.append(path))
    assert cli.main(["code", "--folder", "/home/anna/dags"]) == 0
    assert "vscode-remote://ssh-remote+hangar-local/home/anna/dags" in opened[0].read_text()


@pytest.mark.parametrize(
    ("role", "folder"), [("viewer", "/srv/people/home/anna"), ("developer", "/srv/airflow/dags")]
)
def test_a_viewer_gets_a_folder_that_they_may_look_into(
    home: Path, repo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    role: str, folder: str,
) -> None:  # fmt: skip
    """The folder of live DAGs is closed to viewers (tests/e2e)"""
    monkeypatch.setattr("hangar.editor.workspace.SETTINGS", SETTINGS)
    paths.platform_file("local").write_text(f"people: [{{name: anna, role: {role}, keys: [{KEY}]}}]\n")
    as_anna(home)
    capsys.readouterr()
    assert cli.main(["code", "--print"]) == 0
    assert f"Link: vscode://vscode-remote/ssh-remote+hangar-local{folder}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("anna", "ben", "options", "is_told"),
    [
        ("admin", "developer", (), True),
        ("admin", "developer", ("--folder", "/srv/people/home/anna"), False),
        ("admin", "viewer", (), False),
        ("developer", "developer", (), False),
    ],
)
def test_whoever_is_root_as_well_is_told_that_others_write_in_the_folder(
    home: Path, repo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    anna: str, ben: str, options: tuple[str, ...], is_told: bool,
) -> None:  # fmt: skip
    """What an editor starts there by itself would run as them"""
    monkeypatch.setattr("hangar.editor.workspace.SETTINGS", SETTINGS)
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    paths.platform_file("local").write_text(
        f"people:\n- {{name: anna, role: {anna}, keys: [{KEY}]}}\n- {{name: ben, role: {ben}, keys: [{other}]}}\n"
    )
    as_anna(home)
    capsys.readouterr()
    assert cli.main(["code", "--print", *options]) == 0
    said = "Say no when VS Code asks whether you trust its authors"
    assert (said in capsys.readouterr().err) == is_told


def test_whoever_is_no_operator_is_told_so_by_what_operators_do(
    home: Path, repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It said "Can't open user config file", or that `up` would mend it."""
    called: list[list[str]] = []
    monkeypatch.setattr("hangar.process.relayed", lambda argv, *_: called.append(argv) or 0)
    monkeypatch.setattr(
        "hangar.commands.status.cloud_for", lambda found: SimpleNamespace(server=lambda: SERVER)
    )
    as_anna(home)
    capsys.readouterr()
    for verb in ("logs", "status"):
        assert cli.main([verb]) == 1
        said = capsys.readouterr().err
        assert "There is no key on this computer that opens the machine." in said
        assert "Whoever has an account of their own works on the machine itself" in said
        assert "./provision.py up" not in said
    assert called == []
    assert not paths.ssh_config("local").exists(), "nor does the next call take this for a way in"
    keys.ensure_key(paths.default_private_key("local"), "hangar-local")
    assert cli.main(["logs", "ssh"]) == 0
    assert called[0][:4] == ["ssh", "-F", str(repo / ".hangar/local/ssh_config"), "hangar-local"]


def test_what_was_remembered_and_is_damaged_is_said_again(
    home: Path, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a power cut, say. Nobody is taken for the operator by it"""
    as_anna(home)
    for damaged in ('{"user": "an', '{"name": "anna"}', "[]", ""):
        (repo / ".hangar/local/login.json").write_text(damaged)
        (repo / ".hangar/local/tunnel.json").write_text(damaged)
        capsys.readouterr()
        assert cli.main(["ssh-config", "--yes"]) == 1
        said = capsys.readouterr().err
        assert "* .hangar/local/login.json: " in said
        assert "Say it again: ./provision.py ssh-config local --user NAME --key" in said
        assert "defect" not in said
        assert as_anna(home) == 0
        assert "airflow: http://airflow.localhost:8080" in capsys.readouterr().out


def test_doctor_is_about_the_computer_until_a_machine_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hangar.checks.look", lambda: [checks.Finding("Python", "ok", "3.11")])
    monkeypatch.setattr(
        "hangar.checks.way.look", lambda env: [checks.Finding("Key", "missing", "gone", "make it")]
    )
    as_anna(home)
    capsys.readouterr()
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("A local machine can be made here.\n")
    assert cli.main(["doctor", "local"]) == 1
    assert "✗ Key  gone\n" in capsys.readouterr().out
    cli.main(["ssh-config", "--remove"])
    (paths.state_dir("local") / "ssh_config").unlink(missing_ok=True)
    assert cli.main(["doctor", "local"]) == 0, "a machine that is not there yet can be made"
    capsys.readouterr()
    assert cli.main(["doctor", "loca"]) == 2, "what was misspelt is not this computer"
    assert "Did you mean local?" in capsys.readouterr().err
    paths.platform_file("local").unlink()
    assert cli.main(["doctor"]) == 0
