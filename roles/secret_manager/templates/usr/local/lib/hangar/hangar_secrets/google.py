# Written by Hangar (role secret_manager). Changes made here are lost at the next run.
"""Two calls of Google's: a token for this machine's account, and a version of a secret."""

import base64
import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

TOKEN = "computeMetadata/v1/instance/service-accounts/default/token"
ANSWER = 20
"""Seconds for one answer."""

FIRST, LONGEST = 1.0, 15.0
"""Seconds between two tries: at first, and at most."""

PASSING = (403, 429, 500, 502, 503, 504)
"""What another try may settle. A right that was given just now is not known everywhere at once."""


class Refused(Exception):
    """A secret cannot be read, and why, in words."""


class _Stay(urllib.request.HTTPRedirectHandler):
    """Elsewhere is not where the token was meant to go."""

    def redirect_request(self, *_: Any) -> None:
        return None


# The metadata server and Google's private addresses are reached without a proxy.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay()).open


@dataclass
class Google:
    """`endpoint` is Secret Manager, `identity` the metadata server; `patience` is in seconds."""

    endpoint: str
    identity: str
    patience: float
    _token: str = ""

    def sign_in(self) -> None:
        """Fetch a token of this machine's account.

        Raises:
            Refused: the metadata server gives none.
        """
        url = f"{self.identity}/{TOKEN}"
        try:
            self._token = str(
                self._answer(url, {"Metadata-Flavor": "Google"}, (429, 500, 503))["access_token"]
            )
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise Refused(
                f"The metadata server gives this machine no token ({url}): {_why(error)}. "
                "Does the machine have a service account? ./provision.py plan shows it."
            ) from None

    def access(self, secret: str, version: str) -> tuple[str, str]:
        """A version's number and its text.

        Raises:
            Refused: with what to type.
        """
        name = f"{secret}/versions/{version}"
        try:
            bearer = {"Authorization": f"Bearer {self._token}"}
            found = self._answer(f"{self.endpoint}/v1/{name}:access", bearer, PASSING)
            text = base64.b64decode(found["payload"]["data"], validate=True).decode()
            number = str(found["name"]).rpartition("/")[2]
        except urllib.error.HTTPError as error:
            raise Refused(refusal(secret, version, error.code, _said(error))) from None
        except UnicodeDecodeError:
            raise Refused(f"{name} is no text in UTF-8. {_add(secret)}") from None
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise Refused(f"Secret Manager does not answer at {self.endpoint}: {_why(error)}") from None
        # The newline at the end is an editor's, not the secret's.
        text = text.rstrip("\r\n")
        if not text:
            raise Refused(f"{name} is empty. {_add(secret)}")
        return number, text

    def _answer(self, url: str, headers: dict[str, str], passing: tuple[int, ...]) -> Any:
        """The answer's data; tried again while patience lasts, where that may help."""
        deadline, pause = time.monotonic() + self.patience, FIRST
        while True:
            try:
                with _open(urllib.request.Request(url, headers=headers), timeout=ANSWER) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code not in passing or time.monotonic() + pause > deadline:
                    raise
                error.close()
            except (OSError, http.client.HTTPException):
                if time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, LONGEST)


def refusal(secret: str, version: str, status: int, said: str) -> str:
    """What a no means, and what to type."""
    project, name = secret.split("/")[1], secret.rpartition("/")[2]
    if status == 403:
        return (
            f"This machine's account may not read {secret} (secretmanager.versions.access; Google said: {said}). "
            "./provision.py up gives it the role, or names who has to."
        )
    if status == 404:
        what = "is not there, or has no version" if version == "latest" else f"has no version {version}"
        return f"{secret} {what}. {_add(secret)}"
    if status == 400:
        return (
            f"The version {version} of {secret} cannot be read (Google said: {said}). "
            f"See: gcloud secrets versions list {name} --project {project}\n  {_add(secret)}"
        )
    return f"{secret} cannot be read: Google answers {status}: {said}"


def _add(secret: str) -> str:
    project, name = secret.split("/")[1], secret.rpartition("/")[2]
    return f"Add one: gcloud secrets versions add {name} --project {project} --data-file FILE"


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return " ".join(str(json.load(error)["error"]["message"]).split())[:300]
    except (OSError, ValueError, KeyError, TypeError):
        return str(error.reason)


def _why(error: Exception) -> str:
    return str(getattr(error, "reason", error))[:300]
