"""Passwords of the warehouse's roles: made once, kept by root and one group, known to the server by verifiers alone."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
import secret_files
from hangar_warehouse import passwords
from hangar_warehouse.described import Refused

from tests.ansible.stored import DESCRIBED, VERIFIER

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="files of another owner are root's to make")


def test_a_verifier_is_the_standards() -> None:
    """The example of RFC 7677: its salt and password, and the keys that its messages prove."""
    made = passwords.verifier("pencil", bytes.fromhex("5b6d99689d123 58eeca04b141236fa81".replace(" ", "")))
    assert made == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
        "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "md5" + "0" * 32,
        "SCRAM-SHA-256$4096:salt",
        "SCRAM-SHA-256$x:AAAA$AAAA:AAAA",
        passwords.verifier("Secret"),
    ],
)
def test_another_verifier_does_not_fit(stored: str | None) -> None:
    assert passwords.fits("secret", VERIFIER)
    assert not passwords.fits("secret", stored)


@pytest.fixture
def secrets_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


@needs_root
def test_passwords_are_made_once(secrets_folder: Path) -> None:
    assert passwords.look(DESCRIBED, secrets_folder) == ["dbt", "reader"]
    passwords.ensure(DESCRIBED, secrets_folder)
    made = passwords.kept_of(DESCRIBED, secrets_folder)
    assert len(set(made.values())) == 2
    assert min(len(value) for value in made.values()) >= 40
    passwords.ensure(DESCRIBED, secrets_folder)
    assert passwords.kept_of(DESCRIBED, secrets_folder) == made
    assert passwords.look(DESCRIBED, secrets_folder) == []


@needs_root
@pytest.mark.parametrize("mode", [0o444, 0o640, 0o400])
def test_a_password_with_other_rights_gets_them_back_and_keeps_its_value(
    secrets_folder: Path, mode: int
) -> None:
    passwords.ensure(DESCRIBED, secrets_folder)
    kept = (secrets_folder / "dbt").read_text()
    (secrets_folder / "dbt").chmod(mode)
    assert passwords.look(DESCRIBED, secrets_folder) == ["dbt"]
    passwords.ensure(DESCRIBED, secrets_folder)
    assert (secrets_folder / "dbt").read_text() == kept
    assert (secrets_folder / "dbt").stat().st_mode & 0o7777 == 0o440


@needs_root
def test_a_link_and_a_torn_file_are_no_password(secrets_folder: Path) -> None:
    (secrets_folder / "dbt").symlink_to("/etc/hostname")
    (secrets_folder / "reader").write_text("")
    (secrets_folder / ".reader.new").write_text("half")  # what a killed run left
    passwords.ensure(DESCRIBED, secrets_folder)
    assert sorted(path.name for path in secrets_folder.iterdir()) == ["dbt", "reader"]
    assert not (secrets_folder / "dbt").is_symlink()
    assert passwords.look(DESCRIBED, secrets_folder) == []


def test_a_group_that_is_not_there_is_named(secrets_folder: Path) -> None:
    odd = dataclasses.replace(
        DESCRIBED, roles={"dbt": dataclasses.replace(DESCRIBED.roles["dbt"], group="absent")}
    )
    (secrets_folder / "dbt").write_text("x")
    with pytest.raises(Refused) as refused:
        passwords.look(odd, secrets_folder)
    assert str(refused.value) == "warehouse_secret_groups: dbt: there is no group 'absent' on this machine."


def test_a_lost_password_is_named_before_the_database_is_asked(secrets_folder: Path) -> None:
    with pytest.raises(Refused) as refused:
        passwords.kept_of(DESCRIBED, secrets_folder)
    assert (
        str(refused.value)
        == f"{secrets_folder}/dbt is not there. Make it with: sudo warehouse ensure secrets"
    )


@needs_root
def test_a_secret_is_seen_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret_files.keep(path, "one", "root")
    opened = path.open()
    secret_files.keep(path, "another", "root")
    assert opened.read() == "one"
    assert path.read_text() == "another"
    assert secret_files.is_right(path, "another", "root")
    assert not secret_files.is_right(path, "one", "root")
