"""Where a tunnel leads, and which hosts may see a Google credential on the way."""

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlencode, urlsplit

from hangar.errors import HangarError

ENDPOINT = "wss://tunnel.cloudproxy.app"
GOOGLE = ("tunnel.cloudproxy.app", "googleapis.com")
"""Google's own hosts: these names and those below them."""

PLACE = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.IGNORECASE)
"""A host, perhaps with a port, of which everybody reads the same. Of other characters one library takes for a part of
the name what another takes for its end: to `requests`, a backslash begins the path.
"""

ALLOWED = "HANGAR_ALLOW_API_HOST"
"""The environment variable that allows other hosts, separated by commas. It is none of the repository's: whoever can
change a file in it must not be able to send your credentials elsewhere.
"""


@dataclass(frozen=True)
class Target:
    """A port of an instance. `interface` is the network interface's name."""

    project: str
    zone: str
    instance: str
    port: int = 22
    interface: str = "nic0"
    endpoint: str = ENDPOINT

    def connect_url(self) -> str:
        query = {
            "project": self.project, "zone": self.zone, "instance": self.instance,
            "interface": self.interface, "port": self.port, "newWebsocket": True,
        }  # fmt: skip
        return f"{self.endpoint}/v4/connect?{urlencode(query)}"

    def reconnect_url(self, session: str, received: int) -> str:
        query = {"sid": session, "ack": received, "zone": self.zone, "newWebsocket": True}
        return f"{self.endpoint}/v4/reconnect?{urlencode(query)}"


def require_trusted(endpoint: str) -> None:
    """Returns when a credential may be sent to this endpoint: over TLS, to Google or to a host that was allowed.

    Raises:
        HangarError: it may not; nothing was sent.
    """
    try:
        parts = urlsplit(endpoint)
        host, plain = parts.hostname or "", f"{parts.scheme}://{parts.netloc}"
        known = parts.port is None or parts.port > 0
    except ValueError:
        host, plain, known = "", "", False
    if not (host and known) or parts.scheme not in ("wss", "ws") or endpoint != plain or "@" in parts.netloc:
        raise HangarError(f"{endpoint} is no endpoint of a tunnel.", resolution=f"Give one like {ENDPOINT}.")
    if not is_trusted(host, parts.netloc):
        raise HangarError(
            f"{host} is none of Google's hosts, so it gets no Google credential.",
            resolution=f"If you trust it with yours: export {ALLOWED}={host}",
        )
    if parts.scheme == "ws" and not is_loopback(host):
        raise HangarError(
            f"{endpoint} would carry a credential in clear.", resolution=f"Give wss://{parts.netloc} instead."
        )


def is_trusted(host: str, place: str) -> bool:
    """Whether a host is Google's, or was allowed outside the repository, by its name or with its port (`place`)."""
    if not PLACE.fullmatch(place):
        return False
    allowed = {name.strip().lower() for name in os.environ.get(ALLOWED, "").split(",")} - {""}
    if not allowed.isdisjoint((host, place.lower())):
        return True
    return any(host == name or host.endswith(f".{name}") for name in GOOGLE)


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
