"""Files that people drop: good ones, broken ones, malicious ones, the same one again. On a real Postgres."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from drops import FEEDS, GOOD, HEADER, SMALL, packed, rows
from file_drop import feeds, take


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
        ("a.csv", GOOD + "2024_01,2026-03-01,x,1,true\n", "'a.csv', row 3: order_id holds '2024_01', which is no int"),
        ("a.csv", GOOD + "3,2026-03-01,x,1_5,true\n", "'a.csv', row 3: amount holds '1_5', which is no numeric"),
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
        ("a.jsonl", '{"order_id": 1, "ordered_at": "2026-03-01", "amount": 1, "amount": 2}\n',
         "'a.jsonl', row 1: an object has two values for one name"),
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
