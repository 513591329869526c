from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hangar.errors import HangarError
from hangar.ssh import keys


def test_a_key_is_made_once(tmp_path: Path) -> None:
    private = tmp_path / "id"
    line = keys.ensure_key(private, "hangar-local")
    assert line.startswith("ssh-ed25519 ")
    assert line.endswith(" hangar-local")
    assert private.stat().st_mode & 0o777 == 0o600
    content = private.read_bytes()
    assert keys.ensure_key(private, "hangar-local") == line
    assert private.read_bytes() == content


def test_a_lost_public_half_is_derived_again(tmp_path: Path) -> None:
    private = tmp_path / "id"
    line = keys.ensure_key(private, "c")
    keys.public_path(private).unlink()
    assert keys.read_public_key(private) == line.rsplit(" ", 1)[0]
    assert keys.ensure_key(private, "c") == line


def test_who_has_no_key_is_told_how_to_be_let_in(tmp_path: Path) -> None:
    with pytest.raises(HangarError) as caught:
        keys.read_public_key(tmp_path / "id")
    assert caught.value.brief == "There is no key on this computer that opens the machine."
    assert caught.value.resolution == (
        f"Make one: ssh-keygen -t ed25519 -f {tmp_path}/id\nThen let an admin take id.pub into `people`:"
        " ./provision.py people add NAME ENV --role admin --key FILE\n"
        "Whoever has an account of their own works on the machine itself, as docs/people.md says:"
        " ./provision.py ssh-config ENV --user NAME --key FILE, then ./provision.py ssh ENV"
    )


def test_a_passphrase_is_not_asked_for(tmp_path: Path) -> None:
    private = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(private)], check=True)
    assert keys.read_public_key(private).startswith("ssh-ed25519 ")
    keys.public_path(private).unlink()
    with pytest.raises(HangarError) as caught:
        keys.read_public_key(private)
    assert caught.value.resolution == (
        f"Put it beside it: ssh-keygen -y -f {private} > {private}.pub.new && mv {private}.pub.new {private}.pub"
    )


def test_an_empty_public_half_counts_as_none(tmp_path: Path) -> None:
    private = tmp_path / "id"
    line = keys.ensure_key(private, "c")
    keys.public_path(private).write_text("\n")
    assert keys.read_public_key(private) == line.rsplit(" ", 1)[0]


def test_the_printed_cure_works_and_a_failed_one_leaves_nothing_behind(tmp_path: Path) -> None:
    private = tmp_path / "my keys" / "id"
    private.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(private)], check=True)
    line = keys.read_public_key(private)
    keys.public_path(private).unlink()
    with pytest.raises(HangarError) as caught:
        keys.read_public_key(private)
    cure = caught.value.resolution.removeprefix("Put it beside it: ")
    subprocess.run(["sh", "-c", cure.replace("-y", "-y -P wrong", 1)], check=False, capture_output=True)
    assert not keys.public_path(private).exists()
    subprocess.run(["sh", "-c", cure.replace("-y", "-y -P secret", 1)], check=True)
    assert keys.read_public_key(private).split()[1] == line.split()[1]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"hello\n", "this is no public key"),
        (b"\xff\xfe\n", "this is no public key"),
        (b"ssh-ed25519 AAAA c\n", "the ssh-ed25519 key was cut short or changed"),
        (
            b"-----BEGIN OPENSSH PRIVATE " + b"KEY-----\n",
            "this is a private key, which belongs on its owner's computer alone",
        ),
    ],
)
def test_a_public_half_that_is_none_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    private = tmp_path / "id"
    keys.ensure_key(private, "c")
    keys.public_path(private).write_bytes(content)
    with pytest.raises(HangarError) as caught:
        keys.read_public_key(private)
    assert caught.value.brief == f"{private}.pub holds no key that the machine accepts."
    assert caught.value.details == f"* {private}.pub: {why}"
    assert f"ssh-keygen -y -f {private} > {private}.pub.new && mv" in caught.value.resolution


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_public_half_that_powershell_wrote_is_read(tmp_path: Path, encoding: str) -> None:
    private = tmp_path / "id"
    line = keys.ensure_key(private, "c")
    keys.public_path(private).write_bytes(f"{line}\r\n".encode(encoding))
    assert keys.read_public_key(private) == line
