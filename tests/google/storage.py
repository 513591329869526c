"""Cloud Storage, as far as an object that serves as a lock, and backups, need it."""

import base64
import hashlib
import re
import time
from typing import Any

from tests.google.errors import GoogleError
from tests.google.state import fingerprint, shown, utc_time
from tests.google.world import PERMISSIONS, Call, Media, handles

BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
ROOT = "https://www.googleapis.com/storage/v1/b/"


def _buckets(call: Call) -> dict[str, Any]:
    return call.state.table("buckets")


def _objects(call: Call) -> dict[str, Any]:
    return call.state.table("objects")


@handles("storage.buckets.insert")
def insert_bucket(call: Call) -> dict[str, Any]:
    name = call.body.get("name", "")
    if not BUCKET.fullmatch(name) or name.startswith("goog") or "google" in name:
        raise GoogleError(400, f"Invalid bucket name: '{name}'", "invalid")
    if name in _buckets(call):
        mine = _buckets(call)[name]["_project"] == call.project
        text = "Your previous request to create the named bucket succeeded and you already own it."
        other = (
            "The requested bucket name is not available. The bucket namespace is shared by all users of the "
            "system. Please select a different name and try again."
        )
        raise GoogleError(409, text if mine else other, "conflict")
    now = utc_time()
    access = call.body.get("iamConfiguration", {})
    bucket = {
        **call.body,
        "kind": "storage#bucket",
        "id": name,
        "selfLink": ROOT + name,
        "projectNumber": call.state.table("projects")[call.project]["number"],
        "location": call.body.get("location", "US").upper(),
        "locationType": "region" if "-" in call.body.get("location", "US") else "multi-region",
        "storageClass": call.body.get("storageClass", "STANDARD"),
        "timeCreated": now,
        "updated": now,
        "metageneration": "1",
        "generation": _generation(),
        "etag": "CAE=",
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": False},
            "publicAccessPrevention": "inherited",
            **access,
        },
        "_project": call.project,
    }
    _buckets(call)[name] = bucket
    return shown(bucket)


@handles("storage.buckets.get")
def get_bucket(call: Call) -> dict[str, Any]:
    return shown(_bucket(call))


@handles("storage.buckets.list")
def list_buckets(call: Call) -> dict[str, Any]:
    prefix = call.values.get("prefix", "")
    found = [
        shown(bucket)
        for name, bucket in sorted(_buckets(call).items())
        if bucket["_project"] == call.project and name.startswith(prefix)
    ]
    return {"kind": "storage#buckets", **({"items": found} if found else {})}


@handles("storage.buckets.delete")
def delete_bucket(call: Call) -> None:
    name = _bucket(call)["name"]
    if any(path.startswith(f"{name}/") for path in _objects(call)):
        raise GoogleError(409, "The bucket you tried to delete is not empty.", "conflict")
    del _buckets(call)[name]


@handles("storage.objects.insert")
def insert_object(call: Call) -> dict[str, Any]:
    bucket = _bucket(call)["name"]
    content, described = call.content()
    name = call.values.get("name") or described.get("name", "")
    if not name:
        raise GoogleError(400, "Required parameter: name", "required")
    path = f"{bucket}/{name}"
    _preconditions(call, _objects(call).get(path))
    generation, now = _generation(), utc_time()
    kept = {
        **described,
        "kind": "storage#object",
        "id": f"{path}/{generation}",
        "selfLink": f"{ROOT}{bucket}/o/{name.replace('/', '%2F')}",
        "name": name,
        "bucket": bucket,
        "generation": generation,
        "metageneration": "1",
        "contentType": described.get("contentType") or call.content_type or "application/octet-stream",
        "storageClass": "STANDARD",
        "size": str(len(content)),
        "md5Hash": base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode(),
        "etag": fingerprint(generation),
        "timeCreated": now,
        "updated": now,
        "_content": base64.b64encode(content).decode(),
    }
    _objects(call)[path] = kept
    return shown(kept)


@handles("storage.objects.get")
def get_object(call: Call) -> dict[str, Any] | Media:
    kept = _object(call)
    _preconditions(call, kept)
    if call.values.get("alt") != "media":
        return shown(kept)
    headers = {"x-goog-generation": kept["generation"], "x-goog-metageneration": kept["metageneration"]}
    return Media(base64.b64decode(kept["_content"]), kept["contentType"], headers)


@handles("storage.objects.patch")
def patch_object(call: Call) -> dict[str, Any]:
    kept = _object(call)
    _preconditions(call, kept)
    if "metadata" in call.body:
        metadata = {**kept.get("metadata", {}), **(call.body["metadata"] or {})}
        kept["metadata"] = {name: value for name, value in metadata.items() if value is not None}
    kept.update(metageneration=str(int(kept["metageneration"]) + 1), updated=utc_time())
    return shown(kept)


@handles("storage.objects.delete")
def delete_object(call: Call) -> None:
    kept = _object(call)
    _preconditions(call, kept)
    del _objects(call)[f"{kept['bucket']}/{kept['name']}"]


@handles("storage.objects.list")
def list_objects(call: Call) -> dict[str, Any]:
    bucket = _bucket(call)["name"]
    prefix, after = call.values.get("prefix", ""), call.values.get("pageToken", "")
    deeper = call.values.get("delimiter") or "\0"
    found = [
        shown(one)
        for _, one in sorted(_objects(call).items())
        if one["bucket"] == bucket
        and one["name"].startswith(prefix)
        and deeper not in one["name"].removeprefix(prefix)
        and one["name"] > after
    ]
    most = int(call.values.get("maxResults", 1000))
    more = {"nextPageToken": found[most - 1]["name"]} if len(found) > most else {}
    return {"kind": "storage#objects", **({"items": found[:most]} if found else {}), **more}


def _bucket(call: Call) -> dict[str, Any]:
    found: dict[str, Any] | None = _buckets(call).get(call.values["bucket"])
    if found is None:
        raise GoogleError(404, "The specified bucket does not exist.", "notFound")
    return found


def _object(call: Call) -> dict[str, Any]:
    path = f"{_bucket(call)['name']}/{call.values['object']}"
    found: dict[str, Any] | None = _objects(call).get(path)
    if found is None:
        raise GoogleError(404, f"No such object: {path}", "notFound")
    wanted = call.values.get("generation")
    if wanted and wanted != found["generation"]:
        raise GoogleError(404, f"No such object: {path}#{wanted}", "notFound")
    return found


def _preconditions(call: Call, kept: dict[str, Any] | None) -> None:
    """ifGenerationMatch=0 means: only if there is none."""
    now = {
        "Generation": kept["generation"] if kept else "0",
        "Metageneration": kept["metageneration"] if kept else "0",
    }
    for name, value in now.items():
        wanted, unwanted = call.values.get(f"if{name}Match"), call.values.get(f"if{name}NotMatch")
        if (wanted is not None and wanted != value) or unwanted == value:
            text = "At least one of the pre-conditions you specified did not hold."
            raise GoogleError(412, text, "conditionNotMet")


def _generation() -> str:
    return str(time.time_ns() // 1000)


def _overwriting(call: Call) -> list[str]:
    """Writing over an object deletes the one before."""
    path = f"{call.values['bucket']}/{call.values.get('name', '')}"
    over = path in _objects(call) and call.values.get("ifGenerationMatch") != "0"
    return ["storage.objects.create", *(["storage.objects.delete"] if over else [])]


PERMISSIONS["storage.objects.insert"] = _overwriting
