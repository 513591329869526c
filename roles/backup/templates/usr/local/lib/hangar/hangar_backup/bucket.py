# Written by Hangar (role backup). Changes made here are lost at the next run.
"""Encrypted objects go to a bucket of Cloud Storage as the machine's service account, which may create objects there
and neither read, replace, list nor remove any (roles/storage.objectCreator).

An upload is one request (uploadType=media): it is there whole or not at all. https://cloud.google.com/storage/docs/json_api
"""

import base64
import hashlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from hangar_bounds import web

from .described import SPOOL, Bucket, Refused
from .running import TookTooLong

METADATA = "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token"
STORAGE = "https://storage.googleapis.com/upload/storage/v1/b"

SILENCE = 60.0
"""Seconds without a sign after which a try is over."""

TRIES = 5
PAUSE = 2.0
"""Seconds before the second try; twice as many before each further one."""

PASSING = (408, 429, 500, 502, 503, 504)
THERE_ALREADY = 412
"""The answer where ifGenerationMatch=0 does not hold: an object of that name is there."""

REASONS = {
    401: "it does not know this machine's service account",
    403: "it does not let this machine add objects (its service account needs roles/storage.objectCreator there)",
    404: "there is no such bucket",
    THERE_ALREADY: "an object of that name is there already, and is not replaced",
}


class _Timely:
    """A file that is read to its end in time."""

    def __init__(self, stream: BinaryIO, latest: float) -> None:
        self._stream, self._latest = stream, latest

    def read(self, size: int = -1) -> bytes:
        if time.monotonic() > self._latest:
            raise TookTooLong("its time is over")
        return self._stream.read(size)


def send(bucket: Bucket, names: Sequence[str], latest: float, spool: Path = SPOOL) -> None:
    """Put the objects there in this order; `latest` is when it is given up, on the monotonic clock.

    Raises:
        TookTooLong: it was given up.
        Refused: with the reason in words.
    """
    for name in names:
        _put(bucket, spool / name, latest)


def _put(bucket: Bucket, place: Path, latest: float) -> None:
    """One object. A try whose answer was lost may have been taken: then it is there already at the next one."""
    for number in range(TRIES):
        try:
            _require_same(place, _upload(bucket, place, latest))
            return
        except urllib.error.HTTPError as error:
            if error.code == THERE_ALREADY and number:
                return
            if error.code not in PASSING or number == TRIES - 1:
                raise Refused(_reason(error)) from None
        except (OSError, HTTPException) as error:
            if number == TRIES - 1:
                raise Refused(f"it does not answer ({getattr(error, 'reason', error)})") from None
        time.sleep(PAUSE * 2**number)


def _upload(bucket: Bucket, place: Path, latest: float) -> dict[str, Any]:
    name = f"{bucket.folder}/{place.name}".lstrip("/")
    # Never in the place of another: there has to be no generation of it.
    query = urlencode({"uploadType": "media", "name": name, "ifGenerationMatch": "0"})
    headers = {
        "Authorization": f"Bearer {_token()}", "Content-Type": "application/octet-stream",
        "Content-Length": str(place.stat().st_size),
    }  # fmt: skip
    with place.open("rb") as stream:
        address = f"{STORAGE}/{quote(bucket.bucket, safe='')}/o?{query}"
        asked = urllib.request.Request(address, _Timely(stream, latest), headers, method="POST")
        with web().open(asked, timeout=SILENCE) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


def _token() -> str:
    """The service account's, as Google's metadata server gives it to root.

    Raises:
        Refused: there is none.
    """
    asked = urllib.request.Request(METADATA, headers={"Metadata-Flavor": "Google"})
    try:
        with web().open(asked, timeout=SILENCE) as answer:
            return str(json.load(answer)["access_token"])
    except (OSError, HTTPException, ValueError, KeyError) as error:
        raise Refused(f"this machine has no service account of Google's ({error})") from None


def _require_same(place: Path, answer: dict[str, Any]) -> None:
    with place.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).digest()
    if answer.get("md5Hash") != base64.b64encode(digest).decode():
        raise Refused(f"{place.name} has not come as it was sent")


def _reason(error: urllib.error.HTTPError) -> str:
    if error.code in REASONS:
        return REASONS[error.code]
    try:
        said = str(json.load(error)["error"]["message"])
    except (OSError, ValueError, KeyError, TypeError):
        said = str(error.reason)
    return f"it answers {error.code}: {said}"
