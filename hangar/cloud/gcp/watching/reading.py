"""What Cloud Monitoring holds of an environment, found again by its labels; changes nothing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.names import LABEL, Names, last
from hangar.cloud.gcp.watching import Watch
from hangar.cloud.gcp.watching.bodies import ALERT, RECEIVER
from hangar.errors import CloudError

Body = dict[str, Any]
API = "monitoring"
PAGE = "500"


@dataclass(frozen=True)
class Seen:
    """Ours: channels by the receiver's name, policies by the alert's label. `doubled` are policies and channels that
    a call which was asked twice made twice.
    """

    channels: dict[str, Body] = field(default_factory=dict)
    policies: dict[str, Body] = field(default_factory=dict)
    dashboards: tuple[Body, ...] = ()
    doubled: tuple[Body, ...] = ()

    def told(self, watch: Watch | None) -> dict[str, str]:
        """The resources of those who are told, as far as they are there, by their names here."""
        given = {one.name: one.channel for one in watch.told if one.channel} if watch else {}
        return {name: str(one["name"]) for name, one in self.channels.items()} | given


def read(api: Api, names: Names) -> Seen:
    """All that bears the environment's label.

    Raises:
        GoogleRefused: one of its kinds.
    """
    policies, more = _by(ALERT, _ours(names, _pages(api, f"v3/{names.root}/alertPolicies", "alertPolicies")))
    found = _pages(api, f"v3/{names.root}/notificationChannels", "notificationChannels")
    channels, others = _by(RECEIVER, _ours(names, found))
    dashboards = [
        one
        for one in _pages(api, f"v1/{names.root}/dashboards", "dashboards")
        if (one.get("labels") or {}).get(LABEL) == names.environment
    ]
    return Seen(channels, policies, tuple(dashboards), (*more, *others))


def require_channels(api: Api, watch: Watch) -> None:
    """Raises CloudError if a channel that the settings name is not there."""
    given = {one.name: one.channel for one in watch.told if one.channel}
    missing = [name for name, channel in given.items() if api.rest.find(API, f"v3/{channel}") is None]
    if missing:
        raise CloudError(
            "Cloud Monitoring does not know a channel that is to be told; nothing was changed.",
            "\n".join(f"* monitoring.alerts.{name}.channel: {given[name]}" for name in missing),
            f"List them: gcloud beta monitoring channels list --project {api.project}",
        )


def _ours(names: Names, found: Iterable[Body]) -> Iterator[Body]:
    return (one for one in found if (one.get("userLabels") or {}).get(LABEL) == names.environment)


def _by(label: str, found: Iterable[Body]) -> tuple[dict[str, Body], list[Body]]:
    """By that label, the one made first before others of the same."""
    kept: dict[str, Body] = {}
    more = []
    for one in sorted(found, key=lambda body: (len(last(body["name"])), last(body["name"]))):
        key = str(one["userLabels"].get(label, last(one["name"])))
        if key in kept:
            more.append(one)
        else:
            kept[key] = one
    return kept, more


def _pages(api: Api, path: str, what: str) -> Iterator[Body]:
    """Every page. Ours are picked here, by their labels: Google's filters know them only for some kinds."""
    params = {"pageSize": PAGE}
    while True:
        found = api.rest.call("GET", API, path, params=params)
        yield from found.get(what) or ()
        if not found.get("nextPageToken"):
            return
        params = {"pageSize": PAGE, "pageToken": str(found["nextPageToken"])}
