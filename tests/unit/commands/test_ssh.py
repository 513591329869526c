from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hangar import cli, paths, process
from hangar.cloud.base import Server
from hangar.config import Config
from hangar.errors import CloudError
from hangar.ssh import client_config, keys, known_hosts, login
from hangar.ssh.login import Login
from tests.unit.fakes import SERVER

BEHIND_A_TUNNEL = replace(SERVER, cloud="gcp", id="2", proxy_command=("relay",))
ANOTHER_KEY = "@ REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n"


class Ends:
    """ssh as a person's own calls see it: it ended with 255, and this is what it says of the host key."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, said: str, server: Callable[[], Server]) -> None:
        self.said, self.asked = said, list[Sequence[str]]()
        monkeypatch.setattr(process, "interactive", lambda argv: 255)
        monkeypatch.setattr(process, "bounded", self.run)
        monkeypatch.setattr(
            "hangar.commands._machine.cloud_for", lambda settings: SimpleNamespace(server=server)
        )

    def run(self, argv: Sequence[str], **_: object) -> process.Completed:
        self.asked.append(argv)
        return process.Completed(tuple(argv), 255, "", self.said)


def known_as(server: Server) -> None:
    paths.ensure_state_dir("local")
    client_config.write(server, Path("/nowhere/key"))
    paths.known_hosts("local").write_text(known_hosts.render(server))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["hangar-local"]),
        (["local"], ["hangar-local"]),
        (["uptime"], ["hangar-local", "uptime"]),
        (["local", "cat > x"], ["hangar-local", "cat > x"]),
        (["sandbox", "--", "ls", "-l"], ["hangar-sandbox", "ls", "-l"]),
    ],
)
def test_the_first_word_is_an_environment_if_there_is_one(
    repo: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], expected: list[str]
) -> None:
    for env in ("local", "sandbox"):
        paths.ensure_state_dir(env)
        client_config.write(replace(SERVER, environment=env), Path("/nowhere/key"))
    called: list[Sequence[str]] = []
    monkeypatch.setattr(process, "interactive", lambda argv: called.append(argv) or 0)
    assert cli.main(["ssh", *words]) == 0
    env = expected[0].removeprefix("hangar-")
    assert called == [["ssh", "-F", str(repo / ".hangar" / env / "ssh_config"), *expected]]


def test_an_environment_without_a_machine_says_how_to_make_one(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ssh"]) == 1
    said = capsys.readouterr().err
    assert "Make it: ./provision.py up local" in said
    assert "taken for a command" not in said
    assert cli.main(["ssh", "sandbox"]) == 1
    assert '"sandbox" names no environment, so it was taken for a command.' in capsys.readouterr().err


def test_a_checkout_that_was_moved_finds_its_keys_again(
    make_config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ssh was told of files in the old folder, and knew neither the key nor the machine."""
    keys.ensure_key(paths.default_private_key("local"), "hangar-local")
    known_as(SERVER)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in (".hangar", "inventory", "templates"):
        (tmp_path / name).rename(moved / name)
    monkeypatch.setattr(paths, "REPO", moved)
    called: list[Sequence[str]] = []
    monkeypatch.setattr(process, "interactive", lambda argv: called.append(argv) or 0)
    monkeypatch.setattr(process, "relayed", lambda argv, *_: called.append(argv) or 0)
    monkeypatch.setattr(
        "hangar.commands._machine.cloud_for", lambda settings: SimpleNamespace(server=lambda: SERVER)
    )
    for argv in (["ssh", "local", "uptime"], ["logs", "ssh"]):
        assert cli.main(argv) == 0
    settings = client_config.read(paths.ssh_config("local"))
    assert settings["IdentityFile"] == str(moved / ".hangar/local/id_ed25519")
    assert settings["UserKnownHostsFile"] == str(moved / ".hangar/local/known_hosts")
    assert {argv[2] for argv in called} == {str(moved / ".hangar/local/ssh_config")}


def test_the_name_that_somebody_said_is_kept_when_the_checkout_moves(
    make_config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.ensure_key(tmp_path / "id", "anna")
    known_as(SERVER)
    anna = Login("anna", str(tmp_path / "id"))
    login.record("local", anna)
    client_config.write_login(SERVER, anna)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in (".hangar", "inventory", "templates"):
        (tmp_path / name).rename(moved / name)
    monkeypatch.setattr(paths, "REPO", moved)
    monkeypatch.setattr(process, "interactive", lambda argv: 0)
    monkeypatch.setattr(
        "hangar.commands._machine.cloud_for", lambda settings: SimpleNamespace(server=lambda: SERVER)
    )
    assert cli.main(["ssh", "local"]) == 0
    settings = client_config.read(client_config.of("local"))
    assert (settings["User"], settings["IdentityFile"]) == ("anna", str(tmp_path / "id"))
    assert settings["UserKnownHostsFile"] == str(moved / ".hangar/local/known_hosts")


def test_a_machine_that_was_made_anew_elsewhere_is_said_and_its_new_key_pinned(
    make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known_as(replace(BEHIND_A_TUNNEL, id="1", host_keys=("ssh-ed25519 BBBB",)))
    ends = Ends(monkeypatch, ANOTHER_KEY, lambda: BEHIND_A_TUNNEL)
    assert cli.main(["ssh", "local", "uptime"]) == 255
    assert " ".join(capsys.readouterr().err.split()) == (
        "warning: hangar-local was made anew from another computer, so it has another host key. Its cloud tells the"
        " new one, which is pinned now: run the same command again."
    )
    assert paths.known_hosts("local").read_text() == known_hosts.render(BEHIND_A_TUNNEL)
    (argv,) = ends.asked
    assert "PreferredAuthentications=none" in argv, "nobody logs in for it"
    assert "uptime" not in argv


def test_the_same_machine_with_another_key_is_not_believed(
    make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known_as(BEHIND_A_TUNNEL)
    before = paths.known_hosts("local").read_text()
    Ends(monkeypatch, ANOTHER_KEY, lambda: BEHIND_A_TUNNEL)
    assert cli.main(["ssh", "local"]) == 255
    said = capsys.readouterr().err
    assert "What answers as hangar-local does not show the SSH host key that is pinned here" in said
    assert "A stranger may be answering" in said
    assert paths.known_hosts("local").read_text() == before


def test_a_login_that_failed_for_another_reason_asks_the_cloud_nothing(
    make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never() -> Server:
        raise AssertionError

    known_as(BEHIND_A_TUNNEL)
    Ends(monkeypatch, "Permission denied (publickey).\n", never)
    assert cli.main(["ssh", "local"]) == 255
    known_as(replace(BEHIND_A_TUNNEL, proxy_command=()))
    ends = Ends(monkeypatch, ANOTHER_KEY, never)
    assert cli.main(["ssh", "local"]) == 255
    assert ends.asked == [], "what has an address of its own says enough"
    assert capsys.readouterr().err == ""


def test_a_cloud_that_does_not_answer_then_is_said(
    make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away() -> Server:
        raise CloudError("Your Google login has ended.", "", "Log in.")

    known_as(BEHIND_A_TUNNEL)
    Ends(monkeypatch, ANOTHER_KEY, away)
    assert cli.main(["ssh", "local"]) == 255
    assert "error: Your Google login has ended." in capsys.readouterr().err
