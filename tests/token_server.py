"""Google's token endpoint, for tests and figures of the relay."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


class TokenServer:
    """Google's token endpoint for a service account: each token is a new one. `file` names the credentials."""

    def __init__(self, folder: Path) -> None:
        self.issued = 0
        self.refuse = False
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server = server
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        key = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.file = folder / "credentials.json"
        account = {
            "type": "service_account", "project_id": "p", "private_key_id": "k", "private_key": key.decode(),
            "client_email": "robot@p.iam.gserviceaccount.com",
            "token_uri": f"http://127.0.0.1:{server.server_address[1]}/token",
        }  # fmt: skip
        self.file.write_text(json.dumps(account))

    def __enter__(self) -> TokenServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(outer) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                outer.issued += not outer.refuse
                answer: dict[str, object] = {
                    "access_token": f"secret-token-{outer.issued}",
                    "expires_in": 3600,
                }
                if outer.refuse:
                    answer = {"error": "invalid_grant", "error_description": "Bad account"}
                body = json.dumps(answer).encode()
                self.send_response(400 if outer.refuse else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        return Handler
