"""What fails around a dropped file: the disk, the warehouse, a run, whoever takes it back. And the DAG as a whole."""

from __future__ import annotations

import errno
import os
import re
import time
from pathlib import Path

import psycopg
import pytest
from drops import FEEDS, GOOD, HEADER, SMALL, packed, rows
from file_drop import folders, take
from file_drop.folders import Folders
from file_drop.take import NotNow


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
