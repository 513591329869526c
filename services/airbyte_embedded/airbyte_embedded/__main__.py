"""`python -m airbyte_embedded`: start the service."""

from __future__ import annotations

import argparse
import logging
import sqlite3
import sys
from dataclasses import fields
from pathlib import Path

import uvicorn

from airbyte_embedded import VERSION
from airbyte_embedded.app import build
from airbyte_embedded.auth import BadClientsFile
from airbyte_embedded.connectors import BadRegistry
from airbyte_embedded.database import NewerDatabase
from airbyte_embedded.service import AlreadyRunning, Service
from airbyte_embedded.settings import Limits, Settings

GRACE = 10  # seconds for requests that are under way when the service is asked to end


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="airbyte_embedded", description=__doc__)
    made.add_argument("--version", action="version", version=VERSION)
    made.add_argument("--data", type=Path, required=True, help="folder for everything that must be kept")
    made.add_argument("--clients", type=Path, required=True, help="JSON file of the client credentials")
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, default=8000)
    made.add_argument(
        "--worker-python", type=Path, default=Path(sys.executable), help="the Python with PyAirbyte"
    )
    made.add_argument("--connectors", type=Path, help="a folder with a further registry.json of connectors")
    for limit in fields(Limits):
        kind = int if limit.type == "int" else float
        made.add_argument(
            f"--{limit.name.replace('_', '-')}",
            type=kind,
            default=limit.default,
            help=f"(default {limit.default:g})",
        )
    return made


def main() -> int:
    given = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    limits = Limits(**{limit.name: getattr(given, limit.name) for limit in fields(Limits)})
    settings = Settings(
        data=given.data.resolve(),
        clients=given.clients,
        # not resolved: a virtual environment's Python is a link, and what it is called decides what it imports
        worker_python=given.worker_python.absolute(),
        extra_connectors=given.connectors.resolve() if given.connectors else None,
        limits=limits,
    )
    try:
        service = Service(settings)
    except (AlreadyRunning, BadClientsFile, BadRegistry, NewerDatabase, OSError, sqlite3.Error) as error:
        print(f"The service did not start: {error}", file=sys.stderr)
        return 1
    uvicorn.run(
        build(service),
        host=given.host,
        port=given.port,
        access_log=False,  # the proxy's and the journal's business; paths may hold what a client mistyped
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        log_config=None,
        ws="none",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
