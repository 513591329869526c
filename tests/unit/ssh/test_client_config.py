from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hangar import paths
from hangar.cloud.base import Server
from hangar.errors import HangarError
from hangar.ssh import client_config, proxy, sockets


def effective(path: Path, host: str) -> dict[str, str]:
    """What ssh itself makes of a configuration."""
    said = subprocess.run(
        ["ssh", "-F", str(path), "-G", host], capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split(" ", 1) for line in said.splitlines() if " " in line)


def test_ssh_reads_what_was_meant(server: Server, tmp_path: Path) -> None:
    path = client_config.write(server, tmp_path / "a folder" / "id")
    options = effective(path, "hangar-local")
    assert options["hostname"] == "127.0.0.1"
    assert options["port"] == "22022"
    assert options["user"] == "hangar"
    assert options["identityfile"] == str(tmp_path / "a folder" / "id")
    assert options["identitiesonly"] == "yes"
    assert options["hostkeyalias"] == "hangar-local"
    assert options["stricthostkeychecking"] in ("yes", "true")
    assert options["forwardagent"] == "no"
    assert options["passwordauthentication"] == "no"
    assert options["controlmaster"] in ("no", "false")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("folder", ["100%h of it", "anna's", "anna's own #1", "it's 50%"])
def test_what_a_path_holds_means_nothing_to_ssh(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """What ssh makes of the files' names, seen in the file that it complains about."""
    repo = tmp_path / folder
    monkeypatch.setattr(paths, "REPO", repo)
    path = client_config.write(server, repo / "id")
    options = effective(path, "hangar-local")
    assert options["userknownhostsfile"] == f"{repo}/.hangar/local/known_hosts"
    tried = subprocess.run(
        ["ssh", "-v", "-F", str(path), "-o", "ProxyCommand=true", "hangar-local"],
        capture_output=True,
        text=True,
    ).stderr
    assert f"identity file {repo}/id type -1" in tried


@pytest.mark.parametrize("name", ['id"\n  ProxyCommand touch ran # "', "id\rx", 'i"d'])
def test_a_path_that_no_quotes_hold_together_is_not_written(
    server: Server, tmp_path: Path, name: str
) -> None:
    with pytest.raises(HangarError, match="ssh cannot be told of a path with quotes or line breaks"):
        client_config.write(server, tmp_path / name)
    assert not paths.ssh_config("local").exists()


def test_what_was_written_can_be_read(server: Server, tmp_path: Path) -> None:
    server = replace(server, proxy_command=("/a b/python", "100%", "x"))
    path = client_config.write(server, tmp_path / "50% a" / "id")
    found = client_config.read(path)
    assert found["HostName"] == "127.0.0.1"
    assert client_config.unquote(found["IdentityFile"]) == tmp_path / "50% a" / "id"
    assert proxy.words(found["ProxyCommand"]) == ("/a b/python", "100%", "x")


def test_no_setting_of_the_users_own_makes_it_weaker(server: Server, tmp_path: Path) -> None:
    """It stands in ~/.ssh/config.d too, and what comes after it in ~/.ssh/config is for every host."""
    weaker = {
        "StrictHostKeyChecking": "no", "GlobalKnownHostsFile": "/etc/ssh/theirs", "UserKnownHostsFile": "/theirs",
        "UpdateHostKeys": "yes", "ForwardAgent": "yes", "PasswordAuthentication": "yes",
        "KbdInteractiveAuthentication": "yes", "IdentitiesOnly": "no", "HostKeyAlias": "theirs", "User": "theirs",
    }  # fmt: skip
    path = tmp_path / "config"
    theirs = "\n  ".join(["Host *", *(f"{name} {value}" for name, value in weaker.items())])
    path.write_text(f"{client_config.render(server, tmp_path / 'id')}{theirs}\n")
    ours, others = effective(path, "hangar-local"), effective(path, "elsewhere")
    assert [others[name.lower()] for name in ("ForwardAgent", "GlobalKnownHostsFile")] == [
        "yes",
        "/etc/ssh/theirs",
    ]
    assert {name: ours[name.lower()] for name in weaker} == {
        "StrictHostKeyChecking": "true", "GlobalKnownHostsFile": "/dev/null",
        "UserKnownHostsFile": str(paths.known_hosts("local")), "UpdateHostKeys": "false", "ForwardAgent": "no",
        "PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no", "IdentitiesOnly": "yes",
        "HostKeyAlias": "hangar-local", "User": "hangar",
    }  # fmt: skip


def test_a_sockets_path_is_short_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    longest = f"{sockets.socket_folder()}/tunnel-{'x' * 30}.{'r' * 16}"
    assert len(longest) < 108


def test_a_long_runtime_folder_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    assert str(sockets.socket_folder()).startswith("/tmp/hangar-")


def test_the_folder_of_sockets_is_closed_to_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever reaches a socket in it has the operator's connection, without a key."""
    monkeypatch.undo()
    runtime = Path(f"/tmp/r{tmp_path.name[-12:]}")
    folder = runtime / "hangar"
    folder.mkdir(parents=True)
    try:
        folder.chmod(0o777)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
        assert sockets.socket_folder() == folder
        assert folder.stat().st_mode & 0o777 == 0o700
        monkeypatch.setattr("os.getuid", lambda: folder.stat().st_uid + 1)
        with pytest.raises(HangarError, match="belongs to another account"):
            sockets.socket_folder()
    finally:
        folder.rmdir()
        runtime.rmdir()


def test_a_link_that_another_account_made_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    runtime = Path(f"/tmp/r{tmp_path.name[-12:]}")
    runtime.mkdir(exist_ok=True)
    try:
        (runtime / "hangar").symlink_to(tmp_path)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
        with pytest.raises(HangarError, match="belongs to another account"):
            sockets.socket_folder()
    finally:
        (runtime / "hangar").unlink()
        runtime.rmdir()
