"""The warehouse's cluster, account and server: made once, adopted where they fit, left alone where they do not."""

from __future__ import annotations

import dataclasses
import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hangar_warehouse import account, cluster, server
from hangar_warehouse.described import Described, Refused

from tests.ansible.stored import DESCRIBED

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="files of another owner are root's to make")


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_cluster_that_is_there_is_adopted(tmp_path: Path) -> None:
    assert cluster.look(DESCRIBED, tmp_path / "absent") == ["is missing"]
    assert cluster.look(DESCRIBED, tmp_path) == ["is missing"]
    write(tmp_path / "PG_VERSION", "17\n")
    assert cluster.look(DESCRIBED, tmp_path) == []


def of_another_version(data: Path) -> None:
    write(data / "PG_VERSION", "16\n")


def of_another_kind(data: Path) -> None:
    write(data / "photos/1.jpg")


def a_file(data: Path) -> None:
    write(data)


def a_link(data: Path) -> None:
    write(data.parent / "elsewhere/PG_VERSION", "17\n")
    data.symlink_to(data.parent / "elsewhere")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            of_another_version,
            "holds data of Postgres 16, this role runs 17. It was left alone: bring it over with ",
        ),
        (
            of_another_kind,
            "holds something that is no Postgres cluster. It was left alone: look what it is, and ",
        ),
        (a_file, "is no folder. Move it away, or put the data there."),
        (a_link, "is no folder. Move it away, or put the data there."),
    ],
)
def test_data_that_cannot_be_used_are_left_alone(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    data = tmp_path / "postgres"
    make(data)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    for verb in (cluster.look, cluster.ensure):
        with pytest.raises(Refused) as refused:
            verb(DESCRIBED, data)
        assert str(refused.value).startswith(f"{data} {said}")
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_data_of_another_owner_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "PG_VERSION", "17\n")
    other = dataclasses.replace(DESCRIBED, uid=os.geteuid() + 1)
    with pytest.raises(Refused) as refused:
        cluster.look(other, tmp_path)
    assert str(refused.value) == (
        f"{tmp_path} belongs to the number {os.geteuid()}, but warehouse has {other.uid}. "
        f"Set warehouse_uid to that number, or: sudo chown -R {other.uid}:{other.uid} {tmp_path}"
    )


@pytest.fixture
def initdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for initdb, which begins a cluster and ends as it is told."""
    program = write(
        tmp_path / "bin/initdb", '#!/bin/sh\necho 17 > "$2/PG_VERSION"\n. "$(dirname "$0")/ending"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(Described, "programs", tmp_path / "bin")
    return write(tmp_path / "bin/ending")


@needs_root
def test_a_cluster_whose_making_failed_does_not_count(tmp_path: Path, initdb: Path) -> None:
    """Neither after an error nor after a kill is there half a cluster where the server would look for one."""
    data = tmp_path / "postgres"
    for ending, said in (("echo no room >&2; exit 1", "no room"), ("kill -9 $$", "")):
        initdb.write_text(ending)
        with pytest.raises(Refused) as refused:
            cluster.ensure(DESCRIBED, data)
        assert str(refused.value) == f"The cluster could not be made: {said}"
        assert not data.exists()
        assert (tmp_path / ".postgres.new/PG_VERSION").exists()
    initdb.write_text("exit 0")
    cluster.ensure(DESCRIBED, data)
    assert (data / "PG_VERSION").read_text() == "17\n"
    assert not (tmp_path / ".postgres.new").exists()


@needs_root
def test_a_cluster_is_made_once(tmp_path: Path, initdb: Path) -> None:
    data = tmp_path / "postgres"
    cluster.ensure(DESCRIBED, data)
    write(data / "rows", "kept")
    initdb.write_text("exit 1")
    cluster.ensure(DESCRIBED, data)
    assert (data / "rows").read_text() == "kept"


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Lays down who is on the machine: entries as in /etc/passwd, /etc/group and /etc/shadow."""

    def lay(passwd: str = "", group: str = "", shadow: str = "") -> None:
        users = [pwd.struct_passwd(_numbers(line, (2, 3))) for line in passwd.split()]
        groups = [
            grp.struct_group([*_numbers(line, (2,))[:3], line.split(":")[3].split(",")])
            for line in group.split()
        ]
        monkeypatch.setattr(pwd, "getpwall", lambda: users)
        monkeypatch.setattr(pwd, "getpwnam", lambda name: {user.pw_name: user for user in users}[name])
        monkeypatch.setattr(grp, "getgrall", lambda: groups)
        monkeypatch.setattr(account, "SHADOW", write(tmp_path / "shadow", shadow))

    return lay


def _numbers(line: str, places: tuple[int, ...]) -> list[Any]:
    fields: list[Any] = line.split(":")
    return [int(field) if number in places else field for number, field in enumerate(fields)]


NUMBERED = dataclasses.replace(DESCRIBED, uid=700)
RIGHT = "warehouse:x:700:700:Service:/srv/warehouse/home:/usr/sbin/nologin"


def test_an_account_is_missing_or_right(accounts: Callable[..., None]) -> None:
    accounts("root:x:0:0:root:/root:/bin/sh", "root:x:0:")
    assert account.look(NUMBERED) == ["is missing"]
    accounts(RIGHT, "warehouse:x:700:", "warehouse:!*:20000::::::")
    assert account.look(NUMBERED) == []


def test_what_somebody_changed_in_the_account_is_found(accounts: Callable[..., None]) -> None:
    accounts(
        "warehouse:x:700:0:Service:/srv/warehouse/home:/bin/bash",
        "warehouse:x:700: sudo:x:27:hangar,warehouse",
        "root:*:1\nwarehouse:$y$hash:20000",
    )
    assert account.look(NUMBERED) == [
        "has another home or shell",
        "has another group",
        "is in further groups",
        "has a password",
    ]


def test_a_number_that_is_taken_is_refused(accounts: Callable[..., None]) -> None:
    accounts("chrony:x:700:700:Clock:/:/usr/sbin/nologin", "chrony:x:700: warehouse:x:701:")
    with pytest.raises(Refused) as refused:
        account.look(NUMBERED)
    assert str(refused.value) == (
        "the account chrony has the number 700, but warehouse is to have 700; "
        "the group chrony has the number 700, but warehouse is to have 700; "
        "the group warehouse has the number 701, but warehouse is to have 700. "
        "Choose another number (warehouse_uid), or remove that account by hand."
    )


@pytest.mark.parametrize(
    ("line", "replaced"),
    [
        ("55d0-55d1 r-xp 0 00:2f 1 /usr/lib/postgresql/17/bin/postgres", False),
        ("55d0-55d1 r-xp 0 00:2f 1 /usr/lib/postgresql/17/bin/postgres (deleted)", True),
        ("7f00-7f01 r-xp 0 00:2f 1 /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)", True),
        ("7f00-7f01 rw-s 0 00:01 1 /dev/zero (deleted)", False),
        ("7f00-7f01 rw-s 0 00:01 1 /SYSV0052e2c1 (deleted)", False),
    ],
)
def test_code_that_was_replaced_is_noticed(tmp_path: Path, line: str, replaced: bool) -> None:
    write(tmp_path / "42/maps", f"{line}\n7f02-7f03 rw-p 0 00:00 0 [heap]\n")
    assert server.is_replaced("42", tmp_path) == replaced
    assert not server.is_replaced("43", tmp_path)
