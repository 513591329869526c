"""What all of Compute's resources have in common: kinds, paths, references to one another, get, list and delete."""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.google import operations
from tests.google.compute import link
from tests.google.compute.catalog import REGION_NAMES, ZONE_NAMES
from tests.google.compute.listing import page, scoped_page
from tests.google.discovery import catalog
from tests.google.errors import already_exists, in_use, invalid, not_found, not_ready, required
from tests.google.operations import effect
from tests.google.state import compute_time, shown
from tests.google.world import Call, World, handles

GLOBAL, REGIONS, ZONES = "global", "regions", "zones"
NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
LABEL_KEY, LABEL_VALUE = re.compile(r"[\w-]{1,63}"), re.compile(r"[\w-]{0,63}")
HOST = re.compile(r"https?://[^/]+/(?:compute/)?v1/")


@dataclass(frozen=True)
class Kind:
    """One kind of resource: where it lives and what it is called."""

    collection: str
    singular: str
    scope: str

    @property
    def kind(self) -> str:
        return f"compute#{self.singular}"

    def folder(self, call: Call) -> str:
        """The path of the collection that a call speaks of."""
        return f"{scope_of(call, self.scope)}/{self.collection}"

    def path(self, call: Call) -> str:
        return f"{self.folder(call)}/{call.values[self.singular]}"


KINDS = {
    kind.collection: kind
    for kind in (
        Kind("networks", "network", GLOBAL),
        Kind("subnetworks", "subnetwork", REGIONS),
        Kind("routers", "router", REGIONS),
        Kind("firewalls", "firewall", GLOBAL),
        Kind("disks", "disk", ZONES),
        Kind("snapshots", "snapshot", GLOBAL),
        Kind("instances", "instance", ZONES),
        Kind("resourcePolicies", "resourcePolicy", REGIONS),
    )
}


def scope_of(call: Call, scope: str) -> str:
    """projects/p/global, or the zone or region that the call names, which must exist."""
    if scope == GLOBAL:
        return f"projects/{call.project}/global"
    name = call.values[scope[:-1]]
    path = f"projects/{call.project}/{scope}/{name}"
    if name not in (REGION_NAMES if scope == REGIONS else ZONE_NAMES):
        raise invalid(scope[:-1], name, f"Unknown {scope[:-1]}.")
    return path


def find(call: Call, path: str) -> dict[str, Any]:
    found: dict[str, Any] | None = call.state.resources.get(path)
    if found is None:
        raise not_found(path)
    return found


def find_ready(call: Call, path: str) -> dict[str, Any]:
    """A resource that others may refer to; while it is being made they may not."""
    found = find(call, path)
    pending = operations.pending_on(call.world, path)
    making = pending and pending["operationType"] in ("insert", "delete")
    if making or found.get("status") in ("CREATING", "DELETING"):
        raise not_ready(path)
    return found


def resolve(value: str, scope: str, call: Call) -> str:
    """The path that a full or partial URL means: a link, projects/…, global/…, or a bare path below `scope`."""
    path = HOST.sub("", value)
    if path.startswith("projects/"):
        return path
    if path.startswith((f"{GLOBAL}/", f"{REGIONS}/", f"{ZONES}/")):
        return f"projects/{call.project}/{path}"
    return f"{scope}/{path}"


def refer(call: Call, field: str, value: str, collection: str) -> str:
    """The path of a resource that a body refers to; it exists and is ready."""
    path = HOST.sub("", value)
    if path.startswith((f"{GLOBAL}/", f"{REGIONS}/", f"{ZONES}/")):
        path = f"projects/{call.project}/{path}"
    if not re.fullmatch(rf"projects/[^/]+/(global|(regions|zones)/[^/]+)/{collection}/[^/]+", path):
        raise invalid(field, value, "The URL is malformed.")
    find_ready(call, path)
    return path


def new(call: Call, kind: Kind, **fields: Any) -> tuple[str, dict[str, Any]]:
    """A resource as the body describes it, with what Google adds; it is not kept yet."""
    folder = kind.folder(call)
    name = str(call.body.get("name", ""))
    if not NAME.fullmatch(name):
        raise invalid("resource.name", name, f"Must be a match of regex '{NAME.pattern}'")
    path = f"{folder}/{name}"
    if path in call.state.resources:
        raise already_exists(path)
    check_labels(call.body.get("labels", {}))
    # A copy: what Google adds below must not change the request, by whose body a repeated call is known again.
    return path, describe(call, kind, path, {**copy.deepcopy(call.body), **fields})


def describe(call: Call, kind: Kind, path: str, fields: dict[str, Any]) -> dict[str, Any]:
    scope = "/".join(path.split("/")[:-2])
    place = {kind.scope[:-1]: link(scope)} if kind.scope != GLOBAL else {}
    return {
        **fields,
        "kind": kind.kind,
        "id": call.state.number(),
        "name": path.split("/")[-1],
        "creationTimestamp": compute_time(),
        "selfLink": link(path),
        **place,
    }


def keep(call: Call, path: str, resource: dict[str, Any], effect: str = "", **work: Any) -> dict[str, Any]:
    """Keeps a new resource and begins the operation that makes it; if that fails, the resource is gone again."""
    call.state.resources[path] = resource
    return operations.begin(call, path, effect, undo="remove", **work)


@effect("remove")
def remove(world: World, operation: dict[str, Any]) -> None:
    world.state.resources.pop(operation["_target"], None)


def check_labels(labels: dict[str, str]) -> None:
    for key, value in labels.items():
        fits = LABEL_KEY.fullmatch(key) and key == key.lower() and key[0].isalpha()
        if not fits or not LABEL_VALUE.fullmatch(value) or value != value.lower():
            raise invalid(
                "resource.labels", f"{key}={value}", "Labels are lower-case letters, digits, _ and -."
            )
    if len(labels) > 64:
        raise invalid("resource.labels", len(labels), "There can be at most 64 labels.")


def users_of(world: World, path: str) -> Iterator[str]:
    """The resources that refer to `path`, wherever in them the reference stands."""
    wanted = link(path)
    for other, resource in world.state.resources.items():
        if other != path and _mentions(shown(resource), wanted):
            yield other


def _mentions(value: Any, wanted: str) -> bool:
    if isinstance(value, dict):
        return any(_mentions(item, wanted) for item in value.values())
    if isinstance(value, list):
        return any(_mentions(item, wanted) for item in value)
    return bool(value == wanted)


def require_unused(call: Call, path: str, *, by: tuple[str, ...]) -> None:
    for user in users_of(call.world, path):
        if user.split("/")[-2] in by:
            raise in_use(path, user)


def required_body(call: Call, *fields: str) -> None:
    for name in fields:
        if call.body.get(name) in (None, "", []):
            raise required(f"resource.{name}")


def merge(resource: dict[str, Any], changes: dict[str, Any]) -> None:
    """A PATCH: what is given replaces, null removes, the rest stays."""
    for name, value in changes.items():
        if value is None:
            resource.pop(name, None)
        elif isinstance(value, dict) and isinstance(resource.get(name), dict):
            merge(resource[name], value)
        else:
            resource[name] = value


def _get(call: Call) -> dict[str, Any]:
    return shown(find(call, _kind(call).path(call)))


def _list(call: Call) -> dict[str, Any]:
    kind = _kind(call)
    folder = kind.folder(call)
    return page(call, f"{kind.kind}List", folder, _below(call, f"{folder}/"))


def _aggregated_list(call: Call) -> dict[str, Any]:
    kind = _kind(call)
    found = [
        resource for resource in _below(call, f"projects/{call.project}/") if resource["kind"] == kind.kind
    ]
    return scoped_page(call, f"{kind.kind}AggregatedList", kind.collection, found)


def _test_permissions(call: Call) -> dict[str, Any]:
    asked = call.body.get("permissions", [])
    return {"permissions": [one for one in asked if not call.rules.is_denied(call.project, one)]}


def _kind(call: Call) -> Kind:
    return KINDS[call.method.id.split(".")[1]]


def _below(call: Call, prefix: str) -> list[dict[str, Any]]:
    return [resource for path, resource in call.state.resources.items() if path.startswith(prefix)]


COMMON = {
    "get": _get,
    "list": _list,
    "aggregatedList": _aggregated_list,
    "testIamPermissions": _test_permissions,
}
"""What every kind answers alike, as far as Google's document has it."""

for _collection in KINDS:
    for _verb, _handler in COMMON.items():
        if f"compute.{_collection}.{_verb}" in catalog().by_id:
            handles(f"compute.{_collection}.{_verb}")(_handler)
