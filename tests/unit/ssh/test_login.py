from __future__ import annotations

from pathlib import Path

import pytest

from hangar.errors import HangarError
from hangar.ssh import login
from hangar.ssh.login import Login


@pytest.fixture
def key(home: Path) -> Path:
    path = home / "id_ed25519"
    path.write_text("a key")
    return path


def test_nobody_said_anything_so_it_is_the_operator() -> None:
    assert login.said("local", "", "", "") is None


def test_what_was_said_once_need_not_be_said_again(key: Path) -> None:
    login.record("local", login.said("local", "anna", str(key), "") or Login("", ""))
    assert login.said("local", "", "", "") == Login("anna", str(key))
    assert login.said("local", "bert", "", "gate") == Login("bert", str(key), "gate")
    login.forget("local")
    assert login.said("local", "", "", "") is None


@pytest.mark.parametrize(
    ("user", "brief"),
    [
        ("", "A name needs its key, and a key its name."),
        ("Anna", '"Anna" cannot name an account on the machine.'),
        ("a\nProxyCommand x", '"a\nProxyCommand x" cannot name an account on the machine.'),
    ],
)
def test_what_is_no_account_is_refused(key: Path, user: str, brief: str) -> None:
    with pytest.raises(HangarError) as caught:
        login.said("local", user, str(key), "")
    assert caught.value.brief == brief


@pytest.mark.parametrize("jump", ["-oProxyCommand=evil", "a b", "a,b", "x\ny"])
def test_what_is_no_host_on_the_way_is_refused(key: Path, jump: str) -> None:
    with pytest.raises(HangarError, match="is no host on the way"):
        login.said("local", "anna", str(key), jump)


def test_the_public_half_is_told_from_the_private_one(key: Path) -> None:
    public = key.with_suffix(".pub")
    public.write_text("ssh-ed25519 AAAA")
    with pytest.raises(HangarError) as caught:
        login.require_key(str(public))
    assert caught.value.resolution == f"Name the private one: --key {key}"


def test_a_key_that_is_not_there_says_how_to_make_one(home: Path) -> None:
    with pytest.raises(HangarError) as caught:
        login.require_key("~/id_new")
    assert caught.value.resolution == f"Make one: ssh-keygen -t ed25519 -f {home}/id_new"


@pytest.mark.parametrize("name", ['a"b', "a\nProxyCommand evil", "a\rb"])
def test_a_path_that_would_end_its_line_is_refused(home: Path, name: str) -> None:
    """What follows would be a setting of ssh's."""
    (home / name).write_text("a key")
    with pytest.raises(HangarError) as caught:
        login.require_key(str(home / name))
    assert (
        caught.value.brief == f"ssh cannot be told of a path with quotes or line breaks: {str(home / name)!r}"
    )


@pytest.mark.parametrize(
    "text", ["A1b2+/" * 12, f"{'A1b2+/' * 12}\n{'C3d4' * 20}==", f"-----BEGIN RSA {'PRIVATE'} KEY-----"]
)
def test_a_piece_of_a_keys_text_is_repeated_nowhere(home: Path, text: str) -> None:
    with pytest.raises(HangarError) as caught:
        login.require_key(text)
    assert caught.value.brief == "--key wants the path of a private key, and this is none."
    assert text[:20] not in f"{caught.value.details}{caught.value.resolution}"


def test_the_operators_key_is_asked_of_nobody_else(key: Path) -> None:
    assert login.overrides(None, ["a=b"]) == ["a=b"]
    assert login.overrides(Login("anna", "/a: 'b'/id"), []) == ["access.private_key=\"/a: 'b'/id\""]
