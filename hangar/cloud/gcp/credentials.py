"""Who we are for Google, and the line that carries our calls: application default credentials, wherever they are."""

from collections.abc import Mapping
from functools import cached_property
from threading import Lock
from typing import Any

import requests
from google.auth import default, exceptions
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2.credentials import Credentials as PersonsLogin

from hangar.cloud.gcp import endpoint
from hangar.cloud.gcp.refusal import SOMEBODY
from hangar.cloud.gcp.relay.tls import context
from hangar.errors import CloudError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
POOL = 16
"""Connections kept open: as many as there are reads side by side."""

CONNECT = 10.0
"""Seconds to connect."""

LOG_IN = "Log in: gcloud auth application-default login"


class _Adapter(requests.adapters.HTTPAdapter):
    """Believes the computer's own authorities too: a company's, say, that looks into its traffic."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=context(), **options)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        return super().proxy_manager_for(*arguments, ssl_context=context(), **options)

    def send(
        self, request: Any, stream: bool = False, timeout: Any = None, verify: Any = True, cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:  # fmt: skip
        """`timeout` is what the caller gives the answer; a host that is away is not waited for as long."""
        limits = timeout if isinstance(timeout, tuple) else (CONNECT, timeout)
        return super().send(request, stream, limits, verify, cert, proxies)


class Session:
    """One line to all of Google's APIs at `where` (else at Google's own addresses), with credentials that renew
    themselves. What a person's login asks for is counted for `project`: some APIs take no such login otherwise.
    `environment` is the one that errors name in commands.
    """

    def __init__(self, project: str, environment: str, where: str | None = None) -> None:
        self.project, self.environment, self._where = project, environment, where
        self._renewing = Lock()

    def address(self, api: str) -> str:
        """Where an API is. Raises HangarError if our credentials may not go there."""
        return endpoint.base(self._where, api)

    @cached_property
    def credentials(self) -> Any:
        """They are looked for when they are first needed. Raises CloudError where there are none."""
        self.address("compute")  # before a token is fetched for a host that may not have it
        try:
            credentials, _ = default(scopes=[SCOPE])
        except exceptions.DefaultCredentialsError as error:
            raise CloudError(
                "There are no Google credentials on this computer.", f"* {error}",
                f"{LOG_IN} (or name a key file: export GOOGLE_APPLICATION_CREDENTIALS=PATH)",
            ) from error  # fmt: skip
        if isinstance(credentials, PersonsLogin) and not credentials.quota_project_id:
            credentials = credentials.with_quota_project(self.project)
        return credentials

    @cached_property
    def http(self) -> Any:
        """Carries our calls."""
        return self.carry(AuthorizedSession(self.credentials))  # type: ignore[no-untyped-call]  # Google gives it no types

    def carry(self, session: requests.Session) -> requests.Session:
        """The session, also one that a library made, uses the same connections as every other, and believes whom we
        believe. It follows no redirect: elsewhere is not where our credentials were meant to go.
        """
        session.max_redirects = 0
        for scheme in ("https://", "http://"):
            session.mount(scheme, self._lines)
        return session

    @cached_property
    def _lines(self) -> _Adapter:
        return _Adapter(pool_maxsize=POOL)

    @property
    def account(self) -> str:
        """Whose login it is, where the credentials say so (those of a person do not)."""
        return str(getattr(self.credentials, "service_account_email", "") or "a person's login")

    @property
    def counted_for(self) -> str:
        """The project whose limits and APIs count for what we ask: the one that the login names, if it names one."""
        return str(getattr(self.credentials, "quota_project_id", "") or self.project)

    @property
    def member(self) -> str:
        """The account as an IAM policy names it; a person fills in their own."""
        email = getattr(self.credentials, "service_account_email", "")
        return f"serviceAccount:{email}" if email else SOMEBODY

    def renew(self) -> None:
        """There is a valid token. Asked before every call: what the libraries would fetch by themselves, each thread
        would, and not over our lines.

        Raises:
            CloudError: the login has ended, or Google cannot be reached.
        """
        try:
            with self._renewing:
                if not self.credentials.valid:
                    self.credentials.refresh(Request(self.carry(requests.Session())))
        except (requests.RequestException, exceptions.TransportError, exceptions.RefreshError) as error:
            raise ended(error) or CloudError(
                "Google cannot be reached to renew your login.", f"* {type(error).__name__}: {str(error)[:300]}",
                "Look at this computer's network, then run the same command again.",
            ) from error  # fmt: skip


def ended(error: Exception) -> CloudError | None:
    """The login that can no longer be renewed, in words; None for a failure of another kind."""
    if not isinstance(error, exceptions.RefreshError) or error.retryable:
        return None
    return CloudError("Your Google login has ended.", f"* {error.args[0] if error.args else error}", LOG_IN)
