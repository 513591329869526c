"""A job: one order from standard input, executed to its end. `python launch.py job`."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from airbyte_embedded.worker import guard
from airbyte_embedded.worker.events import Events
from airbyte_embedded.worker.locks import Busy, hold

Json = dict[str, Any]
LONGEST = 600  # characters of a reason
WAIT_CONNECTION = 60.0  # seconds for an earlier process of the same connection to be gone
WAIT_FILE = 3600.0  # seconds for another connection to finish with the same DuckDB file or folder


def read_order() -> Json:
    """One line, read without a buffer: the rest of the input belongs to the guard."""
    line = bytearray()
    while not line.endswith(b"\n"):
        part = os.read(sys.stdin.fileno(), 65536)
        if not part:
            sys.exit("the service ended before it had given its order")
        line += part
    order: Json = json.loads(line)
    return order


def hold_locks(order: Json) -> None:
    folder = Path(order["locks"])
    hold(folder, f"connection {order['connection']}", WAIT_CONNECTION)
    if order["destination"]["type"] in ("duckdb", "parquet"):  # one process at a time can write such a file
        hold(folder, f"the file {order['destination']['config']['destination_path']}", WAIT_FILE)


def execute(order: Json, events: Events) -> None:
    # the heavy imports come when the guard stands and the locks are held
    from airbyte_embedded.worker.sync import Sync

    Sync(order, events).run()


def reason(error: BaseException) -> str:
    """The cause as people need it: the connector's or the database's own sentence, not PyAirbyte's wrapping."""
    while inner := getattr(error, "original_exception", None) or error.__cause__:
        error = inner
    if isinstance(error, MemoryError):
        return "It needs more memory than a job may have."
    origin = getattr(error, "orig", None)  # SQLAlchemy's: the driver's error without the statement
    said = " ".join(str(origin or error).split()) or type(error).__name__
    return said if len(said) <= LONGEST else said[:LONGEST] + " …"


def main() -> int:
    guard.bound_memory(int(os.environ.pop("AIRBYTE_EMBEDDED_DATA_BYTES")))
    events = Events()
    order = read_order()
    guard.die_with_parent()
    try:
        hold_locks(order)
        execute(order, events)
    except Busy as error:
        events.failed(str(error))
        return 1
    except Exception as error:
        traceback.print_exc()
        events.failed(reason(error))
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # nothing is left to do, and PyAirbyte's threads and destructors take seconds
    os._exit(code)
