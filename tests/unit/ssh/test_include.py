from __future__ import annotations

import errno
import subprocess
from functools import partial
from pathlib import Path

import pytest

from hangar.cloud.base import Server
from hangar.errors import HangarError
from hangar.ssh import include, shared
from hangar.ssh.login import Login
from hangar.ssh.tunnel import Forward

FORWARDS = (Forward("airflow", 8080, 8081),)


def test_the_file_is_written_once_and_read_by_ssh(server: Server, home: Path) -> None:
    assert include.write(server, home / "id", FORWARDS)
    assert not include.write(server, home / "id", FORWARDS)
    path = home / ".ssh/config.d/hangar-local"
    assert path.stat().st_mode & 0o777 == 0o600
    said = subprocess.run(
        ["ssh", "-F", str(path), "-G", "hangar-local"], capture_output=True, text=True
    ).stdout
    assert "port 22022\n" in said
    assert "localforward [127.0.0.1]:8081 [127.0.0.1]:8080\n" in said, (
        "no tunnel is open: the session brings its own"
    )
    other = subprocess.run(["ssh", "-F", str(path), "-G", "elsewhere"], capture_output=True, text=True).stdout
    assert "localforward" not in other


@pytest.mark.parametrize(
    "before",
    [
        "",
        "Host a\n  User b\n",
        "# mine\n\nHost *\n  Compression yes",
        "Host a\r\n  User b\r\n",
        "# caf\udce9\n",
    ],
)
def test_the_include_line_comes_first_and_goes_without_a_trace(before: str) -> None:
    after = include.with_include(before)
    assert after.splitlines()[0] == "Include ~/.ssh/config.d/hangar-*"
    assert include.with_include(after) == after
    assert include.without_include(after) == before


LINE = "Include ~/.ssh/config.d/hangar-*"


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        (f"{LINE}\nHost a\n", True),
        (f"User b\n  {LINE}\r\n", True),
        (f"Host a\n  User b\nHost *\n  {LINE}\n", True),
        (f"Match all\n{LINE}\n", True),
        (f"Host a\n  User b\n{LINE}\n", False),
        (f"host=a\n{LINE}\n", False),
        (f"Host * !hangar-local\n{LINE}\n", False),
        (f"Match user b\n{LINE}\n", False),
        (f"# {LINE}\n", False),
        ("Include ~/.ssh/config.d/*\n", True),
        ('include="~/.ssh/config.d/hangar*"\n', True),
        ("Include ~/.ssh/other ~/.ssh/config.d/*\n", True),
        ("Include ~/.ssh/*\n", False),
        ("Include ~/.ssh/config.d/*.conf\n", False),
        ("Include ~/.ssh/config.d/hangar-sandbox\n", False),
        ("Host a\nInclude ~/.ssh/config.d/*\n", False),
    ],
)
def test_a_line_that_holds_for_one_host_only_is_not_enough(
    server: Server, home: Path, text: str, holds: bool
) -> None:
    """As ssh itself reads it"""
    include.write(server, home / "id", FORWARDS)
    config = home / ".ssh/config"
    config.write_text(text.replace("~/", f"{home}/"))
    said = subprocess.run(["ssh", "-F", config, "-G", "hangar-local"], capture_output=True, text=True).stdout
    assert ("port 22022\n" in said) == holds
    config.write_text(text)
    assert include.is_included() == holds
    after, _ = include.proposal()
    assert (after == text.replace("\r\n", "\n") or after == text) == holds
    assert after.splitlines()[0] == LINE or holds


def test_windows_line_ends_stay_what_they_are(home: Path) -> None:
    (home / ".ssh").mkdir()
    config = home / ".ssh/config"
    config.write_bytes(b"Host a\r\n  User caf\xe9\r\n")
    after, difference = include.proposal()
    assert [line for line in difference.splitlines() if line[:1] == "-"][1:] == []
    include.accept(after)
    assert config.read_bytes() == (b"Include ~/.ssh/config.d/hangar-*\r\n\r\nHost a\r\n  User caf\xe9\r\n")
    assert include.is_included()
    include.remove("local")
    assert config.read_bytes() == b"Host a\r\n  User caf\xe9\r\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_an_editor_on_windows_puts_before_utf_8_stays_first(tmp_path: Path, end: str) -> None:
    """Windows' ssh passes over it there alone: below our line it would be an unknown word, and ssh would refuse all"""
    config, before = tmp_path / "config", f"\ufeffHost a{end}  User b{end}".encode()
    config.write_bytes(before)
    assert not include.is_included(tmp_path)
    after, _ = include.proposal(tmp_path)
    include.accept(after, tmp_path)
    assert config.read_bytes() == f"\ufeff{LINE}{end}{end}Host a{end}  User b{end}".encode()
    assert include.is_included(tmp_path)
    assert include.proposal(tmp_path)[0] == after
    include.remove("local", tmp_path)
    assert config.read_bytes() == before


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_config_that_powershell_wrote_as_utf_16_is_left_alone(tmp_path: Path, encoding: str) -> None:
    config = tmp_path / "config"
    config.write_bytes("\ufeffHost a\r\n".encode(encoding))
    with pytest.raises(HangarError) as refused:
        include.proposal(tmp_path)
    assert refused.value.brief == f"{config} is UTF-16, which ssh does not read; it was left alone."
    assert config.read_bytes() == "\ufeffHost a\r\n".encode(encoding)


def test_a_read_only_config_is_left_alone(home: Path) -> None:
    (home / ".ssh").mkdir()
    config = home / ".ssh/config"
    config.write_text("Host a\n")
    config.chmod(0o444)
    with pytest.raises(HangarError) as caught:
        include.accept(include.proposal()[0])
    assert caught.value == HangarError(
        f"{config} was not written.",
        "it is read-only",
        "Put this line at its top yourself: Include ~/.ssh/config.d/hangar-*",
    )
    assert config.read_text() == "Host a\n"


def test_a_config_that_ssh_refuses_is_left_alone_and_ssh_says_why(home: Path) -> None:
    (home / ".ssh").mkdir()
    config = home / ".ssh/config"
    config.write_text("Host a\n  Userr b\n")
    with pytest.raises(HangarError) as caught:
        include.require_readable()
    assert caught.value.brief == f"ssh cannot read {config} as it is; it was left alone."
    assert f"{config}: line 2: Bad configuration option: userr" in caught.value.details
    with pytest.raises(HangarError, match="was not written"):
        include.accept(include.proposal()[0])
    assert config.read_text() == "Host a\n  Userr b\n"


def test_a_config_that_ssh_refuses_for_its_rights_is_left_alone(home: Path) -> None:
    """ssh judges them only where it finds the file by itself, not in our question"""
    config = include.folder() / "config"
    config.parent.mkdir()
    config.write_text("Host other\n")
    config.chmod(0o646)
    with pytest.raises(HangarError) as refused:
        include.require_readable()
    assert refused.value.brief == f"ssh refuses {config}: others may write it. It was left alone."
    assert refused.value.resolution.endswith(f"chmod go-w {config}")
    config.chmod(0o664)
    include.require_readable()
    config.unlink()
    config.mkdir()
    with pytest.raises(HangarError, match="is no file; it was left alone"):
        include.require_readable()


def test_a_link_to_nothing_is_followed_where_it_leads(home: Path, tmp_path: Path) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh/config").symlink_to(tmp_path / "later")
    include.accept(include.proposal()[0])
    assert (tmp_path / "later").read_text() == "Include ~/.ssh/config.d/hangar-*\n"


def test_sessions_share_a_connection(
    server: Server, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path.parents[2] / tmp_path.name[-8:]
    short.symlink_to(home)
    try:
        for place, is_shared in ((short, True), (tmp_path / ("long" * 20), False)):
            monkeypatch.setenv("HOME", str(place))
            place.mkdir(exist_ok=True)
            include.write(server, home / "id", ())
            said = effective(include.include_file("local"))
            assert said["controlmaster"] == ("auto" if is_shared else "false"), place
            assert said.get("controlpath") == (f"{place}/.ssh/hangar-local.sock" if is_shared else None)
            assert said["controlpersist"] == ("600" if is_shared else "no")
    finally:
        short.unlink()


def test_a_home_with_a_long_name_shares_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    assert shared.lines("local") == [
        "ControlMaster auto", "ControlPath /home/anna/.ssh/hangar-local.sock", "ControlPersist 10m",
    ]  # fmt: skip
    monkeypatch.setenv("HOME", f"/home/{'a' * 80}")
    assert shared.lines("local") == []


def test_somebody_of_the_team_comes_with_a_name_and_a_key_of_their_own(server: Server, home: Path) -> None:
    include.write(server, home / "operator", (), Login("anna", str(home / "my keys" / "id"), "me@gate:2222"))
    said = effective(include.include_file("local"))
    assert (said["user"], said["identityfile"]) == ("anna", str(home / "my keys" / "id"))
    assert said["proxyjump"] == "me@gate:2222"
    assert "operator" not in include.include_file("local").read_text()


def effective(path: Path) -> dict[str, str]:
    said = subprocess.run(["ssh", "-F", str(path), "-G", "hangar-local"], capture_output=True, text=True)
    return dict(line.split(" ", 1) for line in said.stdout.splitlines() if " " in line)


def test_the_difference_is_shown_before_anything_is_written(home: Path) -> None:
    (home / ".ssh").mkdir(parents=True)
    config = home / ".ssh/config"
    config.write_text("Host a\n")
    after, difference = include.proposal()
    assert config.read_text() == "Host a\n"
    assert "+Include ~/.ssh/config.d/hangar-*" in difference
    assert not include.is_included()
    include.accept(after)
    assert include.is_included()
    assert config.read_text().endswith("\n\nHost a\n")


def test_a_linked_config_stays_a_link(home: Path, tmp_path: Path) -> None:
    (home / ".ssh").mkdir(parents=True)
    real = tmp_path / "dotfiles-config"
    real.write_text("Host a\n")
    (home / ".ssh/config").symlink_to(real)
    include.accept(include.proposal()[0])
    assert (home / ".ssh/config").is_symlink()
    assert real.read_text().startswith("Include ")


def test_a_link_that_nothing_is_left_behind_stays_a_link(home: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles").write_text(include.with_include(""))
    (home / ".ssh").mkdir()
    (home / ".ssh/config").symlink_to(tmp_path / "dotfiles")
    assert include.remove("local") == [f"the Include line in {home}/.ssh/config"]
    assert (home / ".ssh/config").is_symlink()
    assert (tmp_path / "dotfiles").read_text() == ""


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_config_keeps_its_rights(home: Path, mode: int) -> None:
    config = home / ".ssh/config"
    config.parent.mkdir()
    config.write_text("Host a\n")
    config.chmod(mode)
    include.accept(include.with_include("Host a\n"))
    assert config.read_text().startswith(LINE)
    assert config.stat().st_mode & 0o777 == mode


def test_a_shared_connection_ends_where_what_it_was_opened_by_has_changed(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go on with the key and to the machine of before."""
    ended: list[str] = []
    monkeypatch.setattr(shared, "close", ended.append)
    include.write(server, home / "id", FORWARDS)
    include.write(server, home / "id", FORWARDS)
    assert ended == ["local"], "not for a second call that changes nothing"
    include.write(server, home / "another", FORWARDS)
    assert ended == ["local", "local"]


def test_a_file_of_the_users_own_by_this_name_is_left_alone(server: Server, home: Path) -> None:
    at = home / ".ssh" / "config.d"
    at.mkdir(parents=True)
    mine = at / "hangar-local"
    mine.write_text("Host hangar-local\n  HostName 10.0.0.7\n")
    login = Login("anna", "C:\\id")
    for write in (
        partial(include.write, server, home / "id", ()),
        partial(include.write_windows, home / ".ssh", server, (), login),
    ):
        with pytest.raises(HangarError, match="is none that Hangar wrote") as refused:
            write()
        assert f"mv {mine} {at}/my-hangar-local" in refused.value.resolution
    assert include.remove("local") == []
    assert mine.read_text() == "Host hangar-local\n  HostName 10.0.0.7\n"
    mine.rename(at / "my-hangar-local")
    assert include.write(server, home / "id", ())
    assert include.remove("local") == [str(mine)]


def test_a_file_that_cannot_be_read_is_told_in_words(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as root's, of a call by sudo"""
    include.write(server, home / "id", ())

    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(include, "read", refuse)
    for call in (partial(include.write, server, home / "id", ()), partial(include.remove, "local")):
        with pytest.raises(HangarError, match="hangar-local was not written") as refused:
            call()
        assert refused.value.details == "Permission denied"


def test_the_include_line_goes_with_the_last_machine(server: Server, home: Path) -> None:
    include.write(server, home / "id", ())
    include.accept(include.proposal()[0])
    (home / ".ssh/config.d/hangar-sandbox").touch()
    assert include.remove("local") == [str(home / ".ssh/config.d/hangar-local")]
    assert include.is_included()
    assert include.remove("sandbox")[1] == f"the Include line in {home}/.ssh/config"
    assert list((home / ".ssh").iterdir()) == [], "an empty file and an empty folder are not left behind"
    assert include.remove("sandbox") == []


def test_a_line_of_the_users_own_that_reads_the_folder_is_enough_and_stays(
    server: Server, home: Path
) -> None:
    """Without a root it is meant below ~/.ssh"""
    before = "Include config.d/*\n"
    config = home / ".ssh/config"
    config.parent.mkdir(mode=0o700, exist_ok=True)
    config.write_text(before)
    include.write(server, home / "id", FORWARDS)
    assert include.is_included()
    assert include.proposal() == (before, "")
    assert include.remove("local") == [str(home / ".ssh/config.d/hangar-local")]
    assert config.read_text() == before
