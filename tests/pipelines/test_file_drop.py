"""Files that people drop: good ones, broken ones, malicious ones, the same one again. On a real Postgres."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import re
import stat
import struct
import time
import zipfile
from functools import partial
from pathlib import Path

import psycopg
import pytest
from conftest import BUNDLE
from file_drop import feeds, folders, take
from file_drop.archive import Limits
from file_drop.folders import Folders
from file_drop.take import NotNow

FEEDS = feeds.read(BUNDLE / "file_drop/feeds.yml")
HEADER = "order_id,ordered_at,customer,amount,paid\n"
GOOD = HEADER + "1,2026-03-01T10:00:00,Ada,12.50,true\n2,2026-03-01T11:00:00+01:00,,7,\n"
SMALL = Limits(packed=100_000, unpacked=1_000_000, ratio=50, members=5, json=10_000)


@pytest.fixture
def drop(tmp_path, warehouse, monkeypatch):
    """Put a zip file into the folder and have it taken; answers what became of everything there."""
    monkeypatch.setattr(folders, "SETTLED", -1.0)
    place = Folders.under(tmp_path)
    login = {"host": "127.0.0.1", "port": warehouse.port, "dbname": "warehouse", "user": "loader"}
    session = partial(psycopg.connect, password="password-of-loader", options="-c timezone=UTC", **login)

    def put(name="orders-1.zip", **members):
        (place.arrivals / name).write_bytes(packed(members))
        return take_now()

    def take_now(limits=SMALL):
        return take.take_all(place, FEEDS, session, limits)

    put.take, put.place, put.session = take_now, place, session
    return put


def packed(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def rows(warehouse):
    if not warehouse.value("SELECT to_regclass('landing.orders')"):
        return None
    return warehouse.rows(
        "SELECT order_id, ordered_at AT TIME ZONE 'UTC', customer, amount, paid FROM landing.orders ORDER BY 1"
    )


def test_csv_and_json_are_loaded_typed_and_archived(drop, warehouse):
    objects = [{"order_id": 3, "ordered_at": "2026-03-02T00:00:00Z", "amount": 1.25, "paid": False}]
    lines = '{"order_id": 4, "ordered_at": "2026-03-03", "customer": "Bob", "amount": "3"}\n\n'
    (done,) = drop(
        **{"a.csv": "\ufeff" + GOOD, "deep/b.json": json.dumps(objects), "c.jsonl": lines, "__MACOSX/x": "?"}
    )
    assert (done["feed"], done["rows"], done["reason"]) == ("orders", 4, "")
    assert [str(row) for row in rows(warehouse)] == [
        "(1, datetime.datetime(2026, 3, 1, 10, 0), 'Ada', Decimal('12.50'), True)",
        "(2, datetime.datetime(2026, 3, 1, 10, 0), None, Decimal('7'), None)",
        "(3, datetime.datetime(2026, 3, 2, 0, 0), None, Decimal('1.25'), False)",
        "(4, datetime.datetime(2026, 3, 3, 0, 0), 'Bob', Decimal('3'), None)",
    ]
    assert Path(done["put"]).is_file()
    assert Path(done["put"]).is_relative_to(drop.place.archive / "orders")
    assert [list(folder.iterdir()) for folder in (drop.place.arrivals, drop.place.work, drop.place.quarantine)] == [
        [], [], [],
    ]  # fmt: skip


def test_the_same_content_loads_once_whatever_its_name(drop, warehouse):
    assert [done["rows"] for done in drop(**{"a.csv": GOOD})] == [2]
    assert [done["rows"] for done in drop(**{"a.csv": GOOD})] == [0]
    more = HEADER + "9,2026-03-09,Eve,1,true\n"
    (done,) = drop("orders-again.zip", **{"renamed.csv": GOOD, "new.csv": more})
    assert (done["rows"], done["reason"]) == (1, "")
    assert len(rows(warehouse)) == 3


@pytest.mark.parametrize(
    ("member", "content", "reason"),
    [
        ("a.csv", "", "'a.csv': it is empty, without even a header"),
        ("a.csv", "order_id,amount\n1,2\n", "'a.csv': its columns are order_id, amount, and should be order_id, "
         "ordered_at, customer, amount, paid"),
        ("a.csv", HEADER.replace("paid", "amount"), "'a.csv': its columns are order_id, ordered_at, customer, amount"),
        ("a.csv", GOOD + "3,2026-03-01,x,1\n", "'a.csv', row 3: it has 4 fields, and the header 5"),
        ("a.csv", GOOD + "x,2026-03-01,x,1,true\n", "'a.csv', row 3: order_id holds 'x', which is no integer"),
        ("a.csv", GOOD + "3,yesterday,x,1,true\n", "'a.csv', row 3: ordered_at holds 'yesterday', which is no times"),
        ("a.csv", GOOD + "3,2026-03-01,x,NaN,true\n", "'a.csv', row 3: amount holds 'NaN', which is no numeric"),
        ("a.csv", GOOD + "3,2026-03-01,x,1E+200000,true\n", "'a.csv', row 3: amount holds '1E+200000', which is no n"),
        ("a.csv", GOOD + "3,2026-03-01,x,1E-20000,true\n", "'a.csv', row 3: amount holds '1E-20000', which is no num"),
        ("a.csv", GOOD + "3,2026-03-01,x,,true\n", "'a.csv', row 3: amount is empty"),
        ("a.csv", GOOD + "3,2026-03-01,x,1,perhaps\n", "'a.csv', row 3: paid holds 'perhaps', which is no boolean"),
        ("a.csv", GOOD + "9223372036854775808,2026-03-01,x,1,\n", "'a.csv', row 3: order_id holds '92233720"),
        ("a.csv", GOOD + "3,2026-03-01,a\0b,1,true\n", "'a.csv', row 3: customer holds 'a\\x00b', which is no text"),
        ("a.csv", GOOD + '3,2026-03-01,"open,1,true\n', "'a.csv', row 3: it cannot be read: unexpected end of data"),
        ("a.csv", GOOD.replace("Ada", "Jos\u00e9").encode("latin-1"), "'a.csv' is not in UTF-8, at row 1 or soon"),
        ("a.json", '{"order_id": 1}', "'a.json': it is no list of objects"),
        ("a.json", "[1]", "'a.json', row 1: it is no object"),
        ("a.json", '[{"order_id": 1, "who": 2}]', "'a.json', row 1: there is no column who"),
        ("a.json", '[{"\\ud800\\u0000": 1}]', "'a.json', row 1: there is no column \\ud800\\x00"),
        ("a.json", '[{"order_id": 1, "ordered_at": "2026-03-01", "customer": "\\ud800", "amount": 1}]',
         "'a.json', row 1: customer holds '\\ud800', which is no text"),
        ("a.json", '[{"order_id": [1]}]', "'a.json', row 1: order_id holds [1], which is no integer"),
        ("a.json", '[{"order_id": true}]', "'a.json', row 1: order_id holds 'true', which is no integer"),
        ("a.json", '[{"order_id": 1, "amount": NaN}]', "'a.json', row 1: NaN is no JSON"),
        ("a.json", "[" * 5000, "'a.json', row 1: it cannot be read: "),
        ("a.json", "[" + " " * 20_000 + "]", "'a.json': one .json file may have 10000 letters; write more as .jsonl"),
        ("a.jsonl", '{"order_id": 1}\n{"order', "'a.jsonl', row 1: ordered_at is empty"),
        ("a.xlsx", "x", "'a.xlsx' is neither of .csv, .json, .jsonl"),
        ("../../etc/a.csv", GOOD, "'../../etc/a.csv' leads out of the archive"),
        ("/etc/a.csv", GOOD, "'/etc/a.csv' leads out of the archive"),
        ("..\\a.csv", GOOD, "'..\\\\a.csv' leads out of the archive"),
        ("C:a.csv", GOOD, "'C:a.csv' leads out of the archive"),
        ("a\x1b[2J.csv", GOOD, "'a\\x1b[2J.csv' has control characters in its name"),
        ("zeros.csv", HEADER + "0" * 900_000, "'zeros.csv': it unpacks to more than 65536 bytes, as a zip bomb does"),
        ("large.csv", "0" * 1_000_001, "unpacked it has 1000001 bytes; at most 1000000 are taken"),
    ],
)  # fmt: skip
def test_what_is_broken_goes_aside_with_the_reason_and_loads_nothing(
    drop, warehouse, member, content, reason
):
    (done,) = drop(**{"0-good.csv": GOOD, member: content} if member == "a.csv" else {member: content})
    assert done["reason"].startswith(reason)
    assert not rows(warehouse)
    aside = Path(done["put"])
    assert aside.is_file()
    assert (
        aside.with_name(f"{aside.name}.reason.txt").read_text()
        == f"'orders-1.zip' was not loaded: {done['reason']}.\n"
    )


def test_one_broken_file_stops_no_other(drop, warehouse):
    (drop.place.arrivals / "orders-0.zip").write_bytes(b"no zip at all")
    (drop.place.arrivals / "invoices.zip").write_bytes(packed({"a.csv": GOOD}))
    done = {outcome["name"]: outcome for outcome in drop("orders-1.zip", **{"a.csv": GOOD})}
    assert done["orders-0.zip"]["reason"] == "it is no zip file that can be read: File is not a zip file"
    assert done["invoices.zip"]["reason"] == (
        "no feed takes a file of this name; these are taken: orders*.zip (orders)"
    )
    assert done["orders-1.zip"]["rows"] == 2


def test_an_archive_that_lies_is_not_believed(drop, warehouse):
    def spoilt(change):
        data = bytearray(packed({"a.csv": GOOD}))
        change(data)
        (drop.place.arrivals / "orders-1.zip").write_bytes(data)
        (done,) = drop.take()
        return done["reason"]

    def flip(data):
        data[45] ^= 0xFF

    def shorter(data):
        at = data.rindex(b"PK\x01\x02")
        struct.pack_into("<L", data, at + 24, 10)

    def locked(data):
        at = data.rindex(b"PK\x01\x02")
        data[at + 8] |= 1

    assert spoilt(flip).startswith("it is no zip file that can be read: ")
    assert "Bad CRC-32" in spoilt(shorter) or "columns are" in spoilt(shorter)
    assert spoilt(locked) == "'a.csv' is encrypted"
    assert spoilt(lambda data: data.__delitem__(slice(-30, None))).startswith(
        "it is no zip file that can be read: "
    )
    assert not rows(warehouse)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"])
def test_a_damaged_member_goes_aside_however_it_was_packed(drop, warehouse, method):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("a.csv", GOOD * 20)
    data = bytearray(stream.getvalue())
    data[50:70] = bytes(byte ^ 0xFF for byte in data[50:70])
    (drop.place.arrivals / "orders-0.zip").write_bytes(data)
    done = {outcome["name"]: outcome for outcome in drop(**{"a.csv": GOOD})}
    assert done["orders-0.zip"]["reason"].startswith("it is no zip file that can be read: ")
    assert (done["orders-1.zip"]["rows"], done["orders-1.zip"]["reason"]) == (2, "")


def test_a_member_whose_name_is_not_in_the_coding_that_it_claims_goes_aside(drop):
    data = packed({"\u00e9.csv": GOOD}).replace("\u00e9".encode(), b"\xff\xff")
    (drop.place.arrivals / "orders-0.zip").write_bytes(data)
    done = {outcome["name"]: outcome for outcome in drop(**{"a.csv": GOOD})}
    assert done["orders-0.zip"]["reason"].startswith(
        "it is no zip file that can be read: 'utf-8' codec can't"
    )
    assert done["orders-1.zip"]["rows"] == 2


def test_a_link_in_an_archive_and_too_many_files_are_refused(drop):
    link = zipfile.ZipInfo("a.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    (drop.place.arrivals / "orders-1.zip").write_bytes(packed({link: "/etc/passwd"}))
    assert drop.take()[0]["reason"] == "'a.csv' is a link or a device"
    assert (
        drop(**{f"{n}.csv": GOOD for n in range(6)})[0]["reason"] == "it holds 6 files; at most 5 are taken"
    )
    assert drop(**{"a.csv": GOOD, "A.csv": GOOD})[0]["reason"] == "it holds two files of the same name"
    assert drop()[0]["reason"] == "there is no file in it"


def test_what_is_no_plain_file_is_not_followed(drop, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(packed({"a.csv": GOOD}))
    (drop.place.arrivals / "orders-link.zip").symlink_to(secret)
    os.mkfifo(drop.place.arrivals / "orders-pipe.zip")
    (drop.place.arrivals / "orders-folder.zip").mkdir()
    (drop.place.arrivals / "orders-large.zip").write_bytes(b"0" * 100_001)
    done = {outcome["name"]: outcome["reason"] for outcome in drop.take()}
    assert done == {
        "orders-link.zip": "it cannot be opened as a plain file (Too many levels of symbolic links)",
        "orders-pipe.zip": "it is no plain file",
        "orders-folder.zip": "it is no plain file",
        "orders-large.zip": "it has 100001 bytes; at most 100000 are taken",
    }
    assert list(drop.place.arrivals.iterdir()) == []
    assert secret.exists()
    assert not any(path.is_symlink() for path in drop.place.quarantine.iterdir())


def test_a_file_that_is_taken_back_in_the_last_moment_stops_no_other(drop, monkeypatch):
    gone, there = drop.place.arrivals / "orders-0.zip", drop.place.arrivals / "orders-1.zip"
    there.write_bytes(packed({"a.csv": GOOD}))
    monkeypatch.setattr(Folders, "settled", lambda self: [gone, there])
    assert [done["name"] for done in drop.take()] == ["orders-1.zip"]
    assert list(drop.place.quarantine.iterdir()) == []


def test_a_file_that_is_taken_back_while_the_folder_is_read_stops_no_other(drop, monkeypatch):
    for number in (0, 1):
        (drop.place.arrivals / f"orders-{number}.zip").write_bytes(packed({"a.csv": GOOD}))
    look, seen = Path.lstat, set()

    def lstat(path):
        if path.name == "orders-0.zip" and path in seen:
            path.unlink(missing_ok=True)
        seen.add(path)
        return look(path)

    monkeypatch.setattr(Path, "lstat", lstat)
    assert "orders-1.zip" in [done["name"] for done in drop.take()]


def test_a_disk_without_room_for_the_copy_is_no_fault_of_the_file_and_keeps_none_of_it(drop, monkeypatch):
    def full(source, copy):
        copy.write(source.read(10))
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(folders.shutil, "copyfileobj", full)
        with pytest.raises(NotNow, match="No space left on device"):
            drop(**{"a.csv": GOOD})
    assert list(drop.place.work.iterdir()) == []
    assert [path.name for path in drop.place.waiting()] == ["orders-1.zip"]
    assert [done["rows"] for done in drop.take()] == [2]


def test_no_half_of_a_reason_stays_where_the_disk_is_full(drop, monkeypatch):
    def full(path, *_):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left on device"):
            drop("unknown.zip", **{"a.csv": GOOD})
    assert list(drop.place.quarantine.iterdir()) == []
    assert [done["name"] for done in drop.take()] == ["unknown.zip"]


def test_an_upload_that_goes_on_is_left_alone(drop, monkeypatch):
    monkeypatch.setattr(folders, "SETTLED", 60.0)
    (drop.place.arrivals / "orders-1.zip").write_bytes(packed({"a.csv": GOOD})[:50])
    os.utime(drop.place.arrivals / "orders-1.zip", (1, 1))  # as `scp -p` sets it
    (drop.place.arrivals / ".orders-2.zip").write_bytes(b"half")
    assert drop.take() == []
    assert [path.name for path in drop.place.waiting()] == ["orders-1.zip"]
    assert drop.place.settled(now=time.time() + 61) == drop.place.waiting()


def test_a_run_that_was_killed_is_carried_on(drop, warehouse):
    """Before the load, and after the load but before the file was put away."""
    (drop.place.arrivals / "orders-1.zip").write_bytes(packed({"a.csv": GOOD}))
    claimed = drop.place.claim(drop.place.arrivals / "orders-1.zip", 100_000)
    (drop.place.work / ".half").write_bytes(b"")
    assert [done["rows"] for done in drop.take()] == [2]
    assert list(drop.place.work.iterdir()) == []
    claimed.path.write_bytes(packed({"a.csv": GOOD}))
    assert [done["rows"] for done in drop.take()] == [0]
    assert len(rows(warehouse)) == 2


def test_a_warehouse_that_fails_is_no_fault_of_the_file(drop, warehouse):
    warehouse.run("ALTER ROLE loader NOLOGIN")
    try:
        with pytest.raises(NotNow) as waits:
            drop(**{"a.csv": GOOD})
    finally:
        warehouse.run("ALTER ROLE loader LOGIN")
    assert str(waits.value).startswith(
        "orders-1.zip was not loaded yet, for no fault of its own (connection failed: "
    )
    assert str(waits.value).endswith(
        'role "loader" is not permitted to log in). It stays where it is, and the next try takes it.'
    )
    assert list(drop.place.quarantine.iterdir()) == []
    assert [done["rows"] for done in drop.take()] == [2]


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.DiskFull("no room"),
        psycopg.errors.AdminShutdown("terminating connection"),
        psycopg.InterfaceError("the connection is closed"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_passes_in_the_middle_of_a_load_is_no_fault_of_the_file(drop, warehouse, monkeypatch, error):
    def fails(*_):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(take, "load", fails)
        with pytest.raises(NotNow, match=re.escape(str(error))):
            drop(**{"a.csv": GOOD})
    assert list(drop.place.quarantine.iterdir()) == []
    assert [done["rows"] for done in drop.take()] == [2]


def test_a_connection_that_airflow_does_not_know_is_no_fault_of_the_file(drop):
    def unknown():
        raise KeyError("warehouse_loader")

    (drop.place.arrivals / "orders-1.zip").write_bytes(packed({"a.csv": GOOD}))
    with pytest.raises(NotNow, match="warehouse_loader"):
        take.take_all(drop.place, FEEDS, unknown, SMALL)
    assert list(drop.place.quarantine.iterdir()) == []
    assert [done["rows"] for done in drop.take()] == [2]


def test_what_only_the_warehouse_refuses_goes_aside_and_stops_no_other(drop, warehouse):
    """Whatever it is: a file that fails each time must not stand before all the others for good."""
    warehouse.run("CREATE TABLE landing.orders (order_id bigint CHECK (order_id <> 3), ordered_at timestamptz,"
                  " customer text, amount numeric, paid boolean, _content bigint, _row bigint)",
                  "ALTER TABLE landing.orders OWNER TO loader")  # fmt: skip
    (drop.place.arrivals / "orders-0.zip").write_bytes(packed({"a.csv": HEADER + "3,2026-03-01,x,1,true\n"}))
    done = {outcome["name"]: outcome for outcome in drop("orders-1.zip", **{"a.csv": GOOD})}
    assert done["orders-0.zip"]["reason"] == (
        'the warehouse refuses it: new row for relation "orders" violates check constraint "orders_order_id_check"'
        " (COPY orders, line 1)"
    )
    assert done["orders-1.zip"]["rows"] == 2
    assert list(drop.place.work.iterdir()) == []


def test_a_file_that_nobody_foresaw_goes_aside_with_what_happened(drop, monkeypatch):
    def fails(*_):
        raise RuntimeError("out of\nthe blue")

    monkeypatch.setattr(take, "verified", fails)
    (done,) = drop(**{"a.csv": GOOD})
    assert done["reason"] == "it cannot be taken: RuntimeError: out of\\nthe blue"
    assert Path(done["put"]).is_file()


def test_a_column_that_a_feed_gets_later_is_added_to_its_table(drop, warehouse):
    drop(**{"a.csv": GOOD})
    (known,) = FEEDS
    grown = dataclasses.replace(
        known, columns={**known.columns, "shop": "text"}, required=known.required | {"shop"}
    )
    (drop.place.arrivals / "orders-2.zip").write_bytes(
        packed({"b.csv": HEADER.strip() + ",shop\n3,2026-03-02,Eve,1,true,Ulm\n"})
    )
    (done,) = take.take_all(drop.place, [grown], drop.session, SMALL)
    assert (done["rows"], done["reason"]) == (1, "")
    assert warehouse.rows("SELECT order_id, shop FROM landing.orders ORDER BY 1") == [
        (1, None), (2, None), (3, "Ulm"),
    ]  # fmt: skip


def test_feeds_that_cannot_be_are_refused():
    for entry, said in [
        ({"files": "*", "columns": {"a; drop": "text"}}, "f: a; drop: small letters, digits and _ only"),
        ({"files": "*", "columns": {"a": "money"}}, "f: there is no type money; there are text, integer, "),
        (
            {"files": "*", "columns": {"a": "text"}, "required": ["b"]},
            "f: required columns that are no columns: b",
        ),
    ]:
        with pytest.raises(ValueError) as error:
            feeds.feed("f", entry)
        assert str(error.value).startswith(said)


@pytest.fixture
def told(monkeypatch):
    """What the DAG says to people."""
    found = []
    monkeypatch.setattr("hangar_dags.notify.tell", found.append)
    monkeypatch.setattr(folders, "SETTLED", -1.0)
    return found


NEWS = (
    ":warning: {} of {} dropped files went into quarantine:\n"
    "• {}: it is no zip file that can be read: File is not a zip file"
)


def test_the_dag_loads_what_was_dropped_and_tells_of_what_is_broken(warehouse, connections, run, told):
    place = Folders.under(Path(os.environ["PIPELINE_DATA"]) / "drop")
    (place.arrivals / "orders-1.zip").write_bytes(packed({"a.csv": GOOD}))
    (place.arrivals / "orders-2.zip").write_bytes(b"broken")
    done = run("file_drop")
    assert done.errors == {}
    assert done.state == "success"
    assert [(outcome["name"], outcome["rows"]) for outcome in done.result["take"]] == [
        ("orders-1.zip", 2), ("orders-2.zip", 0),
    ]  # fmt: skip
    assert len(rows(warehouse)) == 2
    assert told == [NEWS.format(1, 2, "orders-2.zip")]


def test_what_went_aside_before_the_warehouse_failed_is_told_too(warehouse, connections, run, told):
    """The next try begins after it, and would tell of nothing."""
    place = Folders.under(Path(os.environ["PIPELINE_DATA"]) / "drop")
    (place.arrivals / "orders-1.zip").write_bytes(b"broken")
    (place.arrivals / "orders-2.zip").write_bytes(packed({"a.csv": GOOD}))
    os.utime(place.arrivals / "orders-2.zip")  # changed last
    warehouse.run("ALTER ROLE loader NOLOGIN")
    try:
        done = run("file_drop", change=lambda task: setattr(task, "retries", min(task.retries, 1)))
    finally:
        warehouse.run("ALTER ROLE loader LOGIN")
    assert done.tasks["take"] == "failed"
    assert told[0] == NEWS.format(1, 1, "orders-1.zip")
    assert [text for text in told if "quarantine" in text] == [told[0]], "once, however often it is tried"
    for left in place.work.iterdir():
        left.unlink()
