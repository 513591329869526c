"""Where things lie on the machine. A variable of the environment moves them, for whoever runs a DAG elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

DATA = Path(os.environ.get("PIPELINE_DATA", "/srv/airflow/data"))
"""The one folder that tasks can write."""


def program(tool: str) -> Path:
    """The Python environment of a tool that has one of its own: `<TOOL>_ENVIRONMENT`, or /opt/<tool>."""
    return Path(os.environ.get(f"{tool.upper()}_ENVIRONMENT", f"/opt/{tool}")) / "bin"
