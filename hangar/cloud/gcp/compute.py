"""Calls of Compute Engine through Google's client, google-cloud-compute.

Bodies and answers are dictionaries in the words of Google's reference. Here, and only here, they become the library's
messages and come back from them: a field that it does not know, or a wrong type, never leaves this computer.
"""

import gc
import json
import time
import uuid
from contextlib import AbstractContextManager
from itertools import zip_longest
from typing import Any

from hangar.cloud.gcp.calling import ANSWER, in_words, limits
from hangar.cloud.gcp.credentials import Session
from hangar.cloud.gcp.errors import GoogleRefused, NotThere, StillAtWork, is_too_often, translate
from hangar.cloud.gcp.names import last
from hangar.cloud.gcp.refusal import read_operation

Body = dict[str, Any]

WAIT = 150.0
"""Seconds for the answer of `wait`, which Google holds back for up to 120."""

PATIENCE = 900.0
"""Seconds that an operation may take."""

ONE_OF = {
    "projects": "project", "zones": "zone", "regions": "region",
    "disks": "disk", "firewalls": "firewall", "images": "image", "instances": "instance",
    "machineTypes": "machine_type", "networks": "network", "resourcePolicies": "resource_policy",
    "routers": "router", "snapshots": "snapshot", "subnetworks": "subnetwork",
    "zoneOperations": "zone_operation", "regionOperations": "region_operation",
    "globalOperations": "global_operation",
}  # fmt: skip
"""A kind as a path has it, and as the library calls one of it."""


class Compute:
    """A resource is named by its path (projects/P/zones/Z/disks/D), a method as the library calls it (set_labels)."""

    def __init__(self, session: Session) -> None:
        self._session, self.project = session, session.project
        self._clients: dict[str, Any] = {}

    def get(self, path: str, method: str = "get", **more: str) -> Body:
        """What is there. `more` are the method's further parameters.

        Raises:
            NotThere: nothing. GoogleRefused: another of its kinds. HangarError: the host may not have our credentials.
        """
        kind, fields = address(path)
        return self._call(kind, method, {**fields, **more})

    def glance(self, path: str, method: str, **more: str) -> Body | None:
        """As `get`, for whoever looks again and again: None where Google says that this is too often."""
        kind, fields = address(path)
        try:
            return self._call(kind, method, {**fields, **more}, is_paced=True)
        except GoogleRefused as refused:
            if is_too_often(refused.status, refused.reason):
                return None
            raise

    def find(self, path: str) -> Body | None:
        """What is there, or None."""
        try:
            return self.get(path)
        except NotThere:
            return None

    def newest_image(self, project: str, family: str) -> Body | None:
        """The image that a family stands for now, or None."""
        try:
            return self._call("images", "get_from_family", {"project": project, "family": family})
        except NotThere:
            return None

    def items(self, path: str, wanted: str = "") -> list[Body]:
        """Every item of a list that the filter `wanted` lets through, over all its pages; without one, all."""
        kind, fields = address(path)
        pages = self._ask(kind, "list", {**fields, **({"filter": wanted} if wanted else {})})
        with self._in_words(f"compute.{kind}.list"):
            return [_dictionary(one) for one in pages]

    def items_everywhere(self, kind: str, wanted: str) -> list[Body]:
        """The same over all zones or regions of the project."""
        pages = self._ask(kind, "aggregated_list", {"project": self.project, "filter": wanted})
        with self._in_words(f"compute.{kind}.aggregated_list"):
            return [_dictionary(one) for _, scope in pages for one in getattr(scope, kind)]

    def begin(self, method: str, path: str, body: Body | None = None, **more: Any) -> Body:
        """Starts work and returns its operation. Asked twice (a lost answer, say) it is done once: every try carries
        the same request id.
        """
        kind, fields = address(path)
        asked = {**fields, **more, "request_id": str(uuid.uuid4())}
        return self._call(kind, f"{method}_unary", asked, body)

    def finish(self, operation: Body) -> None:
        """Returns when the work is done.

        Raises:
            GoogleRefused: it ended in an error. StillAtWork: it takes longer than `PATIENCE`; names it.
        """
        until = time.monotonic() + PATIENCE
        target = "/".join(str(operation.get("targetLink", "")).split("/")[-2:])
        place = f"{operation.get('operationType')} {target}"
        while operation.get("status") != "DONE":
            if time.monotonic() > until:
                raise self._endless(operation, place)
            operation = self._waited(operation)
        if operation.get("error"):
            who = self._session
            raise translate(read_operation(self.project, place, operation, who.member, who.environment))

    def do(self, method: str, path: str, body: Body | None = None, **more: Any) -> None:
        """Starts work and waits for its end."""
        self.finish(self.begin(method, path, body, **more))

    def _waited(self, operation: Body) -> Body:
        """By a client of ours: the one inside the library's own operations asks Google's address whatever endpoint is
        set. That is why work is begun by its `_unary` methods.
        """
        scope = next((name for name in ("zone", "region") if operation.get(name)), None)
        fields = {"project": self.project, "operation": operation["name"]}
        if scope:
            fields[scope] = last(operation[scope])
        return self._call(f"{scope or 'global'}Operations", "wait", fields, answer=WAIT)

    def _call(
        self, kind: str, method: str, fields: Body, body: Body | None = None, answer: float = ANSWER,
        *, is_paced: bool = False,
    ) -> Body:  # fmt: skip
        return _dictionary(self._ask(kind, method, fields, body, answer, is_paced=is_paced))

    def _ask(
        self, kind: str, method: str, fields: Body, body: Body | None = None, answer: float = ANSWER,
        *, is_paced: bool = False,
    ) -> Any:  # fmt: skip
        request = _request(kind, method.removesuffix("_unary"), fields, body)
        place = f"compute.{kind}.{method.removesuffix('_unary')} {fields.get(ONE_OF[kind], '')}".rstrip()
        with self._in_words(place):
            self._session.renew()
            return getattr(self._client(kind), method)(request, **limits(answer, is_paced=is_paced))

    def _in_words(self, place: str) -> AbstractContextManager[None]:
        return in_words(self._session, place, self._session.address("compute"))

    def _client(self, kind: str) -> Any:
        """Several threads may make the same one; the first stays."""
        if kind not in self._clients:
            client = getattr(_library(), f"{_capital(kind)}Client")
            transport = client.get_transport_class("rest")(
                credentials=self._session.credentials, host=self._session.address("compute")
            )
            # The library makes its own and lets nobody choose.
            self._session.carry(transport._session)
            self._clients.setdefault(kind, client(transport=transport))
        return self._clients[kind]

    def _endless(self, operation: Body, place: str) -> StillAtWork:
        scope = next(
            (f"--{name}={last(operation[name])}" for name in ("zone", "region") if operation.get(name)),
            "--global",
        )
        name = operation["name"]
        return StillAtWork(
            operation.get("targetLink", ""),
            f"Google has been at work for {PATIENCE / 60:.0f} minutes on: {place}.",
            f"* The operation: {name}",
            f"Look at it: gcloud compute operations describe {name} {scope} --project {self.project}"
            "\nThen run the same command again: it goes on from there.",
        )


def _library() -> Any:
    """Google's client: a second to load, and a third more with the collector, which finds nothing in its classes."""
    collects = gc.isenabled()
    gc.disable()
    try:
        from google.cloud import compute_v1
    finally:
        if collects:
            gc.enable()
    return compute_v1


def address(path: str) -> tuple[str, dict[str, str]]:
    """projects/p/zones/z/disks/d → disks, and the fields that say which: project, zone, disk."""
    words = [word for word in path.split("/") if word != "global"]
    pairs = list(zip_longest(words[::2], words[1::2]))
    return pairs[-1][0], {ONE_OF[kind]: name for kind, name in pairs if name is not None}


def _request(kind: str, method: str, fields: Body, body: Body | None) -> Any:
    """The library's message for a method, with the body in the field that is meant for one."""
    of = kind if method in ("list", "aggregated_list") else ONE_OF[kind]
    message = getattr(_library(), f"{_capital(method)}{_capital(of)}Request")
    known = message.meta.fields
    # Some methods call what they change `resource`.
    asked = {name if name in known else "resource": value for name, value in fields.items()}
    if body is not None:
        asked[next(name for name in known if name.endswith("_resource"))] = body
    return message.from_json(json.dumps(asked), ignore_unknown_fields=False)


def _dictionary(message: Any) -> Body:
    found: Body = type(message).to_dict(
        message, use_integers_for_enums=False, preserving_proto_field_name=False,
        always_print_fields_with_no_presence=False,
    )  # fmt: skip
    return found


def _capital(name: str) -> str:
    """set_labels → SetLabels; machineTypes → MachineTypes."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))
