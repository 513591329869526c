"""The gate before the machine: a cloud's own policy says who may reach it; the machine asks for keys besides."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hangar.cloud.gcp.driver import GoogleCloud
    from hangar.config import Config
    from hangar.console import Progress

STAGE = "Google's tunnel"


def admit(config: "Config", progress: "Progress") -> None:
    """The gate, where there is one, admits exactly the people of platform.yml that have an address there.

    Raises:
        CloudError: the cloud refused.
    """
    if config.cloud == "gcp":
        from hangar.cloud.gcp import admission

        with progress.stage(STAGE):
            google = _google(config)
            admission.ensure(google.api, google.names, admission.users(config.people))


def shut(config: "Config", progress: "Progress") -> None:
    """The gate admits nobody beside them. Unlike `admit` it opens nothing, so it is right without a machine too.

    Raises:
        CloudError: the cloud refused.
    """
    if config.cloud == "gcp":
        from hangar.cloud.gcp import admission

        with progress.stage(STAGE):
            google = _google(config)
            admission.restrict(google.api, google.names, admission.users(config.people))


def _google(config: "Config") -> "GoogleCloud":
    """Loaded only where it is needed: the library takes a second."""
    from hangar.cloud.gcp.driver import GoogleCloud

    return GoogleCloud(config)
