"""Access tokens from Google's application default credentials. They stay in memory."""

import threading
import warnings
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

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
        from google.auth.transport import urllib3

        make_request: Any = urllib3.Request
        request = make_request(_Http())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of quota projects, which a tunnel has nothing to do with
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=SCOPES, request=request)
            if fresh or not self._credentials.valid:
                self._credentials.refresh(request)
        return str(self._credentials.token)


class _Http:
    """HTTP through the proxy that the environment names, verified as the tunnel itself is."""

    def request(self, method: str, url: str, **options: Any) -> Any:
        return self._way(url).request(method, url, retries=1, **options)

    def _way(self, url: str) -> Any:
        import urllib3

        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy = None if host in METADATA or proxy_bypass(host) else getproxies().get(parts.scheme)
        if proxy is None:
            return urllib3.PoolManager(ssl_context=context())
        if not proxy.startswith(("http://", "https://")):
            raise endings.no_such_proxy(f"{proxy.partition(':')[0]} is not spoken here")
        known = urlsplit(proxy)
        user = f"{known.username}:{known.password}" if known.username else None
        headers = urllib3.make_headers(proxy_basic_auth=user)
        return urllib3.ProxyManager(proxy, ssl_context=context(), proxy_headers=headers)


def _line(error: Exception) -> str:
    """What the library says, on one line and without what it read from the network."""
    text = error.args[0] if error.args else type(error).__name__
    return " ".join(str(text).split())
