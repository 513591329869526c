"""The way to an instance that has no address: a program whose standard input and output are a connection to it."""

import shutil
import sys
from typing import Literal

from hangar.paths import REPO

Means = Literal["auto", "gcloud", "relay"]
"""auto: gcloud where it is installed, else our own relay."""


def proxy_command(
    project: str,
    zone: str,
    instance: str,
    *,
    port: int = 22,
    interface: str = "nic0",
    endpoint: str | None = None,
    means: Means = "auto",
) -> tuple[str, ...]:
    """The program's words. An `endpoint` of your own is for our relay alone, which then is what is used.

    Both take everything by their arguments but the credentials: gcloud its own login, the relay the application
    default credentials. They may be called from any folder.
    """
    gcloud = None if endpoint or means == "relay" else shutil.which("gcloud")
    if gcloud or (means == "gcloud" and not endpoint):
        return (
            gcloud or "gcloud", "compute", "start-iap-tunnel", instance, str(port), "--listen-on-stdin",
            "--project", project, "--zone", zone, "--network-interface", interface, "--verbosity", "warning",
        )  # fmt: skip
    relay = REPO / "hangar" / "cloud" / "gcp" / "relay"
    return (
        sys.executable, "-I", str(relay), "--project", project, "--zone", zone, "--instance", instance,
        "--port", str(port), "--interface", interface, *(("--endpoint", endpoint) if endpoint else ()),
    )  # fmt: skip
