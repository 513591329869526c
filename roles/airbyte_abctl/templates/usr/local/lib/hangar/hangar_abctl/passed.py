# Written by Hangar (role airbyte_abctl). Changes made here are lost at the next run.
"""The secrets that a person put on the machine, in the form that abctl takes: Kubernetes Secrets, a file each.

They are written for the time of the installation, for root and the service user, and never stand in an argument list:
the cluster keeps what it was given.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, "/usr/local/lib/hangar")

from secret_files import keep

from hangar_abctl.machine import fail

FOLDER = Path("/srv/airbyte/secrets")


def write_secret_files(wanted: dict[str, Any]) -> None:
    """Raises SystemExit with the name of the file that a person has to bring."""
    for name, keys in wanted["secrets"].items():
        data = {}
        for key, file in keys.items():
            source = FOLDER / file
            if not source.is_file():
                fail(
                    f"{source} is not there. Put the secret into it, for root alone, and run the same command again"
                )
            data[key] = base64.b64encode(source.read_bytes().rstrip(b"\n")).decode()
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "type": "Opaque",
            "data": data,
        }
        keep(FOLDER / f"{name}.json", json.dumps(secret), "airbyte")


def remove_secret_files(described: dict[str, Any]) -> None:
    """What abctl was given; the files that a person brought stay."""
    for name in described.get("secrets", {}):
        (FOLDER / f"{name}.json").unlink(missing_ok=True)
