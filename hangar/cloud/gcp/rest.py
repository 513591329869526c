"""The APIs called over REST: IAM, Resource Manager, Service Usage, Secret Manager; Storage for the lock and backups."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from hangar.cloud.gcp.calling import ANSWER, in_words, not_google, patient, require_success
from hangar.cloud.gcp.credentials import Session
from hangar.cloud.gcp.errors import NotThere

Body = dict[str, Any]
Params = Mapping[str, str | Sequence[str]]

PATHS = {"storage": "storage/v1/", "upload": "upload/storage/v1/"}
"""Storage's answers stand below a path, the others' do not."""

BLOCK = 2**20
"""Bytes of an object that are held in memory."""


class Rest:
    """Says bodies as Google's reference does; `path` begins behind the API's own address."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def call(
        self, method: str, api: str, path: str, body: Body | None = None, params: Params | None = None, *,
        content: bytes | None = None,
    ) -> Body:  # fmt: skip
        """The answer of one method. What can pass is tried again; what was asked must bear being asked twice.

        Raises:
            GoogleRefused: one of its kinds; HangarError: the host may not have our credentials.
        """
        answer = self._answer(method, api, path, params, json=body, data=content)
        try:
            found = answer.json() if answer.content else {}  # Storage's deletions answer nothing
        except ValueError as error:
            raise not_google(self._address(api), error) from error
        return found if isinstance(found, dict) else {}

    def find(self, api: str, path: str) -> Body | None:
        """What is there, or None."""
        try:
            return self.call("GET", api, path)
        except NotThere:
            return None

    def content(self, path: str) -> bytes:
        """The content of an object of Storage."""
        return self._answer("GET", "storage", path, {"alt": "media"}).content

    def save(self, path: str, place: Path, most: int) -> None:
        """The content of an object of Storage into a file: `most` bytes at most, and one more where there are more."""

        def ask() -> None:
            with self._session.http.get(
                f"{address}/{PATHS['storage']}{path}", params={"alt": "media"}, timeout=ANSWER, stream=True
            ) as got:
                require_success(got)
                with place.open("wb") as sink:
                    for block in got.iter_content(BLOCK):
                        sink.write(block[: most + 1 - sink.tell()])
                        if sink.tell() > most:
                            break

        address = self._address("storage")
        self._session.renew()
        with in_words(self._session, "GET storage object", address):
            patient()(ask)()

    def _answer(
        self, method: str, api: str, path: str, params: Params | None, **sent: Any
    ) -> requests.Response:
        address = self._address(api)

        def ask() -> requests.Response:
            got: requests.Response = self._session.http.request(
                method, f"{address}/{PATHS.get(api, '')}{path}", params=params, timeout=ANSWER, **sent
            )
            require_success(got)
            return got

        self._session.renew()
        with in_words(self._session, f"{method} {api} {path.partition('?')[0]}", address):
            return patient()(ask)()

    def _address(self, api: str) -> str:
        return self._session.address("storage" if api == "upload" else api)
