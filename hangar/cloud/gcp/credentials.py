"""Who we are for Google: application default credentials, wherever google-auth finds them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import requests
from google.auth import default, exceptions
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2.credentials import Credentials as PersonsLogin

from hangar.cloud.gcp.relay.tls import context
from hangar.errors import CloudError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
POOL = 16
"""Connections kept open: as many as there are reads side by side."""

Failures = (requests.RequestException, exceptions.TransportError, exceptions.RefreshError)
"""The network failed; what was asked may or may not have been done."""

LOG_IN = "Log in: gcloud auth application-default login"


class _Adapter(requests.adapters.HTTPAdapter):
    """Believes the computer's own authorities too: a company's, say, that looks into its traffic."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=context(), **options)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        return super().proxy_manager_for(*arguments, ssl_context=context(), **options)


class Session:
    """One client for all of Google's APIs, with credentials that renew themselves. What a person's login asks for is
    counted for `project`: some APIs take no such login otherwise.
    """

    def __init__(self, project: str) -> None:
        try:
            credentials, _ = default(scopes=[SCOPE])
        except exceptions.DefaultCredentialsError as error:
            raise CloudError(
                "There are no Google credentials on this computer.", f"* {error}",
                f"{LOG_IN} (or name a key file: export GOOGLE_APPLICATION_CREDENTIALS=PATH)",
            ) from error  # fmt: skip
        if isinstance(credentials, PersonsLogin) and not credentials.quota_project_id:
            credentials = credentials.with_quota_project(project)
        self.credentials: Any = credentials
        self._login: Any = Request(_mounted(requests.Session()))
        self._session: Any = _mounted(AuthorizedSession(credentials, auth_request=self._login))  # type: ignore[no-untyped-call]  # as above

    @property
    def account(self) -> str:
        """Whose login it is, where the credentials say so (those of a person do not)."""
        return str(getattr(self.credentials, "service_account_email", "") or "a person's login")

    @property
    def member(self) -> str:
        """The account as an IAM policy names it; a person fills in their own."""
        email = getattr(self.credentials, "service_account_email", "")
        return f"serviceAccount:{email}" if email else "user:YOU@EXAMPLE.ORG"

    def renew(self) -> None:
        """A valid token before several threads need one: each would fetch its own.

        Raises:
            CloudError: the login has ended, or Google cannot be reached.
        """
        if self.credentials.valid:
            return
        try:
            with _in_words():
                self.credentials.refresh(self._login)
        except Failures as error:
            raise CloudError(
                "Google cannot be reached to renew your login.", f"* {type(error).__name__}: {str(error)[:300]}",
                "Look at this computer's network, then run the same command again.",
            ) from error  # fmt: skip

    def request(
        self, method: str, url: str, params: Mapping[str, str | Sequence[str]], json: Any, data: bytes | None,
        timeout: tuple[float, float],
    ) -> requests.Response:  # fmt: skip
        """One HTTP request. Raises one of `Failures`, or CloudError where the login has ended."""
        with _in_words():
            answer: requests.Response = self._session.request(
                method, url, params=dict(params), json=json, data=data, timeout=timeout, max_allowed_time=None,
                # Elsewhere is not where our credentials were meant to go.
                allow_redirects=False,
            )  # fmt: skip
        return answer


def _mounted(session: requests.Session) -> requests.Session:
    session.mount("https://", _Adapter(pool_maxsize=POOL))
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=POOL))
    return session


@contextmanager
def _in_words() -> Iterator[None]:
    """Credentials that can no longer be renewed end in words; a network failure stays one."""
    try:
        yield
    except exceptions.RefreshError as error:
        if error.retryable:
            raise
        raise CloudError(
            "Your Google login has ended.", f"* {error.args[0] if error.args else error}", f"{LOG_IN}"
        ) from error
