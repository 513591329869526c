"""From what Cloud Monitoring holds to what is wanted. One call after the other, as Google's reference asks."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.errors import NotThere
from hangar.cloud.gcp.names import Names
from hangar.cloud.gcp.watching import Watch, bodies, views
from hangar.cloud.gcp.watching.reading import API, Seen, read
from hangar.cloud.gcp.work import Step

Body = dict[str, Any]


def steps(api: Api, names: Names, watch: Watch | None, seen: Seen) -> Iterator[Step]:
    """What is to be done, if anything."""
    doing = {one.resource: one for one in views.changes(names, watch, seen) if one.action != "nothing"}
    if not (doing or seen.doubled or seen.dashboards[1:]):
        return
    if watch is None:
        yield Step("remove what Cloud Monitoring holds", lambda: remove(api, seen))
        return
    board = f"{views.DASHBOARD}{names.machine}"
    if seen.doubled or set(doing) - {board}:
        policies = f"{views.POLICIES}{names.machine}"
        makes = policies if not seen.policies else ""
        yield Step(
            "set the alert policies, and whom they tell", lambda: _alerts(api, names, watch, seen), makes
        )
    if board in doing or seen.dashboards[1:]:
        made = "" if seen.dashboards else board
        yield Step("set the dashboard", lambda: _board(api, names, seen), made)


def remove(api: Api, seen: Seen) -> None:
    """All of it; a channel after the policies that tell it. What is gone already is no error."""
    found = (*seen.policies.values(), *_alike(seen.doubled, "alertPolicies"))
    _delete(api, found)
    _delete(api, (*seen.channels.values(), *_alike(seen.doubled, "notificationChannels")))
    _delete(api, seen.dashboards)


def _alerts(api: Api, names: Names, watch: Watch, seen: Seen) -> None:
    told = _channels(api, names, watch, seen)
    known = {path.rpartition("/")[2]: name for name, path in told.items()}
    wanted = {}
    for entry in bodies.entries(watch):
        body = bodies.policy(names, entry, told, watch)
        wanted[body["userLabels"][bodies.ALERT]] = body
    for label, body in wanted.items():
        _policy(api, names, body, seen.policies.get(label), lambda one: views.policy(one, known))
    _delete(api, (one for label, one in seen.policies.items() if label not in wanted))
    # A call that was asked again, because its answer was lost, has made two; here they are seen.
    doubled = read(api, names).doubled
    _delete(api, _alike(doubled, "alertPolicies"))
    kept = {one.name for one in watch.told if one.address}
    _delete(api, (one for name, one in seen.channels.items() if name not in kept))
    _delete(api, _alike(doubled, "notificationChannels"))


def _channels(api: Api, names: Names, watch: Watch, seen: Seen) -> dict[str, str]:
    """The resources of all who are told, by their names here."""
    told = seen.told(watch)
    made = {}
    for one in watch.told:
        if not one.address:
            continue
        body = bodies.channel(names, one)
        told[one.name] = _channel(api, names, body, seen.channels.get(one.name))
        if one.name not in seen.channels:
            made[one.name] = told[one.name]
    if made:  # of two that one call has made, the first is the one that stays
        there = read(api, names).channels
        told |= {name: str(there[name]["name"]) for name in made if name in there}
    return told


def _channel(api: Api, names: Names, body: Body, there: Body | None) -> str:
    """The channel's resource."""
    if there is None:
        made = api.rest.call("POST", API, f"v3/{names.root}/notificationChannels", body)
        return str(made["name"])
    if views.channel(there) != views.channel(body):
        mask = {"updateMask": "type,displayName,labels,userLabels,enabled"}
        api.rest.call("PATCH", API, f"v3/{there['name']}", body, mask)
    return str(there["name"])


def _policy(api: Api, names: Names, body: Body, there: Body | None, line: Callable[[Body], str]) -> None:
    if there is None:
        api.rest.call("POST", API, f"v3/{names.root}/alertPolicies", body)
    elif line(there) != line(body):
        before = list(there.get("conditions") or ())
        if len(before) == 1:  # the same condition, so that its open incidents stay
            condition = {**body["conditions"][0], "name": before[0]["name"]}
            body = {**body, "conditions": [condition]}
        api.rest.call("PATCH", API, f"v3/{there['name']}", body, {"updateMask": bodies.MASK})


def _board(api: Api, names: Names, seen: Seen) -> None:
    body = bodies.dashboard(names)
    if seen.dashboards:
        first = seen.dashboards[0]
        body = {**body, "name": first["name"], "etag": first["etag"]}
        api.rest.call("PATCH", API, f"v1/{first['name']}", body)
    else:
        api.rest.call("POST", API, f"v1/{names.root}/dashboards", body)
    _delete(api, read(api, names).dashboards[1:])


def _alike(found: Iterable[Body], kind: str) -> list[Body]:
    return [one for one in found if f"/{kind}/" in one["name"]]


def _delete(api: Api, found: Iterable[Body]) -> None:
    for one in found:
        version = "v1" if "/dashboards/" in one["name"] else "v3"
        _unless_gone(partial(api.rest.call, "DELETE", API, f"{version}/{one['name']}"))


def _unless_gone(call: Callable[[], object]) -> None:
    try:
        call()
    except NotThere:
        return
