"""Where Google's APIs are reached, and to which hosts Google credentials may go."""

from urllib.parse import urlsplit

from hangar.cloud.gcp.relay.target import ALLOWED, is_loopback, is_trusted
from hangar.errors import HangarError

GOOGLE = "https://{api}.googleapis.com"


def base(endpoint: str | None, api: str) -> str:
    """The address of one API, without a slash at its end.

    Raises:
        HangarError: the host is not Google's, and nobody outside the repository allowed it.
    """
    address = (endpoint or GOOGLE).replace("{api}", api)
    require_trusted(address)
    return address


def require_trusted(address: str) -> None:
    """Raises HangarError unless Google credentials may be sent to this address."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme != "https" and not is_loopback(host):
        raise HangarError(
            f"{address} would carry a credential in clear.",
            resolution=f"Give https://{parts.netloc} instead.",
        )
    if is_trusted(host, parts.netloc):
        return
    raise HangarError(
        f"Your Google credentials would go to {host}, which is not Google's.",
        f"* platform.yml names {address}.\n* A host outside Google has to be allowed outside the repository as well.",
        f"If you trust it with them: export {ALLOWED}={host}",
    )
