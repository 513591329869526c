"""The machine's end of `pipelines`: speaks to Airbyte for the controller, and keeps the secrets to itself.

The controller sends this text over SSH and root's python3 runs it (standard library alone): nothing is installed, and
the two ends are always of one version. It reads one JSON request a line and answers each with one line. It is the
safest of the workable ways:

- A secret is a reference, `{"secret": NAME}`, until the moment of the request to Airbyte. So is Airflow's or anybody's
  token: the client's id and secret are read here, and the token ends with this process.
- What Airbyte answers is searched for the secrets that were put in, and they are taken out again: an error that quotes
  a connection string gives nothing away.
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

import fcntl
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from hangar_bounds import web, whole

from hangar.serving import Refusal, answered, serve

SETTINGS = "/etc/hangar/airbyte.json"
QUICK = 30.0
"""Seconds for what Airbyte answers from its own records."""

SLOW = 1200.0
"""Seconds for what starts a connector: Airbyte may have to fetch it first. The embedded engine gives up earlier and
says why, after ten minutes for the packages and five for the answer.
"""

PATIENCE = 20.0
"""Seconds that another apply gets to end (a killed one ends with its request)."""

OPERATIONS = ("open", "entries", "get", "check", "secrets", "write", "note", "delete", "keep")
NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
IDS = {"source": "sourceId", "destination": "destinationId", "connection": "connectionId"}


class Secrets:
    """The secrets that may be named, and the ones that were."""

    def __init__(self, folder: Path, named: dict[str, str], key: bytes) -> None:
        self._folder = folder
        self._named = named
        self._key = key
        self._used: dict[str, str] = {}

    def value(self, name: str) -> str | None:
        """What is kept under the name, or None. A trailing newline is the editor's, not the secret's."""
        path = Path(self._named[name]) if name in self._named else self._folder / name
        if not NAME.fullmatch(name) or not path.is_file():
            return None
        found = path.read_text().rstrip("\n")
        if found:
            self._used[name] = found
        return found or None

    def keep(self, name: str, value: str) -> None:
        """Keeps what a person handed in."""
        if name in self._named:
            raise Refusal("kept", f"{name} is made on the machine and kept in {self._named[name]}")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(self._folder / name, value)

    def put_into(self, value: Any, where: str = "") -> Any:
        """The value with the secrets themselves where references stood."""
        if isinstance(value, dict) and set(value) == {"secret"}:
            found = self.value(str(value["secret"]))
            if found is None:
                raise Refusal("secret", where, name=str(value["secret"]))
            return found
        if isinstance(value, dict):
            return {key: self.put_into(inner, f"{where}.{key}".lstrip(".")) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.put_into(inner, f"{where}.{number}") for number, inner in enumerate(value)]
        return value

    def take_out(self, value: Any) -> Any:
        """An answer without the secrets that were put into requests, however it quotes them."""
        if isinstance(value, dict):
            return {key: self.take_out(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.take_out(inner) for inner in value]
        if isinstance(value, str):
            for name, secret in sorted(self._used.items(), key=lambda item: -len(item[1])):
                for shape in {secret, urllib.parse.quote(secret, safe=""), json.dumps(secret)[1:-1]}:
                    value = value.replace(shape, f"(secret {name})")
        return value

    def fingerprint(self, name: str) -> str | None:
        found = self.value(name)
        if found is None:
            return None
        return hmac.new(self._key, f"{name}\0{found}".encode(), hashlib.sha256).hexdigest()


class Ledger:
    """What was made from the files: `kind/name` → id, what was declared, and the secrets' fingerprints.

    An entry without an id was begun and not finished; its `before` are the ids of that name that were there already.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "ledger.json"
        self._lock: Any = None
        self.entries: dict[str, dict[str, Any]] = {}

    def open(self, who: str) -> None:
        """Reads the record; with a name, it is the caller's alone until the program ends."""
        if who:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take(who)
        if self._path.exists():
            self.entries = json.loads(self._path.read_text())["entries"]

    def _take(self, who: str) -> None:
        self._lock = (self._folder / "lock").open("a+")
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._lock.seek(0)
                    raise Refusal("locked", self._lock.read().strip() or "another call") from None
                time.sleep(0.1)
        self._lock.truncate(0)
        self._lock.write(who)
        self._lock.flush()

    def key(self) -> bytes:
        """The key of the fingerprints, made at the first apply. A plan alone on a fresh machine needs none."""
        path = self._folder / "key"
        if not path.exists() and self._lock is not None:
            write(path, secrets.token_hex(32))
        return path.read_bytes() if path.exists() else secrets.token_bytes(32)

    def put(self, key: str, entry: dict[str, Any] | None) -> None:
        if self._lock is None:
            raise Refusal("defect", "the record is open for reading only")
        self.entries.pop(key, None)
        if entry is not None:
            self.entries[key] = entry
        write(self._path, json.dumps({"version": 1, "entries": self.entries}, indent=1, sort_keys=True))


def write(path: Path, text: str) -> None:
    """Whole or not at all, for root only."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    temporary.rename(path)


class Api:
    """Airbyte's public API, as the client that the machine made for it."""

    def __init__(self, url: str, client_id: str, client_secret: str) -> None:
        self._url = url.rstrip("/")
        self._client = {"client_id": client_id, "client_secret": client_secret}
        self._token = ""
        # Airbyte is on this machine: no proxy of the environment has a part in it.
        self._open = web().open

    def call(
        self, method: str, path: str, body: Any = None, timeout: float = QUICK, base: str | None = None
    ) -> Any:
        """The answer's data. A token that has run out is renewed once. `base`: where another API begins."""
        for attempt in (1, 2):
            if not self._token:
                self._token = self._renewed()
            try:
                return self._send(method, path, body, timeout, self._token, base or self._url)
            except Refusal as refusal:
                if refusal.answer.get("status") != 401 or attempt == 2:
                    raise
                self._token = ""
        return None

    def _renewed(self) -> str:
        asked = {**self._client, "grant_type": "client_credentials"}
        try:
            return str(self._send("POST", "/applications/token", asked, QUICK, "", self._url)["access_token"])
        except Refusal as refusal:
            if refusal.answer.get("status") in (400, 401, 403):
                raise Refusal("credentials", refusal.answer["text"]) from None
            raise

    def _send(self, method: str, path: str, body: Any, timeout: float, token: str, base: str) -> Any:
        if not path.startswith("/"):
            raise Refusal("defect", f"{path} is no path")
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(base + path, data=data, headers=headers, method=method)
        try:
            with self._open(request, timeout=timeout) as answer:
                text = whole(answer, timeout).decode()
        except urllib.error.HTTPError as error:
            text = excuse(error)
            raise Refusal("refused", said(text) or error.reason, status=error.code) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Refusal("unreachable", f"{getattr(error, 'reason', error)}", url=base) from None
        try:
            return json.loads(text) if text.strip() else None
        except ValueError:
            raise Refusal("refused", f"not JSON: {text[:200]}", status=200) from None


def excuse(error: urllib.error.HTTPError) -> str:
    """As much of an answer that says no as is taken in."""
    try:
        return str(whole(error, QUICK).decode(errors="replace"))
    except (OSError, http.client.HTTPException):
        return str(error.reason)


def said(text: str) -> str:
    """What a problem document says to people: Airbyte's own words are in its `data` or `detail`."""
    try:
        found = json.loads(text)
    except ValueError:
        return text.strip()[:2000]
    if not isinstance(found, dict):
        return str(found)
    data = found.get("data")
    inner = data.get("message") if isinstance(data, dict) else None
    words = [inner, found.get("detail"), found.get("message"), found.get("title")]
    return next((str(word) for word in words if word), text.strip()[:2000])


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
        return self._api.call("GET", path, timeout=SLOW if slow else QUICK)

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
        answer = answered(self, OPERATIONS, line)
        return dict(self._secrets.take_out(answer)) if self._ready else answer


if __name__ == "__main__":
    serve(Agent(Path(sys.argv[1] if len(sys.argv) > 1 else SETTINGS)))
