"""A receiver of journals that lets nobody in without a certificate: receiver.py PORT FOLDER.

Debian's systemd-journal-remote is built without that. Each line says who sent an entry, and the entry.
"""

import ssl
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        sender = dict(pair for (pair,) in self.connection.getpeercert()["subject"])["commonName"]
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        with Path(sys.argv[2], "received").open("ab") as received:
            for line in body.splitlines():
                if line.startswith(b"MESSAGE="):
                    received.write(sender.encode() + b": " + line + b"\n")
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main() -> None:
    folder = Path(sys.argv[2])
    server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    # Python's default context asks for extensions that the authorities of companies often leave out.
    rules = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    rules.load_verify_locations(folder / "ca.pem")
    rules.load_cert_chain(folder / "receiver.pem", folder / "receiver.key")
    rules.verify_mode = ssl.CERT_REQUIRED
    server.socket = rules.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
