"""Who we are for Google: application default credentials, wherever google-auth finds them."""

from collections.abc import Mapping, Sequence
from typing import Any

import requests
from google.auth import default, exceptions
from google.auth.transport.requests import AuthorizedSession, Request

from hangar.errors import CloudError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
POOL = 16
"""Connections kept open: as many as there are reads side by side."""

Failures = (requests.RequestException, exceptions.TransportError)
"""The network failed; what was asked may or may not have been done."""


class Session:
    """One client for all of Google's APIs, with credentials that renew themselves."""

    def __init__(self) -> None:
        try:
            credentials, _ = default(scopes=[SCOPE])
        except exceptions.DefaultCredentialsError as error:
            raise CloudError(
                "There are no Google credentials on this computer.",
                f"* {error}",
                "Log in: gcloud auth application-default login"
                " (or name a key file: export GOOGLE_APPLICATION_CREDENTIALS=PATH)",
            ) from error
        self._session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]  # google-auth has no types here
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=POOL)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self.credentials = credentials

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
        """A valid token before several threads need one: each would fetch its own."""
        if not self.credentials.valid:
            with _login():
                self.credentials.refresh(Request())  # type: ignore[no-untyped-call]  # google-auth has no types

    def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, str | Sequence[str]],
        json: Any,
        data: bytes | None,
        timeout: tuple[float, float],
    ) -> requests.Response:
        """One HTTP request. Raises one of `Failures`, or CloudError where the login has ended."""
        with _login():
            answer: requests.Response = self._session.request(  # type: ignore[no-untyped-call]  # as above
                method, url, params=dict(params), json=json, data=data, timeout=timeout, max_allowed_time=None,
                allow_redirects=False,
            )  # fmt: skip
        return answer


class _login:
    """Credentials that can no longer be renewed end in words; a network failure stays one."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, exceptions.RefreshError) and not error.retryable:
            raise CloudError(
                "Your Google login has ended.", f"* {error.args[0] if error.args else error}",
                "Log in again: gcloud auth application-default login",
            ) from error  # fmt: skip
