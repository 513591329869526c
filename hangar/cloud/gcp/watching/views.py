"""Pure: what a plan compares of Cloud Monitoring, of what is wanted and of what is there alike.

Google leaves out of its answers what is zero, and fills in what was not said.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from hangar import watch_list
from hangar.cloud.gcp.names import Names, last
from hangar.cloud.gcp.views import NONE, View, listed, yes
from hangar.cloud.gcp.watching import Watch, bodies
from hangar.cloud.gcp.watching.reading import Seen
from hangar.plan import Change

Body = dict[str, Any]

CHANNEL, POLICIES, DASHBOARD = "notification channel ", "alert policies ", "dashboard "
KINDS = (CHANNEL, POLICIES, DASHBOARD)


def wanted(names: Names, watch: Watch | None) -> dict[str, View]:
    """What the settings want, in the order of its making."""
    if watch is None:
        return {}
    channels = {one.name: one.name for one in watch.told}
    found: dict[str, View] = {
        f"{CHANNEL}{names.machine}-{one.name}": channel(bodies.channel(names, one))
        for one in watch.told
        if one.address
    }
    found[f"{POLICIES}{names.machine}"] = {
        one.name: policy(bodies.policy(names, one, channels, watch), channels)
        for one in bodies.entries(watch)
    }
    found[f"{DASHBOARD}{names.machine}"] = _dashboard(bodies.dashboard(names))
    return found


def there(names: Names, watch: Watch | None, seen: Seen) -> dict[str, View | None]:
    """The same of what is there; None where something is wanted and there is nothing."""
    found: dict[str, View | None] = dict.fromkeys(wanted(names, watch))
    for name, found_channel in seen.channels.items():
        found[f"{CHANNEL}{names.machine}-{name}"] = channel(found_channel)
    if seen.policies:
        known = {last(path): name for name, path in seen.told(watch).items()}
        called = {one.name.lower(): one.name for one in watch_list.alerts()}
        lines = {called.get(label, label): policy(body, known) for label, body in seen.policies.items()}
        more = {
            f"{called.get(label, label)}, once more": policy(body, known)
            for body in seen.doubled
            if (label := body["userLabels"].get(bodies.ALERT))
        }
        found[f"{POLICIES}{names.machine}"] = lines | more
    if seen.dashboards:
        found[f"{DASHBOARD}{names.machine}"] = _dashboard(seen.dashboards[0])
    return found


def changes(names: Names, watch: Watch | None, seen: Seen) -> tuple[Change, ...]:
    """The plan's lines."""
    new, old = wanted(names, watch), there(names, watch, seen)
    return tuple(_change(what, new.get(what), old.get(what)) for what in {**new, **old})


def _change(what: str, new: View | None, old: View | None) -> Change:
    if old is None:
        return Change(what, "create", _count(what, new or {}))
    if new is None:
        return Change(what, "delete", _count(what, old))
    fields = tuple(
        (name, old.get(name, NONE), new.get(name, NONE))
        for name in {**new, **old}
        if old.get(name, NONE) != new.get(name, NONE)
    )
    return Change(what, "update" if fields else "nothing", "" if fields else _count(what, new), fields)


def _count(what: str, view: View) -> str:
    if what.startswith(POLICIES):
        levels = [line.partition(",")[0] for line in view.values()]
        return ", ".join(f"{levels.count(level)} {level}" for level in dict.fromkeys(levels))
    return view.get("to", f"{len(view)} panels")


def policy(body: Body, known: Mapping[str, str]) -> str:
    """One line. `known` are the names here of those who are told, by the last part of their resource."""
    told = listed(known.get(last(one), last(one)) for one in body.get("notificationChannels") or ())
    severity = str(body.get("severity") or "grow").lower()
    state = "on" if body.get("enabled", True) else "off"
    return f"{severity}, {state}, tells {told}, {digest(_said(body))}"


def _said(body: Body) -> Any:
    return [
        body.get("displayName"),
        body.get("combiner"),
        (body.get("documentation") or {}).get("content"),
        (body.get("alertStrategy") or {}).get("autoClose"),
        [_condition(one) for one in body.get("conditions") or ()],
    ]


def _condition(found: Body) -> Any:
    asked = found.get("conditionPrometheusQueryLanguage")
    if asked is None:  # somebody has made another of it
        return sorted(key for key in found if key.startswith("condition"))
    return [
        found.get("displayName"),
        asked.get("query"),
        asked.get("duration") or "0s",
        asked.get("evaluationInterval") or bodies.EVERY,
        bool(asked.get("disableMetricValidation")),
    ]


def channel(body: Body) -> View:
    return {
        "to": str((body.get("labels") or {}).get("email_address", NONE)),
        "kind": str(body.get("type")),
        "in use": yes(body.get("enabled", True)),
    }


def _dashboard(body: Body) -> View:
    tiles = (body.get("mosaicLayout") or {}).get("tiles") or ()
    found: View = {}
    for tile in tiles:
        widget = tile.get("widget") or {}
        place = [tile.get(name) or 0 for name in ("xPos", "yPos", "width", "height")]
        title = str(widget.get("title", "a panel without a title"))
        found[title] = digest([place, list(_series(widget)), (widget.get("logsPanel") or {}).get("filter")])
    return found


def _series(widget: Body) -> Iterable[Any]:
    for one in (widget.get("xyChart") or {}).get("dataSets") or ():
        asked = one.get("timeSeriesQuery") or {}
        yield [asked.get("prometheusQuery"), asked.get("unitOverride"), one.get("legendTemplate")]


def digest(said: Any) -> str:
    return f"#{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]}"
