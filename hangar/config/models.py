"""The settings of platform.yml: one class a section, one field a key. The schema for editors comes from here."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from hangar.config import airbyte, backup, existing, gcp, monitoring, people, secrets
from hangar.config.airbyte import Airbyte, Engine
from hangar.config.backup import Backup
from hangar.config.connections import Connection, Connections, Secret, Variables
from hangar.config.existing import Existing
from hangar.config.fields import (
    PEOPLE,
    SUBIDS,
    File,
    Files,
    MachineMemory,
    Names,
    Networks,
    Section,
    SentFolder,
    TimeZone,
    all_wrong,
    check_each,
    section,
    setting,
    wrong,
)
from hangar.config.gcp import Gcp
from hangar.config.hardening import Hardening
from hangar.config.homes import Homes
from hangar.config.monitoring import Monitoring
from hangar.config.people import People
from hangar.config.pipelines import PipelinesSection
from hangar.config.secrets import Secrets
from hangar.config.tools import Locked, Tools
from hangar.config.updates import Updates
from hangar.config.variables import AirflowVariables
from hangar.config.vm import Vm, check_machine

__all__ = ["Config", "Connection", "Secret", "Settings"]

PORT = {"ge": 1024, "le": 65535}

LOCAL_ONLY = {"cpus": "gcp.machine_type", "memory": "gcp.machine_type", "ssh_port": "leaving it out"}
"""What only a machine on this computer has, and what stands for it elsewhere."""

PORT_OWNERS = {"airflow": "Airflow's", "airbyte": "Airbyte's", "warehouse": "the warehouse's"}
"""Sections that come before others and have a port on the machine's loopback."""


class Machine(Section):
    """The machine's size, and what it has from its place in the world."""

    cpus: float | None = setting(
        None, "CPUs that the machine may use; null means all.", "a number from 1 up, or null", ge=1
    )
    memory: MachineMemory | None = setting(
        None, "Memory that the machine may use; null means all.", "a size from 4GiB up, such as 6GiB, or null"
    )
    timezone: TimeZone = setting("Etc/UTC", "The machine's time zone.", "a name such as Europe/Zurich")
    locale: str = setting(
        "C.UTF-8", "The machine's locale.", "a UTF-8 locale such as C.UTF-8 or de_CH.UTF-8",
        pattern=r"^[A-Za-z_]+\.UTF-8$",
    )  # fmt: skip


class Access(Section):
    """How the controller gets in."""

    admin: str = setting(
        "hangar", "The administrator's account: keys only, sudo without a password.",
        "a lower-case account name such as hangar", pattern=r"^[a-z][a-z0-9_-]{0,30}$",
    )  # fmt: skip
    private_key: File | None = setting(
        None, "Your private key; null means that Hangar makes one for this environment.",
        "the path of a private key, from this file's folder or from ~, or null",
    )  # fmt: skip
    ssh_port: int | None = setting(
        None, "The port on 127.0.0.1 that leads to a local machine's SSH; null means any that is free.",
        "a port from 1024 to 65535, or null", **PORT,
    )  # fmt: skip
    ssh_sources: Networks = setting(
        (), "More networks that may reach port 22; those that Hangar itself needs are added.",
        "a list of networks such as 10.0.0.0/8",
    )  # fmt: skip
    admin_keys: Literal["any", "hardware"] = setting(
        "any", "Which keys an admin among the people may have: any, or only hardware keys (sk-…).",
        "any or hardware",
    )  # fmt: skip

    @field_validator("admin")
    @classmethod
    def _own_account(cls, value: str) -> str:
        if people.is_taken(value):
            raise wrong(f'"{value}" is taken on the machine')
        return value


def _uid(default: int) -> Any:
    right = f"a number from 1001 to {PEOPLE.start - 1}"
    return setting(default, "The account's uid and gid.", right, ge=1001, le=PEOPLE.start - 1)


def _subids(default: int) -> Any:
    what = f"Where its {SUBIDS} subordinate uids and gids start."
    last = 2**32 - 2 * SUBIDS
    return setting(default, what, f"a number from 100000 to {last}", ge=100_000, le=last)


class AirflowUser(Section):
    """The numbers of a service's account. They own files under /srv, so choose them once."""

    uid: int = _uid(2001)
    subids: int = _subids(200_000)


class AirbyteUser(Section):
    """As for Airflow."""

    uid: int = _uid(2002)
    subids: int = _subids(300_000)


class Users(Section):
    """The service users. Their numbers must not meet."""

    airflow: AirflowUser = section(AirflowUser)
    airbyte: AirbyteUser = section(AirbyteUser)

    @field_validator("airbyte")
    @classmethod
    def _apart(cls, value: AirbyteUser, info: ValidationInfo) -> AirbyteUser:
        other = info.data.get("airflow")
        if other and (found := list(_overlaps(value, other))):
            raise all_wrong(found)
        return value


def _overlaps(mine: AirbyteUser, other: AirflowUser) -> Iterator[tuple[str, str, str]]:
    if mine.uid == other.uid:
        yield f"{mine.uid} is airflow's uid too", "uid", "a uid of its own"
    if abs(mine.subids - other.subids) < SUBIDS:
        ours, theirs = (f"{user.subids} to {user.subids + SUBIDS - 1}" for user in (mine, other))
        yield f"{ours} overlaps airflow's {theirs}", "subids", f"a start such as {other.subids + SUBIDS}"


class Airflow(Section):
    """Airflow: what people reach, and what is added to it."""

    port: int = setting(
        8080, "Its port on the machine's loopback and, through SSH, on yours.",
        "a port from 1024 to 65535", **PORT,
    )  # fmt: skip
    live_dags: bool = setting(
        True, "Add the bundle `live`: the folder /srv/airflow/dags of the group dags.", "true or false"
    )
    examples: bool = setting(True, "Release Hangar's example DAGs.", "true or false")
    parallelism: int = setting(
        16, "How many task instances may run at once.", "a whole number from 1 to 512", ge=1, le=512
    )
    python_lock: Locked | None = setting(
        None, "More Python packages for the image: a requirements file, locked with hashes.",
        "the path of a requirements file with hashes (uv pip compile --generate-hashes), or null",
    )  # fmt: skip
    tools: Tools = setting(
        {}, "More programs that DAGs start, each in a Python environment of its own: name -> requirements file.",
        "names such as soda: soda.lock, each with a requirements file with hashes",
    )  # fmt: skip
    debian_packages: Names = setting(
        (), "More Debian packages for the image.", "a list of Debian package names"
    )
    plugins: SentFolder | None = setting(
        None, "A folder of Airflow plugins for the image.", "the path of a folder of this checkout, or null"
    )
    environment: Variables = setting(
        {}, "More environment variables for Airflow's containers. Not for secrets: use connections.",
        "variables such as AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT: 60",
    )  # fmt: skip
    connections: Connections = setting(
        {}, "Airflow connections: name -> URI, or conn_type, host, …; password: {secret: NAME}.",
        "a URI without a password, or keys such as conn_type, host, login",
    )  # fmt: skip
    variables: AirflowVariables = setting(
        {}, "Airflow variables: name -> a text, a number, a list or keys and values; {secret: NAME} for a secret.",
        "variables such as region: europe-west1",
    )  # fmt: skip

    @field_validator("debian_packages")
    @classmethod
    def _package_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_each(value, r"[a-z0-9][a-z0-9+.-]+", "a Debian package name")
        return value


class Warehouse(Section):
    """The Postgres that holds the data."""

    enabled: bool = setting(True, "Whether the machine has one.", "true or false")
    port: int = setting(5432, "Its port on the machine's loopback.", "a port from 1024 to 65535", **PORT)


class Settings(Section):
    """What platform.yml may say. Every key may be left out."""

    model_config = ConfigDict(title="Hangar's platform.yml")

    cloud: Literal["container", "vm", "gcp", "existing"] = setting(
        "container",
        "Where the machine comes from: container = systemd container on this machine's Docker, "
        "vm = a virtual machine on this computer, "
        "gcp = a virtual machine on Google Cloud, existing = a machine that is there already.",
        "container, vm, gcp or existing",
    )
    machine: Machine = section(Machine)
    access: Access = section(Access)
    vm: Vm = section(Vm)
    gcp: Gcp = section(Gcp)
    existing: Existing = section(Existing)
    users: Users = section(Users)
    people: People = setting(
        (), "Who works on the machine.", "a list of people, each with name, keys and role"
    )
    homes: Homes = section(Homes)
    trusted_certificates: Files | None = setting(
        None,
        "More certificate authorities that the machine trusts (PEM files); null means, for a local machine, "
        "those that were added to this controller.",
        "a list of PEM files, or null",
    )
    airflow: Airflow = section(Airflow)
    airbyte: Airbyte = section(Airbyte)
    warehouse: Warehouse = section(Warehouse)
    pipelines: PipelinesSection = section(PipelinesSection)
    monitoring: Monitoring = section(Monitoring)
    updates: Updates = section(Updates)
    hardening: Hardening = section(Hardening)
    backup: Backup = section(Backup)
    secrets: Secrets = section(Secrets)

    @field_validator("machine", "access")
    @classmethod
    def _local_only(cls, value: Section, info: ValidationInfo) -> Section:
        """A setting that would be silently ignored is a trap."""
        if info.data.get("cloud") == "existing":
            return existing.check_elsewhere(value)
        if info.data.get("cloud") == "vm":
            return check_machine(value)
        if info.data.get("cloud") == "gcp":
            found = [
                ("means nothing with cloud: gcp", name, right)
                for name, right in LOCAL_ONLY.items()
                if getattr(value, name, None) is not None
            ]
            if found:
                raise all_wrong(found)
        return value

    @field_validator("gcp")
    @classmethod
    def _complete(cls, value: Gcp, info: ValidationInfo) -> Gcp:
        return gcp.check(value, info.data)

    @field_validator("secrets")
    @classmethod
    def _with_an_identity(cls, value: Secrets, info: ValidationInfo) -> Secrets:
        return secrets.check(value, info.data)

    @field_validator("existing")
    @classmethod
    def _reachable(cls, value: Existing, info: ValidationInfo) -> Existing:
        return existing.check(value, info.data)

    @field_validator("people")
    @classmethod
    def _people_apart(cls, value: People, info: ValidationInfo) -> People:
        return people.check(value, info.data)

    @field_validator("airbyte")
    @classmethod
    def _large_enough(cls, value: Airbyte, info: ValidationInfo) -> Airbyte:
        return airbyte.check(value, info.data)

    @field_validator("backup")
    @classmethod
    def _can_be_sent(cls, value: Backup, info: ValidationInfo) -> Backup:
        return backup.check(value, info.data)

    @field_validator("monitoring")
    @classmethod
    def _where_google_is(cls, value: Monitoring, info: ValidationInfo) -> Monitoring:
        return monitoring.check(value, info.data)

    @field_validator("trusted_certificates")
    @classmethod
    def _pem(cls, value: Files | None) -> Files | None:
        for number, path in enumerate(value or ()):
            if "BEGIN CERTIFICATE" not in path.read_text(encoding="utf-8", errors="replace"):
                raise wrong(f"{path} holds no PEM certificate", at=str(number))
        return value

    @field_validator("airbyte", "warehouse", "monitoring")
    @classmethod
    def _ports_apart(cls, value: Any, info: ValidationInfo) -> Any:
        taken = [
            (f"{owner} port", other.port)
            for name, owner in PORT_OWNERS.items()
            if name != info.field_name and (other := info.data.get(name))
        ]
        if found := info.data.get("airbyte"):
            taken.append(("airbyte.abctl.filter_port", airbyte.filter_port(found, info.data)))
        for key in ("port", "page"):
            port = getattr(value, key, None)
            for owner, other in taken:
                if port is not None and port == other:
                    raise wrong(f"{port} is {owner} too", key, "a port of its own")
        return value


class Config(Settings):
    """An environment's settings, complete and checked."""

    environment: str = Field(..., description="The folder's name under inventory/.")

    @property
    def is_here(self) -> bool:
        """Whether the machine is on this computer."""
        return self.cloud in ("container", "vm")

    @property
    def airbyte_engine(self) -> Engine:
        """The engine that the machine gets: the one that is named, or the one that its size chooses."""
        return airbyte.engine(self.airbyte, dict(self))

    @property
    def airbyte_choice(self) -> str:
        """Why it is this engine."""
        return airbyte.choice(self.airbyte, dict(self))[1]

    @property
    def server_name(self) -> str:
        return f"hangar-{self.environment}"
