# Written by Hangar (role airbyte_abctl). Changes made here are lost at the next run.
"""Who may ask the platform for tokens: the operator as the platform's own administrator, others by applications.

Airbyte's applications inherit every right of whoever made them; what Airflow may do with its own is decided by the
filter in front of the platform.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, "/usr/local/lib/hangar")

from secret_files import is_right, keep

from hangar_abctl.machine import Api, auth_secret, fail, read_record, write_record

OPERATOR = "operator"


class Clients:
    """The clients of the role, each with the folder and group of its two files."""

    def __init__(self, clients: dict[str, dict[str, str]], port: int) -> None:
        self._clients, self._api = clients, Api(port)

    def places(self, name: str) -> tuple[Path, Path]:
        folder = Path(self._clients[name]["folder"])
        return folder / "airbyte_client_id", folder / "airbyte_client_secret"

    def wrong(self) -> list[str]:
        """The clients whose files are missing, are readable by others, or get no token."""
        return [name for name in self._clients if not self._works(name)]

    def _works(self, name: str) -> bool:
        group = self._clients[name]["group"]
        files = self.places(name)
        if not all(file.is_file() and is_right(file, file.read_text(), group) for file in files):
            return False
        return bool(self._api.token(*(file.read_text() for file in files)))

    def ensure(self, *, renewed: str = "") -> None:
        """Make what is missing or does not work; a renewed client's old secret ends at once."""
        if not self._api.healthy():
            fail("Airbyte does not answer, so nobody can get credentials from it")
        if not self._works(OPERATOR) or renewed == OPERATOR:
            found = auth_secret()
            self._keep(OPERATOR, found["instance-admin-client-id"], found["instance-admin-client-secret"])
        for name in self._clients:
            if name != OPERATOR and (name == renewed or not self._works(name)):
                self._make_application(name)

    def _keep(self, name: str, identifier: str, secret: str) -> None:
        place, secret_place = self.places(name)
        # The secret first: a reader that meets the new id beside the old secret would be refused.
        keep(secret_place, secret, self._clients[name]["group"])
        keep(place, identifier, self._clients[name]["group"])

    def _make_application(self, name: str) -> None:
        token = self._api.token(*(place.read_text() for place in self.places(OPERATOR)))
        if not token:
            fail("Airbyte does not know its own administrator's credentials: sudo airbyte-abctl status")
        status, made = self._api.ask("POST", "/applications", {"name": f"hangar-{name}"}, token)
        if status != 200 or not isinstance(made, dict):
            fail(f"Airbyte made no application for {name} (HTTP {status})")
        applications = dict(read_record("applications.json") or {})
        old = applications.get(name)
        # On record before anything else: an application that nobody knows of would stay for ever.
        write_record("applications.json", {**applications, name: made["id"]}, 0o600)
        self._keep(name, made["clientId"], made["clientSecret"])
        if old:
            self._end(str(old), token)

    def _end(self, identifier: str, token: str) -> None:
        status, _ = self._api.ask("DELETE", f"/applications/{identifier}", None, token)
        if status not in (200, 204, 404):
            fail(
                f"The old application {identifier} is still there (HTTP {status}): remove it in Airbyte's settings"
            )

    def __contains__(self, name: Any) -> bool:
        return name in self._clients

    def __str__(self) -> str:
        return ", ".join(sorted(self._clients))
