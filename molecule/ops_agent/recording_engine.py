#!/usr/bin/python3 -IB
"""A recording stand-in of what judges the agent's settings: it writes where the parts listen, and nothing else.

Google's puts the parts' own figures on every address; so does this one.
"""

import os
import sys
from pathlib import Path

PARTS = {
    "-service=fluentbit": ("fluent_bit_main.conf", "[OUTPUT]\n    host  0.0.0.0\n    port  20202\n"),
    "-service=otel": ("otel.yaml", "prometheus:\n  host: 0.0.0.0\n  port: 20201\n"),
}

said = Path(sys.argv[sys.argv.index("-in") + 1]).read_text()
if "logging:" not in said:
    sys.exit("recording stand-in: these are no settings of the Ops Agent")
for option, (name, text) in PARTS.items():
    if option in sys.argv:
        folder = Path(
            sys.argv[sys.argv.index("-out") + 1] if "-out" in sys.argv else os.environ["RUNTIME_DIRECTORY"]
        )
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
