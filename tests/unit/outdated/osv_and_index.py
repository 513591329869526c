"""A stand-in for OSV and for a package index, in the forms that both publish:
https://google.github.io/osv.dev/post-v1-querybatch/, PEP 691 (JSON) and PEP 503 (HTML). It is neither of them.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StandIn:
    """`offers`: package → files with the Python that they demand; `ids`: pin → pages of what OSV knows of it."""

    def __init__(self) -> None:
        self.offers: dict[str, list[dict[str, Any]]] = {}
        self.ids: dict[tuple[str, str], list[list[str]]] = {}
        self.about: dict[str, dict[str, Any]] = {}
        self.as_html = False
        self.fails: dict[str, int] = {}
        self.asked: list[str] = []
        stand = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                status, kind, text = stand.answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = answer

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.osv = f"http://127.0.0.1:{self.server.server_port}"
        self.index = f"{self.osv}/simple"

    def answer(self, path: str, body: Any) -> tuple[int, str, str]:
        self.asked.append(path)
        for start, status in self.fails.items():
            if path.startswith(start):
                return status, "text/plain", "no"
        if path == "/v1/querybatch":
            return (
                200,
                "application/json",
                json.dumps({"results": [self._known(one) for one in body["queries"]]}),
            )
        if path.startswith("/v1/vulns/"):
            return 200, "application/json", json.dumps(self.about[path.removeprefix("/v1/vulns/")])
        name = path.removeprefix("/simple/").strip("/")
        if name not in self.offers:
            return 404, "text/plain", "no such package"
        return self._page(self.offers[name])

    def _known(self, query: dict[str, Any]) -> dict[str, Any]:
        assert query["package"]["ecosystem"] == "PyPI"
        pages = self.ids.get((query["package"]["name"], query["version"]), [[]])
        page = int(query.get("page_token", "0"))
        found: dict[str, Any] = {}
        if pages[page]:
            found["vulns"] = [{"id": one, "modified": "2026-11-01T00:00:00Z"} for one in pages[page]]
        if page + 1 < len(pages):
            found["next_page_token"] = str(page + 1)
        return found

    def _page(self, files: list[dict[str, Any]]) -> tuple[int, str, str]:
        if not self.as_html:
            return (
                200,
                "application/vnd.pypi.simple.v1+json",
                json.dumps({"meta": {"api-version": "1.1"}, "files": files}),
            )
        lines = [
            f'<a href="../{one["filename"]}#sha256=0" '
            + ('data-yanked="broken" ' if one.get("yanked") else "")
            + f'data-requires-python="{one.get("requires-python", "").replace(">", "&gt;")}">{one["filename"]}</a>'
            for one in files
        ]
        return 200, "text/html; charset=utf-8", "<!DOCTYPE html>\n" + "\n".join(lines)
