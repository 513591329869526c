#!/usr/bin/python3 -IB
"""A recording stand-in: listens where its settings say, writes down who it is and what it sees, and sends nothing."""

import json
import os
import re
import socket
import sys
from pathlib import Path

place = Path(sys.argv[-1].partition("=")[2])
said = place.read_text()
host, port = (re.search(rf"{word}:? +(\S+)", said)[1] for word in ("host", "port"))
listening = socket.create_server((host, int(port)))
credentials = os.environ.get("CREDENTIALS_DIRECTORY")
record = {
    "uid": os.getuid(),
    "arguments": sys.argv,
    "credentials": sorted(one.name for one in Path(credentials).iterdir()) if credentials else [],
    "srv": sorted(one.name for one in Path("/srv").iterdir()),
}
place.with_name("record.json").write_text(json.dumps(record))
while True:
    listening.accept()[0].close()
