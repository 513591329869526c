"""The parts by themselves: schedules, masks, logs, the database, the start."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from airbyte_embedded import catalog, schedule, vault
from airbyte_embedded.connectors import BadRegistry, Connectors, read
from airbyte_embedded.database import MIGRATIONS, Database, NewerDatabase
from airbyte_embedded.joblog import LONGEST, JobLog, Logs
from airbyte_embedded.problems import Problem
from airbyte_embedded.settings import Settings

from tests.server import ROOT, Server

HEAVY = {"airbyte", "pandas", "duckdb", "numpy", "pyarrow", "sqlalchemy", "psycopg2"}


# schedules


def at(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@pytest.mark.parametrize(
    ("expression", "after", "due"),
    [
        ("0 30 6 * * ?", "2026-03-01T00:00:00+00:00", "2026-03-01T06:30:00+00:00"),
        ("0 30 6 * * ? UTC", "2026-03-01T06:30:00+00:00", "2026-03-02T06:30:00+00:00"),
        ("*/15 * * * * ?", "2026-03-01T00:00:01+00:00", "2026-03-01T00:00:15+00:00"),
        ("0 0 0 29 FEB ?", "2097-01-01T00:00:00+00:00", "2104-02-29T00:00:00+00:00"),
        ("0 0 8 ? * MON-FRI", "2026-03-06T09:00:00+00:00", "2026-03-09T08:00:00+00:00"),
        # the clocks go forward on 29 March: half past six there is half past four here
        ("0 30 6 * * ? Europe/Berlin", "2026-03-28T12:00:00+00:00", "2026-03-29T04:30:00+00:00"),
    ],
)
def test_quartz_expressions_name_the_right_moment(expression: str, after: str, due: str) -> None:
    assert schedule.following(expression, at(after)) == at(due)


@pytest.mark.parametrize(
    "expression",
    [None, "", "0 0 * * *", "0 0 0 * * 1", "0 0 0 L * ?", "0 0 0 ? * MON#2", "0 0 0 * * ? Mars/Olympus",
     "99 0 0 * * ?", "0 0 0 * * ? 2030", "@daily", "0 0 0 1W * ?", "0 0 0 30 FEB ?",
     "0 0 0 31 APR,JUN ? Europe/Berlin"],
)  # fmt: skip
def test_expressions_that_would_be_guessed_at_are_refused(expression: str | None) -> None:
    with pytest.raises(Problem) as caught:
        schedule.parse(expression)
    assert caught.value.status == 400


def test_a_connection_runs_when_it_is_due(make_server: Callable[..., Server]) -> None:
    server = make_server()
    cron = {"scheduleType": "cron", "cronExpression": "*/2 * * * * ?"}
    connection = server.connection(server.source(), server.destination(), schedule=cron)
    deadline = time.monotonic() + 20
    while not (jobs := server.get("/jobs", connectionId=connection)["data"]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert server.ask(
        "PATCH", f"/connections/{connection}", json={"schedule": {"scheduleType": "manual"}}
    ).is_success
    assert server.ask("DELETE", f"/jobs/{jobs[0]['jobId']}").json()["status"] == "cancelled"
    assert (
        len(server.get("/jobs", connectionId=connection)["data"]) == 1
    )  # one at a time, however often it was due


# names


def fields(*names: str) -> list[dict[str, Any]]:
    return [{"name": "items", "json_schema": {"properties": {name: {} for name in names}}}]


@pytest.mark.parametrize(
    ("offered", "longest", "refused"),
    [
        (fields("a" * 63 + "b", "a" * 63 + "c"), 63, "would both be written to the column aaa"),
        (fields("a" * 63 + "b", "a" * 63 + "c"), None, ""),
        (fields("Order Id", "order-id"), None, "Order Id and order-id would both be written to the column order_id"),
        (fields("1st", "_1st"), None, "1st and _1st would both be written to the column _1st"),
        (fields("id", "_airbyte_raw_id"), None, "the column _airbyte_raw_id is the engine's own"),
        (fields("id", "_airbyte_data"), None, ""),
        (fields("id", "*"), None, "a field called '*' cannot be a column: select the others"),
        ([{"name": "t" * 59}], 63, "a table may have 62 letters with this destination"),
        ([{"name": "t" * 58}], 63, ""),
        ([{"name": "t", "namespace": "a"}, {"name": "t", "namespace": "b"}], 63,
         "t: the source has it in the namespaces a, b: name one"),
    ],
)  # fmt: skip
def test_names_that_would_lose_values_or_fail_a_job_are_refused(
    offered: list[dict[str, Any]], longest: int | None, refused: str
) -> None:
    try:
        catalog.configured(None, offered, "raw_", longest)
        said = ""
    except Problem as problem:
        said = problem.detail
    assert refused in said
    assert bool(refused) == bool(said)


def test_a_table_needs_a_letter_that_a_database_can_be_given() -> None:
    with pytest.raises(Problem) as caught:
        catalog.configured(None, [{"name": "订单"}])
    assert (
        "a table needs a letter or digit of ASCII in its name: give the connection a prefix"
        in caught.value.detail
    )
    assert catalog.configured(None, [{"name": "订单"}], "raw_")[0]["name"] == "订单"


def test_a_stream_is_not_written_over_a_table_of_the_engine() -> None:
    offered = [{"name": "_airbyte_embedded_state"}]
    with pytest.raises(Problem) as caught:
        catalog.configured(None, offered)
    assert "tables whose names begin with _airbyte_ are the engine's own" in caught.value.detail
    assert catalog.configured(None, offered, "raw_")


# masks

SPECIFICATION = {
    "properties": {
        "password": {"type": "string", "airbyte_secret": True},
        "credentials": {
            "oneOf": [
                {"properties": {"token": {"type": "string"}}},
                {"properties": {"token": {"type": "string", "airbyte_secret": True}}},
            ]
        },
        "keys": {"type": "array", "items": {"type": "string", "airbyte_secret": True}},
        "servers": {"type": "array", "items": {"properties": {"pin": {"airbyte_secret": True}}}},
        "name": {"type": "string"},
    }
}
GIVEN: dict[str, Any] = {
    "password": "one",
    "credentials": {"token": "two"},
    "keys": ["three"],
    "servers": [{"pin": 4444, "host": "h"}],
    "name": "n",
}


def test_a_secret_in_any_branch_of_the_specification_is_masked() -> None:
    mask = vault.MASK
    assert vault.masked(GIVEN, SPECIFICATION) == {
        "password": mask, "credentials": {"token": mask}, "keys": [mask], "servers": [{"pin": mask, "host": "h"}],
        "name": "n",
    }  # fmt: skip


def test_masks_that_come_back_keep_what_was_there_and_nothing_else() -> None:
    shown = vault.masked(GIVEN, SPECIFICATION) | {"name": "m"}
    assert vault.unmasked(shown, SPECIFICATION, GIVEN) == GIVEN | {"name": "m"}
    assert vault.unmasked({"password": "new"}, SPECIFICATION, GIVEN) == {"password": "new"}
    assert vault.unmasked({"name": vault.MASK}, SPECIFICATION, GIVEN) == {
        "name": vault.MASK
    }  # no secret: a name


def test_a_key_of_several_lines_is_masked_line_by_line(tmp_path: Path) -> None:
    key = "-----BEGIN KEY-----\nc2VjcmV0LW9uZQ==\nc2VjcmV0LXR3bw==\n-----END KEY-----\n"
    log = JobLog(tmp_path / "a.log", vault.secret_values({"password": key}, SPECIFICATION), 10**6)
    log.write(f"cannot use the key:\n{key}in the configuration\n".encode())
    log.close()
    text = (tmp_path / "a.log").read_text()
    assert "c2VjcmV0" not in text
    assert text.startswith("cannot use the key:\n")
    assert text.endswith("in the configuration\n")


def test_a_sealed_configuration_opens_only_with_its_own_key(tmp_path: Path) -> None:
    from cryptography.fernet import InvalidToken

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    sealed = vault.Vault(tmp_path / "one").seal(GIVEN)
    assert b"two" not in sealed
    assert vault.Vault(tmp_path / "one").open(sealed) == GIVEN
    with pytest.raises(InvalidToken):
        vault.Vault(tmp_path / "two").open(sealed)


# logs


def test_a_secret_is_masked_even_where_the_output_comes_in_pieces(tmp_path: Path) -> None:
    log = JobLog(tmp_path / "log/a.log", ["the-secret"], 10**6)
    for piece in (b"before the-", b"sec", b"ret after\nnext line"):
        log.write(piece)
    log.close()
    assert (tmp_path / "log/a.log").read_text() == "before ********** after\nnext line\n"


def test_a_secret_is_masked_where_an_endless_line_is_cut(tmp_path: Path) -> None:
    log = JobLog(tmp_path / "a.log", ["the-secret"], 10**6)
    log.write(b"x" * (LONGEST - 3) + b"the-se")
    log.write(b"cret" + b"y" * LONGEST)
    log.close()
    text = (tmp_path / "a.log").read_text().replace("\n", "")
    assert "secret" not in text
    assert vault.MASK in text


def test_a_log_has_a_bound_and_an_age(tmp_path: Path) -> None:
    logs = Logs(tmp_path, megabytes=1, days=30)
    log = logs.open(1, 1, [])
    for number in range(30_000):
        log.write(f"line {number} {'x' * 90}\n".encode())
    log.close()
    files = list((tmp_path / "jobs/1").iterdir())
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) < 2_200_000
    for file in files:
        os.utime(file, (0, 0))  # as within one tick of the file system's clock
    assert logs.tail(1, 1000).splitlines()[-1].startswith("line 29999 ")
    old = time.time() - 31 * 86400
    for file in files:
        os.utime(file, (old, old))
    logs.prune()
    assert not (tmp_path / "jobs/1").exists()
    assert logs.tail(1, 1000) == ""


def test_a_log_that_finds_no_room_for_its_next_part_writes_into_nobody_elses_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = JobLog(tmp_path / "a.log", [], 100)
    log.write(b"first\n")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("airbyte_embedded.joblog.os.open", full)
        log.write(b"x" * 100 + b"\n")
    other = os.open(
        tmp_path / "other", os.O_WRONLY | os.O_CREAT
    )  # would get the number of a file that was closed
    log.write(b"second\nthird\n")
    log.close()
    os.close(other)
    assert (tmp_path / "other").read_bytes() == b""
    assert (tmp_path / "a.1.log").read_text().splitlines() == ["first", "x" * 100, "second"]
    assert (tmp_path / "a.log").read_text() == "third\n"


def test_the_newest_attempt_is_the_end_of_a_jobs_log(tmp_path: Path) -> None:
    logs = Logs(tmp_path, megabytes=1, days=30)
    for attempt in (10, 9):
        log = logs.open(1, attempt, [])
        log.write(f"attempt {attempt}\n".encode())
        log.close()
    assert logs.tail(1, 1000) == "attempt 9\nattempt 10\n"


# the database and the start


def test_a_transaction_that_a_full_disk_ends_says_so_and_leaves_nothing_of_itself(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.sqlite")
    (pages,) = database.one("PRAGMA page_count") or ()
    database.run(f"PRAGMA max_page_count = {pages + 2}")
    workspace = {"id": "small", "name": "x", "created_at": 1}

    def make_two() -> None:
        with database.transaction():
            database.insert("workspaces", workspace)
            database.insert("workspaces", workspace | {"id": "large", "name": "x" * 100_000})

    with pytest.raises(sqlite3.OperationalError, match=r"^database or disk is full$"):
        make_two()
    assert database.all("SELECT id FROM workspaces") == []
    database.run(f"PRAGMA max_page_count = {pages + 1000}")
    with database.transaction():
        database.insert("workspaces", workspace)
    assert [row["id"] for row in database.all("SELECT id FROM workspaces")] == ["small"]
    assert [tuple(row) for row in database.all("PRAGMA integrity_check")] == [("ok",)]


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    database = Database(path)
    database.run(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    database.close()
    with pytest.raises(NewerDatabase):
        Database(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "registry.json is not a registry of connectors"),
        ('{"x": {}}', "x needs exactly one of lock (with executable), manifest, command"),
        ('{"../x": {"command": ["x"]}}', "../x needs exactly one"),
        ('{"x": {"lock": "x.lock"}}', "x needs exactly one"),
        ('{"x": {"manifest": "x.yaml"}}', "x: x.yaml is not there"),
    ],
)
def test_a_registry_that_makes_no_sense_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "registry.json").write_text(content)
    with pytest.raises(BadRegistry, match=re.escape(said)):
        read(tmp_path)


UV = """#!/bin/sh
case "$1" in venv) for last; do :; done; mkdir -p "$last/bin"; touch "$last/version" ;; esac
"""
"""Plays uv: an environment is a folder."""


def test_environments_of_earlier_versions_of_a_connector_make_room_but_the_last(tmp_path: Path) -> None:
    """Two years of new locks; an upgrade may still go back to the version before."""
    registry, uv = tmp_path / "registry", tmp_path / "uv"
    registry.mkdir()
    uv.write_text(UV)
    uv.chmod(0o755)
    settings = Settings(tmp_path / "data", tmp_path / "clients", uv=str(uv), extra_connectors=registry)
    for folder in (settings.connectors, settings.work):
        folder.mkdir(parents=True)
    entries = {name: {"lock": f"{name}.lock", "executable": "x"} for name in ("shop", "shop-plus")}
    (registry / "registry.json").write_text(json.dumps(entries))
    (registry / "shop-plus.lock").write_text("the same all the time")
    half = settings.connectors / f"source-shop-{'0' * 16}"
    half.mkdir()  # an installation that was killed
    kept = []
    for version in range(4):
        (registry / "shop.lock").write_text(f"version {version}")
        connectors = Connectors(settings)
        for name in entries:
            asyncio.run(connectors.ensure_installed(connectors.find(name, None)))
        kept.append(Path(connectors.command(connectors.find("shop", None))[0]).parents[1])
        os.utime(kept[-1] / "complete", (version, version))
    plus = Path(connectors.command(connectors.find("shop-plus", None))[0]).parents[1]
    assert set(settings.connectors.iterdir()) == {plus, *kept[-2:]}
    assert all((path / "version").exists() for path in (plus, *kept[-2:]))


def start(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airbyte_embedded", "--port", "0", *options],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_two_services_cannot_share_a_folder(server: Server) -> None:
    done = start("--data", str(server.data), "--clients", str(server.clients))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"The service did not start: Another process serves {server.data}.\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        ("[]", "is not a list of clients (TypeError)"),
        ('{"clients": []}', "names no client"),
        ('{"clients": [{"id": "a", "secret": "hidden-word", "scope": "root"}]}',
         "the scope of a is none of admin, orchestrator"),
        ('{"clients": [{"id": "a", "secret_sha256": "abc", "scope": "admin"}]}',
         "the secret_sha256 of a is not 64 hexadecimal digits"),
    ],
)  # fmt: skip
def test_a_file_of_clients_that_cannot_be_used_stops_the_start(
    tmp_path: Path, content: str | None, said: str
) -> None:
    clients = tmp_path / "clients.json"
    if content is not None:
        clients.write_text(content)
    done = start("--data", str(tmp_path / "data"), "--clients", str(clients))
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "hidden-word" not in done.stderr


def test_the_service_carries_none_of_the_jobs_packages(server: Server) -> None:
    probe = f"import json, sys, airbyte_embedded.app; print(json.dumps(sorted({HEAVY} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
    assert server.process
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    assert int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) < 120_000  # kB; bench.py has the figure


def test_locks_carry_hashes_and_no_index() -> None:
    locks = [path for path in ROOT.rglob("*.lock") if ".venv" not in str(path)]
    assert {path.name for path in locks} >= {"requirements.lock", "worker.lock", "faker.lock"}
    for path in locks:
        pins = re.split(r"\n(?=[a-z0-9])", path.read_text().strip())
        assert all("--hash=sha256:" in pin for pin in pins if "==" in pin), path
        assert not re.search(r"https?://|--index|file:", path.read_text()), path
