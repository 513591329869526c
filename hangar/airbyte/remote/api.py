"""Airbyte's API, asked at the one address that the machine says is Airbyte's."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from hangar_bounds import excuse, web, whole

from hangar.serving import Refusal

QUICK = 30.0
"""Seconds for what Airbyte answers from its own records."""

SLOW = 2400.0
"""Seconds for what starts a connector: Airbyte may have to fetch it first. The embedded engine gives up earlier and
says why, after half an hour for the packages and five minutes for the answer.
"""


class Api:
    """Airbyte's public API, as the client that the machine made for it."""

    def __init__(self, url: str, client_id: str, client_secret: str) -> None:
        self._url = url.rstrip("/")
        self._client = {"client_id": client_id, "client_secret": client_secret}
        self._token = ""
        # Airbyte is on this machine: no proxy of the environment has a part in it.
        self._open = web().open

    def call(
        self, method: str, path: str, body: Any = None, timeout: float = QUICK, base: str | None = None
    ) -> Any:
        """The answer's data. A token that has run out is renewed once. `base`: where another API begins."""
        for attempt in (1, 2):
            if not self._token:
                self._token = self._renewed()
            try:
                return self._send(method, path, body, timeout, self._token, base or self._url)
            except Refusal as refusal:
                if refusal.answer.get("status") != 401 or attempt == 2:
                    raise
                self._token = ""
        return None

    def _renewed(self) -> str:
        asked = {**self._client, "grant_type": "client_credentials"}
        try:
            return str(self._send("POST", "/applications/token", asked, QUICK, "", self._url)["access_token"])
        except Refusal as refusal:
            if refusal.answer.get("status") in (400, 401, 403):
                raise Refusal("credentials", refusal.answer["text"]) from None
            raise

    def _send(self, method: str, path: str, body: Any, timeout: float, token: str, base: str) -> Any:
        if not path.startswith("/"):
            raise Refusal("defect", f"{path} is no path")
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(base + path, data=data, headers=headers, method=method)
        try:
            with self._open(request, timeout=timeout) as answer:
                text = whole(answer, timeout).decode()
        except urllib.error.HTTPError as error:
            text = excuse(error, QUICK)
            raise Refusal("refused", said(text) or error.reason, status=error.code) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Refusal("unreachable", f"{getattr(error, 'reason', error)}", url=base) from None
        try:
            return json.loads(text) if text.strip() else None
        except ValueError:
            raise Refusal("refused", f"not JSON: {text[:200]}", status=200) from None


def said(text: str) -> str:
    """What a problem document says to people: Airbyte's own words are in its `data` or `detail`."""
    try:
        found = json.loads(text)
    except ValueError:
        return text.strip()[:2000]
    if not isinstance(found, dict):
        return str(found)
    data = found.get("data")
    inner = data.get("message") if isinstance(data, dict) else None
    words = [inner, found.get("detail"), found.get("message"), found.get("title")]
    return next((str(word) for word in words if word), text.strip()[:2000])
