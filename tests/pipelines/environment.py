"""Make the Python environments that the DAGs' tests run in: Airflow's, and those of the tools beside it.

Airflow's is that of the image as far as this computer's Python allows; dbt's and dlt's come from the image's own locks.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from hangar import installers

REPO = Path(__file__).resolve().parents[2]
FOLDER = REPO / ".venv-pipelines"
LOCKS = {
    "airflow": REPO / "tests/pipelines/requirements.lock",
    "dbt": REPO / "roles/airflow/files/dbt.lock",
    "dlt": REPO / "roles/airflow/files/dlt.lock",
}


def ensure(name: str, lock: Path) -> None:
    """An environment that was made from another lock, or only half, is made anew."""
    venv = FOLDER / name
    mark, wanted = venv / "made-from", f"{sys.version} {hashlib.sha256(lock.read_bytes()).hexdigest()}"
    if mark.exists() and mark.read_text() == wanted:
        return
    shutil.rmtree(venv, ignore_errors=True)  # there may be none
    installers.install(venv, lock, sys.executable)
    mark.write_text(wanted)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, lock in LOCKS.items():
        try:
            ensure(name, lock)
        except installers.Failed as error:
            sys.exit(f"The environment {name} of the DAGs' tests cannot be made: {error}")


if __name__ == "__main__":
    main()
