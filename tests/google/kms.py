"""Cloud KMS: keys, and whether their primary version is in force. Nothing is encrypted."""

from typing import Any

from tests.google.errors import GoogleError
from tests.google.state import utc_time
from tests.google.world import PERMISSIONS, Call, handles

PREFIX = "cloudkms.projects.locations.keyRings.cryptoKeys."
VERSION = f"{PREFIX}cryptoKeyVersions."


def _keys(call: Call) -> dict[str, Any]:
    return call.state.table("cryptoKeys")


def _key(call: Call, name: str) -> dict[str, Any]:
    found: dict[str, Any] | None = _keys(call).get(name)
    if found is None:
        raise GoogleError(404, f"CryptoKey {name} not found.", "notFound")
    return found


@handles(f"{PREFIX}create")
def create(call: Call) -> dict[str, Any]:
    name, purpose = (
        f"{call.values['parent']}/cryptoKeys/{call.values['cryptoKeyId']}",
        call.body.get("purpose"),
    )
    if not purpose:
        raise GoogleError(400, "CryptoKey.purpose is required.")
    if name in _keys(call):
        raise GoogleError(409, f"CryptoKey {name} already exists.", "alreadyExists")
    made = {"name": name, "purpose": purpose, "createTime": utc_time()}
    if purpose == "ENCRYPT_DECRYPT":  # of other purposes no version is the primary one
        made["primary"] = {"name": f"{name}/cryptoKeyVersions/1", "state": "ENABLED"}
    _keys(call)[name] = made
    return made


@handles(f"{PREFIX}get")
def get(call: Call) -> dict[str, Any]:
    return _key(call, call.values["name"])


@handles(f"{VERSION}patch")
def change_version(call: Call) -> dict[str, Any]:
    primary: dict[str, Any] = _key(call, call.values["name"].partition("/cryptoKeyVersions/")[0])["primary"]
    if call.values.get("updateMask") != "state" or call.body.get("state") not in ("ENABLED", "DISABLED"):
        raise GoogleError(400, "Only the state can be changed, to ENABLED or DISABLED.")
    primary["state"] = call.body["state"]
    return primary


PERMISSIONS[f"{VERSION}patch"] = lambda _: ["cloudkms.cryptoKeyVersions.update"]
