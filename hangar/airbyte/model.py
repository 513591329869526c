"""The shape of pipelines/*.yml: one class a section, one field a key."""

import re
import zoneinfo
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict

from hangar.config.connections import SECRETIVE, without_form
from hangar.config.fields import Section, all_wrong, empty_if_none, quoted, setting, wrong

SyncMode = Literal[
    "full_refresh_overwrite", "full_refresh_overwrite_deduped", "full_refresh_append", "full_refresh_update",
    "full_refresh_soft_delete", "incremental_append", "incremental_deduped_history", "incremental_update",
    "incremental_soft_delete",
]  # fmt: skip
"""ConnectionSyncModeEnum of Airbyte's public API."""

TYPES = ("sourceType", "destinationType")
"""Where Airbyte's API says which connector a configuration is for."""

CRON = re.compile(r"[0-9A-Z*?,/#LW-]+")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
CLEAR_URL = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def _connector(value: Any) -> Any:
    if isinstance(value, str) and (short := re.sub(r"^(airbyte/)?(source|destination)-", "", value)) != value:
        raise wrong(f'"{value}" says what the place says already', right=short)
    return value


def _schedule(value: str) -> str:
    """`manual`, or a cron line as Airbyte reads it (Quartz: seconds first; a year and a time zone at its end are
    optional, and UTC is what it means without one).
    """
    if value == "manual":
        return value
    parts, known = value.split(), zoneinfo.available_timezones()
    last = parts[-1] if parts else ""
    zone = parts.pop() if last[:1].isalpha() and (len(parts) > 6 or last in known) else "UTC"
    if not all(CRON.fullmatch(part.upper()) for part in parts):
        raise wrong(f'"{value}" is no schedule')
    # A controller without tzdata knows none; then Airbyte judges.
    if known and zone not in known:
        raise wrong(f'"{zone}" is not a time zone', right="one such as Europe/Berlin")
    if len(parts) == 5 and (better := _with_seconds(parts)):
        right = " ".join([better, *([zone] if zone != "UTC" else [])])
        raise wrong(f'"{value}" has five fields', right=f'"{right}", seconds first,')
    if len(parts) not in (6, 7) or (parts[3] == "?") == (parts[5] == "?"):
        raise wrong(f'"{value}" is no schedule')
    return " ".join([*parts, *([zone] if zone != "UTC" else [])])


def _with_seconds(parts: list[str]) -> str:
    """A cron line of Unix in Quartz's words: of the two kinds of day, one is `?`, and days of the week go by name (Unix
    counts them from 0, Quartz from 1). Empty where Quartz has no such line: Unix means either day of the two.
    """
    minute, hour, day, month, weekday = parts
    if weekday == "*":
        return " ".join(("0", minute, hour, day, month, "?"))
    if day != "*" or re.search(r"[/#L]", weekday.upper()):
        return ""
    names = re.sub(r"[0-7]", lambda found: WEEKDAYS[int(found[0])], weekday.upper())
    return " ".join(("0", minute, hour, "?", month, names))


def _path(value: Any) -> Any:
    """A column, or the way to a nested one."""
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not value or not all(isinstance(part, str) and part for part in value):
        raise wrong(f"{quoted(value)} is not a column")
    return tuple(value)


def _paths(value: Any) -> Any:
    return tuple(_path(one) for one in value) if isinstance(value, list) else value


def _sendable(value: dict[str, Any]) -> dict[str, Any]:
    """Secrets are named, and stand in no file; the rest is what Airbyte can be sent, as it stands here."""
    found = [(what, at, "{secret: NAME}") for what, at in clear_secrets(value)]
    found += without_form(value)
    found += [
        ("says what `connector` says already", name, "leaving it out") for name in TYPES if name in value
    ]
    found += [
        (f"{quoted(name)} is not a secret's name", at, "a name of letters, digits and _")
        for at, name in references(value).items()
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_]{1,64}", name)
    ]
    if found:
        raise all_wrong(found)
    return value


def clear_secrets(value: Any, at: str = "") -> list[tuple[str, str]]:
    """Where something that is called like a secret, or a URL with a password, stands in clear."""
    if is_reference(value):
        return []
    if isinstance(value, dict):
        return [
            found
            for key, inner in value.items()
            for found in _named(str(key), inner, f"{at}.{key}".lstrip("."))
        ]
    if isinstance(value, list):
        return [
            found for number, inner in enumerate(value) for found in clear_secrets(inner, f"{at}.{number}")
        ]
    if isinstance(value, str) and CLEAR_URL.search(value):
        return [("a URL with its password in clear has no place in this file", at)]
    return []


def _named(key: str, value: Any, at: str) -> list[tuple[str, str]]:
    if SECRETIVE.match(key) and isinstance(value, str) and value:
        return [("a secret in clear has no place in this file", at)]
    if SECRETIVE.match(key) and isinstance(value, list):
        return [one for number, inner in enumerate(value) for one in _named(key, inner, f"{at}.{number}")]
    return clear_secrets(value, at)


def is_reference(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"secret"}


def references(value: Any, at: str = "") -> dict[str, Any]:
    """Place → name of every `{secret: NAME}`."""
    if is_reference(value):
        return {at: value["secret"]}
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {
        place: name
        for key, below in inner
        for place, name in references(below, f"{at}.{key}" if at else str(key)).items()
    }


ConnectorName = Annotated[str, BeforeValidator(_connector)]
Configuration = Annotated[
    dict[str, Any],
    BeforeValidator(empty_if_none),
    AfterValidator(_sendable),
]
Column = Annotated[tuple[str, ...], BeforeValidator(_path)]
Columns = Annotated[tuple[tuple[str, ...], ...], BeforeValidator(_paths)]


class Source(Section):
    """Where data comes from."""

    connector: ConnectorName = setting(
        ..., "The connector, without `source-` before it.", "a name such as postgres",
        pattern=r"^[a-z0-9][a-z0-9-]*$",
    )  # fmt: skip
    configuration: Configuration = setting({}, "The connector's own options.", "keys and values")


class Destination(Section):
    """Where data goes."""

    connector: ConnectorName = setting(
        ..., "The connector, without `destination-` before it.", "a name such as postgres",
        pattern=r"^[a-z0-9][a-z0-9-]*$",
    )  # fmt: skip
    configuration: Configuration = setting({}, "The connector's own options.", "keys and values")


class Stream(Section):
    """One table or endpoint of the source."""

    sync_mode: SyncMode = setting(
        ..., "How it is read and written.",
        "full_refresh_overwrite, full_refresh_append, incremental_append or incremental_deduped_history",
    )  # fmt: skip
    namespace: str | None = setting(None, "The namespace it has in the source.", "a text")
    cursor: Column | None = setting(
        None,
        "The column that tells what is new; the source may know it itself.",
        "a column such as updated_at",
    )
    primary_key: Columns | None = setting(
        None,
        "The columns that tell rows apart; the source may know them itself.",
        "a list of columns such as [id]",
    )
    fields: Columns | None = setting(None, "Only these columns.", "a list of columns such as [id, name]")


class Connection(Section):
    """What is moved from a source to a destination, how and when."""

    source: str = setting(..., "The source's name above.", "a source's name")
    destination: str = setting(..., "The destination's name above.", "a destination's name")
    schedule: Annotated[str, AfterValidator(_schedule)] = setting(
        "manual", "manual (Airflow decides), or when, as Quartz writes it: seconds first.",
        'manual, or a cron line such as "0 30 4 * * ?"',
    )  # fmt: skip
    namespace: str = setting(
        "destination", "destination (its own), source (as there), or a format such as raw_${SOURCE_NAMESPACE}.",
        "destination, source or a format", min_length=1,
    )  # fmt: skip
    prefix: str = setting("", "What stands before each table's name.", "a text")
    schema_changes: Literal["ignore", "disable_connection", "propagate_columns", "propagate_fully"] = setting(
        "ignore", "What to do when the source has new columns or streams.",
        "ignore, disable_connection, propagate_columns or propagate_fully",
    )  # fmt: skip
    enabled: bool = setting(True, "Whether it may run.", "true or false")
    streams: dict[str, Stream] = setting(
        ..., "What is moved, by the streams' names.", "streams such as users: {sync_mode: …}", min_length=1
    )


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", value):
        raise wrong(f'"{value}" is not a name', right="letters, digits, _ and -")
    return value


Name = Annotated[str, AfterValidator(_name)]


class Pipelines(Section):
    """What one file may say."""

    model_config = ConfigDict(title="Hangar's pipelines")

    environments: list[str] | None = setting(
        None,
        "Only for these environments; null means for all.",
        "a list of environments such as [local, sandbox]",
    )
    workspace: str | None = setting(
        None, "Airbyte's workspace, by name; null means the only one.", "a workspace's name, or null"
    )
    sources: Annotated[dict[Name, Source], BeforeValidator(empty_if_none)] = setting(
        {}, "Sources by name.", "sources such as shop: {connector: postgres, configuration: …}"
    )
    destinations: Annotated[dict[Name, Destination], BeforeValidator(empty_if_none)] = setting(
        {}, "Destinations by name.", "destinations such as warehouse: {connector: postgres, configuration: …}"
    )
    connections: Annotated[dict[Name, Connection], BeforeValidator(empty_if_none)] = setting(
        {}, "Connections by name.", "connections such as shop_to_warehouse: {source: shop, …}"
    )
