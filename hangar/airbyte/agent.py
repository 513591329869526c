"""The machine's end of `pipelines`: speaks to Airbyte for the controller, and keeps the secrets to itself.

The controller sends this text over SSH and root's python3 runs it (standard library alone): nothing is installed, and
the two ends are always of one version. It reads one JSON request a line and answers each with one line. It is the
safest of the workable ways:

- A secret is a reference, `{"secret": NAME}`, until the moment of the request to Airbyte. So is Airflow's or anybody's
  token: the client's id and secret are read here, and the token ends with this process.
- What Airbyte answers is searched for the secrets that were put in, and they are taken out again: an error that quotes
  a connection string gives nothing away. Not the names of a source's streams, of which none is made from a secret: one
  that is an ordinary word would change them.
- The requests leave for the one address that the machine itself says is Airbyte's, never for one that the controller
  names.
- What was made from the files is recorded here, under /srv, so that two controllers see one truth. The record is
  written before and after each creation: a killed call leaves a mark by which the next one finds what it made.
- Whether a secret's value is still the one that Airbyte was given is told by a keyed hash, whose key stays here.

The machine's side of the contract is one file, written by the role of the engine (`SETTINGS`):

    {"url": "http://127.0.0.1:8000/api/public/v1", "client_id_file": "…", "client_secret_file": "…",
     "ledger": "/srv/airbyte/pipelines", "secrets": "/srv/airbyte/pipelines/secrets",
     "named_secrets": {"warehouse_airbyte": "/srv/warehouse/secrets/airbyte"},
     "configuration_url": "http://127.0.0.1:8000/api/v1"}

The last is there for Airbyte's platform alone, whose public API checks no destination.
"""

import json
import sys
from pathlib import Path
from typing import Any

from hangar.airbyte.remote.api import QUICK, SLOW, Api
from hangar.airbyte.remote.ledger import Ledger
from hangar.airbyte.remote.references import NAME, Secrets
from hangar.serving import Refusal, answered, serve

SETTINGS = "/etc/hangar/airbyte.json"
OPERATIONS = ("open", "entries", "get", "check", "secrets", "write", "note", "delete", "keep")
IDS = {"source": "sourceId", "destination": "destinationId", "connection": "connectionId"}


class Agent:
    """One request, one answer."""

    def __init__(self, settings_file: Path) -> None:
        self._settings_file = settings_file
        self._ready = False

    def open(self, who: str = "", **_: Any) -> Any:
        """Reads the machine's settings. `who` names an apply, which works alone."""
        if not self._settings_file.exists():
            raise Refusal("absent", str(self._settings_file))
        settings = json.loads(self._settings_file.read_text())
        missing = [
            settings[name]
            for name in ("client_id_file", "client_secret_file")
            if not Path(settings[name]).exists()
        ]
        if missing:
            raise Refusal("absent", ", ".join(missing))
        client = (
            Path(settings[name]).read_text().strip() for name in ("client_id_file", "client_secret_file")
        )
        self._api = Api(settings["url"], *client)
        self._configuration = settings.get("configuration_url", "")
        self._ledger = Ledger(Path(settings["ledger"]))
        self._ledger.open(who)
        self._secrets = Secrets(
            Path(settings["secrets"]), settings.get("named_secrets", {}), self._ledger.key()
        )
        self._ready = True
        return None

    def entries(self, **_: Any) -> Any:
        """What of Airbyte is ours."""
        return self._ledger.entries

    def get(self, path: str, slow: bool = False, **_: Any) -> Any:
        found = self._api.call("GET", path, timeout=SLOW if slow else QUICK)
        self._names_alone = path.startswith("/streams?")
        return found

    def check(self, destination: str, **_: Any) -> Any:
        """What the destination's connector says of it: status (succeeded, failed, none) and message. None where the
        engine has checked it when it was made.
        """
        if not self._configuration:
            return None
        asked = {"destinationId": destination}
        path = "/destinations/check_connection"
        found = self._api.call("POST", path, asked, SLOW, self._configuration) or {}
        failure = found.get("jobInfo", {}).get("failureReason") or {}
        words = [
            found.get("message"),
            *(failure.get(f"{whose}Message") for whose in ("external", "internal")),
        ]
        return {"status": found.get("status") or "none", "message": next((one for one in words if one), "")}

    def secrets(self, references: dict[str, dict[str, str]], **_: Any) -> Any:
        """For each `kind/name` and place in it: is the secret same, changed (or never given) or missing?"""
        return {
            key: {place: self._state(key, place, name) for place, name in places.items()}
            for key, places in references.items()
        }

    def _state(self, key: str, place: str, name: str) -> str:
        now = self._secrets.fingerprint(name)
        given = self._ledger.entries.get(key, {}).get("secrets", {}).get(place)
        return "missing" if now is None else "same" if now == given else "changed"

    def write(self, kind: str, name: str, method: str, path: str, body: Any, **entry: Any) -> Any:
        """Creates (POST, with `before`) or changes a resource, and records it: `declared`, `references`."""
        key = f"{kind}/{name}"
        filled = self._secrets.put_into(body)
        given = {place: self._secrets.fingerprint(used) for place, used in entry["references"].items()}
        before = self._ledger.entries.get(key)
        if method == "POST":
            self._ledger.put(key, {"id": None, "before": entry["before"], "declared": {}, "secrets": {}})
        elif before:
            # Until Airbyte has answered, nobody knows which of the two it holds.
            self._ledger.put(key, {**before, "secrets": {}})
        try:
            answer = self._api.call(method, path, filled, SLOW)
        except Refusal as refusal:
            if 400 <= refusal.answer.get("status", 0) < 500:
                self._ledger.put(key, None if method == "POST" else before)
            raise
        self._ledger.put(key, {"id": answer[IDS[kind]], "declared": entry["declared"], "secrets": given})
        return answer

    def note(self, kind: str, name: str, id: str, **_: Any) -> Any:
        """Records that a resource is ours: one that a killed call had made, or one that is taken over."""
        self._ledger.put(f"{kind}/{name}", {"id": id, "declared": {}, "secrets": {}})
        return None

    def delete(self, kind: str, name: str, path: str, **_: Any) -> Any:
        """Removes a resource (one that is gone already is removed) and its record."""
        if path:
            try:
                self._api.call("DELETE", path, timeout=SLOW)
            except Refusal as refusal:
                if refusal.answer.get("status") != 404:
                    raise
        self._ledger.put(f"{kind}/{name}", None)
        return None

    def keep(self, name: str, value: str, **_: Any) -> Any:
        """Keeps a secret that pipelines may name."""
        if not NAME.fullmatch(name) or not value:
            raise Refusal("kept", "a secret has a name of letters, digits and _, and is not empty")
        self._secrets.keep(name, value)
        return None

    def answer(self, line: str) -> dict[str, Any]:
        self._names_alone = False
        answer = answered(self, OPERATIONS, line)
        return dict(self._secrets.take_out(answer)) if self._ready and not self._names_alone else answer


if __name__ == "__main__":
    serve(Agent(Path(sys.argv[1] if len(sys.argv) > 1 else SETTINGS)))
