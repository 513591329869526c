"""Cloud Monitoring: alert policies, notification channels and dashboards are kept; nothing is measured or told."""

import copy
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from tests.google.errors import GoogleError
from tests.google.state import fingerprint, utc_time
from tests.google.world import Call, handles

POLICIES, CHANNELS = "monitoring.projects.alertPolicies.", "monitoring.projects.notificationChannels."
DASHBOARDS = "monitoring.projects.dashboards."

KEY, VALUE = re.compile(r"[a-z][a-z0-9_-]{0,62}"), re.compile(r"[a-z0-9_-]{0,63}")
DURATION = re.compile(r"(\d+)(\.\d+)?s")
SHORTEST = 30
"""Seconds of which an interval of evaluation is a multiple."""

MOST_TEXT, MOST_CONDITIONS = 8192, 6
CLOSES = 1800
"""Seconds after which an incident may end by itself, at least."""

PAGE = 20
"""How many stand on a page here, at most: whoever reads only the first notices."""

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def refused(text: str) -> GoogleError:
    return GoogleError(400, text)


def _get(call: Call, table: str) -> dict[str, Any]:
    name = call.values["name"]
    found: dict[str, Any] | None = call.state.table(table).get(name)
    if found is None:
        raise GoogleError(404, f"Requested entity was not found: {name}", "notFound")
    return found


def _new(call: Call, table: str) -> str:
    return f"projects/{call.project}/{table}/{call.state.number()}"


def _page(call: Call, table: str) -> dict[str, Any]:
    prefix = f"projects/{call.project}/"
    found = [one for name, one in call.state.table(table).items() if name.startswith(prefix)]
    start, size = int(call.values.get("pageToken") or 0), min(int(call.values.get("pageSize") or PAGE), PAGE)
    shown = {table: copy.deepcopy(found[start : start + size])} if found[start : start + size] else {}
    return {**shown, "nextPageToken": str(start + size)} if len(found) > start + size else shown


def _masked(call: Call, there: dict[str, Any]) -> dict[str, Any]:
    """Only what the mask names is written; without one, everything that was sent."""
    names = call.values.get("updateMask", "").split(",") if call.values.get("updateMask") else list(call.body)
    for name in names:
        if name not in call.method.document.schemas[str(call.method.request)]["properties"]:
            raise refused(f"The update mask names a field that is not there: {name}.")
    kept = {name: value for name, value in there.items() if name not in names}
    return kept | {name: call.body[name] for name in names if name in call.body}


def _require_labels(given: dict[str, str]) -> None:
    for key, value in given.items():
        if not KEY.fullmatch(key) or not VALUE.fullmatch(value):
            raise refused(f"Field user_labels has an invalid entry: {key}={value}.")


def _shown(call: Call, table: str) -> dict[str, Any]:
    return copy.deepcopy(_get(call, table))


def _removed(call: Call, table: str) -> dict[str, Any]:
    call.state.table(table).pop(_get(call, table)["name"])
    return {}


for _methods, _table in (
    (POLICIES, "alertPolicies"),
    (CHANNELS, "notificationChannels"),
    (DASHBOARDS, "dashboards"),
):
    handles(f"{_methods}list")(partial(_page, table=_table))
    handles(f"{_methods}get")(partial(_shown, table=_table))
for _methods, _table in ((POLICIES, "alertPolicies"), (DASHBOARDS, "dashboards")):
    handles(f"{_methods}delete")(partial(_removed, table=_table))


@handles(f"{POLICIES}create")
def create_policy(call: Call) -> dict[str, Any]:
    if call.body.get("name"):
        raise refused("Field alert_policy.name must be empty.")
    path = _new(call, "alertPolicies")
    made = {**copy.deepcopy(call.body), "name": path, "creationRecord": {"mutateTime": utc_time()}}
    return _kept_policy(call, made)


@handles(f"{POLICIES}patch")
def patch_policy(call: Call) -> dict[str, Any]:
    return _kept_policy(call, _masked(call, _get(call, "alertPolicies")))


def _kept_policy(call: Call, policy: dict[str, Any]) -> dict[str, Any]:
    for problem in _policy_problems(call, policy):
        raise refused(problem)
    policy.setdefault("enabled", True)
    for condition in policy["conditions"]:
        condition.setdefault("name", f"{policy['name']}/conditions/{call.state.number()}")
    policy["mutationRecord"] = {"mutateTime": utc_time()}
    call.state.table("alertPolicies")[policy["name"]] = policy
    return copy.deepcopy(policy)


def _policy_problems(call: Call, policy: dict[str, Any]) -> Iterator[str]:
    _require_labels(policy.get("userLabels", {}))
    if not policy.get("displayName"):
        yield 'Field alert_policy.display_name had an invalid value of "": must not be empty.'
    if policy.get("combiner") in (None, "COMBINE_UNSPECIFIED"):
        yield "Field alert_policy.combiner must be specified."
    if not 0 < len(policy.get("conditions", [])) <= MOST_CONDITIONS:
        yield "Field alert_policy.conditions must have from 1 to 6 entries."
    if len((policy.get("documentation") or {}).get("content", "")) > MOST_TEXT:
        yield "Field alert_policy.documentation.content is too long."
    closes = _seconds((policy.get("alertStrategy") or {}).get("autoClose", f"{CLOSES}s"))
    if closes < CLOSES:
        yield "Field alert_policy.alert_strategy.auto_close must be at least 30 minutes."
    for condition in policy.get("conditions", []):
        yield from _condition_problems(policy, condition)
    known = call.state.table("notificationChannels")
    for channel in policy.get("notificationChannels", []):
        if channel not in known:
            yield f"Field alert_policy.notification_channels names a channel that does not exist: {channel}."


def _condition_problems(policy: dict[str, Any], condition: dict[str, Any]) -> Iterator[str]:
    if not condition.get("displayName"):
        yield "Field condition.display_name must not be empty."
    if condition.get("name") and not condition["name"].startswith(f"{policy['name']}/conditions/"):
        yield f"Condition {condition['name']} is not one of this policy."
    asked = condition.get("conditionPrometheusQueryLanguage")
    if asked is None:
        return
    query = asked.get("query", "")
    plain = re.sub(r'"(?:\\.|[^"\\])*"', '""', query)
    if not plain or any(plain.count(left) != plain.count(right) for left, right in ("()", "{}", "[]")):
        yield f"Field condition_prometheus_query_language.query is invalid: {query}"
    every = _seconds(asked.get("evaluationInterval", "30s"))
    if not every or every % SHORTEST:
        yield "Field condition_prometheus_query_language.evaluation_interval must be a multiple of 30 seconds."


def _seconds(text: str) -> float:
    found = DURATION.fullmatch(text)
    if found is None:
        raise refused(f"Invalid duration: {text}")
    return float(text[:-1])


@handles(f"{CHANNELS}create")
def create_channel(call: Call) -> dict[str, Any]:
    path = _new(call, "notificationChannels")
    return _kept_channel(call, {**copy.deepcopy(call.body), "name": path})


@handles(f"{CHANNELS}patch")
def patch_channel(call: Call) -> dict[str, Any]:
    return _kept_channel(call, _masked(call, _get(call, "notificationChannels")))


def _kept_channel(call: Call, channel: dict[str, Any]) -> dict[str, Any]:
    _require_labels(channel.get("userLabels", {}))
    if not channel.get("type"):
        raise refused("Field notification_channel.type must not be empty.")
    address = channel.get("labels", {}).get("email_address", "")
    if channel["type"] == "email" and not EMAIL.fullmatch(address):
        raise refused(f"Field notification_channel.labels['email_address'] is invalid: \"{address}\".")
    channel.setdefault("enabled", True)
    call.state.table("notificationChannels")[channel["name"]] = channel
    return copy.deepcopy(channel)


@handles(f"{CHANNELS}delete")
def delete_channel(call: Call) -> dict[str, Any]:
    """Only with `force` while a policy tells it."""
    name = _get(call, "notificationChannels")["name"]
    users = [
        one
        for one in call.state.table("alertPolicies").values()
        if name in one.get("notificationChannels", [])
    ]
    if users and call.values.get("force") != "true":
        raise GoogleError(400, f"{name} is used by {users[0]['name']}.", status="FAILED_PRECONDITION")
    for policy in users:
        policy["notificationChannels"].remove(name)
    call.state.table("notificationChannels").pop(name)
    return {}


@handles(f"{DASHBOARDS}create")
def create_dashboard(call: Call) -> dict[str, Any]:
    return _kept_dashboard(call, {**copy.deepcopy(call.body), "name": _new(call, "dashboards")})


@handles(f"{DASHBOARDS}patch")
def patch_dashboard(call: Call) -> dict[str, Any]:
    """The whole dashboard, under its etag."""
    there = _get(call, "dashboards")
    if not call.body.get("etag"):
        call.world.violation("etag", call.method.id, f"{there['name']} was written without its etag.")
    elif call.body["etag"] != there["etag"]:
        raise GoogleError(409, "The dashboard was changed meanwhile.", "aborted", status="ABORTED")
    return _kept_dashboard(call, {**copy.deepcopy(call.body), "name": there["name"]})


def _kept_dashboard(call: Call, board: dict[str, Any]) -> dict[str, Any]:
    if not board.get("displayName"):
        raise refused("Field dashboard.displayName must not be empty.")
    layout = board.get("mosaicLayout", {})
    for tile in layout.get("tiles", []):
        if tile.get("xPos", 0) + tile.get("width", 0) > layout.get("columns", 0) or tile.get("height", 0) < 1:
            raise refused(f"A tile is not inside the {layout.get('columns', 0)} columns.")
        for name in ("xPos", "yPos"):  # what is zero is in no answer
            if not tile.get(name):
                tile.pop(name, None)
    _require_apart(layout.get("tiles", []))
    board["etag"] = fingerprint([board, call.state.number()])
    call.state.table("dashboards")[board["name"]] = board
    return copy.deepcopy(board)


def _require_apart(tiles: list[dict[str, Any]]) -> None:
    taken: set[tuple[int, int]] = set()
    for tile in tiles:
        x, y = tile.get("xPos", 0), tile.get("yPos", 0)
        mine = {(x + right, y + down) for right in range(tile["width"]) for down in range(tile["height"])}
        if mine & taken:
            raise refused("Two tiles overlap.")
        taken |= mine
