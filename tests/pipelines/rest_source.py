"""A REST source of the tests' own: pages of events, those that are newer than what is asked for."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 2


@dataclass
class Source:
    events: list[dict[str, Any]]
    token: str = "token-of-the-source"
    broken: list[int] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    elsewhere: str = ""
    """An address that the first answer names as its next page."""
    round: int = 0
    """After so many pages the next one is the first again; whoever goes round for long is sent away."""
    address: str = ""

    def answer(self, path: str, query: dict[str, str], token: str) -> tuple[int, Any]:
        self.asked.append({"path": path, **query})
        if self.broken:
            return self.broken.pop(0), {"message": "broken for the test"}
        if token != f"Bearer {self.token}":
            return 401, {"message": "who are you?"}
        if self.round and len(self.asked) > 20:
            return 410, {"message": "you were here before"}
        newer = [event for event in self.events if event["updated_at"] >= query.get("updated_since", "")]
        newer.sort(key=lambda event: str(event["updated_at"]))
        at = int(query.get("from", 0))
        more = f"{self.address}{path}?updated_since={query['updated_since']}&from={at + PAGE}"
        if self.round and at + PAGE >= self.round * PAGE:
            more = f"{self.address}{path}?updated_since={query['updated_since']}&from=0&api_key=hush"
        link = self.elsewhere or (more if at + PAGE < len(newer) else None)
        return 200, {"data": newer[at : at + PAGE], "next": link}


def serve(source: Source) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Tests print what matters."""

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            status, body = source.answer(parts.path, query, self.headers.get("Authorization") or "")
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    source.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
