"""Programs of the machine, and what its roles wrote down."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import hangar_bounds

from hangar.serving import Refusal

SRV = Path("/srv")
DESCRIBED = Path("/etc/hangar/maintenance.json")
CONTAINERS = {"airflow": "airflow-scheduler-1", "airbyte": "airbyte-engine-1"}
"""The services whose images are made here, each with the container that tells what it runs."""

ANSWERED, WORKED = 600.0, 4 * 3600.0
"""Seconds that a question to a service may take, and work: services rule what is asked, and can hold it up."""

PSQL = ("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", "--file=-")


def described() -> dict[str, Any]:
    return read(DESCRIBED)


def recipe(user: str) -> list[str]:
    """The images that a service is made of; empty where the machine does not have it."""
    return list(read(SRV / user / "stack/image/images.json").get("images", []))


def in_container(user: str, *words: str) -> list[str]:
    return as_docker(user, "exec", CONTAINERS[user], *words)


def as_docker(user: str, *words: str) -> list[str]:
    return ["as-service", user, "docker", *words]


def in_database(tool: str, *words: str, database: str = "airflow") -> list[str]:
    """A client of Airflow's database, in its container."""
    place = ["--host=/tmp", "--username=airflow", f"--dbname={database}"]
    return as_docker("airflow", "exec", "--interactive", "airflow-postgres-1", tool, *place, *words)


def sql(text: str, database: str = "airflow") -> str:
    return run(in_database("psql", *PSQL, database=database), text=text).stdout.strip()


def installed() -> dict[str, str]:
    shown = run(
        ["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev} ${Package} ${Version}\n"]
    ).stdout
    return {words[1]: words[2] for line in shown.splitlines() if (words := line.split())[0] == "ii"}


def read(path: Path) -> dict[str, Any]:
    """A JSON file's mapping; empty where there is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def run(
    argv: Sequence[str],
    *,
    check: bool = True,
    seconds: float = ANSWERED,
    text: str | None = None,
    source: IO[bytes] | None = None,
    sink: IO[bytes] | None = None,
    env: dict[str, str] | None = None,
    cwd: Path = Path("/"),
) -> "subprocess.CompletedProcess[str]":
    """A program, run to its end.

    Raises:
        Refusal: it ended badly, with the end of what it said, or was ended: it said too much, or took too long.
    """
    try:
        done: subprocess.CompletedProcess[str] = hangar_bounds.run(
            argv, seconds=seconds, text=text or "", source=source, sink=sink,
            env={**os.environ, **(env or {})}, cwd=cwd,
        )  # fmt: skip
    except OSError as error:
        raise Refusal("failed", f"{' '.join(argv[:8])}: {error}") from None
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout or "").strip().splitlines()[-15:]
        raise Refusal("failed", "\n".join([f"* Command: {' '.join(argv[:8])}", *said]))
    return done


def why(done: "subprocess.CompletedProcess[str]") -> str:
    """The last line of an apt-get that ended badly; "" of one that ended well."""
    said = done.stderr.strip().splitlines()
    return (said or ["apt-get gives no reason"])[-1] if done.returncode else ""
