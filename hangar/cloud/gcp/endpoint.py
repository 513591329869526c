"""Where Google's APIs are reached, and to which hosts Google credentials may go."""

import os
from urllib.parse import urlsplit

from hangar.errors import HangarError

GOOGLE = "https://{api}.googleapis.com"
ALLOWED = "HANGAR_ALLOW_API_HOST"
"""An environment variable, because whoever can change platform.yml must not be able to send for credentials."""

OWN = (".googleapis.com", ".cloudproxy.app")
"""Google's own domains for its APIs and for the IAP tunnel."""


def base(endpoint: str | None, api: str) -> str:
    """The address of one API, without a slash at its end.

    Raises:
        HangarError: the host is not Google's, and nobody outside the repository allowed it.
    """
    address = (endpoint or GOOGLE).replace("{api}", api)
    require_allowed(address)
    return address


def require_allowed(address: str) -> None:
    """Raises HangarError unless Google credentials may be sent to this address."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme in ("https", "wss") and host.endswith(OWN):
        return
    place = parts.netloc.rpartition("@")[2]
    allowed = {one.strip() for one in os.environ.get(ALLOWED, "").split(",")}
    if place in allowed or host in allowed:
        return
    raise HangarError(
        f"Your Google credentials would go to {place}, which is not Google's.",
        f"* platform.yml names {address}.\n* A host outside Google has to be allowed outside the repository as well.",
        f"If you trust it: export {ALLOWED}={place}",
    )
