"""The machine's SSH host keys: read once from its guest attributes, then kept in its metadata, which it cannot write.

Any process on the machine can write guest attributes, so they are switched off once they were read.
"""

import base64
import binascii
import json
import time
from typing import Any

from hangar.cloud.base import Report
from hangar.cloud.gcp import requests, views
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.errors import Conflict, NotThere
from hangar.cloud.gcp.names import Names
from hangar.cloud.gcp.requests import ATTRIBUTES, HOST_KEYS, Wanted
from hangar.errors import CloudError

Body = dict[str, Any]

LIMIT = 300.0
"""Seconds from the machine's start until its agent has written them: it boots, and some images are slow."""

PAUSE, LATER = 2.0, 6.0
"""Seconds between two looks: at first, while most machines boot, and later, or once Google says that it is too often.
The last of them is what the way to SSH takes beyond the boot.
"""

SOON = 60.0
"""Seconds for which it is at first."""

OFFERED = "ssh-ed25519"
"""The kind that the machine's sshd offers alone once it is configured (roles/ssh_server, ssh_server_host_keys).
Google's agent makes and tells one key after the other, in no order, and an RSA key takes it a while: a machine that was
pinned by the others alone would be a stranger's from the playbook on.
"""

KINDS = (OFFERED, "ecdsa-sha2-nistp256", "ssh-rsa")
TRIES = 3


def recorded(instance: Body) -> tuple[str, ...]:
    """The keys in the instance's metadata, `type base64`; none if they were another instance's of the name."""
    try:
        kept = json.loads(views.metadata(instance).get(HOST_KEYS, "{}"))
        keys = tuple(kept["keys"]) if kept.get("instance") == str(instance["id"]) else ()
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()
    return keys if all(is_key(key) for key in keys) else ()


def ensure(api: Api, wanted: Wanted, report: Report) -> Body:
    """The instance, whose host keys are recorded.

    Raises:
        CloudError: it did not write the one that counts in time, or it may not write them.
    """
    for _ in range(TRIES):
        instance = api.compute.get(wanted.names.instance)
        if recorded(instance):
            return instance
        keys = _wait(api, wanted, instance, report)
        try:
            _record(api, wanted, instance, keys)
        except Conflict:
            continue  # the metadata was changed meanwhile
    raise CloudError(
        f"The metadata of {wanted.names.machine} keeps changing.",
        "",
        "Run the same command again when nobody else does.",
    )


def _wait(api: Api, wanted: Wanted, instance: Body, report: Report) -> tuple[str, ...]:
    if not views.is_on(views.metadata(instance).get(ATTRIBUTES, "")):
        raise _silent(wanted)
    report("wait for the machine's host keys")
    began, too_often = time.monotonic(), False
    while True:
        keys = _read(api, wanted)
        if any(key.startswith(f"{OFFERED} ") for key in keys or ()):
            return keys or ()
        waited = time.monotonic() - began
        if waited > LIMIT:
            break
        too_often = too_often or keys is None
        api.sleep(LATER if too_often or waited > SOON else PAUSE)
    raise _none(api, wanted)


def _read(api: Api, wanted: Wanted) -> tuple[str, ...] | None:
    """Those that were told so far. None: Google is asked too often."""
    try:
        found = api.compute.glance(wanted.names.instance, "get_guest_attributes", query_path="hostkeys/")
    except NotThere:
        return ()  # not written yet
    except Conflict as error:
        raise CloudError(
            f"{wanted.names.machine} may not tell its SSH host keys.",
            error.details,
            "Does your organisation forbid guest attributes? Ask for an exception, and show them: gcloud org-policies"
            f" describe compute.disableGuestAttributesAccess --effective --project {wanted.names.project}",
        ) from error
    if found is None:
        return None
    items = (found.get("queryValue") or {}).get("items") or ()
    keys = {one["key"]: f"{one['key']} {one['value'].strip()}" for one in items if one.get("key") in KINDS}
    return tuple(keys[kind] for kind in KINDS if kind in keys and is_key(keys[kind]))


def is_key(line: str) -> bool:
    """Whether a line is `type base64` and the base64 says the same type: what is pinned must be nothing else."""
    kind, _, text = line.partition(" ")
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    name = kind.encode()
    return kind in KINDS and blob.startswith(len(name).to_bytes(4, "big") + name)


def _record(api: Api, wanted: Wanted, instance: Body, keys: tuple[str, ...]) -> None:
    values = {
        **views.metadata(instance),
        HOST_KEYS: json.dumps({"instance": str(instance["id"]), "keys": list(keys)}, sort_keys=True),
        ATTRIBUTES: "FALSE",
    }
    body = {"items": requests.items(values), "fingerprint": instance["metadata"]["fingerprint"]}
    api.compute.do("set_metadata", wanted.names.instance, body)


def _silent(wanted: Wanted) -> CloudError:
    names = wanted.names
    return CloudError(
        f"The host keys of {names.machine} are not known, and it may not tell them.",
        f"* Its metadata {ATTRIBUTES} is not TRUE, and {HOST_KEYS} does not hold them.",
        f"Look whether Google still has what it told: gcloud compute instances add-metadata {names.machine}"
        f" --zone {names.zone} --project {names.project} --metadata {ATTRIBUTES}=TRUE,"
        f" then ./provision.py up {names.environment}"
        "\nGoogle's agent tells them at a machine's first start alone; a restart does not help. If they are gone, make"
        f" it anew (what is under /srv stays): ./provision.py destroy {names.environment}, then"
        f" ./provision.py up {names.environment}",
    )


def _none(api: Api, wanted: Wanted) -> CloudError:
    return CloudError(
        f"{wanted.names.machine} told no SSH host key of the kind {OFFERED} within {LIMIT / 60:.0f} minutes.",
        console_tail(api, wanted.names),
        "If the machine has booted: does your organisation forbid guest attributes"
        " (compute.disableGuestAttributesAccess)? Else run the same command again.",
    )


def console_tail(api: Api, names: Names, lines: int = 30) -> str:
    """The end of what the machine wrote on its serial console."""
    try:
        found = api.compute.get(names.instance, "get_serial_port_output", port="1")
    except CloudError as error:  # a last look, beside another error
        return f"* Its console cannot be read: {error.brief}"
    return "\n".join(str(found.get("contents", "")).replace("\r", "").splitlines()[-lines:])
