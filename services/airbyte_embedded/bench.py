"""The service's figures, as ratios and bounds taken in one run: `.venv/bin/python bench.py [ROWS]`.
It prints them, and exits 1 when a budget is missed.

Needs the two environments of `make services`, Postgres, and the network for source-faker.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.postgres import Postgres
from tests.server import WORKER, Server

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
CLIENTS, CALLS = 8, 50
ROUNDS = 3
"""Each way so many times, by turns: on a busy machine one pair of runs says little."""
BY_HAND = """
import json, sys, time
begun = time.monotonic()
import airbyte as ab
from airbyte.caches import PostgresCache
from urllib.parse import quote
given = json.load(sys.stdin)
cache = PostgresCache(host="127.0.0.1", port=given["port"], database="postgres", username="loader",
                      password=quote(given["password"], safe=""), schema_name="by_hand")
source = ab.get_source("source-faker", local_executable=given["executable"], config=given["config"])
source.select_streams(["users"])
source.read(cache, force_full_refresh=True, write_strategy="replace")
print("SECONDS", time.monotonic() - begun)
"""


def resident(server: Server) -> float:
    assert server.process
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) * 1024 / 1e6


def latency(server: Server) -> tuple[float, float]:
    """Median and 95th percentile of reads by CLIENTS clients at once, in milliseconds."""
    header = {"Authorization": f"Bearer {server.token()}"}
    taken: list[float] = []

    def client() -> None:
        # the plainest client: eight of a heavier one in this process would measure each other
        http = HTTPConnection("127.0.0.1", server.port)
        for number in range(CALLS):
            path = ("jobs", "connections", "sources", "workspaces")[number % 4]
            begun = time.perf_counter()
            http.request("GET", f"/api/public/v1/{path}", headers=header)
            answer = http.getresponse()
            answer.read()
            taken.append((time.perf_counter() - begun) * 1000)
            assert answer.status == 200

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statistics.median(taken), statistics.quantiles(taken, n=20)[18]


def cpu(server: Server) -> float:
    """Seconds of CPU that the service's own process has used."""
    assert server.process
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connected(server: Server, database: Postgres, config: dict[str, Any]) -> str:
    """The connection that is measured; its connector is installed."""
    made = server.make("/sources", name="faker", workspaceId=server.workspace,
                       configuration={"sourceType": "faker", **config})  # fmt: skip
    destination = server.destination("postgres", **database.config(schema="by_service"))
    return server.connection(made["sourceId"], destination, streams=[{"name": "users"}])


def through_the_service(server: Server, connection: str) -> float:
    """Seconds from the request to the job's end."""
    begun = time.monotonic()
    job = server.run(connection)
    assert (job["status"], job["rowsSynced"]) == ("succeeded", ROWS), job
    return time.monotonic() - begun


def by_hand(server: Server, database: Postgres, config: dict[str, Any]) -> float:
    """Seconds of the same sync by a script of a few lines, Python's start included."""
    (executable,) = (server.data / "connectors").glob("source-faker-*/bin/source-faker")
    given = {**database.config(), "config": config, "executable": str(executable)}
    environment = {
        "PATH": "/usr/bin:/bin",
        "AIRBYTE_OFFLINE_MODE": "1",
        "DO_NOT_TRACK": "1",
        "NO_LIVE_PROGRESS": "1",
    }
    begun = time.monotonic()
    done = subprocess.run([WORKER, "-W", "ignore", "-c", BY_HAND], input=json.dumps(given), capture_output=True,
                          text=True, env=environment, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return time.monotonic() - begun


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="airbyte-embedded-bench-"))
    database, server = Postgres().start(), Server(folder).start()
    config = {"count": ROWS, "seed": 1, "parallelism": 2, "always_updated": False}
    try:
        idle = resident(server)
        connection = connected(server, database, config)
        pairs = [
            (through_the_service(server, connection), by_hand(server, database, config))
            for _ in range(ROUNDS)
        ]
        service, hand = (statistics.median(taken) for taken in zip(*pairs, strict=True))
        counts = [
            database.query(f"SELECT count(*) FROM {schema}.users")[0][0]
            for schema in ("by_service", "by_hand")
        ]
        assert counts == [ROWS, ROWS], counts
        before = cpu(server)
        median, high = latency(server)
        each = (cpu(server) - before) / (CLIENTS * CALLS) * 1000
        after = resident(server)
    finally:
        server.stop()
        database.close()
    print(f"idle memory             {idle:6.0f} MB    at most 250")
    print(f"memory after a sync     {after:6.0f} MB")
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(f"CPU of a request        {each:6.1f} ms    (this machine's load is {load:.1f} a core)")
    print(f"latency, 8 clients      {high:6.1f} ms    at most 50 (95th percentile; median {median:.1f})")
    print(
        f"{ROWS} rows to Postgres {service:6.1f} s     {service / hand:.2f} × by hand ({hand:.1f} s)    at most 1.15"
        f" (medians of {ROUNDS}: {', '.join(f'{one:.1f}/{other:.1f}' for one, other in pairs)})"
    )
    if idle > 250 or high > 50 or service / hand > 1.15:
        sys.exit("A budget is missed.")


if __name__ == "__main__":
    main()
