"""A host that takes backups, prepared by the guide's own commands: it can be added to, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hangar_backup import described, sending
from hangar_backup.described import Refused

from hangar import engine
from hangar.backup import fetching, retention
from hangar.backup.folder import Folder
from hangar.backup.host import Host
from hangar.cloud import base_image
from hangar.cloud.recipe import Recipe
from hangar.config import Config
from hangar.errors import HangarError
from hangar.ssh.keys import ensure_key
from tests.engine import slow_way
from tests.unit.backup.conftest import Make, folder, make, settings, sign, signing_key  # noqa: F401  (fixtures)
from tests.unit.conftest import make_config, own_sockets, repo  # noqa: F401  (fixtures)

REPO = Path(__file__).resolve().parents[2]

NAME = "hangar-engine-backup-host"
FIRST, SECOND = "20261101T031500Z", "20261102T031500Z"

pytestmark = pytest.mark.machine


def inside(script: str) -> str:
    done = subprocess.run(
        ["docker", "exec", "-i", NAME, "sh", "-s"], input=script, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Vault:
    """The host, with a key for each of its two names."""

    address: str
    host_key: str
    drop: Path
    keep: Path


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """Its disk has 8 MiB, so that it can be filled."""
    image = base_image.ensure(engine.connect(), Recipe(), lambda said: None)
    subprocess.run(["docker", "rm", "--force", NAME], capture_output=True, check=True)
    argv = [
        "docker",
        "run",
        "--detach",
        "--name",
        NAME,
        "--tmpfs",
        "/srv:size=8m",
        "--entrypoint",
        "sleep",
        image,
    ]
    subprocess.run([*argv, "infinity"], capture_output=True, check=True)
    try:
        written = (REPO / "docs/backup.md").read_text()
        (guide,) = re.findall(r"## Another host\n[^`]*```sh\n(.*?)```", written, re.S)
        inside(f"set -e\n{guide}")
        keys = tmp_path_factory.mktemp("keys")
        for name in ("drop", "keep"):
            inside(f"echo '{ensure_key(keys / name, name)}' > /etc/ssh/hangar/{name}")
        inside("mkdir -p /run/sshd && ssh-keygen -A && /usr/sbin/sshd")
        address = subprocess.run(
            ["docker", "inspect", "--format", "{{.NetworkSettings.IPAddress}}", NAME],
            capture_output=True,
            text=True,
        ).stdout.strip()
        host_key = " ".join(inside("cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2])
        yield Vault(address, host_key, keys / "drop", keys / "keep")
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", NAME], capture_output=True, check=True)


@pytest.fixture
def send(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sends files of a folder as the machine does."""
    (tmp_path / "known").write_text(f"{vault.address} {vault.host_key}\n")
    monkeypatch.setattr(sending, "KNOWN_HOSTS", tmp_path / "known")
    monkeypatch.setattr(sending, "SENDING_KEY", vault.drop)
    inside("rm -rf /srv/hangar-backups/drop/* /srv/filler")

    def sent(place: Path, *names: str, through: int = 0) -> None:
        if through:
            (tmp_path / "known").write_text(f"[127.0.0.1]:{through} {vault.host_key}\n")
        way = ("127.0.0.1", through) if through else (vault.address, 22)
        sending.send(described.Host(*way, "hangar-drop", "/drop"), names, place)

    return sent


@pytest.fixture
def host(vault: Vault, settings: Config) -> Host:  # noqa: F811
    """The host as this computer sees it."""
    sftp = settings.backup.sftp.model_copy(update={"host": vault.address, "host_key": (vault.host_key,)})
    backup = settings.backup.model_copy(update={"sftp": sftp})
    access = settings.access.model_copy(update={"private_key": vault.keep})
    return Host(settings.model_copy(update={"backup": backup, "access": access}))


def sftp(vault: Vault, tmp_path: Path, command: str) -> int:
    """What the machine's account may do beyond what it does."""
    argv = [
        "sftp",
        "-F",
        "none",
        "-q",
        "-b",
        "-",
        "-i",
        str(vault.drop),
        "-o",
        f"UserKnownHostsFile={tmp_path}/known",
    ]
    done = subprocess.run(
        [*argv, f"hangar-drop@{vault.address}"], input=command, capture_output=True, text=True
    )
    return done.returncode


def test_what_was_added_can_neither_be_read_nor_changed_nor_seen(
    vault: Vault, send: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "a.age").write_text("good")
    (tmp_path / "evil").write_text("evil, and longer")
    send(tmp_path, "a.age")
    for command in (
        "get /drop/a.age got", f"put {tmp_path}/evil /drop/a.age", f"reput {tmp_path}/evil /drop/a.age", "ls /drop",
        "rm /drop/a.age", "rename /drop/a.age /drop/b.age", "chmod 600 /drop/a.age", "ln /drop/a.age /drop/b.age",
        "symlink /drop/a.age /drop/b.age", "mkdir /drop/folder", f"put {tmp_path}/evil /elsewhere",
    ):  # fmt: skip
        assert sftp(vault, tmp_path, command) != 0, command
    assert inside("cd /srv/hangar-backups/drop && ls && cat a.age") == "a.age\ngood"
    shell = [
        "ssh",
        "-F",
        "none",
        "-i",
        str(vault.drop),
        "-o",
        f"UserKnownHostsFile={tmp_path}/known",
        "-o",
        "BatchMode=yes",
    ]
    for name in ("hangar-drop", "hangar-keep"):
        done = subprocess.run([*shell, f"{name}@{vault.address}", "id"], capture_output=True, text=True)
        assert done.returncode != 0
        assert "uid=" not in done.stdout


def test_a_backup_comes_back_from_the_host(
    host: Host,
    send: Callable[..., None],
    make: Make,  # noqa: F811
    folder: Folder,  # noqa: F811
) -> None:
    made = make(SECOND, *make(FIRST).parts)
    send(folder.path, *(part.object for part in made.parts), f"{SECOND}.json")
    inside("echo '{' > /srv/hangar-backups/drop/20261103T031500Z.json; chmod 0 /srv/hangar-backups/drop/2*.json; "
           "chown hangar-drop /srv/hangar-backups/drop/*")  # fmt: skip
    folder.keep(set())
    fetching.from_target(host, folder, "latest", lambda said: None)
    assert [one.id for one in folder.backups()] == [SECOND], "a torn index is none"
    assert folder.missing(folder.require("latest")) == []


def test_what_need_not_be_kept_goes_and_young_objects_stay(
    host: Host,
    send: Callable[..., None],
    make: Make,  # noqa: F811
    folder: Folder,  # noqa: F811
) -> None:
    old, new = make(FIRST), make(SECOND)
    send(
        folder.path,
        *(part.object for one in (old, new) for part in one.parts),
        f"{FIRST}.json",
        f"{SECOND}.json",
    )
    now = datetime(2026, 11, 3, tzinfo=UTC)
    assert host.keep({SECOND}, [old, new], now) == [FIRST]
    assert set(host.sizes()) == {f"{SECOND}.json", f"files-{FIRST}.age", f"files-{SECOND}.age"}
    host.keep({SECOND}, [new], now + timedelta(days=retention.SAFE_DAYS))
    assert set(host.sizes()) == {f"{SECOND}.json", f"files-{SECOND}.age"}


def test_a_host_that_is_full_says_so_and_keeps_what_it_has(send: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "a.age").write_text("good")
    (tmp_path / "b.age").write_bytes(bytes(4 * 2**20))
    send(tmp_path, "a.age")
    inside("head -c 6M /dev/zero > /srv/filler")
    with pytest.raises(Refused, match="it takes no more data; it may be full"):
        send(tmp_path, "b.age", f"{FIRST}.json")
    listed = inside("cd /srv/hangar-backups/drop && cat a.age && ls")
    assert listed == "gooda.age\nb.age\n", "no index names what came half"


def test_a_host_with_another_key_gets_nothing(
    send: Callable[..., None], tmp_path: Path, vault: Vault
) -> None:
    (tmp_path / "a.age").write_text("good")
    other = ensure_key(tmp_path / "other", "another host's")
    (tmp_path / "known").write_text(f"{vault.address} {other}\n")
    with pytest.raises(Refused, match=r"its key has changed: it may be another machine\. Nothing was sent"):
        send(tmp_path, "a.age")
    assert inside("ls /srv/hangar-backups/drop") == ""


def test_a_host_that_is_gone_is_named(send: Callable[..., None], tmp_path: Path, host: Host) -> None:
    (tmp_path / "a.age").write_text("good")
    inside("kill $(cat /run/sshd.pid)")
    try:
        with pytest.raises(Refused, match=r"The backup was not sent to \S+: nothing answers there"):
            send(tmp_path, "a.age")
        with pytest.raises(HangarError, match="does not hand its backups out"):
            host.sizes()
    finally:
        inside("/usr/sbin/sshd")


def test_a_host_that_falls_silent_in_the_middle_is_named_and_what_it_has_stays_good(
    send: Callable[..., None], tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.age").write_text("good")
    (tmp_path / "b.age").write_bytes(os.urandom(2 * 2**20))
    send(tmp_path, "a.age")
    monkeypatch.setattr(sending, "SILENCE", 1)
    with (
        slow_way.leading_to(vault.address, falls_silent_after=2**20) as port,
        pytest.raises(Refused, match=r"was not sent to 127\.0\.0\.1: it stopped answering"),
    ):
        send(tmp_path, "b.age", f"{FIRST}.json", through=port)
    held = inside("cd /srv/hangar-backups/drop && cat a.age && ls && stat -c %s b.age").split()
    assert held[:3] == ["gooda.age", "b.age", held[2]], "no index names what came half"
    assert int(held[2]) < 2 * 2**20


def test_a_way_that_is_too_slow_is_given_up(
    send: Callable[..., None], tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b.age").write_bytes(os.urandom(2 * 2**20))
    (tmp_path / f"{FIRST}.json").write_text("{}")
    with slow_way.leading_to(vault.address, bytes_a_second=2**17) as port:
        monkeypatch.setattr(sending, "HOURS", 4 / 3600)
        with pytest.raises(Refused, match=r"it took more than \S+ hours; the way is slow"):
            send(tmp_path, "b.age", f"{FIRST}.json", through=port)
        assert inside("ls /srv/hangar-backups/drop") == "b.age\n"
        monkeypatch.setattr(sending, "HOURS", 6)
        (tmp_path / "c.age").write_bytes(os.urandom(2**17))
        send(tmp_path, "c.age", f"{FIRST}.json", through=port)
    assert inside("ls /srv/hangar-backups/drop") == f"{FIRST}.json\nb.age\nc.age\n", (
        "slow alone is no failure"
    )
