"""The section `backup` of platform.yml: when, to whose keys, where to, and what is kept for how long."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, WithJsonSchema, field_validator

from hangar.config.calendar import is_calendar, longest_gap
from hangar.config.existing import HostKeys
from hangar.config.fields import File, Names, Section, check_each, locate, section, setting, wrong

RECIPIENT = r"age1[0-9a-z]{50,}|ssh-(ed25519|rsa) [A-Za-z0-9+/]+=*( .*)?"
"""Public keys that `age` encrypts to."""

OWN = ("airflow/released", "airflow/dags", "airflow/data", "backup")
"""Folders under /srv that are copied anyway, or that hold the copies."""


def _place(path: Path) -> Path:
    if path.exists() and not path.is_dir():
        raise wrong(f"{path} is a file, not a folder")
    return path


Place = Annotated[Path, BeforeValidator(locate), AfterValidator(_place), WithJsonSchema({"type": "string"})]


MAX_AGE = 36
"""Hours: a night's backup may fail, and is told of before the second one does."""


def _max_age(value: object, info: ValidationInfo) -> object:
    """Where nobody names one, what the schedule asks for: half as long again as it takes to the next backup."""
    if value is not None:
        return value
    return max(MAX_AGE, math.ceil(1.5 * (longest_gap(info.data.get("schedule", "")) or 0)))


MaxAge = Annotated[
    int,
    BeforeValidator(_max_age),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}),
]


class Keep(Section):
    """How many backups are kept: the newest of each of the last days, weeks and months that have one."""

    daily: int = setting(7, "Of how many days the newest backup is kept.", "a number from 1 up", ge=1)
    weekly: int = setting(4, "Of how many weeks.", "a number from 0 up", ge=0)
    monthly: int = setting(6, "Of how many months.", "a number from 0 up", ge=0)


class Sftp(Section):
    """Another host that takes the backups, where `host` names one (docs/backup.md says how to prepare it)."""

    host: str | None = setting(
        None, "Its name or address; null means none.", "a host name or an address",
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$|^[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*$",
    )  # fmt: skip
    port: int = setting(22, "Where its SSH listens.", "a port from 1 to 65535", ge=1, le=65535)
    user: str = setting(
        "hangar-drop", "The account that can add files and nothing else.", "an account name",
        pattern=r"^[a-z_][a-z0-9_-]{0,30}$",
    )  # fmt: skip
    keeper: str = setting(
        "hangar-keep", "The account that reads and removes them; your own key opens it (access.private_key).",
        "an account name", pattern=r"^[a-z_][a-z0-9_-]{0,30}$",
    )  # fmt: skip
    folder: str = setting(
        "/drop",
        "The folder there, as both accounts see it.",
        "an absolute path",
        pattern=r"^(/[A-Za-z0-9._-]+)+$",
    )
    host_key: HostKeys = setting(
        (),
        "Its SSH host keys (cat /etc/ssh/ssh_host_*_key.pub on its own console).",
        "lines such as ssh-ed25519 AAAA…",
    )


class Gcs(Section):
    """A bucket of Cloud Storage that takes the backups, where `bucket` names one."""

    bucket: str | None = setting(
        None, "Its name; null means none. The machine's service account may create objects in it and nothing else.",
        "a bucket's name", pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$",
    )  # fmt: skip
    folder: str = setting(
        "",
        "The folder in it.",
        "a path such as hangar/production",
        pattern=r"^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$",
    )


def check(value: "Backup", before: Mapping[str, object]) -> "Backup":
    """What the section takes beside what came before it in the file."""
    if value.gcs.bucket and before.get("cloud") != "gcp":
        raise wrong(
            "asks for a machine on Google Cloud, which has a service account",
            "gcs.bucket",
            "cloud: gcp, or sftp",
        )
    return value


class Backup(Section):
    """Backups: encrypted on the machine, to keys that it does not have."""

    enabled: bool = setting(True, "Whether the machine backs itself up.", "true or false")
    schedule: str = setting(
        "*-*-* 03:15", "When, as systemd's OnCalendar has it, in the machine's time zone.",
        'a time such as "*-*-* 03:15", or hourly', pattern=r"^[A-Za-z0-9*,./:~ -]+$",
    )  # fmt: skip
    recipients: Names = setting(
        (), "Public keys that open the backups (age1… or ssh-ed25519 …); none means that Hangar makes one.",
        "a list of public keys",
    )  # fmt: skip
    signers: Names = setting(
        (), "Public keys that prove a machine's backups, beside those of the machines that this computer has met "
        "(`backup schedule` shows them). Whoever restores elsewhere needs them.",
        "a list of lines such as ssh-ed25519 AAAA…",
    )  # fmt: skip
    key: File | None = setting(
        None, "The private key that reads them; null means the one that Hangar made (.hangar/ENV/backup-key).",
        "the path of a private key, or null",
    )  # fmt: skip
    folder: Place | None = setting(
        None,
        "Where this computer keeps what it fetches; null means .hangar/ENV/backups.",
        "the path of a folder, or null",
    )
    folders: Names = setting(
        (), "More folders of the machine to copy.", "a list of folders such as /srv/people/home"
    )
    max_age_hours: MaxAge = setting(
        None, "How old the last good backup may be before an alert fires; null means 36 hours, or half as long again "
        "as the longest time between two backups of the schedule, where that is more.",
        "a number of hours from 1 up, or null", ge=1, validate_default=True,
    )  # fmt: skip
    keep: Keep = section(Keep)
    sftp: Sftp = section(Sftp)
    gcs: Gcs = section(Gcs)

    @field_validator("schedule")
    @classmethod
    def _in_time(cls, value: str) -> str:
        if not is_calendar(value):
            raise wrong(f'"{value}" is no time that systemd knows, so that no backup would be made')
        return value

    @field_validator("max_age_hours")
    @classmethod
    def _older_than_the_next(cls, value: int, info: ValidationInfo) -> int:
        schedule = info.data.get("schedule", "")
        gap = longest_gap(schedule)
        if info.data.get("enabled") and gap and value <= gap:
            raise wrong(
                f'{value} is too short: with schedule: "{schedule}" the next backup comes after up to {gap:g} hours, '
                "so that the alert BackupOld would fire though each is good",
                "", f"{math.ceil(1.5 * gap)}, or null",
            )  # fmt: skip
        return value

    @field_validator("recipients")
    @classmethod
    def _public(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any("PRIVATE" in key or key.startswith("AGE-SECRET") for key in value):
            raise wrong("this is a private key, which belongs on its owner's computer alone")
        check_each(value, RECIPIENT, "a public key of age or SSH")
        return value

    @field_validator("signers")
    @classmethod
    def _signing(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_each(value, r"ssh-ed25519 [A-Za-z0-9+/]+=*", "a machine's public key, without a comment")
        return value

    @field_validator("folders")
    @classmethod
    def _under_srv(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_each(
            value, r"/srv/[a-z0-9_-]+/[A-Za-z0-9_-][A-Za-z0-9._-]*", "a folder such as /srv/people/home"
        )
        for number, path in enumerate(value):
            if any(f"{path}/".startswith(f"/srv/{own}/") for own in OWN):
                raise wrong(f"{path} is copied anyway, or holds the copies", at=str(number))
        return value

    @field_validator("gcs")
    @classmethod
    def _one_place(cls, value: Gcs, info: ValidationInfo) -> Gcs:
        sftp = info.data.get("sftp")
        if value.bucket and sftp and sftp.host:
            raise wrong("is named beside sftp.host; one of them takes the backups", "bucket")
        return value

    @field_validator("sftp")
    @classmethod
    def _known(cls, value: Sftp) -> Sftp:
        if value.host and not value.host_key:
            raise wrong("says nothing of the host's key, so that any host could take its place", "host_key")
        return value
