"""A stand-in for Airbyte's public API v1: keeps what it is given, refuses what Airbyte would refuse, records requests.

Where Airbyte's own OpenAPI document is at hand, every request and every answer is judged by it.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema

REPO = Path(__file__).resolve().parents[3]
SPECS = [place / "shared/specs/airbyte-public-api.json" for place in list(REPO.parents)[:3]]
SPEC = next((path for path in SPECS if path.is_file()), None)
"""Airbyte's own document, beside the repository; absent elsewhere."""

MASK = "**********"
CLIENT = {"client_id": "the-client", "client_secret": "the-client-secret", "grant_type": "client_credentials"}
STREAMS = {
    "users": ["id", "name", "updated_at"],
    "products": ["id", "price", "updated_at"],
}


class FakeAirbyte:
    """`interrupt` is asked after a write has been done; if it says so, the write is never answered."""

    def __init__(self) -> None:
        self.workspaces = [
            {
                "workspaceId": str(uuid.uuid4()),
                "name": "Default",
                "dataResidency": "auto",
                "notifications": {},
            }
        ]
        self.held: dict[str, dict[str, dict[str, Any]]] = {
            "sources": {},
            "destinations": {},
            "connections": {},
        }
        self.requests: list[tuple[str, str, Any]] = []
        self.tokens: set[str] = set()
        self.token_uses = 10_000
        self.unmasked = False
        self.broken_sources: dict[str, str] = {}
        self.broken_destinations: dict[str, str] = {}
        self.check: tuple[int, Any] | None = None
        self.prefixes = re.compile(".*")
        self.interrupt: Callable[[int], bool] = lambda number: False
        self.writes = 0
        self.wrong: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/public/v1"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        assert self.wrong == []

    def names(self, kind: str) -> list[str]:
        return sorted(one["name"] for one in self.held[kind].values())

    def changes(self) -> list[tuple[str, str]]:
        """Method and path of everything that was not only read, tokens apart."""
        return [
            (method, re.sub(r"/[0-9a-f-]{36}$", "/ID", path))
            for method, path, _ in self.requests
            if method != "GET" and "applications" not in path
        ]

    def _handler(fake) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                path = urlsplit(self.path).path.removeprefix("/api/public/v1")
                query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
                token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
                fake.requests.append((self.command, path, body))
                status, answer = fake.answer(self.command, path, query, body, token)
                if self.command != "GET" and "applications" not in path and status < 300:
                    fake.writes += 1
                    if fake.interrupt(fake.writes):
                        self.close_connection = True
                        return
                data = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, token: str) -> tuple[int, Any]:
        if path == "/applications/token":
            if body != CLIENT:
                return 401, {"title": "unauthorized", "detail": "no such application"}
            fresh = uuid.uuid4().hex
            self.tokens = {fresh}
            self._uses = self.token_uses
            return 200, {"access_token": fresh, "token_type": "Bearer", "expires_in": 900}
        if token not in self.tokens or self._uses <= 0:
            return 401, {"title": "unauthorized", "detail": "a token is needed"}
        self._uses -= 1
        if path == "/api/v1/destinations/check_connection":
            return self.check or self._checked(body["destinationId"])
        self._judge(method, path, body=body)
        status, answer = self._do(method, path, query, body)
        if status < 300:
            self._judge(method, path, status=status, answer=answer)
        return status, answer

    def _do(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        kind, _, id = path.strip("/").partition("/")
        if path == "/streams":
            return self._streams(query["sourceId"])
        there = (
            {one["workspaceId"]: one for one in self.workspaces} if kind == "workspaces" else self.held[kind]
        )
        if method == "GET" and not id:
            start = int(query.get("offset", 0))
            page = list(there.values())[start : start + int(query.get("limit", 20))]
            return 200, {"data": [self._shown(one) for one in page], "next": "", "previous": ""}
        if method != "POST" and id not in there:
            return 404, {"title": "resource-not-found", "detail": f"there is no {id}", "status": 404}
        if method == "DELETE":
            self._remove(kind, id)
            return 204, None
        if refused := self._refused(kind, body):
            return 400, {"title": "unprocessable-entity", "data": {"message": refused}, "status": 400}
        return 200, self._shown(self._keep(kind, id, body, method))

    def _streams(self, source: str) -> tuple[int, Any]:
        if source not in self.held["sources"]:
            return 404, {"detail": "there is no such source"}
        configuration = self.held["sources"][source]["configuration"]
        for option, words in self.broken_sources.items():
            if option in configuration:
                return 422, {"title": "connector-failed", "detail": words.format(**configuration)}
        modes = [
            "full_refresh_overwrite",
            "full_refresh_append",
            "incremental_append",
            "incremental_deduped_history",
        ]
        return 200, [
            {"streamName": name, "syncModes": modes, "defaultCursorField": [], "sourceDefinedCursorField": False,
             "sourceDefinedPrimaryKey": [], "propertyFields": [[column] for column in columns]}
            for name, columns in STREAMS.items()
        ]  # fmt: skip

    def _checked(self, destination: str) -> tuple[int, Any]:
        """The platform's configuration API: CheckConnectionRead in its config.yaml."""
        configuration = self.held["destinations"][destination]["configuration"]
        job = {"id": str(uuid.uuid4()), "configType": "check_connection_destination", "createdAt": 1, "endedAt": 2,
               "succeeded": True}  # fmt: skip
        for option, words in self.broken_destinations.items():
            if option in configuration:
                return 200, {"status": "failed", "message": words.format(**configuration), "jobInfo": job}
        return 200, {"status": "succeeded", "jobInfo": job}

    def _refused(self, kind: str, body: Any) -> str:
        if kind == "connections":
            return "" if self.prefixes.fullmatch(body["prefix"]) else f"prefix is {body['prefix']}"
        connector = body["configuration"].get(f"{kind.removesuffix('s')}Type")
        if connector not in ("faker", "postgres", "http"):
            return f"there is no connector {connector}"
        count = body["configuration"].get("count", 1)
        return "" if isinstance(count, int) else f"$.count: string found, integer expected ({count})"

    def _keep(self, kind: str, id: str, body: Any, method: str) -> dict[str, Any]:
        one = kind.removesuffix("s")
        id = id or str(uuid.uuid4())
        if kind == "connections":
            before = self.held[kind].get(id) or {
                "connectionId": id, "workspaceId": self.workspaces[0]["workspaceId"], "createdAt": 1, "tags": [],
                "status": "active", "schedule": {"scheduleType": "manual"}, "name": "",
            }  # fmt: skip
            self.held[kind][id] = {**before, **body}
        else:
            fresh = {**body, f"{one}Id": id, f"{one}Type": body["configuration"][f"{one}Type"], "createdAt": 1,
                     "definitionId": str(uuid.uuid4()), "workspaceId": self.workspaces[0]["workspaceId"]}  # fmt: skip
            fresh["configuration"].setdefault("filled_in", True)
            self.held[kind][id] = fresh
        return self.held[kind][id]

    def _remove(self, kind: str, id: str) -> None:
        del self.held[kind][id]
        using = [
            one
            for one, held in self.held["connections"].items()
            if id in (held["sourceId"], held["destinationId"])
        ]
        for one in using:
            del self.held["connections"][one]

    def _shown(self, one: dict[str, Any]) -> dict[str, Any]:
        return (
            one
            if self.unmasked or "configuration" not in one
            else {**one, "configuration": _masked(one["configuration"])}
        )

    def _judge(
        self, method: str, path: str, *, body: Any = None, status: int = 0, answer: Any = None
    ) -> None:
        """Notes what Airbyte's own document would not allow."""
        if SPEC is None:
            return
        document = json.loads(SPEC.read_text())
        template = re.sub(r"^/(source|destination|connection)s/.+", r"/\1s/{\1Id}", path)
        operation = document["paths"][template][method.lower()]
        schema = (operation if status == 0 else operation["responses"][str(status)]).get(
            "requestBody" if status == 0 else "content"
        )
        if status == 0 and schema:
            schema = schema["content"]
        if not schema:
            return
        found = schema["application/json"]["schema"]
        validator = jsonschema.Draft202012Validator({**found, "components": document["components"]})
        said = [error.message for error in validator.iter_errors(body if status == 0 else answer)]
        unknown = set()
        if status == 0 and "$ref" in found:
            unknown = set(body) - set(
                document["components"]["schemas"][found["$ref"].rpartition("/")[2]]["properties"]
            )
        self.wrong += [f"{method} {path}: {one}" for one in [*said, *(f"unknown {key}" for key in unknown)]]


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: MASK if re.search("password|api_key", key) and isinstance(one, str) else _masked(one)
            for key, one in value.items()
        }
    return [_masked(one) for one in value] if isinstance(value, list) else value
