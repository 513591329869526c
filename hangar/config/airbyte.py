"""The section `airbyte` of platform.yml: which of the two engines moves the data, and what abctl installs."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, field_validator
from pydantic_core.core_schema import ValidationInfo

from hangar.config import sizes
from hangar.config.connectors import Connectors
from hangar.config.fields import (
    Section,
    SentFile,
    all_wrong,
    existing_file,
    locate,
    section,
    sent,
    setting,
    wrong,
)
from hangar.config.reading import read_file

Engine = Literal["embedded", "abctl"]

OLDEST_CHART = (2, 4)
"""Below 2.4 one workspace can read another's (CVE-2026-80049, Airbyte's release notes)."""

RELEASES = "https://github.com/airbytehq/abctl/releases/download"
"""Where abctl's releases are; beside each archive lies the list of their checksums."""

PORT = {"ge": 1024, "le": 65535}


def _archive(value: object, info: ValidationInfo) -> str:
    """An address stays as it is; anything else is a file of this checkout."""
    if isinstance(value, str) and re.match(r"(https?|file)://", value):
        return value
    return str(existing_file(sent(locate(value, info), info)))


Archive = Annotated[str, BeforeValidator(_archive), WithJsonSchema({"type": "string"})]


def _chart(value: str) -> str:
    if tuple(map(int, value.split(".")[:2])) < OLDEST_CHART:
        raise wrong(f"{value} is too old: below 2.4 one workspace can read another's (CVE-2026-80049)")
    return value


def _helm_values(path: Path) -> Path:
    """The file, if Helm could read it, and it leaves the log-in on and Airbyte's telemetry off: the role's own rules,
    whose turn comes after other roles have changed the machine.
    """
    data, found = read_file(path)
    problems = [
        (f"{path} is no file of Helm values ({one.path}: {one.message.partition(';')[0]})", "", "YAML")
        for one in found
    ]
    given = data.get("global", {})
    parts = [given.get(name, {}) for name in ("auth", "tracking")] if isinstance(given, dict) else [given]
    if not all(isinstance(part, dict) for part in parts):
        problems.append((f"{path} has a `global` that is none of Airbyte's chart", "", "global: {…: {…}}"))
    else:
        auth, tracking = parts
        if auth.get("enabled", True) is not True:
            problems.append((f"{path} switches the log-in off (global.auth.enabled)", "", "leaving it on"))
        if tracking.get("enabled", False) is not False or tracking.get("strategy", "logging") != "logging":
            problems.append(
                (f"{path} sends what Airbyte does to its maker (global.tracking)", "", "leaving it off")
            )
    if problems:
        raise all_wrong(problems)
    return path


class Database(Section):
    """A Postgres of yours (13 to 17) for Airbyte's own records. Its password lies on the machine, in
    /srv/airbyte/secrets/database_password.
    """

    host: str | None = setting(
        None, "Its name or address; null means the one that Airbyte brings.", "a host name, or null",
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$",
    )  # fmt: skip
    port: int = setting(5432, "Its port.", "a port from 1 to 65535", ge=1, le=65535)
    name: str = setting(
        "airbyte", "The database.", "a name such as airbyte", pattern=r"^[A-Za-z0-9_-]{1,63}$"
    )
    user: str = setting("airbyte", "The account.", "a name such as airbyte", pattern=r"^[A-Za-z0-9_-]{1,63}$")


class Abctl(Section):
    """What the engine abctl installs: Airbyte's own platform (docs/airbyte.md)."""

    version: str = setting(
        "v0.30.4", "abctl's release.", "a release such as v0.30.4", pattern=r"^v\d+\.\d+\.\d+$"
    )
    sha256: str | None = setting(
        None, "The checksum of its archive for the machine's processor; without one nothing is installed.",
        "64 hexadecimal digits, or null", pattern=r"^[0-9a-f]{64}$",
    )  # fmt: skip
    archive: Archive | None = setting(
        None,
        "Where the archive is: an address that the machine reaches, or a file of this checkout; "
        "null = abctl's releases.",
        "an address such as https://mirror.example.org/abctl.tar.gz, the path of a file, or null",
    )  # fmt: skip
    chart: Annotated[str, AfterValidator(_chart)] = setting(
        "2.4.0", "Airbyte's release (its Helm chart), 2.4 or newer.", "a release such as 2.4.0",
        pattern=r"^\d+\.\d+\.\d+$",
    )  # fmt: skip
    upgrade: bool = setting(
        False, "Let this call bring what is installed to what is described. Meant for --set.", "true or false"
    )
    low_resource: bool = setting(
        False,
        "Airbyte's mode for small machines: no requests of memory, no Connector Builder.",
        "true or false",
    )
    values: Annotated[SentFile, AfterValidator(_helm_values)] | None = setting(
        None, "Helm values of yours, stronger than Hangar's.", "the path of a YAML file, or null"
    )
    database: Database = section(Database)
    google_secrets: str | None = setting(
        None, "A Google Cloud project whose Secret Manager keeps what connectors are given.",
        "the id of a project, or null", pattern=r"^[a-z][-a-z0-9]{4,28}[a-z0-9]$",
    )  # fmt: skip
    filter_port: int = setting(
        8001, "The port on the machine's loopback through which Airflow reaches it.",
        "a port from 1024 to 65535", **PORT,
    )  # fmt: skip


class Airbyte(Section):
    """Airbyte: connectors that move data, behind one public API, run by one of two engines."""

    enabled: bool = setting(True, "Whether the machine has it.", "true or false")
    engine: Engine | None = setting(
        None, "embedded = Hangar's small engine, abctl = Airbyte's own platform; null = chosen by size.",
        "embedded, abctl or null",
    )  # fmt: skip
    port: int = setting(
        8000, "Its port on the machine's loopback and, through SSH, on yours.",
        "a port from 1024 to 65535", **PORT,
    )  # fmt: skip
    jobs_at_once: int = setting(
        2, "How many syncs the embedded engine runs at once.", "a whole number from 1 to 32", ge=1, le=32
    )
    job_hours: int = setting(
        4,
        "After how many hours the embedded engine ends a sync.",
        "a whole number from 1 to 168",
        ge=1,
        le=168,
    )
    connectors: Connectors | None = setting(
        None, "A folder of connectors of yours that the embedded engine may run: a registry.json, and what it names.",
        "the path of a folder with a registry.json, or null",
    )  # fmt: skip
    abctl: Abctl = section(Abctl)

    @field_validator("abctl")
    @classmethod
    def _apart(cls, value: Abctl, info: ValidationInfo) -> Abctl:
        if value.filter_port == info.data.get("port"):
            raise wrong(f"{value.filter_port} is Airbyte's own port", "filter_port", "a port of its own")
        return value


def engine(airbyte: Airbyte, others: Mapping[str, Any]) -> Engine:
    """The engine that is asked for, or the one that the machine's size chooses.

    Nobody gets Airbyte's platform by accident: it is chosen only for a machine on Google Cloud that is known to be
    large enough, and only where a checksum says which abctl may be run. A local machine, and one whose size is not
    known before somebody logs in to it, gets the embedded engine.
    """
    return choice(airbyte, others)[0]


def choice(airbyte: Airbyte, others: Mapping[str, Any]) -> tuple[Engine, str]:
    """The engine, and why it is this one."""
    if airbyte.engine:
        return airbyte.engine, "as airbyte.engine says"
    if others.get("cloud") != "gcp":
        return "embedded", "the platform is taken unasked only on Google Cloud"
    size = sizes.known(others)
    if lacks := size.lacks(sizes.NEEDED):
        return "embedded", f"the platform is taken unasked from {'; '.join(lacks)}"
    if not size.complete:
        return "embedded", "how large a machine of gcp.machine_type is, is not known"
    if not airbyte.abctl.sha256:
        return "embedded", "large enough for the platform, but airbyte.abctl.sha256 vouches for no abctl"
    return "abctl", "large enough, and airbyte.abctl.sha256 says which abctl may be run"


def filter_port(airbyte: Airbyte, others: Mapping[str, Any]) -> int | None:
    """The port that Airflow reaches Airbyte's platform by; the embedded engine has a filter of its own."""
    return airbyte.abctl.filter_port if engine(airbyte, others) == "abctl" else None


def check(value: Airbyte, others: Mapping[str, Any]) -> Airbyte:
    """What the platform needs, where it is asked for by name; what is not known yet, the role's preflight asks.

    Raises:
        PydanticCustomError: with the figures of a machine that is too small, and with a checksum that is missing.
    """
    if not value.enabled:
        return value
    airflow = others.get("airflow")
    if airflow and filter_port(value, others) == airflow.port:
        raise wrong(f"{airflow.port} is Airflow's port too", "abctl.filter_port", "a port of its own")
    if value.connectors and engine(value, others) == "abctl":
        raise wrong(
            "is for the embedded engine; the platform has connectors of its own",
            "connectors", "null, or airbyte.engine: embedded,",
        )  # fmt: skip
    if value.engine != "abctl":
        return value
    found = [
        (f"abctl needs {lack}", "engine", "embedded, or a larger machine")
        for lack in sizes.known(others).lacks(sizes.NEEDED)
    ]
    if value.abctl.sha256 is None:
        found.append(("is missing", "abctl.sha256", _where(value.abctl)))
    if found:
        raise all_wrong(found)
    return value


def _where(abctl: Abctl) -> str:
    name = f"abctl-{abctl.version}-linux-amd64.tar.gz"
    if abctl.archive:
        return f"what `sha256sum {Path(abctl.archive).name}` prints, once you trust that file,"
    return f"the line of {name} in {RELEASES}/{abctl.version}/abctl_{abctl.version[1:]}_checksums.txt"
