"""A declarative source as an ordinary connector: `python launch.py manifest NAME FILE spec|check|discover|read …`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault(
    "AIRBYTE_LOGGING_ROOT", os.environ.get("TMPDIR", "/tmp")
)  # read when airbyte is imported

from airbyte._executors.declarative import DeclarativeExecutor


def main() -> int:
    name, file, *words = sys.argv[1:]
    manifest = Path(file)
    components = manifest.with_name("components.py")
    executor = DeclarativeExecutor(name, manifest, components if components.exists() else None)
    for line in executor.execute(words):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
