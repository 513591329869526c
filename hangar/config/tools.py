"""Tools for DAGs, each in a Python environment of its own: `airflow.tools` of platform.yml."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from hangar.config.fields import SentFile, all_wrong, empty_if_none, wrong

TAKEN = ("airflow", "cache", "dbt", "dlt")
"""Folders of the image's /opt that are others'."""


def with_hashes(path: Path) -> Path:
    """A lock without hashes would let anything in."""
    if "--hash=" not in path.read_text(encoding="utf-8", errors="replace"):
        raise wrong(f"{path} has no hashes")
    return path


def check_names(value: dict[str, Path]) -> dict[str, Path]:
    found = [
        ("is not a tool's name", name, "small letters, digits and -")
        for name in value
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name)
    ]
    found += [
        ("has an environment already", name, "another name; airflow.python_lock adds to Airflow's own")
        for name in value
        if name in TAKEN
    ]
    if found:
        raise all_wrong(found)
    return value


Locked = Annotated[SentFile, AfterValidator(with_hashes)]
Tools = Annotated[dict[str, Locked], BeforeValidator(empty_if_none), AfterValidator(check_names)]
