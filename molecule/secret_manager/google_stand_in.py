"""A stand-in for two answers of Google's, on a test machine's loopback: a token, and a version of a secret.

It is not Google and judges nothing; tests/google does that, and tests/ansible runs the role's program against it.
"""

import base64
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8599
TOKEN = "a-token-of-the-stand-in"


class Google(BaseHTTPRequestHandler):
    """Gives a token to whoever says the word, and with it a value that is made of the secret's name."""

    def do_GET(self) -> None:
        if self.path.startswith("/computeMetadata/") and self.headers.get("Metadata-Flavor") == "Google":
            self._say({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"})
        elif self.path.endswith(":access") and self.headers.get("Authorization") == f"Bearer {TOKEN}":
            name = self.path.split("/")[5]
            value = base64.b64encode(f"value-of-{name}".encode()).decode()
            self._say({"name": f"projects/1/secrets/{name}/versions/1", "payload": {"data": value}})
        else:
            self.send_error(403)

    def _say(self, body: dict[str, object]) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


ThreadingHTTPServer(("127.0.0.1", PORT), Google).serve_forever()
