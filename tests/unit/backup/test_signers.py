"""Whose a backup is: a place that lies offers others as the machine's, older ones, parts of one in another."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hangar import paths
from hangar.backup import fetching, listing, signers, work
from hangar.backup.folder import Folder
from hangar.backup.host import Host
from hangar.backup.machine import Machine
from hangar.backup.records import Backup, parse
from hangar.backup.signers import FORGED, UNKNOWN, UNSIGNED, Signers
from hangar.commands import backup as command
from hangar.config import Config
from hangar.errors import HangarError, PromiseBroken

from .conftest import Make, Sign

FIRST, SECOND, THIRD = "20261101T031500Z", "20261102T031500Z", "20261103T031500Z"


@dataclass
class Vault:
    """A place that has what is in its folder, and says what it likes."""

    place: Path
    held: Sequence[Backup]
    name: str = "vault"

    def sizes(self) -> dict[str, int]:
        objects = {part.object: part.bytes for one in self.held for part in one.parts}
        return {f"{one.id}.json": 1 for one in self.held} | objects

    def indexes(self, names: Iterable[str]) -> list[Backup]:
        wanted = set(names)
        return [one for one in self.held if f"{one.id}.json" in wanted]

    def get(self, names: Sequence[str], folder: Path, as_fresh: bool = False, most: int = 0) -> None:
        for name in names:
            shutil.copy(self.place / name, folder / f".{name}.new")


@pytest.fixture
def vault(folder: Folder, make: Make, tmp_path: Path) -> Callable[..., Vault]:
    """With two backups of the machine's; none is here."""
    made = [make(FIRST), make(SECOND)]
    shutil.move(folder.path, tmp_path / "vault")

    def holding(*changed: Backup) -> Vault:
        known = {one.id: one for one in (*made, *changed)}
        return Vault(tmp_path / "vault", list(known.values()))

    return holding


def fetch(vault: Vault, folder: Folder, wanted: str = "latest") -> list[str]:
    return fetching.from_target(vault, folder, wanted, lambda _: None)


def test_the_newest_that_the_machine_has_signed_is_the_latest(
    vault: Callable[..., Vault], folder: Folder
) -> None:
    there = vault()
    assert fetch(there, folder) == []
    assert folder.require("latest").id == SECOND
    assert folder.signers.doubt(folder.require("latest")) == ""


@pytest.mark.parametrize("how", ["a stranger's key", "nobody's", "another's parts", "another's name"])
def test_what_others_made_is_never_the_latest(
    how: str, vault: Callable[..., Vault], folder: Folder, sign: Sign, other_key: Path
) -> None:
    """Anybody may encrypt to the public key; these are whole, and the key here opens them."""
    first, second = vault().held
    forged = replace(second, id=THIRD)
    lie = {
        "a stranger's key": sign(forged, other_key),
        "nobody's": replace(forged, signature=""),
        "another's parts": replace(second, id=THIRD, parts=first.parts),
        "another's name": sign(replace(forged, machine="hangar-sandbox")),
    }[how]
    there = vault(lie)
    assert fetch(there, folder) == ([] if how == "another's name" else [THIRD])
    assert folder.require("latest").id == SECOND
    assert folder.find(THIRD) is None


def test_one_whose_object_is_cut_short_there_is_not_the_latest(
    vault: Callable[..., Vault], folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transfer that broke off is brought by the machine's next one; meanwhile the one before it does."""
    there = vault()
    sizes = there.sizes()
    monkeypatch.setattr(there, "sizes", lambda: {**sizes, f"files-{SECOND}.age": 9})
    assert fetch(there, folder) == []
    assert folder.require("latest").id == FIRST
    assert folder.find(SECOND) is None


def test_one_that_is_named_replaces_no_other_machines(
    vault: Callable[..., Vault], folder: Folder, make: Make
) -> None:
    there = vault()
    theirs = make(SECOND, content="theirs", machine="hangar-sandbox")
    (folder.path / theirs.parts[0].object).unlink()  # so that it would have to be brought
    with pytest.raises(HangarError) as refused:
        fetch(there, folder, SECOND)
    assert refused.value.brief == f"{SECOND} was not fetched: a backup of hangar-sandbox has its name."
    assert folder.find(SECOND) == theirs
    assert fetch(there, folder, FIRST) == []
    assert folder.require(FIRST).id == FIRST


def test_an_older_backup_under_a_newer_name_is_none(vault: Callable[..., Vault], folder: Folder) -> None:
    first, _ = vault().held
    assert fetch(vault(replace(first, id=THIRD)), folder) == [THIRD]
    assert folder.require("latest").id == SECOND


def test_a_place_that_withholds_the_newest_is_noticed(
    vault: Callable[..., Vault], folder: Folder, settings: Config, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Nothing but this computer's own memory tells of it."""
    signers.remember("local", "", [THIRD, FIRST])
    monkeypatch.setattr(work.target, "of", lambda _: vault())
    assert work.require(settings, "latest", lambda _: None).id == SECOND
    said = f"warning: hangar-local has made {THIRD} since, which is not to be had: {SECOND} is the latest.\n"
    assert said in capsys.readouterr().err
    assert work.require(settings, FIRST, lambda _: None).id == FIRST
    assert said not in capsys.readouterr().err


def test_where_nothing_is_proven_a_person_has_to_name_one(
    vault: Callable[..., Vault], folder: Folder, settings: Config, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """As on a new laptop, which has met no machine."""
    paths.backup_signers("local").unlink()
    monkeypatch.setattr(work.target, "of", lambda _: vault())
    with pytest.raises(HangarError) as refused:
        work.require(settings, "latest", lambda _: None)
    assert refused.value == HangarError(
        "Nothing proves that a backup at vault is of hangar-local.",
        "\n".join(f"* {one}: no key that is known here has signed it" for one in (SECOND, FIRST)),
        "Name the machine's key in platform.yml (backup.signers; `backup schedule` shows it), or take one by its name: "
        f"./provision.py up local --restore {SECOND}",
    )  # fmt: skip
    assert work.require(settings, SECOND, lambda _: None).id == SECOND
    assert f"Nothing proves that {SECOND} is of hangar-local: {UNKNOWN}." in capsys.readouterr().err


def test_a_key_in_platform_yml_proves_as_one_that_was_met(
    make: Make, make_config: Callable[..., Config], signing_key: Path
) -> None:
    made = make(FIRST)
    paths.backup_signers("local").unlink()
    public = " ".join(signing_key.with_name("signing.pub").read_text().split()[:2])
    assert Signers.of(make_config()).doubt(made) == UNKNOWN
    assert Signers.of(make_config(f"backup.signers=[{public}]")).doubt(made) == ""


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({}, ""), ({"seconds": 2.0}, FORGED), ({"made": "2026"}, FORGED), ({"roles": ("evil",)}, FORGED),
        ({"numbers": {"airflow": 0}}, FORGED), ({"machine": "hangar-sandbox"}, FORGED), ({"signature": ""}, UNSIGNED),
        ({"signature": "-----BEGIN SSH SIGNATURE-----\n"}, FORGED),
    ],
    ids=str,
)  # fmt: skip
def test_a_signature_is_of_every_word(
    changes: dict[str, object], doubt: str, make: Make, folder: Folder
) -> None:
    assert folder.signers.doubt(replace(make(FIRST), **changes)) == doubt  # type: ignore[arg-type]


def test_the_key_of_another_environment_proves_nothing_here(
    make: Make, sign: Sign, folder: Folder, other_key: Path
) -> None:
    theirs = sign(replace(make(FIRST), machine="hangar-sandbox"), other_key)
    assert folder.signers.doubt(theirs) == UNKNOWN
    ours_says_theirs = sign(replace(make(FIRST), machine="hangar-sandbox"))
    assert folder.signers.doubt(ours_says_theirs) == UNKNOWN


def test_a_forged_index_here_is_not_put_back(
    make: Make, folder: Folder, settings: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make(FIRST)
    folder.write_index(replace(made, roles=("evil",)))
    with pytest.raises(HangarError) as refused:
        work.require(settings, FIRST, lambda _: None)
    assert refused.value.brief == f"The index of {FIRST} was changed after the machine had signed it."
    with pytest.raises(PromiseBroken) as broken:
        command._verify(settings, "", as_json=False)
    assert broken.value.details == f"* {FIRST}.json: {FORGED}"
    folder.write_index(made)
    assert command._verify(settings, "", as_json=False) == 0


def test_machines_of_one_name_are_kept_apart_by_their_keys(
    make: Make, sign: Sign, folder: Folder, other_key: Path, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two checkouts, each with a machine `hangar-local`, and one host or folder for both."""
    first, second = make(FIRST), make(SECOND)
    theirs = sign(replace(second, id=THIRD), other_key)
    folder.write_index(theirs)
    assert [one.id for one in folder.ours()] == [SECOND, FIRST]
    assert folder.require("latest").id == SECOND
    listed = listing.places(folder, [], None)
    assert [place.where for place in listed] == ["here, not proven", "here", "here"]
    assert folder.keep({SECOND}) == [FIRST]
    assert folder.find(THIRD) == theirs

    kept: list[set[str]] = []
    monkeypatch.setattr(Host, "sizes", lambda _: {f"{one.id}.json": 1 for one in (theirs, second, first)})
    monkeypatch.setattr(Host, "indexes", lambda *_: [first, second, theirs])
    monkeypatch.setattr(Host, "keep", lambda _, names, __: kept.append(names) or [])
    few = settings.backup.keep.model_copy(update={"daily": 1, "weekly": 0, "monthly": 0})
    sftp = settings.backup.sftp.model_copy(update={"host": "vault.example.org"})
    changed = settings.backup.model_copy(update={"keep": few, "sftp": sftp})
    work.thin_out(settings.model_copy(update={"backup": changed}), lambda _: None)
    assert kept == [{SECOND, THIRD}]


def test_the_machine_itself_is_believed_and_its_key_kept(
    make: Make, signing_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = " ".join(signing_key.with_name("signing.pub").read_text().split()[:2])
    paths.backup_signers("local").unlink(missing_ok=True)
    for key in (public, public, "ssh-rsa AAAA", "evil\nssh-ed25519 AAAA"):
        signers.remember("local", key, [FIRST])
    assert paths.backup_signers("local").read_text() == f"{public}\n"
    assert signers.newest("local") == FIRST
    signers.remember("local", "", [])
    assert signers.newest("local") == FIRST


def test_what_the_machines_program_signs_is_proven_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ends write down the same words."""
    import json
    from dataclasses import asdict

    from hangar_backup import records, signing
    from hangar_backup.records import Sealed

    from tests.ansible.backups import DESCRIBED

    monkeypatch.setattr(signing, "SIGNING_KEY", tmp_path / "secrets/signing")
    digest = hashlib.sha256(b"").hexdigest()
    part = Sealed("files", f"files-{FIRST}.age", 3, digest, FIRST, 2)
    made = records.Backup(
        FIRST,
        "hangar-local",
        "2026-11-01T03:15:09+00:00",
        9.1,
        (part,),
        {"airflow": 2001},
        ("élan",),
        ("files",),
    )
    signed = signing.signed(DESCRIBED, made)
    found = parse(json.loads(json.dumps(asdict(signed))))
    assert found is not None
    assert Signers("hangar-local", [signing.public_key()]).doubt(found) == ""
    assert (tmp_path / "secrets/signing").stat().st_mode & 0o777 == 0o600


def test_up_goes_on_where_the_key_cannot_be_learned(
    settings: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent(_: Machine) -> None:
        raise HangarError("hangar-local makes no backups.")

    monkeypatch.setattr(Machine, "show", silent)
    work.meet(settings)
    assert capsys.readouterr().err == (
        "warning: The key that proves this machine's backups was not learned: hangar-local makes no backups.\n"
    )
