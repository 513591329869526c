"""Snapshots of the data disk: made by hand or before a risk, listed, deleted. The daily ones are Google's to make."""

import re
import time
from dataclasses import dataclass
from typing import Any

from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.errors import NotThere
from hangar.cloud.gcp.names import LABEL, Names
from hangar.cloud.gcp.work import Step
from hangar.config.gcp import NAME
from hangar.errors import HangarError

Body = dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """`taken` is Google's time; `gib` the size of the disk; `stored` what is kept, in bytes."""

    name: str
    taken: str
    status: str
    gib: int
    stored: int
    is_daily: bool


def new_name(api: Api, names: Names, now: float) -> str:
    """Named after this second, or after the next one where a snapshot has that name: a resize takes one too."""
    name = f"{names.machine}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}"
    taken = api.compute.find(f"{names.everywhere}/snapshots/{name}")
    return name if taken is None else new_name(api, names, now + 1)


def step(api: Api, names: Names, name: str, labels: dict[str, str]) -> Step:
    body = {"name": name, "labels": labels, "description": names.description}
    path = f"{names.in_zone}/disks/{names.data_disk}"
    return Step(
        f"take the snapshot {name}",
        lambda: api.compute.begin("create_snapshot", path, body),
        f"snapshot {name} (./provision.py snapshot {names.environment} delete {name})",
    )


def found(api: Api, names: Names) -> list[Snapshot]:
    """Those of the environment, oldest first."""
    bodies = api.compute.items(f"{names.everywhere}/snapshots", f"labels.{LABEL}={names.environment}")
    return sorted((_snapshot(one) for one in bodies), key=lambda one: one.taken)


def _snapshot(body: Body) -> Snapshot:
    return Snapshot(
        name=body["name"],
        taken=body["creationTimestamp"],
        status=body["status"],
        gib=int(body.get("diskSizeGb", 0)),
        stored=int(body.get("storageBytes", 0)),
        is_daily=bool(body.get("autoCreated")),
    )


def require(api: Api, names: Names, name: str) -> Body:
    """The snapshot of that name, which is one of the environment's. What is no name is not asked for: a slash in it
    would ask for something else.

    Raises:
        HangarError: there is none.
    """
    is_name = re.fullmatch(NAME, name)
    body = api.compute.find(f"{names.everywhere}/snapshots/{name}") if is_name else None
    if body is None or (body.get("labels") or {}).get(LABEL) != names.environment:
        raise HangarError(
            f"The environment {names.environment} has no snapshot {name}.",
            resolution=f"List them: ./provision.py snapshot {names.environment} list",
        )
    return body


def delete(api: Api, names: Names, name: str) -> None:
    require(api, names, name)
    try:
        api.compute.do("delete", f"{names.everywhere}/snapshots/{name}")
    except NotThere:
        return  # somebody else was quicker
