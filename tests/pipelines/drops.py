"""What a test drops, and what of it came into the warehouse."""

from __future__ import annotations

import io
import zipfile

from file_drop import feeds
from file_drop.archive import Limits
from runs import BUNDLE

FEEDS = feeds.read(BUNDLE / "file_drop/feeds.yml")
HEADER = "order_id,ordered_at,customer,amount,paid\n"
GOOD = HEADER + "1,2026-03-01T10:00:00,Ada,12.50,true\n2,2026-03-01T11:00:00+01:00,,7,\n"
SMALL = Limits(packed=100_000, unpacked=1_000_000, ratio=50, members=5, json=10_000)


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
