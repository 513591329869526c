"""Cloud Monitoring for one environment: who is told, the alert policies and the dashboard, from the one list."""

from dataclasses import dataclass

from hangar.config import Config


@dataclass(frozen=True)
class Told:
    """One who is told: at an address (Hangar makes the channel) or by a channel that is there already."""

    name: str
    levels: tuple[str, ...]
    address: str = ""
    channel: str = ""


@dataclass(frozen=True)
class Watch:
    """What Cloud Monitoring is to hold. `parts` are those of the platform that the machine has."""

    parts: tuple[str, ...]
    told: tuple[Told, ...] = ()


def watch(config: Config) -> Watch | None:
    """What the settings want of it; None where the figures stay on the machine."""
    if config.monitoring.backend != "google":
        return None
    has = {
        "airbyte": config.airbyte.enabled,
        "warehouse": config.warehouse.enabled,
    }
    return Watch(
        parts=("containers", "airflow", *(part for part, is_there in has.items() if is_there)),
        told=tuple(
            Told(name, one.levels, one.to or "", one.channel or "")
            for name, one in config.monitoring.alerts.items()
            if one.kind == "google"
        ),
    )
