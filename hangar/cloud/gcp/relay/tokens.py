"""Access tokens from Google's application default credentials. They stay in memory."""

import http.client
import threading
import urllib.error
import urllib.request
import warnings
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from hangar.cloud.gcp.relay import endings
from hangar.cloud.gcp.relay.endings import Broken
from hangar.cloud.gcp.relay.target import Target
from hangar.cloud.gcp.relay.tls import context
from hangar.errors import HangarError

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)

LOG_IN = (
    "Log in with `gcloud auth application-default login`; where there is no gcloud, name the file of such a login or of"
    " a service account in GOOGLE_APPLICATION_CREDENTIALS."
)

PATIENCE = 20.0
"""Seconds that Google may take to answer."""

METADATA = ("metadata.google.internal", "169.254.169.254")
"""Where a machine on Google Cloud gets its token: on its own network, behind no proxy."""


class Tokens:
    """For several threads. Google's library is loaded with the first token."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._credentials: Any = None  # the library has no types

    def fetch_early(self) -> None:
        """Begins to fetch the first token, while others prepare what they need; its errors are told by `get`."""
        threading.Thread(target=self._try, daemon=True).start()

    def _try(self) -> None:
        try:
            self.get(False)
        except (HangarError, Broken):
            return

    def get(self, fresh: bool) -> str:
        """A token that is valid now; with `fresh` a new one, since the last was refused.

        Raises:
            Broken: Google cannot be reached at the moment.
            HangarError: there are no credentials, or Google does not take them.
        """
        with self._lock:
            from google.auth import exceptions

            try:
                return self._get(fresh)
            except exceptions.DefaultCredentialsError as error:
                raise HangarError(
                    "There are no Google credentials here.", f"({_line(error)})", LOG_IN
                ) from error
            except exceptions.TransportError as error:
                raise Broken(endings.unreachable(_line(error), self._target)) from error
            except exceptions.GoogleAuthError as error:
                failed = HangarError("Google does not take your credentials.", f"({_line(error)})", LOG_IN)
                raise (Broken(failed) if error.retryable else failed) from error

    def _get(self, fresh: bool) -> str:
        import google.auth

        send = _sender()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of quota projects, which a tunnel has nothing to do with
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=SCOPES, request=send)
            if fresh or not self._credentials.valid:
                self._credentials.refresh(send)
        return str(self._credentials.token)


def _sender() -> Any:
    """How Google's library sends its requests: by the standard library, which is loaded in a tenth of the time that
    the library's own ways take, and knows the proxies of the environment.
    """
    from google.auth import exceptions

    failure: Any = exceptions.TransportError

    def send(
        url: str, method: str = "GET", body: bytes | None = None, headers: Any = None,
        timeout: float | None = None, **_: Any,
    ) -> SimpleNamespace:  # fmt: skip
        request = urllib.request.Request(url, body, headers or {}, method=method)
        try:
            with _opener(url).open(request, timeout=timeout or PATIENCE) as answer:
                return SimpleNamespace(status=answer.status, headers=answer.headers, data=answer.read())
        except urllib.error.HTTPError as answer:
            return SimpleNamespace(status=answer.code, headers=answer.headers, data=answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise failure(str(error) or type(error).__name__) from error

    return send


def _opener(url: str) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context())]
    if urlsplit(url).hostname in METADATA:
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def _line(error: Exception) -> str:
    """What the library says, on one line and without what it read from the network."""
    text = error.args[0] if error.args else type(error).__name__
    return " ".join(str(text).split())
