# Written by Hangar (role airbyte_abctl). Changes made here are lost at the next run.
"""Who may ask for tokens: the operator as the platform's own administrator, others by credentials of this machine.

Airbyte's platform (Core) has one application, its administrator's, and makes no others. So the filter in front of it
knows the others by credentials that are made here, and asks Airbyte in their place: nothing of theirs is kept in
Airbyte, and nothing old can stay valid there.
"""

import hashlib
import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, "/usr/local/lib/hangar")

from secret_files import is_right, keep

from hangar_abctl import machine
from hangar_abctl.machine import Api, auth_secret, drop_record, fail, write_record

OPERATOR = "operator"
FILTER = "airbyte-filter.service"
KNOWN, ASKED, DUE = "filter-clients", "filter-operator.json", "filter-due.json"
RECORDS = (KNOWN, ASKED, DUE)
"""What the filter reads at its start: hashes of those it knows, and the question that it asks Airbyte. The third is
there from before those change until the filter has them."""


class Clients:
    """The clients of the role, each with the folder and group of its two files."""

    def __init__(self, clients: dict[str, dict[str, str]], port: int, filter_port: int) -> None:
        self._clients, self._api, self._filter = clients, Api(port), Api(filter_port)

    def places(self, name: str) -> tuple[Path, Path]:
        folder = Path(self._clients[name]["folder"])
        return folder / "airbyte_client_id", folder / "airbyte_client_secret"

    def wrong(self) -> list[str]:
        """The clients whose files are missing, are readable by others, or get no token; and a filter that knows
        others than it should.
        """
        clients = [name for name in self._clients if not self._works(name)]
        return clients if clients or self._taught() else ["filter"]

    def _whole(self, name: str) -> bool:
        """Both files are there, and something is in them: whoever knew the id would know an empty secret too."""
        group = self._clients[name]["group"]
        return all(
            file.is_file() and file.stat().st_size and is_right(file, file.read_text(), group)
            for file in self.places(name)
        )

    def _works(self, name: str) -> bool:
        asked = self._api if name == OPERATOR else self._filter
        return self._whole(name) and bool(asked.token(*self._read(name)))

    def _read(self, name: str) -> tuple[str, str]:
        identifier, secret = (file.read_text() for file in self.places(name))
        return identifier, secret

    def ensure(self, *, renewed: str = "") -> None:
        """Make what is missing or does not work; a renewed client's old secret ends at once."""
        if not self._api.healthy():
            fail("Airbyte does not answer, so nobody can get credentials from it")
        if not self._works(OPERATOR) or renewed == OPERATOR:
            found = auth_secret()
            self._keep(OPERATOR, found["instance-admin-client-id"], found["instance-admin-client-secret"])
        for name in self._clients:
            if name != OPERATOR and (name == renewed or not self._whole(name)):
                # The id stays, so that it and the secret fit together whenever this is interrupted.
                place = self.places(name)[0]
                known = place.read_text() if place.is_file() else ""
                identifier = known or f"{name}-{secrets.token_hex(8)}"
                self._keep(name, identifier, secrets.token_urlsafe(48))
        if self.wrong():
            self._teach()

    def _keep(self, name: str, identifier: str, secret: str) -> None:
        place, secret_place = self.places(name)
        keep(secret_place, secret, self._clients[name]["group"])
        keep(place, identifier, self._clients[name]["group"])

    def _lessons(self) -> dict[Path, str]:
        """The files of the filter as they should be."""
        others = [name for name in self._clients if name != OPERATOR]
        prints = [hashlib.sha256(":".join(self._read(name)).encode()).hexdigest().upper() for name in others]
        asked = dict(zip(("client_id", "client_secret"), self._read(OPERATOR), strict=True))
        question = json.dumps({**asked, "grant_type": "client_credentials"})
        return {machine.STATE / KNOWN: "\n".join(prints), machine.STATE / ASKED: question}

    def _taught(self) -> bool:
        due = (machine.STATE / DUE).exists()
        return not due and all(is_right(path, value, "root") for path, value in self._lessons().items())

    def _teach(self) -> None:
        write_record(DUE, {})
        for path, value in self._lessons().items():
            keep(path, value, "root")
        done = subprocess.run(["systemctl", "restart", FILTER], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"The filter in front of Airbyte does not start: sudo journalctl --unit {FILTER}")
        drop_record(DUE)
        if wrong := self.wrong():
            fail(f"No token for {', '.join(wrong)}: sudo journalctl --unit {FILTER}")

    def __contains__(self, name: Any) -> bool:
        return name in self._clients

    def __str__(self) -> str:
        return ", ".join(sorted(self._clients))
