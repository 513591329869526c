"""Who may do what: client credentials from a file, tokens that live 15 minutes, two scopes.

`admin` may do everything. `orchestrator` may read, and start and cancel jobs: what a scheduler needs, no more.
Clients come from the operator's file (read again whenever it changes: that is the rotation) and from
`POST /applications`. A token is bound to its client's secret: when that is rotated or the client removed, the
token dies with it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import jwt

from airbyte_embedded.database import Database
from airbyte_embedded.problems import Problem, forbidden, unauthorized, unavailable

ADMIN = "admin"
ORCHESTRATOR = "orchestrator"
SCOPES = (ADMIN, ORCHESTRATOR)
ISSUER = "airbyte-embedded"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Client:
    """One holder of credentials. The secret itself is not kept, only its SHA-256 (secrets are long and random)."""

    id: str
    secret_sha256: str
    scope: str

    @property
    def print(self) -> str:
        """Changes whenever the secret or the scope does."""
        return hashlib.sha256(f"{self.id}:{self.secret_sha256}:{self.scope}".encode()).hexdigest()[:32]


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class BadClientsFile(Exception):
    """The file of clients cannot be used; says what is wrong with it and never shows a secret."""


def parse_clients(path: Path) -> dict[str, Client]:
    """`{"clients": [{"id": …, "secret": … or "secret_sha256": …, "scope": "admin" or "orchestrator"}]}`"""
    try:
        entries = json.loads(path.read_text())["clients"]
        clients = [
            Client(
                str(entry["id"]),
                str(entry["secret_sha256"]) if "secret_sha256" in entry else digest(entry["secret"]),
                str(entry["scope"]),
            )
            for entry in entries
        ]
    except OSError as error:
        raise BadClientsFile(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadClientsFile(f"{path} is not a list of clients ({type(error).__name__})") from None
    for client in clients:
        if client.scope not in SCOPES:
            raise BadClientsFile(f"{path}: the scope of {client.id} is none of {', '.join(SCOPES)}")
        if len(client.secret_sha256) != 64:
            raise BadClientsFile(f"{path}: the secret_sha256 of {client.id} is not 64 hexadecimal digits")
    if not clients:
        raise BadClientsFile(f"{path} names no client")
    return {client.id: client for client in clients}


class Clients:
    """Every client that may ask for a token: the file's and the applications'."""

    def __init__(self, path: Path, database: Database) -> None:
        self._path = path
        self._database = database
        # a file that is not there is parse_clients' to report; a change in between is seen as one
        self._seen = self._stamp() if path.exists() else (0, 0, 0)
        self._clients = parse_clients(path)

    def _stamp(self) -> tuple[int, int, int]:
        stat = self._path.stat()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _refresh(self) -> None:
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._clients = parse_clients(self._path)
                self._seen = stamp
                log.info("read the clients again from %s", self._path)
        except (OSError, BadClientsFile) as error:
            # half a file, or none: let nobody in by credentials that may just have been withdrawn
            log.error("%s", error)
            raise unavailable("The file of clients cannot be read at the moment.") from None

    def find(self, identifier: str) -> Client | None:
        self._refresh()
        if identifier in self._clients:
            return self._clients[identifier]
        row = self._database.one("SELECT * FROM applications WHERE client_id = ?", (identifier,))
        return Client(row["client_id"], row["secret_sha256"], row["scope"]) if row else None


class Tokens:
    """Makes and judges bearer tokens (HS256, the key never leaves the data folder)."""

    def __init__(self, key: bytes, clients: Clients, seconds: int) -> None:
        self._key = key
        self._clients = clients
        self.seconds = seconds

    def issue(self, client_id: str, secret: str) -> str:
        """A token for whoever knows the secret. Raises Problem 401 otherwise, without saying which half was wrong."""
        client = self._clients.find(client_id)
        expected = client.secret_sha256 if client else digest("nobody")
        if not hmac.compare_digest(expected, digest(secret)) or client is None:
            raise unauthorized("The client id or the client secret is wrong.")
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": client.id,
            "print": client.print,
            "iat": now,
            "exp": now + self.seconds,
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def judge(self, header: str | None) -> Client:
        """The client behind an Authorization header. Raises Problem 401."""
        kind, _, token = (header or "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise unauthorized("This needs a bearer token: POST /applications/token gives one.")
        try:
            claims = jwt.decode(
                token.strip(),
                self._key,
                algorithms=["HS256"],
                issuer=ISSUER,
                options={"require": ["exp", "iat", "sub", "iss"]},
            )
        except jwt.ExpiredSignatureError:
            raise unauthorized("The token has expired: POST /applications/token gives another.") from None
        except jwt.InvalidTokenError:
            raise unauthorized("The token is not valid.") from None
        client = self._clients.find(str(claims["sub"]))
        if client is None or not hmac.compare_digest(client.print, str(claims.get("print"))):
            raise unauthorized("The token's client was removed or its secret was rotated.")
        return client


def require(client: Client, scopes: tuple[str, ...]) -> None:
    """Raises Problem 403 unless the client holds one of the scopes."""
    if client.scope not in scopes:
        raise refused(client)


def refused(client: Client) -> Problem:
    return forbidden(f"A client of the scope {client.scope} may not do this.")
