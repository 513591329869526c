"""The programs that roles bring to the machine are found as they are there: all in one folder."""

from __future__ import annotations

import sys
from pathlib import Path

LIBRARY = "templates/usr/local/lib/hangar"
sys.path += sorted(str(path) for path in (Path(__file__).parents[1] / "roles").glob(f"*/{LIBRARY}"))
