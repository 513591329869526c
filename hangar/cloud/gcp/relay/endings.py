"""Why a tunnel ended, and what to do about it. The codes are those of SSH Relay v4 (IAP Desktop names the same)."""

from typing import NamedTuple

from hangar.cloud.gcp.relay.target import Target
from hangar.errors import HangarError

NORMAL = 1000
MISUNDERSTOOD = 4008
"""An invalid tag; here also for whatever of theirs we do not understand."""

REAUTHENTICATE = 4004
IN_USE = 4002
"""The session is still held by the connection that was lost; a moment later it is not."""

PASSING = frozenset({1001, 1006, 1011, 1012, 1013, 1014, 1015, 4000, REAUTHENTICATE})
"""After these a session can be taken up again: the connection broke, not the session."""


class _Meaning(NamedTuple):
    brief: str
    resolution: str


_DEFECT = _Meaning(
    "IAP and Hangar's relay do not understand each other.",
    "Use gcloud for the tunnel (install the Google Cloud CLI), and report this.",
)
_LOST = _Meaning("The tunnel was interrupted and could not be taken up again.", "Connect again.")

_MEANINGS = {
    1006: _Meaning(
        "The connection to IAP was cut.",
        "Connect again. If it happens each time: does a proxy or a firewall on the way let websockets through?",
    ),
    4001: _LOST,
    IN_USE: _LOST,
    4003: _Meaning(
        "IAP cannot reach port {port} of {instance}.",
        "Is the machine running and has it booted? A firewall rule has to admit 35.235.240.0/20 to port {port}, and"
        " sshd has to listen there.",
    ),
    REAUTHENTICATE: _Meaning(
        "Google asks for your credentials again.", "Log in again: gcloud auth application-default login"
    ),
    4009: _Meaning(
        "{instance} closed the connection.",
        "If this happens before the login: sshd refuses more logins for a moment, or the machine is going down.",
    ),
    4033: _Meaning(
        "Your account may not open a tunnel to {instance}.",
        "It needs the permission iap.tunnelInstances.accessViaIAP; the role roles/iap.tunnelResourceAccessor has it:"
        " gcloud projects add-iam-policy-binding {project} --condition None --member user:YOU@EXAMPLE.ORG"
        " --role roles/iap.tunnelResourceAccessor",
    ),
    4047: _Meaning(
        "Google knows no running instance {instance} in zone {zone} of project {project}.",
        "Compare the names, and start it if it is stopped.",
    ),
    4074: _LOST,
}
_MEANINGS |= {4010: _MEANINGS[4009], 4051: _MEANINGS[4047]}
_MEANINGS |= dict.fromkeys((4005, 4006, 4007, 4008, 4013), _DEFECT)


class Broken(Exception):
    """A connection that is worth another try; `error` is what to say when there is none left."""

    def __init__(self, error: HangarError, *, stale_token: bool = False) -> None:
        super().__init__(error.brief)
        self.error = error
        self.stale_token = stale_token


def explain(code: int, reason: str, target: Target) -> HangarError:
    """The error for a close code; `reason` is what the other side said about it."""
    meaning = _MEANINGS.get(code) or _Meaning("The tunnel was closed.", "Connect again.")
    said = f": {reason}" if reason else ""
    names = {
        "port": target.port, "instance": target.instance, "zone": target.zone, "project": target.project,
    }  # fmt: skip
    return HangarError(
        meaning.brief.format(**names), f"(code {code}{said})", meaning.resolution.format(**names)
    )


def refused(status: int, target: Target) -> HangarError:
    """The error for an HTTP status where a websocket was wanted."""
    if status in (401, 403):
        return explain(4033, f"HTTP {status}", target)
    if status == 407:
        return HangarError(
            "The proxy wants to know who you are.",
            "(HTTP 407)",
            "Put user and password into HTTPS_PROXY: http://user:password@host:port",
        )
    return HangarError(
        f"{target.endpoint} does not open a tunnel.",
        f"(HTTP {status})",
        "Is it IAP's endpoint, and does a proxy on the way let websockets through?",
    )


def unreachable(why: str, target: Target) -> HangarError:
    """The error for a network that does not lead there."""
    return HangarError(
        f"{target.endpoint} cannot be reached.",
        f"({why})",
        "Is this computer online? Behind a proxy set HTTPS_PROXY; for a company's certificates set SSL_CERT_FILE.",
    )


def untrusted(why: str, target: Target) -> HangarError:
    """The error for a certificate that nobody here vouches for."""
    return HangarError(
        f"{target.endpoint} shows a certificate that this computer does not trust.",
        f"({why})",
        "If your company looks into TLS, name its authorities: export SSL_CERT_FILE=/path/to/bundle.pem",
    )


def no_such_proxy(why: str) -> HangarError:
    """The error for a proxy that cannot be used as it is set."""
    return HangarError(
        "The proxy that this computer names cannot be used.",
        f"({why})",
        "Set HTTPS_PROXY like http://host:port, or NO_PROXY=tunnel.cloudproxy.app to do without.",
    )
